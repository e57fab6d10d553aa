//! Voices that are downloaded, and voices that cannot be used.
use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Pod};
use kube::{ResourceExt as _, api::ListParams};
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};
use tts_e2e::{
    Cluster, Namespace, Operator,
    cluster::repository,
    conditions::Conditioned as _,
    digest::sha256,
    eventually,
    fileserver::FileServer,
    namespace::{READY, contains_all},
    speech::Endpoint,
    with_namespace,
    yaml::{builtin_voice, deployment, voice},
};

/// The files of the builtin voice, which is a Piper voice like any other.
struct Piper {
    model: Vec<u8>,
    config: Vec<u8>,
}

impl Piper {
    fn read() -> Result<Self> {
        let folder = repository().join("inference-server/voices/rms");
        let read = |name: &str| {
            fs::read(folder.join(name))
                .with_context(|| format!("no {name} in {}", folder.display()))
        };
        Ok(Self {
            model: read("voice.onnx")?,
            config: read("voice.onnx.json")?,
        })
    }

    async fn serve(&self, cluster: &Cluster) -> Result<FileServer> {
        let files = BTreeMap::from([
            ("/voice.onnx".to_owned(), self.model.clone()),
            ("/voice.onnx.json".to_owned(), self.config.clone()),
        ]);
        FileServer::start(cluster, files).await
    }

    fn source(&self, url: &str) -> String {
        source(url, &sha256(&self.model), &sha256(&self.config))
    }
}

fn source(url: &str, model: &str, config: &str) -> String {
    format!(
        "{{files: [{{path: voice.onnx, url: '{url}/voice.onnx', sha256: '{model}'}}, {{path: voice.onnx.json, url: '{url}/voice.onnx.json', sha256: '{config}'}}]}}"
    )
}

async fn not_ready(namespace: &Namespace, name: &str, reason: &str) -> Result<String> {
    let api = namespace.api::<TtsVoice>();
    eventually(
        &format!("{name} is not ready: {reason}"),
        READY,
        async || {
            let object = api.get(name).await?;
            let condition = object.expect("Ready", "False")?;
            ensure!(condition.reason == reason, "{condition:?}");
            Ok(condition.message.clone())
        },
    )
    .await
}

#[tokio::test]
async fn an_unknown_builtin_voice_is_named() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "unknown", async |namespace| {
        namespace
            .apply(
                &[
                    voice("nobody", "{builtin: {name: nobody}}"),
                    deployment("greeter", "nobody"),
                ]
                .concat(),
            )
            .await?;
        let message = not_ready(namespace, "nobody", "UnknownBuiltin").await?;
        contains_all(&message, &["nobody", "rms"])?;
        // Trying again would not help, and tools that know kstatus are told so.
        namespace
            .wait_condition::<TtsVoice>("nobody", "Stalled", "True")
            .await?;

        // The deployment says what its voice says.
        let deployments = namespace.api::<TtsDeployment>();
        eventually("the deployment passes it on", READY, async || {
            let object = deployments.get("greeter").await?;
            let condition = object.expect("VoicesReady", "False")?;
            ensure!(condition.reason == "VoiceNotReady", "{condition:?}");
            contains_all(&condition.message, &["UnknownBuiltin"])
        })
        .await?;
        let pods = namespace
            .api::<Pod>()
            .list(&ListParams::default().labels("app.kubernetes.io/name=tts-server"))
            .await?;
        ensure!(pods.items.is_empty(), "pods without a voice");

        // The way out is an edit of the voice.
        namespace.apply(&builtin_voice("nobody")).await?;
        namespace.wait_ready("ttsd/greeter").await
    })
    .await
}

#[tokio::test]
async fn an_unreachable_url_is_tried_again() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    let digest = "0".repeat(64);
    with_namespace(&cluster, "unreachable", async |namespace| {
        // Nothing listens on the discard port of the pod itself.
        namespace
            .apply(&voice(
                "amy",
                &source("https://127.0.0.1:9", &digest, &digest),
            ))
            .await?;
        let message = not_ready(namespace, "amy", "Unreachable").await?;
        contains_all(&message, &["https://127.0.0.1:9/voice.onnx"])?;
        namespace
            .wait_condition::<TtsVoice>("amy", "Reconciling", "True")
            .await?;
        let jobs = namespace.api::<Job>();
        eventually("a second Job", READY, async || {
            let jobs = jobs.list(&ListParams::default()).await?;
            let attempts: Vec<_> = jobs
                .iter()
                .filter_map(|job| job.annotations().get("tts-operator.dev/attempt").cloned())
                .collect();
            ensure!(
                attempts.iter().any(|attempt| attempt != "0"),
                "{attempts:?}"
            );
            Ok(())
        })
        .await?;
        // What is known stays while it is tried again.
        not_ready(namespace, "amy", "Unreachable").await?;
        Ok(())
    })
    .await
}

/// A pod that the namespace does not allow: the voice says so at once, not after the Job's deadline.
#[tokio::test]
async fn an_inspection_whose_pod_is_refused_says_why() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "limits", async |namespace| {
        let limits = "apiVersion: v1\nkind: LimitRange\nmetadata: {name: small}\nspec: {limits: [{type: Container, max: {memory: 256Mi}}]}\n";
        namespace.apply(limits).await?;
        namespace.apply(&builtin_voice("rms")).await?;
        let voices = namespace.api::<TtsVoice>();
        eventually("the voice says why", READY, async || {
            let object = voices.get("rms").await?;
            contains_all(
                &object.expect("Ready", "False")?.message,
                &["maximum memory usage per Container is 256Mi"],
            )
        })
        .await?;
        namespace
            .wait_condition::<TtsVoice>("rms", "Stalled", "True")
            .await?;
        // The Job is there and gets its pod as soon as that is allowed.
        namespace.kubectl("delete limitrange/small").await?.ok()?;
        namespace.wait_ready("ttsv/rms").await
    })
    .await
}

#[tokio::test]
async fn plain_http_is_refused_unless_allowed() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    let digest = "0".repeat(64);
    with_namespace(&cluster, "http", async |namespace| {
        namespace
            .apply(&voice(
                "amy",
                &source("http://127.0.0.1:9", &digest, &digest),
            ))
            .await?;
        let message = not_ready(namespace, "amy", "InvalidSource").await?;
        contains_all(&message, &["use https", "allow http"])
    })
    .await
}

#[tokio::test]
async fn a_wrong_digest_is_never_loaded() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    let piper = Piper::read()?;
    let server = piper.serve(&cluster).await?;
    with_namespace(&cluster, "digest", async |namespace| {
        let wrong = "1".repeat(64);
        namespace
            .apply(&voice(
                "amy",
                &source(&server.url, &wrong, &sha256(&piper.config)),
            ))
            .await?;
        let message = not_ready(namespace, "amy", "DigestMismatch").await?;
        contains_all(&message, &["voice.onnx", &wrong])?;
        namespace
            .wait_condition::<TtsVoice>("amy", "SourceVerified", "False")
            .await?;
        namespace
            .wait_condition::<TtsVoice>("amy", "Stalled", "True")
            .await?;

        namespace
            .apply(&voice("amy", &piper.source(&server.url)))
            .await?;
        namespace.wait_ready("ttsv/amy").await
    })
    .await
}

#[tokio::test]
async fn files_over_https_with_a_private_authority_are_served() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    let piper = Piper::read()?;
    let server = piper.serve(&cluster).await?;
    with_namespace(&cluster, "files", async |namespace| {
        namespace
            .apply(
                &[
                    voice("amy", &piper.source(&server.url)),
                    deployment("reader", "amy"),
                ]
                .concat(),
            )
            .await?;
        namespace.wait_ready("ttsd/reader").await?;
        ensure!(
            server.requests() >= 4,
            "inspection and pod each fetch two files, {} requests came",
            server.requests()
        );

        let status = namespace
            .api::<TtsVoice>()
            .get("amy")
            .await?
            .status
            .unwrap_or_default();
        let lines = format!(
            "{}  voice.onnx\n{}  voice.onnx.json\n",
            sha256(&piper.model),
            sha256(&piper.config)
        );
        ensure!(
            status.digest == Some(format!("sha256:{}", sha256(lines.as_bytes()))),
            "{status:?}"
        );
        let bytes = i64::try_from(piper.model.len() + piper.config.len())?;
        ensure!(status.size_bytes == Some(bytes), "{status:?}");

        let endpoint = Endpoint::of(namespace, "reader").await?;
        let speech = endpoint
            .speak("amy", "These files came over the wire.")
            .await?;
        ensure!(speech.seconds > 0.5, "{:.2} s", speech.seconds);
        Ok(())
    })
    .await
}

/// The file behind the url changes after the voice was inspected: a new pod must not start with it, and the old
/// one must go on.
#[tokio::test]
async fn a_file_that_changed_behind_its_url_stops_the_rollout_and_nothing_else() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    let piper = Piper::read()?;
    let server = piper.serve(&cluster).await?;
    with_namespace(&cluster, "changed", async |namespace| {
        namespace
            .apply(
                &[
                    voice("amy", &piper.source(&server.url)),
                    deployment("reader", "amy"),
                ]
                .concat(),
            )
            .await?;
        namespace.wait_ready("ttsd/reader").await?;
        server.replace("/voice.onnx.json", b"{}".to_vec());
        namespace
            .kubectl("rollout restart deployment/reader")
            .await?
            .ok()?;

        let pods = namespace.api::<Pod>();
        eventually("the new pod's fetch fails", READY, async || {
            let failed = pods
                .list(&ListParams::default().labels("app.kubernetes.io/instance=reader"))
                .await?
                .into_iter()
                .filter_map(|pod| pod.status)
                .flat_map(|status| status.init_container_statuses.unwrap_or_default())
                .filter(|container| container.name == "fetch")
                .any(|container| {
                    container.restart_count > 0
                        || container
                            .state
                            .and_then(|state| state.terminated)
                            .is_some_and(|terminated| terminated.exit_code != 0)
                });
            ensure!(failed, "no fetch container has failed");
            Ok(())
        })
        .await?;
        let deployment = namespace.api::<Deployment>().get("reader").await?;
        let available = deployment
            .status
            .as_ref()
            .and_then(|status| status.available_replicas);
        ensure!(
            available == Some(1),
            "{} has {available:?}",
            deployment.name_any()
        );
        Endpoint::of(namespace, "reader")
            .await?
            .speak("amy", "Still here.")
            .await?;
        Ok(())
    })
    .await
}
