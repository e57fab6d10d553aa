//! A new image of the inference server: inspected first, then rolled out, a few deployments at a time.
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::api::ListParams;
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};
use tts_e2e::{
    Cluster, Namespace, Operator,
    conditions::Conditioned as _,
    eventually::{always, eventually},
    namespace::{READY, contains_all},
    speech::Endpoint,
    with_namespace,
    yaml::{builtin_voice, deployment, deployment_of},
};

/// The same image under another name.
const NEXT: &str = "tts-server-next";

async fn server_image(namespace: &Namespace, name: &str) -> Result<String> {
    let object = namespace.api::<TtsDeployment>().get(name).await?;
    Ok(object
        .status
        .and_then(|status| status.server_image)
        .unwrap_or_default())
}

/// An image with which no voice speaks never reaches a pod that serves, whatever else happens meanwhile.
#[tokio::test]
async fn an_image_that_breaks_the_voices_is_not_rolled_out() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let operator = Operator::alone_with(&cluster, &[]).await?;
    with_namespace(&cluster, "badimage", async |namespace| {
        namespace.greeter().await?;
        let before = namespace.server_pods().await?;
        let image = server_image(namespace, "greeter").await?;
        ensure!(
            image.ends_with(&format!("tts-server:{}", cluster.tag)),
            "{image}"
        );

        // The operator's own image inspects nothing.
        operator
            .set(&["image.server.repository=tts-operator"])
            .await?;
        let (_, message) = namespace
            .wait_condition::<TtsVoice>("rms", "Inspected", "False")
            .await?;
        contains_all(&message, &["with the server image", "tts-operator"])?;
        namespace
            .wait_condition::<TtsVoice>("rms", "Ready", "True")
            .await?;
        let (reason, message) = namespace
            .wait_condition::<TtsDeployment>("greeter", "UpToDate", "False")
            .await?;
        ensure!(
            reason == "InspectionFailed" || reason == "Inspecting",
            "{reason}: {message}"
        );
        always(
            "everything is as it was",
            Duration::from_secs(5),
            async || {
                ensure!(namespace.server_pods().await? == before, "other pods");
                let object = namespace.api::<TtsDeployment>().get("greeter").await?;
                object.expect("Ready", "True").map(|_| ())
            },
        )
        .await?;
        Endpoint::of(namespace, "greeter")
            .await?
            .speak("rms", "As before.")
            .await?;

        // What the user changes is rolled out with the image that runs.
        namespace
            .apply(&deployment_of(
                "greeter",
                "{voices: [{name: rms}], pod: {labels: {team: voice}}}",
            ))
            .await?;
        eventually(
            "a pod with the label, of the same image",
            READY,
            async || {
                let labelled = namespace
                    .api::<Pod>()
                    .list(&ListParams::default().labels("team=voice"))
                    .await?;
                ensure!(!labelled.items.is_empty(), "none so far");
                namespace
                    .api::<TtsDeployment>()
                    .get("greeter")
                    .await?
                    .expect("Ready", "True")
                    .map(|_| ())
            },
        )
        .await?;
        ensure!(server_image(namespace, "greeter").await? == image);

        // Back to an image with which the voice passed: nothing has to be inspected or replaced.
        let before = namespace.server_pods().await?;
        operator.set(&[]).await?;
        namespace
            .wait_condition::<TtsDeployment>("greeter", "UpToDate", "True")
            .await?;
        namespace
            .wait_condition::<TtsVoice>("rms", "Inspected", "True")
            .await?;
        ensure!(
            namespace.server_pods().await? == before,
            "the pods were replaced"
        );
        Ok(())
    })
    .await
}

/// Whether the Deployment has the new image and its rollout is under way.
fn is_rolling(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let image = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref())
        .and_then(|pod| pod.containers.first()?.image.clone())
        .unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or(0);
    let settled = status.observed_generation == deployment.metadata.generation
        && updated == status.replicas.unwrap_or(0)
        && updated == status.available_replicas.unwrap_or(0);
    image.contains(NEXT) && !settled
}

#[tokio::test]
async fn a_good_image_is_rolled_out_one_deployment_at_a_time() -> Result<()> {
    const COUNT: usize = 4;
    let cluster = Cluster::connect().await?;
    let operator = Operator::alone_with(&cluster, &[]).await?;
    if !cluster.load_server_as(NEXT).await? {
        println!("skipped: images are only loaded into the throwaway cluster");
        return Ok(());
    }
    with_namespace(&cluster, "newimage", async |namespace| {
        let mut yaml = builtin_voice("rms");
        for number in 0..COUNT {
            yaml.push_str(&deployment(&format!("greeter-{number}"), "rms"));
        }
        namespace.apply(&yaml).await?;
        for number in 0..COUNT {
            namespace
                .wait_ready(&format!("ttsd/greeter-{number}"))
                .await?;
        }
        let next = format!("image.server.repository={NEXT}");
        operator.set(&[&next, "rollouts.maxConcurrent=1"]).await?;
        let (mut most, mut waited) = (0, false);
        eventually("all have the new image", READY * 2, async || {
            let deployments = namespace
                .api::<Deployment>()
                .list(&ListParams::default())
                .await?;
            let rolling = deployments.iter().filter(|d| is_rolling(d)).count();
            most = most.max(rolling);
            ensure!(
                deployments.iter().all(|d| {
                    d.status
                        .as_ref()
                        .and_then(|status| status.available_replicas)
                        >= Some(1)
                }),
                "a deployment does not serve"
            );
            let objects = namespace
                .api::<TtsDeployment>()
                .list(&ListParams::default())
                .await?;
            let mut done = 0;
            for object in &objects {
                let up_to_date = object.condition("UpToDate")?;
                waited |= up_to_date.reason == "WaitingForTurn";
                let image = object
                    .status
                    .as_ref()
                    .and_then(|s| s.server_image.as_deref());
                let current = image.is_some_and(|image| image.contains(NEXT));
                done += usize::from(current && object.expect("Ready", "True").is_ok());
            }
            ensure!(done == COUNT, "{done} of {COUNT}");
            Ok(())
        })
        .await?;
        ensure!(most == 1, "{most} were rolled out at the same time");
        ensure!(waited, "none waited for its turn");
        Endpoint::of(namespace, "greeter-0")
            .await?
            .speak("rms", "The new one.")
            .await?;
        Ok(())
    })
    .await
}
