//! What the API server itself says about our kinds: refusals, explanations, columns. No operator is needed.
use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::Api;
use tts_e2e::{
    Cluster, Namespace,
    cluster::repository,
    namespace::{ENFORCE, contains_all},
    operator::Kinds,
    with_namespace,
    yaml::{deployment, deployment_of, voice},
};

fn file(path: &str, url: &str, sha256: &str) -> String {
    voice(
        "amy",
        &format!("{{files: [{{path: '{path}', url: '{url}', sha256: '{sha256}'}}]}}"),
    )
}

/// What is wrong, the object, and what the API server must say about it.
type Mistake = (&'static str, String, &'static str);

const URL: &str = "https://files.example.com/voice.onnx";

fn digest() -> String {
    "0".repeat(64)
}

fn voice_mistakes() -> Vec<Mistake> {
    let digest = digest();
    let both = format!(
        "{{builtin: {{name: rms}}, files: [{{path: a, url: '{URL}', sha256: '{digest}'}}]}}"
    );
    let url = |url: &str| file("voice.onnx", url, &digest);
    let path = |path: &str| file(path, URL, &digest);
    let sha256 = |sha256: &str| file("voice.onnx", URL, sha256);
    let one_source = "exactly one of builtin and files must be set";
    let not_a_url = "url must be an https:// URL";
    vec![
        ("no source", voice("amy", "{}"), one_source),
        ("two sources", voice("amy", &both), one_source),
        ("no files", voice("amy", "{files: []}"), "spec.source.files"),
        ("not a url", url("files.example.com/voice.onnx"), not_a_url),
        (
            "another scheme",
            url("ftp://files.example.com/v"),
            not_a_url,
        ),
        (
            "a password",
            url("https://me:secret@files.example.com/v"),
            "without user and password",
        ),
        (
            "a path that leaves",
            path("../voice.onnx"),
            "path must be relative",
        ),
        (
            "an absolute path",
            path("/etc/voice.onnx"),
            "path must be relative",
        ),
        (
            "a short digest",
            sha256("abc"),
            "spec.source.files[0].sha256",
        ),
        (
            "a digest in capitals",
            sha256(&"A".repeat(64)),
            "spec.source.files[0].sha256",
        ),
        (
            "a long name",
            voice(&"a".repeat(47), "{builtin: {name: rms}}"),
            "metadata.name must be 1 to 46 characters",
        ),
    ]
}

/// Of deployments that are planned, or ask for it.
fn planning_mistakes() -> Vec<Mistake> {
    let spec = |spec: &str| deployment_of("greeter", spec);
    let with = |more: &str| spec(&format!("{{voices: [{{name: rms}}], {more}}}"));
    let planned = |more: &str| with(&format!("objectives: {{timeToFirstAudio: 500ms}}, {more}"));
    vec![
        (
            "objectives without load",
            with("objectives: {timeToFirstAudio: 500ms}"),
            "objectives and load belong together",
        ),
        (
            "no duration",
            with("objectives: {timeToFirstAudio: soon}, load: {listeners: 1}"),
            "spec.objectives.timeToFirstAudio",
        ),
        (
            "an objective that nothing keeps",
            with("objectives: {timeToFirstAudio: 9ms}, load: {listeners: 1}"),
            "must be between 10ms and 10m",
        ),
        (
            "two peaks",
            planned("load: {listeners: 1, peakRequestsPerSecond: 1}"),
            "exactly one of load.peakRequestsPerSecond and load.listeners",
        ),
        (
            "no peak",
            planned("load: {meanAudioSeconds: 6}"),
            "exactly one of load.peakRequestsPerSecond and load.listeners",
        ),
        (
            "no requests at all",
            planned("load: {peakRequestsPerSecond: 0}"),
            "load.peakRequestsPerSecond must be between 0.001 and 1000000",
        ),
        (
            "more requests than anybody has",
            planned("load: {peakRequestsPerSecond: 1000001}"),
            "load.peakRequestsPerSecond must be between 0.001 and 1000000",
        ),
        (
            "a base above the peak",
            planned("load: {peakRequestsPerSecond: '0.5', baseRequestsPerSecond: 1}"),
            "load.baseRequestsPerSecond must not be above",
        ),
        (
            "a real-time factor of nothing",
            with("objectives: {timeToFirstAudio: 500ms, realTimeFactor: 0}, load: {listeners: 1}"),
            "objectives.realTimeFactor must be between 0.01 and 10",
        ),
        (
            "planned without objectives",
            with("sizing: {mode: FromProfile}"),
            "sizing.mode FromProfile needs objectives and load",
        ),
        (
            "resources for planned pods",
            planned("load: {listeners: 1}, sizing: {resources: {requests: {cpu: 1, memory: 1Gi}}}"),
            "sizing.resources is used when sizing.mode is Manual only",
        ),
        (
            "hardly a CPU",
            planned("load: {listeners: 1}, sizing: {maxCpuPerPod: 99m}"),
            "sizing.maxCpuPerPod must be at least 100m",
        ),
        (
            "scaled without a plan",
            with("scaling: {type: Auto}"),
            "scaling.type Auto needs a plan",
        ),
        (
            "a number of pods beside a plan",
            planned("load: {listeners: 1}, scaling: {replicas: 3}"),
            "set scaling.type to Static to set scaling.replicas yourself",
        ),
        (
            "bounds of a static number",
            planned("load: {listeners: 1}, scaling: {type: Static, replicas: 3, maxReplicas: 4}"),
            "scaling.minReplicas and maxReplicas are used when scaling.type is Auto only",
        ),
        (
            "bounds the wrong way round",
            planned("load: {listeners: 1}, scaling: {type: Auto, minReplicas: 3, maxReplicas: 2}"),
            "scaling.minReplicas must not be above maxReplicas",
        ),
        (
            "a voice that is never asked for",
            spec("{voices: [{name: rms, weight: 0}]}"),
            "weight must be between 0.001 and 1000000",
        ),
        (
            "a toleration of nothing",
            planned("load: {listeners: 1}, placement: {tolerations: [{value: x}]}"),
            "correct placement.tolerations",
        ),
    ]
}

fn deployment_mistakes() -> Vec<Mistake> {
    let spec = |spec: &str| deployment_of("greeter", spec);
    let with = |more: &str| spec(&format!("{{voices: [{{name: rms}}], {more}}}"));
    let resources =
        |resources: &str| with(&format!("sizing: {{mode: Manual, resources: {resources}}}"));
    let many: Vec<_> = (0..33)
        .map(|number| format!("{{name: v{number}}}"))
        .collect();
    vec![
        ("no voices", spec("{voices: []}"), "spec.voices"),
        (
            "33 voices",
            spec(&format!("{{voices: [{}]}}", many.join(", "))),
            "must have at most 32 items",
        ),
        (
            "a voice twice",
            spec("{voices: [{name: rms}, {name: rms}]}"),
            "Duplicate value",
        ),
        (
            "two defaults",
            spec("{voices: [{name: a, default: true}, {name: b, default: true}]}"),
            "at most one voice can be the default",
        ),
        (
            "no DNS label",
            deployment("1greeter", "rms"),
            "a lower-case letter first",
        ),
        (
            "a long name",
            deployment(&"a".repeat(47), "rms"),
            "choose a shorter or simpler name",
        ),
        (
            "negative replicas",
            with("scaling: {type: Static, replicas: -1}"),
            "spec.scaling.replicas",
        ),
        (
            "an unknown mode",
            with("sizing: {mode: Guess, resources: {requests: {cpu: 1, memory: 1Gi}}}"),
            "Unsupported value: \"Guess\"",
        ),
        (
            "a request above its limit",
            resources("{requests: {cpu: '2', memory: 1Gi}, limits: {cpu: '1'}}"),
            "requests.cpu must not be above limits.cpu",
        ),
        (
            "memory above its limit",
            resources("{requests: {cpu: '1', memory: 2Gi}, limits: {memory: 1Gi}}"),
            "requests.memory must not be above limits.memory",
        ),
        (
            "a negative number of CPUs",
            resources("{requests: {cpu: -1, memory: 1Gi}}"),
            "must be a quantity that is not negative and below 8Ei",
        ),
        (
            "more memory than there are bytes",
            resources("{requests: {cpu: 1, memory: '1e400'}}"),
            "must be a quantity that is not negative and below 8Ei",
        ),
        (
            "the first quantity that is too large",
            resources("{requests: {cpu: 1, memory: 8Ei}}"),
            "must be a quantity that is not negative and below 8Ei",
        ),
        (
            "a mode without what it needs",
            with("sizing: {mode: Manual}"),
            "sizing.resources must be set when sizing.mode is Manual",
        ),
        (
            "static scaling without a number",
            with("scaling: {type: Static}"),
            "scaling.replicas must be set when scaling.type is Static",
        ),
        (
            "the operator's label",
            with("pod: {labels: {app.kubernetes.io/name: mine}}"),
            "must not set labels of the operator",
        ),
        (
            "a misspelt field",
            with("scalling: {replicas: 2}"),
            "unknown field \"spec.scalling\"",
        ),
    ]
}

fn benchmark(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: tts-operator.dev/v1alpha1\nkind: TtsBenchmark\nmetadata: {{name: {name}}}\nspec: {{voice: {{name: amy}}, {spec}}}\n"
    )
}

fn benchmark_mistakes() -> Vec<Mistake> {
    let with = |spec: &str| benchmark("nightly", spec);
    vec![
        (
            "a class and a selector",
            with("nodeClass: strong, nodeSelector: {disk: ssd}"),
            "nodeClass and nodeSelector exclude each other",
        ),
        (
            "a toleration without a key",
            with("tolerations: [{value: l4}]"),
            "correct spec.tolerations",
        ),
        (
            "a toleration of each value with a value",
            with("tolerations: [{key: gpu, operator: Exists, value: l4}]"),
            "correct spec.tolerations",
        ),
        (
            "a sweep that there is not",
            with("sweep: Slow"),
            "supported values: \"Quick\", \"Full\"",
        ),
        (
            "levels that are too short",
            with("levelSeconds: 0"),
            "should be greater than or equal to 1",
        ),
        (
            "a name that is too long for its Job",
            benchmark(&"a".repeat(47), "sweep: Quick"),
            "metadata.name must be 1 to 46 characters",
        ),
    ]
}

#[tokio::test]
async fn bad_specs_are_refused_with_what_to_do() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _kinds = Kinds::installed(&cluster).await?;
    with_namespace(&cluster, "refused", async |namespace| {
        // The same without the mistakes is taken: no refusal below is for another reason.
        let good = deployment_of(
            "greeter",
            "{voices: [{name: amy}], sizing: {mode: Manual, resources: {requests: {cpu: 500m, memory: 256Mi}, limits: {cpu: '1', memory: 1Gi}}}, scaling: {type: Static, replicas: 0}, pod: {labels: {team: speech}}}",
        );
        let measured = benchmark(
            &"a".repeat(46),
            "levelSeconds: 1, suspend: true, tolerations: [{key: gpu, value: l4}, {operator: Exists}]",
        );
        namespace
            .apply(&[file("voice.onnx", URL, &digest()), good, measured].concat())
            .await?;
        let mistakes = [
            voice_mistakes(),
            deployment_mistakes(),
            planning_mistakes(),
            benchmark_mistakes(),
        ]
        .concat();
        for (what, yaml, message) in &mistakes {
            let refusal = namespace.refusal(yaml).await.with_context(|| (*what).to_owned())?;
            contains_all(&refusal, &[message]).with_context(|| (*what).to_owned())?;
        }
        Ok(())
    })
    .await
}

/// Takes every manifest of a folder in a dry run; returns how many there are.
async fn take_all(namespace: &Namespace, folder: &str) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join(folder))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let yaml = std::fs::read_to_string(&path)?;
            namespace
                .kubectl_with(&yaml, "apply --dry-run=server -f -")
                .await?
                .ok()
                .with_context(|| path.display().to_string())?;
            count += 1;
        }
    }
    Ok(count)
}

#[tokio::test]
async fn the_examples_are_taken() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _kinds = Kinds::installed(&cluster).await?;
    with_namespace(&cluster, "examples", async |namespace| {
        let count = take_all(namespace, "docs/examples").await?;
        anyhow::ensure!(count >= 4, "only {count} examples");
        Ok(())
    })
    .await
}

/// What people wrote for an earlier version of the CRDs stays valid.
#[tokio::test]
async fn the_first_examples_are_still_taken() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _kinds = Kinds::installed(&cluster).await?;
    with_namespace(&cluster, "first", async |namespace| {
        let count = take_all(namespace, "e2e/fixtures/first-examples").await?;
        anyhow::ensure!(count == 4, "{count} examples");
        Ok(())
    })
    .await
}

/// What `kubectl apply -f deploy/install.yaml` sends passes admission, and its pods are admitted to a namespace that
/// enforces the restricted Pod Security standard.
#[tokio::test]
async fn the_install_manifest_is_taken() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _kinds = Kinds::installed(&cluster).await?;
    let manifest = std::fs::read_to_string(repository().join("deploy/install.yaml"))?;
    let own = manifest
        .split("\n---\n")
        .map(serde_saphyr::from_str::<serde_json::Value>)
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let of_kind = |kind: &str| {
        own.iter()
            .find(|object| object["kind"] == kind)
            .with_context(|| format!("the manifest holds no {kind}"))
    };
    let label = &of_kind("Namespace")?["metadata"]["labels"][ENFORCE];
    anyhow::ensure!(label == "restricted", "the namespace enforces {label}");
    let template = &of_kind("Deployment")?["spec"]["template"];

    with_namespace(&cluster, "manifest", async |namespace| {
        // The namespace itself would be made first; a dry run makes nothing.
        let objects = manifest
            .split("\n---\n")
            .filter(|object| !object.contains("\nkind: Namespace\n"))
            .collect::<Vec<_>>()
            .join("\n---\n");
        let objects = objects.replace(
            "namespace: tts-system",
            &format!("namespace: {}", namespace.name),
        );
        let taken = cluster
            .kubectl
            .run_with(
                &objects,
                "apply --dry-run=server --server-side --force-conflicts -f -".split(' '),
            )
            .await?
            .ok()?;
        contains_all(
            &taken,
            &[
                "deployment.apps/",
                "serviceaccount/",
                "clusterrole.rbac.authorization.k8s.io/",
            ],
        )?;

        // A Deployment is taken whatever its pods are; only a pod is held to the standard.
        let mut pod = template.clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = "operator".into();
        // The service account was only made for a dry run.
        pod["spec"]["serviceAccountName"] = "default".into();
        namespace
            .kubectl_with(&pod.to_string(), "apply --dry-run=server -f -")
            .await?
            .ok()?;
        // The same pod with more privileges is refused: the standard is enforced here.
        pod["spec"]["hostNetwork"] = true.into();
        let refusal = namespace.refusal(&pod.to_string()).await?;
        contains_all(
            &refusal,
            &["violates PodSecurity", "restricted", "host namespaces"],
        )
    })
    .await
}

#[tokio::test]
async fn every_field_is_explained() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _kinds = Kinds::installed(&cluster).await?;
    let crds = Api::<CustomResourceDefinition>::all(cluster.client.clone());
    for name in [
        "ttsvoices.tts-operator.dev",
        "ttsdeployments.tts-operator.dev",
        "ttsbenchmarks.tts-operator.dev",
        "ttsprofiles.tts-operator.dev",
    ] {
        let crd = crds.get(name).await?;
        let schema = crd.spec.versions[0]
            .schema
            .as_ref()
            .and_then(|schema| schema.open_api_v3_schema.as_ref())
            .context("no schema")?;
        let mut mute = Vec::new();
        unexplained(schema, name, &mut mute);
        anyhow::ensure!(mute.is_empty(), "fields without a text: {mute:?}");
    }
    for (field, text) in [
        ("ttsvoice.spec.source", "exactly one of"),
        ("ttsv.spec.source.files.sha256", "SHA-256"),
        ("ttsdeployment.spec.voices", "TtsVoice"),
        ("ttsd.spec.scaling.replicas", "Number of pods"),
        ("ttsd.status.endpoint", "URL of the endpoint"),
        ("ttsb.spec.schedule.cron", "CronJob"),
        ("ttsp.spec.configs.levels.ttfaQ", "Time to first audio"),
    ] {
        // Short names take a moment longer to be known than the kinds.
        let explained =
            tts_e2e::eventually(field, std::time::Duration::from_secs(30), async || {
                cluster.kubectl.run(["explain", field]).await?.ok()
            })
            .await?;
        contains_all(&explained, &["DESCRIPTION", text])?;
    }
    Ok(())
}

/// `kind`, `apiVersion` and `metadata` are explained by Kubernetes.
fn unexplained(schema: &JSONSchemaProps, path: &str, mute: &mut Vec<String>) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        if property
            .description
            .as_deref()
            .is_none_or(|text| text.trim().is_empty())
            && !["kind", "apiVersion", "metadata"].contains(&name.as_str())
        {
            mute.push(path.clone());
        }
        unexplained(property, &path, mute);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        unexplained(items, &format!("{path}[]"), mute);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        unexplained(values, &format!("{path}{{}}"), mute);
    }
}
