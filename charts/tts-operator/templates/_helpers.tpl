{{- define "tts-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of cluster-scoped objects: operators that each manage some namespaces may share a release name. */}}
{{- define "tts-operator.clusterName" -}}
{{- if .Values.watchNamespaces -}}
{{- printf "%s-%s" .Release.Namespace (include "tts-operator.fullname" .) -}}
{{- else -}}
{{- include "tts-operator.fullname" . -}}
{{- end -}}
{{- end -}}

{{- define "tts-operator.selectorLabels" -}}
app.kubernetes.io/name: tts-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tts-operator.labels" -}}
{{ include "tts-operator.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tts-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "tts-operator.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* Call with (dict "root" $ "image" .Values.image.operator): <registry>/<repository>:<tag>[@<digest>] */}}
{{- define "tts-operator.image" -}}
{{- $image := .root.Values.image -}}
{{- if not $image.registry -}}
{{- fail "image.registry is not set. Set it to the registry that holds the images tts-operator and tts-server, for example: --set image.registry=registry.example.com/speech" -}}
{{- end -}}
{{- printf "%s/%s:%s" $image.registry .image.repository ($image.tag | default .root.Chart.AppVersion) -}}
{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* Combinations of settings that the schema cannot reject. */}}
{{- define "tts-operator.validate" -}}
{{- if and .Values.ca.pem .Values.ca.configMap.name -}}
{{- fail "ca.pem and ca.configMap.name are both set. Set only the one that holds your certificates." -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection) -}}
{{- fail "replicas is above 1 while leaderElection is false: two operators would write the same objects. Set leaderElection to true or replicas to 1." -}}
{{- end -}}
{{- end -}}

{{/* Name of the ConfigMap with the private certificate authority; empty when there is none. */}}
{{- define "tts-operator.caConfigMap" -}}
{{- if .Values.ca.pem -}}
{{- printf "%s-ca" (include "tts-operator.fullname" .) -}}
{{- else -}}
{{- .Values.ca.configMap.name -}}
{{- end -}}
{{- end -}}

{{- define "tts-operator.caKey" -}}
{{- if .Values.ca.pem -}}ca.crt{{- else -}}{{ .Values.ca.configMap.key }}{{- end -}}
{{- end -}}

{{/* Restricted Pod Security Standard, for every container of this chart. */}}
{{- define "tts-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* A user or group that is null is left out: then the image's (65532) applies, or the one that the platform assigns. */}}
{{- define "tts-operator.podSecurityContext" -}}
runAsNonRoot: true
{{- range $key, $id := .Values.podSecurityContext }}
{{- if not (kindIs "invalid" $id) }}
{{ $key }}: {{ int64 $id }}
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What the operator reads from the file of --settings. Made from a dict, so that every value is quoted as YAML needs it. */}}
{{- define "tts-operator.settings" -}}
{{- $image := include "tts-operator.image" (dict "root" $ "image" .Values.image.server) -}}
{{- $server := dict "image" $image "imagePullPolicy" .Values.image.pullPolicy "imagePullSecrets" .Values.image.pullSecrets -}}
{{- $downloads := dict "allowHttp" .Values.allowHttp -}}
{{- if include "tts-operator.caConfigMap" . -}}
{{- $_ := set $downloads "caFile" (printf "/etc/tts-operator/ca/%s" (include "tts-operator.caKey" .)) -}}
{{- end -}}
{{- range $key, $value := .Values.proxy -}}
{{- if $value -}}{{- $_ := set $downloads $key $value -}}{{- end -}}
{{- end -}}
{{- $rollouts := dict "maxConcurrent" .Values.rollouts.maxConcurrent -}}
{{- $inspections := dict "maxConcurrent" .Values.inspections.maxConcurrent -}}
{{- $benchmarks := dict "maxConcurrent" .Values.benchmarks.maxConcurrent -}}
{{- with .Values.benchmarks.window -}}{{- $_ := set $benchmarks "window" . -}}{{- end -}}
{{- with .Values.benchmarks.nodeHoursPerDay -}}{{- $_ := set $benchmarks "nodeHoursPerDay" (float64 .) -}}{{- end -}}
{{- $settings := dict "server" $server "downloads" $downloads "rollouts" $rollouts "inspections" $inspections "benchmarks" $benchmarks "stalledAfter" .Values.stalledAfter -}}
{{- with .Values.nodeClasses -}}{{- $_ := set $settings "nodeClasses" . -}}{{- end -}}
{{- with .Values.prices -}}{{- $_ := set $settings "prices" . -}}{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "tts-operator.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
    # The port of the DNS pods on OpenShift, behind the Service's port 53.
    - {port: 5353, protocol: UDP}
    - {port: 5353, protocol: TCP}
{{- end -}}

{{/* Checks of kube-score that do not fit the pods of this chart. Nothing else is ignored. */}}
{{- define "tts-operator.kubeScore" -}}
# container-resources: there is no CPU limit, because throttling delays the work; the other requests and limits are set.
# container-image-pull-policy: the tag of a release and a digest never move, so a pod also starts while the registry is down.
kube-score/ignore: container-resources,container-image-pull-policy
{{- end -}}
