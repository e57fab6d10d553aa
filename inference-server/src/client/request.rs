//! One request, timed.

use std::{error::Error as StdError, io, time::Duration};

use http::{StatusCode, header};
use reqwest::{ClientBuilder, Response, redirect::Policy};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Endpoint, Failure,
    answer::{AudioReader, start},
    measure::ClientError,
};

/// Bytes of an error's body that are read.
const MOST_OF_AN_ERROR: usize = 4096;

/// No more files in this process or on this machine, and no more local ports.
const LIMITS_OF_THIS_MACHINE: [Errno; 3] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL];

/// A whole, audible answer; times from sending the request (s).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// To the first byte of a sample.
    pub first_audio: f64,
    /// To the end of the answer.
    pub total: f64,
    pub audio_seconds: f64,
}

/// Sends requests to one endpoint. Connections are kept and used again; clones share them.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    timeout: Duration,
}

impl Client {
    /// `timeout`: of one request, from sending it to the end of its answer. `ca_pem`: additional CA certificates. Proxies
    /// come from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    pub fn new(
        endpoint: Endpoint,
        timeout: Duration,
        ca_pem: Option<&str>,
    ) -> Result<Self, ClientError> {
        Self::with(
            reqwest::Client::builder()
                .tls_backend_preconfigured(crate::fetch::client::tls(ca_pem)?),
            endpoint,
            timeout,
        )
    }

    pub(super) fn with(
        builder: ClientBuilder,
        endpoint: Endpoint,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let http = builder
            // After most redirects, a request with a body becomes one without.
            .redirect(Policy::none())
            .user_agent(concat!("tts-server/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(crate::fetch::ClientError::Http)?;
        Ok(Self {
            http,
            endpoint,
            timeout,
        })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Requests the speech of a text.
    pub async fn speak(&self, text: &str) -> Result<Answer, Failure> {
        let late = Failure::Timeout {
            seconds: self.timeout.as_secs_f64(),
        };
        tokio::time::timeout(self.timeout, self.exchange(text))
            .await
            .unwrap_or(Err(late))
    }

    async fn exchange(&self, text: &str) -> Result<Answer, Failure> {
        let mut request = self
            .http
            .post(self.endpoint.target())
            .header(header::CONTENT_TYPE, "application/json")
            .body(self.endpoint.body(text));
        if let Some(authorization) = self.endpoint.authorization() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let sent = Instant::now();
        let mut response = request.send().await.map_err(|error| unanswered(&error))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let content_type = header_text(&response, &header::CONTENT_TYPE);
        let mut reader = AudioReader::new(self.endpoint.format, &content_type)?;
        let mut first_audio = None;
        while let Some(bytes) = response.chunk().await.map_err(|error| Failure::Truncated {
            cause: root_cause(&error),
        })? {
            reader.push(&bytes)?;
            if first_audio.is_none() && reader.has_audio() {
                first_audio = Some(sent.elapsed());
            }
        }
        let total = sent.elapsed();
        Ok(Answer {
            audio_seconds: reader.finish()?,
            first_audio: first_audio.unwrap_or(total).as_secs_f64(),
            total: total.as_secs_f64(),
        })
    }

    async fn refused(&self, mut response: Response) -> Failure {
        let status = response.status();
        let mut body = Vec::new();
        if status.is_redirection() {
            let target = header_text(&response, &header::LOCATION);
            body.extend(format!("redirect to {target}").as_bytes());
        }
        // An error whose body is cut off is still that error.
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend(bytes);
            if body.len() > MOST_OF_AN_ERROR {
                break;
            }
        }
        let body = start(
            self.endpoint
                .redact(&String::from_utf8_lossy(&body))
                .as_bytes(),
        );
        let rejected = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let status = status.as_u16();
        if rejected {
            Failure::Rejected { status, body }
        } else {
            Failure::Status { status, body }
        }
    }
}

fn header_text(response: &Response, name: &header::HeaderName) -> String {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Why there was no answer at all.
fn unanswered(error: &reqwest::Error) -> Failure {
    let cause = root_cause(error);
    if is_limit_of_this_machine(error) {
        Failure::ClientLimit { limit: cause }
    } else {
        Failure::Connection { cause }
    }
}

fn is_limit_of_this_machine(error: &(dyn StdError + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error())
        .any(|code| LIMITS_OF_THIS_MACHINE.contains(&Errno::from_raw_os_error(code)))
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_this_machine_are_not_the_endpoints_fault() {
        // An `io::Error` within another is no source.
        #[derive(Debug, thiserror::Error)]
        #[error("connect error")]
        struct Outer(#[source] io::Error);
        let of = |code| is_limit_of_this_machine(&Outer(io::Error::from_raw_os_error(code)));
        assert!(of(24) && of(23) && of(99));
        assert!(!of(111), "connection refused");
    }
}
