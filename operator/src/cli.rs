//! The command line.
use std::{fs, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{
    settings::{DownloadSettings, ServerSettings},
    telemetry::LogFormat,
};

/// Kubernetes operator for text-to-speech deployments.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controllers.
    Run(Box<RunArgs>),
    /// Print the CRDs as YAML.
    Crds {
        /// Write one file per CRD to this folder instead of standard output.
        #[arg(long)]
        output: Option<PathBuf>,
    },
}

/// Options of `run`; each can also be set by the environment variable named with it.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Image of the inference server.
    #[arg(long, env = "TTS_SERVER_IMAGE")]
    server_image: String,

    /// Pull policy of the inference server's image.
    #[arg(long, env = "TTS_SERVER_IMAGE_PULL_POLICY", default_value = "IfNotPresent",
          value_parser = ["Always", "IfNotPresent", "Never"])]
    server_image_pull_policy: String,

    /// Pull secrets of the inference server's image, comma-separated; they must exist in the
    /// namespaces of the voices and deployments.
    #[arg(long, env = "TTS_SERVER_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    server_image_pull_secrets: Vec<String>,

    /// Namespaces to watch, comma-separated; empty means all.
    #[arg(long, env = "TTS_WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,

    /// Listen address of probes and metrics; `:8080` is port 8080 on all addresses.
    #[arg(long, env = "TTS_LISTEN", default_value = ":8080", value_parser = listen_address)]
    pub listen: SocketAddr,

    /// Run the controllers only while holding the lease `tts-operator`; required for several replicas.
    #[arg(long, env = "TTS_LEADER_ELECT")]
    pub leader_elect: bool,

    /// Namespace of the lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub pod_namespace: String,

    /// Identity in the lease and in events.
    #[arg(long, env = "POD_NAME", default_value = "tts-operator")]
    pub pod_name: String,

    /// Allow voices to be downloaded from http:// URLs.
    #[arg(long, env = "TTS_ALLOW_HTTP")]
    allow_http: bool,

    /// PEM file with CA certificates to trust for voice downloads, in addition to the system's.
    #[arg(long, env = "TTS_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// Proxy for voice downloads from https:// URLs.
    #[arg(long, env = "TTS_HTTPS_PROXY")]
    https_proxy: Option<String>,

    /// Proxy for voice downloads from http:// URLs.
    #[arg(long, env = "TTS_HTTP_PROXY")]
    http_proxy: Option<String>,

    /// Hosts to connect to without the proxy, comma-separated.
    #[arg(long, env = "TTS_NO_PROXY")]
    no_proxy: Option<String>,

    /// Format of the log on standard error.
    #[arg(long, env = "TTS_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Log filter: a level, or a comma-separated list such as `info,kube=debug`.
    #[arg(long, env = "TTS_LOG_FILTER", default_value = "info")]
    pub log_filter: String,
}

/// Why the value of an option is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--server-image is empty; set it to the image of the inference server")]
    NoServerImage,
    #[error("--ca-file {path}: {source}")]
    CaFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("--ca-file {0} contains no PEM certificate (no line `-----BEGIN CERTIFICATE-----`)")]
    NoCertificate(PathBuf),
    #[error(
        "--ca-file {path} has {size} bytes, the limit is {MAX_CA_BYTES}; keep only the CAs that voice downloads need"
    )]
    CaTooLarge { path: PathBuf, size: usize },
}

/// The certificates are passed to pods in an environment variable, which can hold at most 128 KiB.
const MAX_CA_BYTES: usize = 64 * 1024;

impl RunArgs {
    /// The namespaces to watch; empty for all.
    pub fn namespaces(&self) -> Vec<String> {
        non_empty(&self.watch_namespaces)
    }

    /// The settings of the pods that the operator creates.
    ///
    /// # Errors
    /// If an option's value cannot be used; the message names the option.
    pub fn server_settings(&self) -> Result<ServerSettings, Error> {
        if self.server_image.trim().is_empty() {
            return Err(Error::NoServerImage);
        }
        Ok(ServerSettings {
            image: self.server_image.clone(),
            image_pull_policy: self.server_image_pull_policy.clone(),
            image_pull_secrets: non_empty(&self.server_image_pull_secrets),
            download: DownloadSettings {
                allow_http: self.allow_http,
                ca_pem: self.ca_file.as_ref().map(read_ca).transpose()?,
                https_proxy: set(self.https_proxy.as_ref()),
                http_proxy: set(self.http_proxy.as_ref()),
                no_proxy: set(self.no_proxy.as_ref()),
            },
        })
    }
}

fn read_ca(path: &PathBuf) -> Result<String, Error> {
    let pem = fs::read_to_string(path).map_err(|source| Error::CaFile {
        path: path.clone(),
        source,
    })?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(Error::NoCertificate(path.clone()));
    }
    if pem.len() > MAX_CA_BYTES {
        return Err(Error::CaTooLarge {
            path: path.clone(),
            size: pem.len(),
        });
    }
    Ok(pem)
}

/// An environment variable that is set but empty counts as not set.
fn set(value: Option<&String>) -> Option<String> {
    value.filter(|value| !value.is_empty()).cloned()
}

fn non_empty(values: &[String]) -> Vec<String> {
    values
        .iter()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
        .collect()
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') {
        format!("[::]{text}")
    } else {
        text.to_owned()
    };
    full.parse()
        .map_err(|_| "use address:port, such as 127.0.0.1:8080, or :8080 for all addresses".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> RunArgs {
        let args = [
            "tts-operator",
            "run",
            "--server-image=example.test/tts-server:1",
        ]
        .iter()
        .chain(args);
        match Cli::try_parse_from(args).unwrap().command {
            Command::Run(run) => *run,
            Command::Crds { .. } => unreachable!("run was asked for"),
        }
    }

    #[test]
    fn lists_are_comma_separated_and_empty_entries_do_not_count() {
        assert_eq!(run(&["--watch-namespaces=a,b,"]).namespaces(), ["a", "b"]);
        assert!(run(&["--watch-namespaces="]).namespaces().is_empty());
    }

    #[test]
    fn a_port_alone_is_all_addresses() {
        assert_eq!(run(&["--listen=:9"]).listen.to_string(), "[::]:9");
        let error = Cli::try_parse_from(["tts-operator", "run", "--server-image=x", "--listen=9"])
            .unwrap_err();
        assert!(error.to_string().contains("address:port"), "{error}");
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        let error = run(&["--ca-file=/dev/null"]).server_settings().unwrap_err();
        assert!(matches!(error, Error::NoCertificate(_)), "{error}");
        let error = run(&["--ca-file=/nowhere/ca.pem"])
            .server_settings()
            .unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}
