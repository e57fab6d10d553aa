//! From `kubectl apply` to speech.
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};
use kube::{ResourceExt as _, api::ListParams};
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};
use tts_e2e::{
    Cluster, Namespace, Operator, children,
    cluster::repository,
    recognise::{python, recognise, sentences},
    speech::Endpoint,
    with_namespace,
};

const WER: f64 = 0.20;

async fn quickstart(namespace: &Namespace) -> Result<Endpoint> {
    let example = repository().join("docs/examples/quickstart.yaml");
    namespace.apply(&std::fs::read_to_string(example)?).await?;
    namespace.wait_ready("ttsd/greeter").await?;
    Endpoint::of(namespace, "greeter").await
}

/// The names of the pods that the Service sends requests to.
async fn behind(namespace: &Namespace, service: &str) -> Result<Vec<String>> {
    let slices = namespace
        .api::<EndpointSlice>()
        .list(&ListParams::default().labels(&format!("kubernetes.io/service-name={service}")))
        .await?;
    Ok(slices
        .into_iter()
        .flat_map(|slice| slice.endpoints)
        .filter(|endpoint| {
            endpoint
                .conditions
                .as_ref()
                .and_then(|conditions| conditions.ready)
                .unwrap_or(false)
        })
        .filter_map(|endpoint| endpoint.target_ref?.name)
        .collect())
}

#[tokio::test]
async fn a_first_deployment_is_understood() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "quickstart", async |namespace| {
        let endpoint = quickstart(namespace).await?;
        let status = namespace
            .api::<TtsDeployment>()
            .get("greeter")
            .await?
            .status
            .unwrap_or_default();
        ensure!(
            status.endpoint.as_deref() == Some(&format!("http://greeter.{}.svc", namespace.name)),
            "{status:?}"
        );
        ensure!(
            (status.replicas, status.ready_replicas) == (1, 1),
            "{status:?}"
        );

        let mut spoken = Vec::new();
        for sentence in sentences()? {
            let speech = endpoint
                .speak("rms", &sentence)
                .await
                .with_context(|| sentence.clone())?;
            spoken.push(speech);
        }
        ensure!(spoken.len() == 30, "{} sentences", spoken.len());
        let recognised = recognise(&spoken).await?;
        let seconds: f64 = spoken.iter().map(|speech| speech.seconds).sum();
        println!(
            "{seconds:.1} s of speech through {}: {recognised:?}",
            endpoint.url
        );
        ensure!(recognised.picked == 30, "{recognised:?}");
        ensure!(recognised.wer <= WER, "{recognised:?}");

        // What answered belongs to the TtsDeployment, and is restricted without our saying so anywhere here.
        let pods = behind(namespace, "greeter").await?;
        ensure!(pods.len() == 1, "{pods:?}");
        let owners = children::owners(namespace, &pods[0]).await?;
        ensure!(
            owners.last().map(String::as_str) == Some("TtsDeployment/greeter"),
            "{owners:?}"
        );
        let pod = namespace.api::<Pod>().get(&pods[0]).await?;
        let spec = pod.spec.as_ref().context("no spec")?;
        ensure!(spec.automount_service_account_token == Some(false));
        ensure!(
            spec.volumes
                .iter()
                .flatten()
                .all(|volume| volume.projected.is_none())
        );
        let cpu = spec.containers[0]
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref()?.get("cpu"));
        ensure!(
            cpu.is_some_and(|cpu| cpu.0 == "250m"),
            "{cpu:?} of {}",
            pod.name_any()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_voice_is_described_by_its_inspection() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "voice", async |namespace| {
        namespace
            .apply(&tts_e2e::yaml::builtin_voice("rms"))
            .await?;
        namespace.wait_ready("ttsv/rms").await?;
        let status = namespace
            .api::<TtsVoice>()
            .get("rms")
            .await?
            .status
            .unwrap_or_default();
        ensure!(status.sample_rate_hz == Some(16_000), "{status:?}");
        ensure!(status.family.as_deref() == Some("VITS"), "{status:?}");
        ensure!(status.languages == ["en-US"], "{status:?}");
        ensure!(
            status.size_bytes.is_some_and(|bytes| bytes > 1_000_000),
            "{status:?}"
        );
        ensure!(
            status.digest.as_ref().is_some_and(|digest| {
                digest
                    .strip_prefix("sha256:")
                    .is_some_and(|hex| hex.len() == 64)
            }),
            "{status:?}"
        );
        ensure!(
            status
                .speakers
                .as_ref()
                .is_some_and(|speakers| speakers.count == 1),
            "{status:?}"
        );

        // The inspecting pod has no way to speak to the API server.
        for pod in namespace.api::<Pod>().list(&ListParams::default()).await? {
            let spec = pod.spec.as_ref().context("no spec")?;
            ensure!(
                spec.automount_service_account_token == Some(false),
                "{} has a token",
                pod.name_any()
            );
        }

        let columns = namespace.kubectl("get ttsv rms").await?.ok()?;
        let (header, row) = columns.split_once('\n').context("no row")?;
        ensure!(
            header.split_whitespace().collect::<Vec<_>>()
                == [
                    "NAME", "READY", "REASON", "FAMILY", "LANGUAGE", "RATE", "AGE"
                ],
            "{header}"
        );
        ensure!(
            row.split_whitespace().take(6).collect::<Vec<_>>()
                == ["rms", "True", "Inspected", "VITS", "en-US", "16000"],
            "{row}"
        );
        Ok(())
    })
    .await
}

/// The client that most applications use, unchanged.
#[tokio::test]
async fn the_openai_client_speaks() -> Result<()> {
    const CLIENT: &str = "
import sys
from openai import OpenAI, BadRequestError
client = OpenAI(base_url=sys.argv[1] + '/v1', api_key='none', max_retries=0)
speech = client.audio.speech.create(model='tts-1', voice='alloy', input='Good morning.', response_format='wav')
sys.stdout.write(f'{len(speech.content)} {speech.content[:4].decode()}')
try:
    client.audio.speech.create(model='tts-1', voice='rms', input='')
    sys.exit('an empty input was spoken')
except BadRequestError as error:
    assert error.param == 'input', error.body
";
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "openai", async |namespace| {
        let endpoint = quickstart(namespace).await?;
        let said = python()?.run(["-c", CLIENT, &endpoint.url]).await?.ok()?;
        let (length, magic) = said.split_once(' ').context("no answer")?;
        ensure!(
            magic == "RIFF" && length.parse::<usize>()? > 16_000,
            "{said}"
        );
        Ok(())
    })
    .await
}
