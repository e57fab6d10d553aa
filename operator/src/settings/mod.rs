//! Settings of the installation: a YAML file that is read again when it changes.
pub mod node_classes;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, IgnoredAny},
};
use tokio::{sync::watch, time};

use crate::{health::Health, metrics::Metrics};
use node_classes::{DeclaredClass, NodeClassSettings};

mod benchmarks;

pub use benchmarks::BenchmarkSettings;

/// How often the file is read again. A mounted `ConfigMap` changes within about a minute anyway.
const RELOAD: Duration = Duration::from_secs(5);
/// The certificates are passed to pods in an environment variable, which can hold at most 128 KiB.
const MAX_CA_BYTES: usize = 64 * 1024;
/// Largest budget; above it there is no limit worth having.
const MAX_CONCURRENT: usize = 1_000;

/// Everything that an installation decides about the operator's objects.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    pub server: ServerSettings,
    #[serde(default)]
    pub downloads: DownloadSettings,
    /// Deployments whose pods are replaced at the same time, for a change that is not of their own spec.
    #[serde(default = "rollouts")]
    pub rollouts: Budget,
    /// Inspections of voices that run at the same time.
    #[serde(default = "inspections")]
    pub inspections: Budget,
    /// What benchmarks may use.
    #[serde(default)]
    pub benchmarks: BenchmarkSettings,
    /// How long a pod may fail to start before its deployment is stalled.
    #[serde(default = "stalled_after", deserialize_with = "duration")]
    pub stalled_after: Duration,
    /// Pools that an autoscaler grows, and names for nodes.
    #[serde(default)]
    pub node_classes: Vec<DeclaredClass>,
    /// Prices of nodes per hour, by the name of their class.
    #[serde(default)]
    pub prices: BTreeMap<String, f64>,
}

/// The part of the settings that plans depend on; the rest is not read, and need not be there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClassSettings {
    pub node_classes: Vec<DeclaredClass>,
    prices: BTreeMap<String, f64>,
    #[serde(rename = "server")]
    _server: IgnoredAny,
    #[serde(rename = "downloads")]
    _downloads: IgnoredAny,
    #[serde(rename = "rollouts")]
    _rollouts: IgnoredAny,
    #[serde(rename = "inspections")]
    _inspections: IgnoredAny,
    #[serde(rename = "benchmarks")]
    _benchmarks: IgnoredAny,
    #[serde(rename = "stalledAfter")]
    _stalled_after: IgnoredAny,
}

impl ClassSettings {
    /// Reads a settings file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let settings: Self = from_yaml(&read_file(path)?, path)?;
        settings.node_classes().check()?;
        Ok(settings)
    }

    /// What is said about node classes.
    pub fn node_classes(&self) -> NodeClassSettings<'_> {
        NodeClassSettings {
            classes: &self.node_classes,
            prices: &self.prices,
        }
    }
}

/// The pods that run the inference server's image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerSettings {
    /// Image reference of the inference server.
    pub image: String,
    #[serde(default)]
    pub image_pull_policy: PullPolicy,
    /// Names of pull secrets, which must exist in the namespaces of the pods.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
}

/// Pull policy of an image, as in the core API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, strum::IntoStaticStr)]
pub enum PullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

/// How pods download the files of voices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DownloadSettings {
    /// Whether `http://` URLs are allowed.
    pub allow_http: bool,
    /// PEM file with CA certificates to trust in addition to the system's.
    ca_file: Option<PathBuf>,
    /// The contents of `ca_file`.
    #[serde(skip)]
    pub ca_pem: Option<String>,
    pub https_proxy: Option<String>,
    pub http_proxy: Option<String>,
    pub no_proxy: Option<String>,
}

/// How many of something may be at work at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    pub max_concurrent: usize,
}

fn rollouts() -> Budget {
    Budget { max_concurrent: 3 }
}

fn inspections() -> Budget {
    Budget { max_concurrent: 8 }
}

fn stalled_after() -> Duration {
    Duration::from_mins(2)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| de::Error::custom(format!("{text:?}: {error}; write 30s or 2m")))
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the settings file {path}: {source}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the settings file {path} is not valid: {message}")]
    Invalid { path: PathBuf, message: String },
    #[error("server.image is empty; set it to the image of the inference server")]
    NoServerImage,
    #[error(
        "{0}.maxConcurrent is {1}; it must be between 1 and {MAX_CONCURRENT}, because 0 would stop all of them"
    )]
    Budget(&'static str, usize),
    #[error("downloads.caFile {path}: {source}")]
    CaFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "downloads.caFile {0} contains no PEM certificate (no line `-----BEGIN CERTIFICATE-----`)"
    )]
    NoCertificate(PathBuf),
    #[error(
        "downloads.caFile {path} has {size} bytes, the limit is {MAX_CA_BYTES}; keep only the CAs that voice downloads need"
    )]
    CaTooLarge { path: PathBuf, size: usize },
    #[error(transparent)]
    NodeClasses(#[from] node_classes::Error),
}

impl Settings {
    /// Reads the settings and the certificates that they name.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&read_file(path)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let mut settings: Self = from_yaml(text, path)?;
        if settings.server.image.trim().is_empty() {
            return Err(Error::NoServerImage);
        }
        for (name, most) in [
            ("rollouts", settings.rollouts.max_concurrent),
            ("inspections", settings.inspections.max_concurrent),
            ("benchmarks", settings.benchmarks.max_concurrent),
        ] {
            if !(1..=MAX_CONCURRENT).contains(&most) {
                return Err(Error::Budget(name, most));
            }
        }
        settings.node_classes().check()?;
        let downloads = &mut settings.downloads;
        downloads.ca_pem = downloads.ca_file.as_deref().map(read_ca).transpose()?;
        for proxy in [
            &mut downloads.https_proxy,
            &mut downloads.http_proxy,
            &mut downloads.no_proxy,
        ] {
            // A value that is set but empty counts as not set.
            *proxy = proxy.take().filter(|proxy| !proxy.is_empty());
        }
        Ok(settings)
    }

    /// What is said about node classes.
    pub fn node_classes(&self) -> NodeClassSettings<'_> {
        NodeClassSettings {
            classes: &self.node_classes,
            prices: &self.prices,
        }
    }
}

fn read_file(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

fn from_yaml<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, Error> {
    serde_saphyr::from_str(text).map_err(|error| Error::Invalid {
        path: path.to_owned(),
        message: error.to_string(),
    })
}

fn read_ca(path: &Path) -> Result<String, Error> {
    let path = path.to_owned();
    let pem = fs::read_to_string(&path).map_err(|source| Error::CaFile {
        path: path.clone(),
        source,
    })?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(Error::NoCertificate(path));
    }
    if pem.len() > MAX_CA_BYTES {
        return Err(Error::CaTooLarge {
            path,
            size: pem.len(),
        });
    }
    Ok(pem)
}

/// Reads the file again and again and sends settings that changed. Settings that cannot be used are
/// reported, and those in use stay.
pub async fn reload(
    path: PathBuf,
    settings: watch::Sender<Arc<Settings>>,
    health: Health,
    metrics: Arc<Metrics>,
) {
    let mut reported = None;
    loop {
        time::sleep(RELOAD).await;
        let problem = match Settings::read(&path) {
            Ok(new) => {
                let changed = settings.send_if_modified(|current| {
                    let changed = **current != new;
                    if changed {
                        *current = Arc::new(new);
                    }
                    changed
                });
                if changed {
                    tracing::info!("the settings have changed");
                }
                None
            }
            Err(error) => Some(format!("{error}; the previous settings stay in use")),
        };
        if problem != reported {
            if let Some(problem) = &problem {
                tracing::error!("{problem}");
            }
            metrics.settings_valid.set(i64::from(problem.is_none()));
            health.set_settings_problem(problem.clone());
            reported = problem;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse(text: &str) -> Result<Settings, Error> {
        Settings::parse(text, Path::new("settings.yaml"))
    }

    #[test]
    fn an_image_is_enough() {
        let settings = parse("server: {image: 'registry.test/tts-server:1'}").unwrap();
        assert_eq!(settings.server.image_pull_policy, PullPolicy::IfNotPresent);
        assert_eq!(settings.rollouts.max_concurrent, 3);
        assert_eq!(settings.benchmarks.max_concurrent, 1);
        assert_eq!(settings.stalled_after, Duration::from_mins(2));
        assert_eq!(settings.downloads, DownloadSettings::default());
    }

    #[test]
    fn an_empty_proxy_is_none() {
        let settings = parse("{server: {image: x}, downloads: {httpsProxy: ''}}").unwrap();
        assert_eq!(settings.downloads.https_proxy, None);
    }

    #[test]
    fn mistakes_name_the_setting() {
        for (text, message) in [
            ("server: {image: ''}", "server.image is empty"),
            ("{server: {image: x}, rollout: {}}", "rollout"),
            (
                "{server: {image: x, imagePullPolicy: Sometimes}}",
                "Sometimes",
            ),
            (
                "{server: {image: x}, rollouts: {maxConcurrent: 0}}",
                "rollouts.maxConcurrent is 0",
            ),
            (
                "{server: {image: x}, inspections: {maxConcurrent: 1001}}",
                "inspections.maxConcurrent is 1001",
            ),
            (
                "{server: {image: x}, stalledAfter: soon}",
                "write 30s or 2m",
            ),
            (
                "{server: {image: x}, downloads: {caFile: /dev/null}}",
                "contains no PEM certificate",
            ),
            (
                "{server: {image: x}, downloads: {caFile: /nowhere/ca.pem}}",
                "/nowhere/ca.pem",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn the_largest_budget_is_accepted() {
        let text = "{server: {image: x}, inspections: {maxConcurrent: 1000}}";
        assert_eq!(parse(text).unwrap().inspections.max_concurrent, 1_000);
    }
}
