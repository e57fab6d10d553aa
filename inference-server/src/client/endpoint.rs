//! The endpoint that is measured: its address, and what each request asks for.

use std::fmt;

use http::HeaderValue;
use serde_json::json;
use strum::IntoStaticStr;
use url::Url;

use crate::fetch::client::shown;

/// The environment variable that holds the API key. A key on the command line would be visible to all users of the machine.
pub const API_KEY_VARIABLE: &str = "OPENAI_API_KEY";

/// OpenAI requires a model; servers of one model accept this name.
const DEFAULT_MODEL: &str = "tts-1";

/// Response formats that can be measured: their bytes tell how long the audio is without decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Format {
    #[default]
    Wav,
    /// Samples without a header: 16 bit, little endian, one channel.
    Pcm,
}

impl Format {
    /// The name in requests.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Why an endpoint cannot be addressed. Messages do not contain credentials.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum EndpointError {
    #[error("{given:?} is not a URL ({cause}); give one such as http://localhost:8000")]
    NotAUrl { given: String, cause: String },
    #[error("{given:?} is not an http or https URL; give one such as http://localhost:8000")]
    NotHttp { given: String },
    #[error(
        "{API_KEY_VARIABLE} contains characters that an HTTP header cannot hold; copy the key again"
    )]
    BadApiKey,
}

/// A speech endpoint, and what its requests ask for.
#[derive(Clone)]
pub struct Endpoint {
    /// With the user and password of the URL, if no API key is set.
    target: Url,
    api_key: Option<ApiKey>,
    /// Default: `tts-1`.
    pub model: Option<String>,
    /// Omitted from requests if `None`.
    pub voice: Option<String>,
    pub format: Format,
}

#[derive(Clone)]
struct ApiKey {
    key: String,
    header: HeaderValue,
}

impl Endpoint {
    /// `url` is the speech endpoint itself (`…/audio/speech`), the API's base (`…/v1`), or what is before `/v1`.
    pub fn new(url: &str, format: Format) -> Result<Self, EndpointError> {
        let given = url.trim();
        let mut target = Url::parse(given).map_err(|cause| EndpointError::NotAUrl {
            given: without_secrets(given),
            cause: cause.to_string(),
        })?;
        if !matches!(target.scheme(), "http" | "https") {
            return Err(EndpointError::NotHttp {
                given: without_secrets(given),
            });
        }
        let path = target.path().trim_end_matches('/');
        let path = if path.ends_with("/audio/speech") {
            path.to_owned()
        } else if path.ends_with("/v1") {
            format!("{path}/audio/speech")
        } else {
            format!("{path}/v1/audio/speech")
        };
        target.set_path(&path);
        target.set_fragment(None);
        Ok(Self {
            target,
            api_key: None,
            model: None,
            voice: None,
            format,
        })
    }

    /// Sends the key with each request, instead of the user and password of the URL. An empty key counts as none.
    pub fn with_api_key(mut self, key: Option<&str>) -> Result<Self, EndpointError> {
        let Some(key) = key.map(str::trim).filter(|key| !key.is_empty()) else {
            return Ok(self);
        };
        let mut header = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| EndpointError::BadApiKey)?;
        header.set_sensitive(true);
        // reqwest would send both.
        let _ = self.target.set_username("");
        let _ = self.target.set_password(None);
        self.api_key = Some(ApiKey {
            key: key.to_owned(),
            header,
        });
        Ok(self)
    }

    /// The address without user, password and query, which may contain secrets.
    pub fn url(&self) -> String {
        shown(&self.target)
    }

    pub(super) fn target(&self) -> Url {
        self.target.clone()
    }

    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.api_key.as_ref().map(|key| key.header.clone())
    }

    /// The JSON body of a request.
    pub(super) fn body(&self, text: &str) -> String {
        let mut body = json!({
            "model": self.model.as_deref().unwrap_or(DEFAULT_MODEL),
            "input": text,
            "response_format": self.format.name(),
        });
        if let Some(voice) = &self.voice {
            body["voice"] = voice.as_str().into();
        }
        body.to_string()
    }

    /// The text without the API key: some servers repeat it in their errors.
    pub(super) fn redact(&self, text: &str) -> String {
        match &self.api_key {
            Some(key) => text.replace(&key.key, "[API key]"),
            None => text.to_owned(),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("url", &self.url())
            .field("model", &self.model)
            .field("voice", &self.voice)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// What can be repeated of text that is not a URL: neither what is before an `@` nor a query.
fn without_secrets(given: &str) -> String {
    let end = given.find(['?', '#']).unwrap_or(given.len());
    let start = given.rfind('@').map_or(0, |at| at + 1);
    given.get(start..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::new(url, Format::Wav).unwrap()
    }

    #[test]
    fn a_base_becomes_the_speech_endpoint() {
        for (given, expected) in [
            ("http://host:8000", "http://host:8000/v1/audio/speech"),
            ("http://host:8000/", "http://host:8000/v1/audio/speech"),
            ("http://host/v1", "http://host/v1/audio/speech"),
            ("http://host/v1/", "http://host/v1/audio/speech"),
            (
                "https://host/v1/audio/speech",
                "https://host/v1/audio/speech",
            ),
            ("http://host/tts", "http://host/tts/v1/audio/speech"),
            ("http://[::1]:80/v1", "http://[::1]/v1/audio/speech"),
            (
                "https://host/openai/deployments/tts/audio/speech",
                "https://host/openai/deployments/tts/audio/speech",
            ),
            (" http://host ", "http://host/v1/audio/speech"),
        ] {
            assert_eq!(endpoint(given).target().as_str(), expected, "{given}");
        }
    }

    #[test]
    fn what_is_not_an_http_url_is_rejected_without_its_secrets() {
        for given in [
            "",
            "host",
            "localhost:8000",
            "ftp://host",
            "http://",
            "http://host:99999",
        ] {
            let error = Endpoint::new(given, Format::Wav).unwrap_err().to_string();
            assert!(error.contains("give one such as http://"), "{error}");
        }
        for given in [
            "user:hunter2@host:80?key=hunter2",
            "ftp://user:hunter2@host",
        ] {
            let error = Endpoint::new(given, Format::Wav).unwrap_err().to_string();
            assert!(
                error.contains("host") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn credentials_are_sent_but_neither_stored_nor_printed() {
        let with_query = endpoint("https://user:hunter2@host/v1?api-version=2&key=hunter2");
        assert_eq!(with_query.url(), "https://host/v1/audio/speech");
        assert_eq!(with_query.target().password(), Some("hunter2"));
        assert_eq!(
            with_query.target().query(),
            Some("api-version=2&key=hunter2")
        );
        let with_key = with_query.with_api_key(Some(" sk-hunter2\n")).unwrap();
        assert_eq!(with_key.target().password(), None);
        let header = with_key.authorization().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer sk-hunter2");
        assert!(!format!("{with_key:?} {header:?}").contains("hunter2"));
        assert_eq!(
            with_key.redact("wrong key: sk-hunter2"),
            "wrong key: [API key]"
        );
    }

    #[test]
    fn a_key_that_no_header_can_hold_is_an_error() {
        let error = endpoint("http://host").with_api_key(Some("a\nb"));
        assert_eq!(error.unwrap_err(), EndpointError::BadApiKey);
        let none = endpoint("http://host").with_api_key(Some(" ")).unwrap();
        assert_eq!(none.authorization(), None);
    }

    #[test]
    fn a_request_names_a_voice_only_when_one_was_chosen() {
        let mut endpoint = endpoint("http://host");
        assert_eq!(
            endpoint.body("Hello."),
            r#"{"input":"Hello.","model":"tts-1","response_format":"wav"}"#
        );
        endpoint.model = Some("kokoro".to_owned());
        endpoint.voice = Some("af_sky".to_owned());
        assert_eq!(
            endpoint.body("Hello."),
            r#"{"input":"Hello.","model":"kokoro","response_format":"wav","voice":"af_sky"}"#
        );
    }
}
