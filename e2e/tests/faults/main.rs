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

/// The deployment `greeter`, small; another version is another pod template.
fn greeter(version: u32) -> String {
    deployment_of(
        "greeter",
        &format!(
            "{{voices: [{{name: rms}}], sizing: {{mode: Manual, resources: {{requests: {{cpu: 10m, memory: 64Mi}}}}}}, pod: {{labels: {{{VERSION}: v{version}}}}}}}"
        ),
    )
}

const VERSION: &str = "faults-version";
const FIRST: u32 = 10;

/// Waits until pods of this version, and no others, serve.
async fn serves(namespace: &Namespace, version: u32, within: Duration) -> Result<()> {
    let wanted = format!("v{version}");
    eventually(&format!("pods of {wanted} serve"), within, async || {
        let deployment = namespace.api::<Deployment>().get("greeter").await?;
        let spec = deployment.spec.unwrap_or_default();
        let status = deployment.status.unwrap_or_default();
        let labels = spec.template.metadata.and_then(|metadata| metadata.labels);
        let version = labels.unwrap_or_default().remove(VERSION);
        ensure!(
            version.as_ref() == Some(&wanted),
            "the template is of {version:?}"
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
