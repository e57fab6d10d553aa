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

{{/* No runAsUser: the image sets it (65532), and platforms that assign a user per namespace can override it. */}}
{{- define "tts-operator.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}
