//! The HTTP client: system roots and private CAs, proxies from the environment, https required across redirects.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, redirect::Policy};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

pub const MOST_REDIRECTS: usize = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit without progress in a transfer. The total time is not limited: a large voice may take an hour over a slow
/// link.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("TTS_CA_PEM contains no PEM certificate (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("TTS_CA_PEM contains an invalid certificate: {0}")]
    BadCertificate(String),
    #[error("cannot set up TLS: {0}")]
    Tls(rustls::Error),
    #[error("cannot set up the HTTP client (check the proxy variables): {0}")]
    Http(reqwest::Error),
}

/// Why a redirect is rejected; recovered from reqwest's error.
#[derive(Debug, thiserror::Error)]
pub enum RedirectRefused {
    #[error("redirect to plain http at {0}")]
    ToHttp(String),
    #[error("too many redirects")]
    TooMany,
}

/// A client that downloads files.
#[derive(Clone, Debug)]
pub struct Fetcher {
    pub(super) client: Client,
    /// Delays before the second, third, … attempt.
    pub(super) pauses: Vec<Duration>,
}

impl Fetcher {
    /// `ca_pem`: additional CA certificates. Proxies come from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    pub fn new(ca_pem: Option<&str>, allow_http: bool) -> Result<Self, ClientError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(ca_pem)?)
            .redirect(redirects(allow_http))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("tts-server/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ClientError::Http)?;
        Ok(Self {
            client,
            pauses: [500, 1000, 2000].map(Duration::from_millis).to_vec(),
        })
    }
}

pub(crate) fn tls(ca_pem: Option<&str>) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    // A machine without root certificates can still use a private CA.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca_pem.filter(|pem| !pem.trim().is_empty()) {
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate =
                certificate.map_err(|error| ClientError::BadCertificate(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| ClientError::BadCertificate(error.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(ClientError::NoCertificate);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn redirects(allow_http: bool) -> Policy {
    Policy::custom(move |attempt| {
        if attempt.previous().len() > MOST_REDIRECTS {
            return attempt.error(RedirectRefused::TooMany);
        }
        if attempt.url().scheme() != "https" && !allow_http {
            let target = shown(attempt.url());
            return attempt.error(RedirectRefused::ToHttp(target));
        }
        attempt.follow()
    })
}

/// A URL for messages: without user, password and query, which may contain secrets.
pub fn shown(url: &url::Url) -> String {
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_not_shown() {
        let url = url::Url::parse("https://user:secret@host:8443/a.onnx?token=secret").unwrap();
        assert_eq!(shown(&url), "https://host:8443/a.onnx");
    }

    #[test]
    fn a_wrong_authority_is_told() {
        assert!(matches!(
            Fetcher::new(Some("hello"), false),
            Err(ClientError::NoCertificate)
        ));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            Fetcher::new(Some(broken), false),
            Err(ClientError::BadCertificate(_))
        ));
        assert!(Fetcher::new(Some(" \n"), false).is_ok());
    }
}
