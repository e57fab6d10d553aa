//! Deployments with objectives and load: measured, planned, and rolled out as planned.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use tts_crds::v1alpha1::{Approval, PlanStatus, TtsBenchmark, TtsDeployment, TtsProfile};
use tts_e2e::{
    Cluster, Namespace, Operator,
    cluster::repository,
    conditions::Conditioned as _,
    eventually,
    namespace::{SOON, contains_all},
    speech::Endpoint,
    with_namespace,
};

/// A sweep of short levels after the inspection of the voice, on a machine that runs other tests.
const MEASURED: Duration = Duration::from_mins(8);

fn planned(more: &str) -> Result<String> {
    let example = std::fs::read_to_string(repository().join("docs/examples/planned.yaml"))?;
    Ok(format!("{}{more}", example.trim_end()))
}

async fn deployment(namespace: &Namespace) -> Result<TtsDeployment> {
    Ok(namespace.api::<TtsDeployment>().get("planned").await?)
}

/// The plan of the status, once there is one.
async fn plan(namespace: &Namespace, within: Duration) -> Result<PlanStatus> {
    eventually("planned", within, async || {
        let object = deployment(namespace).await?;
        object.expect("Sized", "True")?;
        object
            .status
            .and_then(|status| status.plan)
            .context("no plan")
    })
    .await
}

/// The pods are exactly those of the plan.
async fn rolled_out(namespace: &Namespace, plan: &PlanStatus) -> Result<()> {
    let params = ListParams::default().labels("app.kubernetes.io/instance=planned");
    eventually("rolled out as planned", SOON, async || {
        deployment(namespace).await?.expect("Ready", "True")?;
        let pods = namespace.api::<Pod>().list(&params).await?;
        let living = pods
            .items
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        for pod in living {
            let container = &pod.spec.as_ref().context("no spec")?.containers[0];
            let args = container.args.clone().unwrap_or_default();
            for expected in [
                format!("--workers={}", plan.pod.max_concurrency),
                format!("--intra-threads={}", plan.pod.threads),
                format!("--queue={}", plan.pod.queue),
            ] {
                ensure!(args.contains(&expected), "{expected}: {args:?}");
            }
            let resources = container.resources.as_ref().context("no resources")?;
            let requests = resources.requests.as_ref().context("no requests")?;
            ensure!(
                (&requests["cpu"].0, &requests["memory"].0) == (&plan.pod.cpu, &plan.pod.memory),
                "{requests:?}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deployment_is_measured_planned_and_rolled_out_as_planned() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::alone_with(&cluster, &[]).await?;
    with_namespace(&cluster, "planned", async |namespace| {
        namespace
            .apply(&planned("\n  sizing: {benchmark: Ask}\n")?)
            .await?;
        namespace.wait_ready("ttsd/planned").await?;
        // Default pods serve; the benchmark that is missing is there, and waits as it was asked to.
        let object = deployment(namespace).await?;
        ensure!(object.status.context("no status")?.plan.is_none());
        let benchmarks = namespace.api::<TtsBenchmark>();
        let benchmark = eventually("a benchmark that waits", SOON, async || {
            let found = benchmarks.list(&ListParams::default()).await?.items;
            let [found] = found.as_slice() else {
                anyhow::bail!("{} benchmarks", found.len());
            };
            ensure!(found.spec.approval == Approval::Ask);
            let object = deployment(namespace).await?;
            let profiled = object.expect("Profiled", "False")?;
            contains_all(&profiled.message, &["rms on ", &found.name_any()])?;
            Ok(found.name_any())
        })
        .await?;
        namespace
            .kubectl(&format!(
                "patch ttsb {benchmark} --type=merge --patch={{\"spec\":{{\"approval\":\"Auto\",\"levelSeconds\":1}}}}"
            ))
            .await?
            .ok()?;
        let plan = plan(namespace, MEASURED).await?;
        rolled_out(namespace, &plan).await?;
        ensure!(!plan.reasons.is_empty() && plan.predicted.is_some());
        let object = deployment(namespace).await?;
        object.expect("Profiled", "True")?;
        let endpoint = Endpoint::of(namespace, "planned").await?;
        endpoint.speak("rms", "Planned pods speak.").await?;

        // The plan needs an approval from now on; nothing changes before.
        let revision = object.status.context("no status")?.rolled_out_revision;
        let merge = |patch: &str| format!("patch ttsd planned --type=merge --patch={patch}");
        namespace
            .kubectl(&merge(
                r#"{"spec":{"sizing":{"apply":"Approve"},"load":{"peakRequestsPerSecond":"12"}}}"#,
            ))
            .await?
            .ok()?;
        let proposed = eventually("a proposed plan", SOON, async || {
            let object = deployment(namespace).await?;
            let sized = object.expect("Sized", "False")?;
            ensure!(sized.reason == "ApprovalNeeded", "{sized:?}");
            let status = object.status.clone().context("no status")?;
            ensure!(status.plan.as_ref() == Some(&plan), "{:?}", status.plan);
            let proposed = status.proposed_plan.context("no proposal")?;
            contains_all(&sized.message, &[&proposed.input_hash])?;
            Ok(proposed)
        })
        .await?;
        namespace
            .kubectl(&format!(
                "annotate ttsd planned tts-operator.dev/approve={}",
                proposed.input_hash
            ))
            .await?
            .ok()?;
        let approved = eventually("the approved plan", SOON, async || {
            let status = deployment(namespace).await?.status.context("no status")?;
            ensure!(status.proposed_plan.is_none() && status.rolled_out_revision > revision);
            status.plan.context("no plan")
        })
        .await?;
        ensure!(approved.input_hash == proposed.input_hash);
        rolled_out(namespace, &approved).await?;

        // Without measurements the pods stay, also after the operator forgot everything.
        let profiles = namespace.api::<TtsProfile>();
        namespace
            .kubectl(&format!("patch ttsb {benchmark} --type=merge --patch={{\"spec\":{{\"suspend\":true}}}}"))
            .await?
            .ok()?;
        profiles
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
        eventually("not measured any more", SOON, async || {
            deployment(namespace).await?.expect("Profiled", "False")?;
            Ok(())
        })
        .await?;
        namespace
            .api::<Deployment>()
            .delete("planned", &DeleteParams::default())
            .await?;
        rolled_out(namespace, &approved).await
    })
    .await
}
