//! Pods are replaced or resized while people listen.
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

/// Uid and restarts of each pod.
async fn identities(namespace: &Namespace) -> Result<Vec<(Option<String>, i32)>> {
    let params = ListParams::default().labels("app.kubernetes.io/instance=greeter");
    let pods = namespace.api::<Pod>().list(&params).await?;
    Ok(pods
        .into_iter()
        .map(|pod| {
            let containers = pod.status.and_then(|status| status.container_statuses);
            let restarts = containers.iter().flatten().map(|c| c.restart_count).sum();
            (pod.metadata.uid, restarts)
        })
        .collect())
}

/// CPU and memory that the kubelet has given each pod.
async fn granted(namespace: &Namespace) -> Result<Vec<(String, String)>> {
    let params = ListParams::default().labels("app.kubernetes.io/instance=greeter");
    let pods = namespace.api::<Pod>().list(&params).await?;
    pods.into_iter()
        .map(|pod| {
            let containers = pod.status.and_then(|status| status.container_statuses);
            let server = containers.into_iter().flatten().next();
            let resources = server.and_then(|server| server.resources);
            let requests = resources
                .and_then(|resources| resources.requests)
                .context("the kubelet has not told")?;
            Ok((requests["cpu"].0.clone(), requests["memory"].0.clone()))
        })
        .collect()
}

fn manual(cpu: &str, memory: &str) -> String {
    deployment_of(
        "greeter",
        &format!(
            "{{voices: [{{name: rms}}], sizing: {{mode: Manual, resources: {{requests: {{cpu: {cpu}, memory: {memory}}}, limits: {{memory: {memory}}}}}}}}}"
        ),
    )
}

#[tokio::test]
async fn more_cpu_and_memory_are_given_to_running_pods() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::alone_with(&cluster, &[]).await?;
    with_namespace(&cluster, "resize", async |namespace| {
        namespace
            .apply(&[builtin_voice("rms"), manual("500m", "256Mi")].concat())
            .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        let endpoint = Endpoint::of(namespace, "greeter").await?;
        endpoint.speak("rms", "Ready.").await?;
        let before = identities(namespace).await?;
        ensure!(granted(namespace).await? == [("500m".to_owned(), "256Mi".to_owned())]);

        // Longer than what the server speaks ahead of its client, so that it is spoken across the change.
        let text = "This sentence is spoken while the pod gets more of its node. ".repeat(30);
        let body = serde_json::json!({"model": "tts-1", "voice": "rms", "input": text, "response_format": "pcm"});
        let speak = || {
            let client = reqwest::Client::new();
            let url = format!("{}/v1/audio/speech", endpoint.url);
            client
                .post(url)
                .header("content-type", "application/json")
                .body(body.to_string())
                .send()
        };
        let whole = speak().await?.error_for_status()?.bytes().await?.len();
        let mut stream = speak().await?.error_for_status()?;
        let mut received = stream.chunk().await?.context("no audio")?.len();

        let load = Load::start(&cluster, &endpoint.url)?;
        namespace.apply(&manual("750m", "320Mi")).await?;
        eventually("resized", READY, async || {
            let granted = granted(namespace).await?;
            ensure!(granted == [("750m".to_owned(), "320Mi".to_owned())], "{granted:?}");
            Ok(())
        })
        .await?;
        namespace
            .kubectl("wait ttsd/greeter --for=condition=UpToDate --timeout=60s")
            .await?
            .ok()?;
        while let Some(chunk) = stream.chunk().await? {
            received += chunk.len();
        }
        ensure!(received == whole, "{received} of {whole} bytes");
        let counts = load.stop().await?;
        ensure!(counts.failures.is_empty() && counts.ok == counts.sent, "{counts:?}");
        ensure!(identities(namespace).await? == before, "the pod was replaced or restarted");

        // A pod that comes later starts as the template says, and is resized when it is there.
        namespace.kubectl("scale ttsd/greeter --replicas=2").await?.ok()?;
        eventually("the second pod is resized", READY, async || {
            let granted = granted(namespace).await?;
            let wanted = ("750m".to_owned(), "320Mi".to_owned());
            ensure!(granted == [wanted.clone(), wanted], "{granted:?}");
            Ok(())
        })
        .await?;

        // No node has so much: the pods are replaced, which the event says, and the old ones serve meanwhile.
        namespace.apply(&manual("750m", "900Gi")).await?;
        eventually("the event says it", READY, async || {
            let events = namespace.kubectl("get events").await?.ok()?;
            ensure!(events.contains("ResizeRefused"), "{events}");
            Ok(())
        })
        .await?;
        endpoint.speak("rms", "Still here.").await?;
        Ok(())
    })
    .await
}
