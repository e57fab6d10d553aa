//! `tts-server probe`: requests speech from a deployment's endpoint and verifies the audio. For the chart's `helm test`,
//! whose pod has no shell.

use std::time::{Duration, Instant};

use serde_json::json;

/// Delay between attempts.
const PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_SECONDS: f64 = 0.5;
const QUIETEST: f64 = 0.005;

/// Why the probe failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("cannot set up the HTTP client: {0}")]
    Client(reqwest::Error),
    #[error("{url} returned {status}: {body}")]
    Refused {
        url: String,
        status: u16,
        body: String,
    },
    #[error("{url} returned no speech within {} seconds; last error: {last}", timeout.as_secs())]
    TimedOut {
        url: String,
        timeout: Duration,
        last: String,
    },
    #[error("the response of {url} is not speech: {reason}")]
    NoSpeech { url: String, reason: String },
}

/// The audio that was received.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    pub seconds: f64,
    pub bytes: usize,
    pub sample_rate: u32,
    pub rms: f64,
}

/// Retries until speech is returned or the timeout expires. Errors that a retry cannot change end it at once.
pub async fn probe(
    url: &str,
    text: &str,
    voice: Option<&str>,
    timeout: Duration,
) -> Result<Heard, ProbeError> {
    let url = format!("{}/v1/audio/speech", url.trim_end_matches('/'));
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(crate::fetch::client::tls(None).map_err(|error| {
            ProbeError::NoSpeech {
                url: url.clone(),
                reason: error.to_string(),
            }
        })?)
        .timeout(Duration::from_mins(1))
        .build()
        .map_err(ProbeError::Client)?;
    let mut body = json!({"model": "tts-1", "input": text, "response_format": "wav"});
    if let Some(voice) = voice {
        body["voice"] = voice.into();
    }
    let started = Instant::now();
    loop {
        let last = match attempt(&client, &url, &body.to_string()).await? {
            Ok(wav) => return check(&wav).map_err(|reason| ProbeError::NoSpeech { url, reason }),
            Err(last) => last,
        };
        if started.elapsed() + PAUSE > timeout {
            return Err(ProbeError::TimedOut { url, timeout, last });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The body, or the reason to retry.
async fn attempt(
    client: &reqwest::Client,
    url: &str,
    body: &str,
) -> Result<Result<Vec<u8>, String>, ProbeError> {
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_owned());
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Ok(Err(root_cause(&error))),
    };
    let status = response.status().as_u16();
    let bytes = response.bytes().await;
    match (status, bytes) {
        (200, Ok(bytes)) => Ok(Ok(bytes.to_vec())),
        (200, Err(error)) => Ok(Err(root_cause(&error))),
        (429 | 500.., _) => Ok(Err(format!("it returned {status}"))),
        (_, bytes) => Err(ProbeError::Refused {
            url: url.to_owned(),
            status,
            body: bytes
                .map(|bytes| String::from_utf8_lossy(&bytes).chars().take(500).collect())
                .unwrap_or_default(),
        }),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Verifies a complete WAV file of 16-bit samples, long and loud enough.
fn check(wav: &[u8]) -> Result<Heard, String> {
    let number = |at: usize| {
        wav.get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_le_bytes)
    };
    if wav.len() < 44 || &wav[..4] != b"RIFF" || &wav[8..12] != b"WAVE" || &wav[36..40] != b"data" {
        return Err("it is not a WAV file".to_owned());
    }
    let sample_rate = number(24);
    let samples = &wav[44..];
    if number(40) != u32::MAX && usize::try_from(number(40)) != Ok(samples.len()) {
        return Err(format!(
            "the WAV header says {} bytes of samples, but {} were received",
            number(40),
            samples.len()
        ));
    }
    let (mut sum, mut count) = (0.0, 0.0);
    for pair in samples.chunks_exact(2) {
        let sample = f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0;
        sum += sample * sample;
        count += 1.0;
    }
    let rms = if count > 0.0 {
        f64::sqrt(sum / count)
    } else {
        0.0
    };
    let seconds = count / f64::from(sample_rate.max(1));
    if seconds < SHORTEST_SECONDS {
        return Err(format!("it is only {seconds:.2} s long"));
    }
    if rms < QUIETEST {
        return Err(format!("it is silent (rms {rms:.4})"));
    }
    Ok(Heard {
        seconds,
        bytes: wav.len(),
        sample_rate,
        rms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Encoder, Format};

    #[test]
    fn only_whole_audible_speech_is_accepted() {
        let tone: Vec<f32> = (0_u8..=255)
            .cycle()
            .take(16_000)
            .map(|step| f32::from(step) / 512.0)
            .collect();
        let wav = |samples: &[f32]| {
            let encoder = Encoder::new(Format::Wav, 16_000, 16_000).unwrap();
            encoder.whole(samples).unwrap().0
        };
        let good = wav(&tone);
        assert!((check(&good).unwrap().seconds - 1.0).abs() < 1e-9);
        assert!(check(&good[..good.len() - 2]).is_err());
        assert!(check(&wav(&tone[..4000])).is_err());
        assert!(check(&wav(&vec![0.0; 16_000])).is_err());
        assert!(check(b"{\"error\":{}}").is_err());
    }
}
