//! A rolling restart while people listen.
use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::ListParams};
use tokio::{io::AsyncReadExt as _, process::Child, time::timeout};
use tts_e2e::{
    Cluster, Namespace, Operator,
    command::Program,
    eventually,
    load::Counts,
    namespace::READY,
    speech::Endpoint,
    with_namespace,
    yaml::{builtin_voice, deployment_of},
};

const PER_SECOND: u32 = 20;
/// Three minutes' worth: more than two restarts need.
const MOST: u32 = 3600;

/// Sends until it is told to stop.
struct Load(Child);

impl Load {
    fn start(cluster: &Cluster, url: &str) -> Result<Self> {
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_speech-load"));
        // In the cluster's network, where clients of a Service are; from this machine for a cluster of the user's.
        let program = cluster
            .inside(binary)
            .unwrap_or_else(|| Program::new(binary));
        let child = program
            .command([
                &format!("--url={url}"),
                "--voice=rms",
                &format!("--per-second={PER_SECOND}"),
                &format!("--most={MOST}"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(child))
    }

    async fn stop(mut self) -> Result<Counts> {
        drop(self.0.stdin.take());
        let mut stdout = self.0.stdout.take().context("no stdout")?;
        let mut text = String::new();
        timeout(Duration::from_mins(1), stdout.read_to_string(&mut text))
            .await
            .context("the load does not end")??;
        serde_json::from_str(&text).with_context(|| format!("no counts: {text:?}"))
    }
}

async fn pod_names(namespace: &Namespace) -> Result<Vec<String>> {
    let mut names: Vec<_> = namespace
        .api::<Pod>()
        .list(&ListParams::default().labels("app.kubernetes.io/instance=greeter"))
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn a_rolling_restart_under_load_fails_no_request() -> Result<()> {
    let cluster = Cluster::connect().await?;
    // Alone: the rate is promised on a machine that does not start other tests' pods meanwhile.
    let _operator = Operator::alone_with(&cluster, &[]).await?;
    with_namespace(&cluster, "rollout", async |namespace| {
        namespace
            .apply(
                &[
                    builtin_voice("rms"),
                    deployment_of(
                        "greeter",
                        "{voices: [{name: rms}], scaling: {type: Static, replicas: 2}}",
                    ),
                ]
                .concat(),
            )
            .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        let endpoint = Endpoint::of(namespace, "greeter").await?;
        endpoint.speak("rms", "Ready.").await?;

        let load = Load::start(&cluster, &endpoint.url)?;
        for restart in 1..=2 {
            let before = pod_names(namespace).await?;
            namespace
                .kubectl("rollout restart deployment/greeter")
                .await?
                .ok()?;
            namespace
                .kubectl("rollout status deployment/greeter --timeout=120s")
                .await?
                .ok()?;
            // Until the last of the old pods has drained and is gone.
            eventually("the old pods are gone", READY, async || {
                let now = pod_names(namespace).await?;
                ensure!(
                    now.len() == 2 && now.iter().all(|name| !before.contains(name)),
                    "{now:?}"
                );
                Ok(())
            })
            .await
            .with_context(|| format!("restart {restart}"))?;
        }
        let counts = load.stop().await?;
        println!(
            "two rolling restarts at {PER_SECOND} requests/s: {}",
            serde_json::to_string(&counts)?
        );
        ensure!(counts.failures.is_empty(), "{counts:?}");
        ensure!(counts.ok == counts.sent, "{counts:?}");
        let rate = f64::from(u32::try_from(counts.sent)?) / counts.seconds;
        ensure!(
            rate > 0.9 * f64::from(PER_SECOND),
            "only {rate:.1} requests/s were sent: {counts:?}"
        );
        ensure!(counts.sent >= 200, "{counts:?}");
        Ok(())
    })
    .await
}
