//! Who sets the number of pods, and that it stays what it is when that changes.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::{
    apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, policy::v1::PodDisruptionBudget,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, WatchEvent, WatchParams},
};
use tokio::time::timeout;
use tts_crds::v1alpha1::TtsDeployment;
use tts_e2e::{
    Cluster, Namespace, Operator,
    conditions::Conditioned as _,
    eventually,
    namespace::SOON,
    with_namespace,
    yaml::{builtin_voice, deployment_of},
};

/// The annotation of the Deployment that says who sets the number.
const SETTER: &str = "tts-operator.dev/replicas";

/// How long a watch may take to repeat what happened a moment ago.
const REPEATED: Duration = Duration::from_secs(30);

fn greeter(scaling: &str) -> String {
    deployment_of(
        "greeter",
        &format!("{{voices: [{{name: rms}}], scaling: {scaling}}}"),
    )
}

async fn live(namespace: &Namespace) -> Result<Deployment> {
    Ok(namespace.api::<Deployment>().get("greeter").await?)
}

fn number(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref().and_then(|spec| spec.replicas)
}

/// Applies `manifest` and waits until `setter` sets the number. Returns every number that the Deployment had
/// meanwhile, however short, in order.
async fn hand_over(namespace: &Namespace, manifest: &str, setter: &str) -> Result<Vec<i32>> {
    let before = live(namespace).await?;
    namespace.apply(manifest).await?;
    let after = eventually(
        &format!("the number is set by {setter}"),
        SOON,
        async || {
            let deployment = live(namespace).await?;
            let found = deployment.annotations().get(SETTER);
            ensure!(found.is_some_and(|found| found == setter), "{found:?}");
            Ok(deployment)
        },
    )
    .await?;
    let mut numbers: Vec<i32> = number(&before).into_iter().collect();
    // The API server repeats the changes since the version of the first read.
    let changes = namespace
        .api::<Deployment>()
        .watch(
            &WatchParams::default().fields("metadata.name=greeter"),
            &before.resource_version().context("no version")?,
        )
        .await?;
    pin_mut!(changes);
    loop {
        let change = timeout(REPEATED, changes.next())
            .await
            .context("the watch does not reach the version that was read")?
            .context("the watch ended")??;
        let WatchEvent::Modified(deployment) = change else {
            anyhow::bail!("not a change: {change:?}");
        };
        numbers.extend(number(&deployment));
        if deployment.resource_version() == after.resource_version() {
            return Ok(numbers);
        }
    }
}

/// Whether the operator's own field manager has the number, according to the API server.
fn operator_owns(deployment: &Deployment) -> bool {
    deployment.managed_fields().iter().any(|entry| {
        let fields = entry.fields_v1.as_ref();
        entry.manager.as_deref() == Some("tts-operator")
            && entry.operation.as_deref() == Some("Apply")
            && fields.is_some_and(|fields| !fields.0["f:spec"]["f:replicas"].is_null())
    })
}

/// Returns once the operator has reconciled the deployment: it makes again what is missing.
async fn reconciled(namespace: &Namespace) -> Result<()> {
    let budgets = namespace.api::<PodDisruptionBudget>();
    let before = budgets.get("greeter").await?.uid();
    budgets.delete("greeter", &DeleteParams::default()).await?;
    eventually("the budget is made again", SOON, async || {
        ensure!(budgets.get("greeter").await?.uid() != before);
        Ok(())
    })
    .await
}

async fn scale(namespace: &Namespace, replicas: i32) -> Result<()> {
    namespace
        .kubectl(&format!("scale deployment/greeter --replicas={replicas}"))
        .await?
        .ok()?;
    Ok(())
}

async fn wait_for_pods(namespace: &Namespace, ready: i32) -> Result<()> {
    namespace
        .kubectl(&format!(
            "wait ttsd/greeter --for=jsonpath={{.status.readyReplicas}}={ready} --timeout=180s"
        ))
        .await?
        .ok()?;
    Ok(())
}

#[tokio::test]
async fn a_number_that_changes_hands_never_dips_and_replaces_no_pod() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "hands", async |namespace| {
        let with_two = greeter("{type: Static, replicas: 2}");
        namespace
            .apply(&[builtin_voice("rms"), with_two].concat())
            .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        ensure!(operator_owns(&live(namespace).await?));
        let pods = namespace.server_pods().await?;
        ensure!(pods.len() == 2, "{pods:?}");

        let numbers = hand_over(namespace, &greeter("{type: External}"), "External").await?;
        ensure!(numbers.iter().all(|number| *number == 2), "{numbers:?}");
        ensure!(!operator_owns(&live(namespace).await?));
        ensure!(namespace.server_pods().await? == pods);

        // What somebody else sets stays, up and down.
        for replicas in [3, 2] {
            scale(namespace, replicas).await?;
            wait_for_pods(namespace, replicas).await?;
            reconciled(namespace).await?;
            let found = number(&live(namespace).await?);
            ensure!(found == Some(replicas), "{found:?} instead of {replicas}");
        }
        let pods = namespace.server_pods().await?;

        let with_two = greeter("{type: Static, replicas: 2}");
        let numbers = hand_over(namespace, &with_two, "Operator").await?;
        ensure!(numbers.iter().all(|number| *number == 2), "{numbers:?}");
        ensure!(operator_owns(&live(namespace).await?));
        ensure!(namespace.server_pods().await? == pods);
        namespace.wait_ready("ttsd/greeter").await?;

        // Now it is the operator's again, and a second hand-over works as the first.
        scale(namespace, 1).await?;
        eventually("the number of the spec", SOON, async || {
            let found = number(&live(namespace).await?);
            ensure!(found == Some(2), "{found:?}");
            Ok(())
        })
        .await?;
        let numbers = hand_over(namespace, &greeter("{type: External}"), "External").await?;
        ensure!(numbers.iter().all(|number| *number == 2), "{numbers:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_external_deployment_starts_with_a_pod_and_may_be_scaled_to_zero() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "external", async |namespace| {
        namespace
            .apply(&[builtin_voice("rms"), greeter("{type: External}")].concat())
            .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        eventually("it is left to others", SOON, async || {
            let deployment = live(namespace).await?;
            ensure!(deployment.annotations()[SETTER] == "External");
            ensure!(number(&deployment) == Some(1));
            Ok(())
        })
        .await?;
        scale(namespace, 0).await?;
        let deployments = namespace.api::<TtsDeployment>();
        eventually("it says that it is scaled to zero", SOON, async || {
            let object = deployments.get("greeter").await?;
            let condition = object.expect("Ready", "True")?;
            ensure!(condition.reason == "ScaledToZero", "{condition:?}");
            ensure!(!condition.message.contains("spec.scaling.replicas"));
            Ok(())
        })
        .await?;
        reconciled(namespace).await?;
        ensure!(number(&live(namespace).await?) == Some(0));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn before_the_first_plan_the_pods_stay_and_a_condition_says_that_they_do_not_scale()
-> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "unplanned", async |namespace| {
        let with_two = greeter("{type: Static, replicas: 2}");
        namespace
            .apply(&[builtin_voice("rms"), with_two].concat())
            .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        // Nothing is measured, so that it stays unplanned.
        let auto = deployment_of(
            "greeter",
            "{voices: [{name: rms}], scaling: {type: Auto}, sizing: {benchmark: Never}, objectives: {timeToFirstAudio: 500ms}, load: {peakRequestsPerSecond: 1}}",
        );
        namespace.apply(&auto).await?;
        let deployments = namespace.api::<TtsDeployment>();
        eventually("it is not planned", SOON, async || {
            let object = deployments.get("greeter").await?;
            let condition = object.expect("AutoscalingReady", "False")?;
            ensure!(condition.reason == "NotPlanned", "{condition:?}");
            Ok(())
        })
        .await?;
        reconciled(namespace).await?;
        ensure!(number(&live(namespace).await?) == Some(2));
        let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
        ensure!(autoscalers.get_opt("greeter").await?.is_none());

        let static_again = greeter("{type: Static, replicas: 2}");
        namespace.apply(&static_again).await?;
        eventually("the condition is gone", SOON, async || {
            let object = deployments.get("greeter").await?;
            object.condition("Ready")?;
            ensure!(object.condition("AutoscalingReady").is_err());
            Ok(())
        })
        .await
    })
    .await
}
