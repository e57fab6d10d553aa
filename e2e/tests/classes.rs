//! Which nodes a deployment is planned for, with fake nodes: the API server, the scheduler and the operator are real, the nodes are
//! objects, and the measurements are made up for the built-in voice.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use tts_crds::v1alpha1::{TtsDeployment, TtsProfile, TtsProfileSpec, TtsVoice};
use tts_e2e::{
    Cluster, Namespace, Operator,
    conditions::Conditioned as _,
    eventually,
    fake_nodes::{FAKE, FakeNodes},
    namespace::{SOON, contains_all},
    with_namespace,
    yaml::builtin_voice,
};
use tts_planner_dev::samples;

/// The operator reads its settings again, and the nodes are watched.
const NOTICED: Duration = Duration::from_mins(2);

/// One deployment at a time, that tolerates fake nodes only.
async fn apply(namespace: &Namespace, more: &str) -> Result<()> {
    let manifest = format!(
        "---
apiVersion: tts-operator.dev/v1alpha1
kind: TtsDeployment
metadata: {{name: choosy}}
spec:
  voices: [{{name: rms}}]
  objectives: {{timeToFirstAudio: 800ms}}
  sizing: {{benchmark: Never}}
  placement: {{nodeSelector: {{{FAKE}: 'true'}}, tolerations: [{{key: {FAKE}, operator: Exists}}]}}
  {more}
"
    );
    namespace.apply(&manifest).await?;
    Ok(())
}

/// A measurement of the built-in voice, at the speed of an example.
async fn measured(namespace: &Namespace, class: &str) -> Result<()> {
    let voice = namespace.api::<TtsVoice>().get("rms").await?;
    let files = voice.status.context("no status")?.files;
    let digest = |ending: &str| {
        let file = files.iter().find(|file| file.path.ends_with(ending));
        file.map(|file| format!("sha256:{}", file.sha256))
            .context("no such file")
    };
    let mut profile = samples::on_cpu(class, samples::PIPER, &[1, 2, 4]);
    "rms".clone_into(&mut profile.voice.name);
    profile.voice.model_digest = digest(".onnx")?;
    profile.voice.config_digest = digest(".json")?;
    env!("CARGO_PKG_VERSION").clone_into(&mut profile.server.version);
    let profile = TtsProfile::new(&format!("rms-{class}"), TtsProfileSpec(profile));
    namespace
        .api::<TtsProfile>()
        .create(&PostParams::default(), &profile)
        .await?;
    Ok(())
}

async fn planned_for(namespace: &Namespace, class: &str) -> Result<()> {
    eventually(&format!("planned for {class}"), NOTICED, async || {
        let object = namespace.api::<TtsDeployment>().get("choosy").await?;
        let sized = object.expect("Sized", "True")?.clone();
        let status = object.status.context("no status")?;
        let plan = status.plan.with_context(|| format!("no plan: {sized:?}"))?;
        ensure!(plan.node_class.as_deref() == Some(class), "{plan:?}");
        Ok(())
    })
    .await
}

/// The scheduler has placed a pod on this node.
async fn scheduled_to(namespace: &Namespace, prefix: &str) -> Result<()> {
    let params = ListParams::default().labels("app.kubernetes.io/instance=choosy");
    eventually(&format!("a pod on {prefix}"), SOON, async || {
        let pods = namespace.api::<Pod>().list(&params).await?;
        let nodes: Vec<String> = pods
            .into_iter()
            .filter_map(|pod| pod.spec?.node_name)
            .collect();
        ensure!(
            nodes.iter().any(|node| node.starts_with(prefix)),
            "{nodes:?}"
        );
        Ok(())
    })
    .await
}

/// Why the pods do not keep the objectives.
async fn short_of(namespace: &Namespace, reason: &str, texts: &[&str]) -> Result<()> {
    eventually(reason, NOTICED, async || {
        let object = namespace.api::<TtsDeployment>().get("choosy").await?;
        let sized = object.expect("Sized", "False")?;
        ensure!(sized.reason == reason, "{sized:?}");
        contains_all(&sized.message, texts)
    })
    .await
}

#[tokio::test]
async fn the_class_follows_prices_nodes_quotas_and_declarations() -> Result<()> {
    let cluster = Cluster::connect().await?;
    if !cluster.is_throwaway() {
        eprintln!("skipped: fake nodes are made in the throwaway cluster only");
        return Ok(());
    }
    let operator = Operator::alone_with(&cluster, &["prices.strong=5", "prices.weak=1"]).await?;
    let nodes = FakeNodes::new(&cluster);
    let result = with_namespace(&cluster, "classes", async |namespace| {
        // Pods of an earlier run that were on a node of the same name would still count there.
        let run = namespace.name.rsplit('-').next().unwrap_or_default().to_owned();
        let node = |name: &str| format!("fake-{name}-{run}");
        for (name, class) in [("strong-1", "strong"), ("strong-2", "strong"), ("weak-1", "weak")] {
            nodes.add(&node(name), class, "8", "32Gi").await?;
        }
        namespace.apply(&builtin_voice("rms")).await?;
        namespace.wait_ready("ttsv/rms").await?;
        for class in ["strong", "weak", "pool"] {
            measured(namespace, class).await?;
        }
        // The cheapest class, on whose nodes the scheduler then places the pods.
        apply(namespace, "load: {peakRequestsPerSecond: 5}").await?;
        planned_for(namespace, "weak").await?;
        scheduled_to(namespace, "fake-weak").await?;
        // Its price goes up.
        operator.set(&["prices.strong=1", "prices.weak=5"]).await?;
        planned_for(namespace, "strong").await?;
        scheduled_to(namespace, "fake-strong").await?;
        // The class vanishes, and comes back.
        nodes.remove(&node("strong-1")).await?;
        nodes.remove(&node("strong-2")).await?;
        planned_for(namespace, "weak").await?;
        nodes.add(&node("strong-3"), "strong", "8", "32Gi").await?;
        planned_for(namespace, "strong").await?;
        // More than all nodes carry: what is missing is said.
        apply(namespace, "load: {peakRequestsPerSecond: 500}").await?;
        short_of(namespace, "CapacityInsufficient", &["pods needed", "Add ", "lower the peak to"]).await?;
        // A quota leaves one core.
        apply(namespace, "load: {peakRequestsPerSecond: 8}").await?;
        planned_for(namespace, "strong").await?;
        namespace
            .kubectl("create quota few --hard=requests.cpu=1")
            .await?
            .ok()?;
        apply(namespace, "load: {peakRequestsPerSecond: 9}").await?;
        short_of(namespace, "CapacityInsufficient", &["quota"]).await?;
        namespace.kubectl("delete quota few").await?.ok()?;
        // A pool without nodes is planned for when it is declared and asked for; the pods wait for its nodes.
        operator
            .set(&[
                "nodeClasses[0].name=pool",
                "nodeClasses[0].cpu=8",
                "nodeClasses[0].memory=32Gi",
                "nodeClasses[0].maxNodes=4",
                &format!("nodeClasses[0].selector.{}=pool", FAKE.replace('.', "\\.").replace("fake-node", "pool")),
            ])
            .await?;
        let placement = format!(
            "load: {{peakRequestsPerSecond: 5}}\n  placement: {{nodeClasses: [pool], tolerations: [{{key: {FAKE}, operator: Exists}}]}}"
        );
        namespace.kubectl("delete ttsd choosy").await?.ok()?;
        let manifest = format!(
            "---\napiVersion: tts-operator.dev/v1alpha1\nkind: TtsDeployment\nmetadata: {{name: choosy}}\nspec:\n  voices: [{{name: rms}}]\n  objectives: {{timeToFirstAudio: 800ms}}\n  sizing: {{benchmark: Never}}\n  {placement}\n"
        );
        namespace.apply(&manifest).await?;
        planned_for(namespace, "pool").await?;
        // No class that is asked for exists.
        namespace
            .kubectl("patch ttsd choosy --type=merge --patch={\"spec\":{\"placement\":{\"nodeClasses\":[\"none\"]}}}")
            .await?
            .ok()?;
        short_of(namespace, "NoNodeClass", &["placement.nodeClasses names classes that there are not: none"]).await
    })
    .await;
    let cleared = nodes.clear().await;
    result.and(cleared)
}
