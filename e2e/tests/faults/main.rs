//! What the operator makes of faults: it is killed or frozen, or what lies between it and the API server fails. It runs
//! on this machine, behind a proxy. `TTS_E2E_LONG=1` (`make test-long`) makes the faults longer and more.
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use tts_crds::v1alpha1::TtsDeployment;
use tts_e2e::{Namespace, conditions::Conditioned as _, eventually, yaml::deployment_of};

mod connection;
mod kills;
mod leader;

fn is_long() -> bool {
    std::env::var_os("TTS_E2E_LONG").is_some_and(|value| !value.is_empty())
}

/// The deployment `greeter`, small; another request for CPU is another pod template.
fn greeter(millicpu: u32) -> String {
    deployment_of(
        "greeter",
        &format!(
            "{{voices: [{{name: rms}}], sizing: {{mode: Manual, resources: {{requests: {{cpu: {millicpu}m, memory: 64Mi}}}}}}}}"
        ),
    )
}

const FIRST: u32 = 10;

/// Waits until pods with this request for CPU, and no others, serve.
async fn serves(namespace: &Namespace, millicpu: u32, within: Duration) -> Result<()> {
    let request = format!("{millicpu}m");
    eventually(&format!("pods with {request} serve"), within, async || {
        let deployment = namespace.api::<Deployment>().get("greeter").await?;
        let spec = deployment.spec.unwrap_or_default();
        let status = deployment.status.unwrap_or_default();
        let container = spec.template.spec.unwrap_or_default().containers.remove(0);
        let requests = container.resources.unwrap_or_default().requests;
        let cpu = requests.unwrap_or_default().remove("cpu");
        ensure!(
            cpu.as_ref().is_some_and(|cpu| cpu.0 == request),
            "the template requests {cpu:?}"
        );
        ensure!(
            status.observed_generation == deployment.metadata.generation
                && [
                    status.replicas,
                    status.updated_replicas,
                    status.available_replicas
                ] == [spec.replicas; 3],
            "{status:?}"
        );
        let object = namespace.api::<TtsDeployment>().get("greeter").await?;
        object.expect("Ready", "True")?;
        Ok(())
    })
    .await
}
