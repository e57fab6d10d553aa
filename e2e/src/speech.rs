//! Speaking through a Service as a client does.
use std::{io::Cursor, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Service;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::Child,
    time::timeout,
};

use crate::{Namespace, eventually};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);

/// A Service, reached from this machine.
pub struct Endpoint {
    /// Without a path.
    pub url: String,
    /// `kubectl port-forward`, which ends with this value.
    _forward: Option<Child>,
}

/// A whole, audible WAV.
#[derive(Clone, Debug)]
pub struct Speech {
    pub wav: Vec<u8>,
    pub seconds: f64,
    /// Root mean square, where 1 is full scale.
    pub rms: f64,
}

impl Endpoint {
    /// By the cluster IP where this machine has a route to it, as to the throwaway cluster, else by port-forward.
    pub async fn of(namespace: &Namespace, service: &str) -> Result<Self> {
        let spec = namespace
            .api::<Service>()
            .get(service)
            .await?
            .spec
            .unwrap_or_default();
        let address = spec.cluster_ip.context("the Service has no cluster IP")?;
        let port = spec
            .ports
            .unwrap_or_default()
            .first()
            .map(|port| port.port)
            .context("the Service has no port")?;
        let address = format!("{address}:{port}");
        if !namespace.cluster.is_throwaway() && !connects(&address).await {
            return Self::forwarded(namespace, &format!("service/{service}"), port).await;
        }
        // Ready pods reach the node's rules a moment later; until then the address refuses.
        eventually(
            &format!("{service} at {address} accepts"),
            CONNECT,
            async || {
                ensure!(connects(&address).await, "it does not");
                Ok(())
            },
        )
        .await?;
        Ok(Self {
            url: format!("http://{address}"),
            _forward: None,
        })
    }

    /// By `kubectl port-forward`.
    pub async fn forwarded(namespace: &Namespace, target: &str, port: i32) -> Result<Self> {
        let mut child = namespace
            .cluster
            .kubectl
            .command([
                "port-forward",
                "--namespace",
                &namespace.name,
                target,
                &format!(":{port}"),
            ])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("kubectl has no stdout")?;
        let mut line = String::new();
        timeout(ANSWER, BufReader::new(stdout).read_line(&mut line))
            .await
            .context("kubectl port-forward said nothing")??;
        // Forwarding from 127.0.0.1:40123 -> 8000
        let address = line
            .strip_prefix("Forwarding from ")
            .and_then(|rest| rest.split_whitespace().next())
            .with_context(|| format!("kubectl port-forward to {target} did not start: {line:?}"))?;
        Ok(Self {
            url: format!("http://{address}"),
            _forward: Some(child),
        })
    }

    /// An OpenAI request for WAV.
    pub async fn speak(&self, voice: &str, text: &str) -> Result<Speech> {
        let client = reqwest::Client::builder().timeout(ANSWER).build()?;
        let response = client
            .post(format!("{}/v1/audio/speech", self.url))
            .header("content-type", "application/json")
            .body(
                json!({"model": "tts-1", "voice": voice, "input": text, "response_format": "wav"})
                    .to_string(),
            )
            .send()
            .await?;
        let status = response.status();
        let body = response.bytes().await?;
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Speech::read(body.to_vec())
    }

    /// `GET path`: status and body.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let client = reqwest::Client::builder().timeout(ANSWER).build()?;
        let response = client.get(format!("{}{path}", self.url)).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}

async fn connects(address: &str) -> bool {
    matches!(
        timeout(Duration::from_secs(2), TcpStream::connect(address)).await,
        Ok(Ok(_))
    )
}

impl Speech {
    /// Refuses what is cut short, empty or silent.
    pub fn read(wav: Vec<u8>) -> Result<Self> {
        let mut reader = hound::WavReader::new(Cursor::new(&wav)).context("not a WAV")?;
        let format = reader.spec();
        ensure!(
            (format.channels, format.bits_per_sample) == (1, 16),
            "unexpected format {format:?}"
        );
        let announced = reader.duration();
        let samples = reader
            .samples::<i16>()
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("the WAV is cut short of its {announced} samples"))?;
        ensure!(!samples.is_empty(), "the WAV has no samples");
        let squares: f64 = samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum();
        let count = f64::from(u32::try_from(samples.len())?);
        let speech = Self {
            seconds: count / f64::from(format.sample_rate),
            rms: (squares / count).sqrt() / f64::from(i16::MAX),
            wav,
        };
        ensure!(speech.rms > 0.005, "{:.2} s of silence", speech.seconds);
        Ok(speech)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(samples: &[i16]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let format = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(&mut bytes, format).unwrap();
        for sample in samples {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn whole_audible_audio_is_read() {
        let speech = Speech::read(wav(&[3000; 8000])).unwrap();
        assert!((speech.seconds - 0.5).abs() < 1e-9);
        assert!((speech.rms - 0.0916).abs() < 1e-3, "{}", speech.rms);
    }

    #[test]
    fn silence_and_cut_audio_are_refused() {
        let error = Speech::read(wav(&[0; 8000])).unwrap_err();
        assert!(error.to_string().contains("silence"), "{error}");
        let mut cut = wav(&[3000; 8000]);
        cut.truncate(9000);
        let error = Speech::read(cut).unwrap_err();
        assert!(error.to_string().contains("cut short"), "{error}");
    }
}
