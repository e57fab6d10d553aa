//! The cluster under test: which one, and the programs that speak to it.
use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Config, config::KubeConfigOptions, config::Kubeconfig};

use crate::{
    command::{Program, first_file, in_path},
    digest::sha256,
};

/// Name of the throwaway cluster that `make cluster-up` starts.
const NAME: &str = "node";
const KUBECONFIG: &str = "admin.kubeconfig";

#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// Does not try again what was answered with 429, 503 or 504.
    pub once: Client,
    pub kubectl: Program,
    /// Registry of the images under test, and their tag.
    pub registry: String,
    pub tag: String,
    /// Identifies the cluster: what is remembered of another one is of no use.
    pub uid: String,
    /// State folder of the throwaway cluster; absent when the user named a cluster.
    state: Option<PathBuf>,
    kubeconfig: PathBuf,
}

impl Cluster {
    pub async fn connect() -> Result<Self> {
        // A second call finds the provider installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let kubeconfig = kubeconfig()?;
        let state = kubeconfig
            .parent()
            .filter(|folder| folder.join("settings").is_file())
            .map(Path::to_owned);
        ensure!(
            kubeconfig.is_file(),
            "there is no cluster to test against: {} does not exist. Start one with `make cluster-up`",
            kubeconfig.display()
        );
        let config = Config::from_custom_kubeconfig(
            Kubeconfig::read_from(&kubeconfig)
                .with_context(|| format!("cannot read {}", kubeconfig.display()))?,
            &KubeConfigOptions::default(),
        )
        .await
        .with_context(|| format!("{} names no usable cluster", kubeconfig.display()))?;
        let url = config.cluster_url.to_string();
        let mut once = config.clone();
        once.default_retry = false;
        let once = Client::try_from(once)?;
        let client = Client::try_from(config)?;
        let system = Api::<Namespace>::all(client.clone())
            .get("kube-system")
            .await
            .with_context(|| format!("no answer from the API server {url}"))?;

        let kubectl = first_file([repository().join("bin/kubectl")])
            .or_else(|| in_path("kubectl"))
            .context("no kubectl: `make build` leaves one in bin/")?;
        let registry = match &state {
            Some(_) => "localhost".to_owned(),
            None => env::var("TTS_IMAGE_REGISTRY").context(
                "TTS_IMAGE_REGISTRY is not set: `make test` sets it after it has brought the images to the cluster",
            )?,
        };
        Ok(Self {
            client,
            once,
            kubectl: Program::new(kubectl).env("KUBECONFIG", &kubeconfig),
            registry,
            tag: env::var("TTS_IMAGE_TAG").unwrap_or_else(|_| "dev".to_owned()),
            uid: system.metadata.uid.context("kube-system has no uid")?,
            state,
            kubeconfig,
        })
    }

    pub fn helm(&self) -> Result<Program> {
        // Each of these would send helm to another cluster, or to releases kept elsewhere.
        let redirections = [
            "HELM_DRIVER",
            "HELM_KUBEAPISERVER",
            "HELM_KUBECONTEXT",
            "HELM_KUBETOKEN",
            "HELM_NAMESPACE",
        ];
        let helm = redirections.into_iter().fold(helm()?, Program::env_remove);
        Ok(helm.env("KUBECONFIG", &self.kubeconfig))
    }

    /// Whether this is a throwaway cluster of `make cluster-up`, not one of the user's.
    pub fn is_throwaway(&self) -> bool {
        self.state.is_some()
    }

    /// `program` as it runs in the cluster's network; absent for a cluster of the user's.
    pub fn inside(&self, program: &Path) -> Option<Program> {
        let name = self.state.as_ref()?.file_name()?;
        Some(
            Program::new(repository().join("e2e/cluster/cluster.sh"))
                .arg("enter")
                .arg("--name")
                .arg(name)
                .arg(program),
        )
    }

    /// Brings the image of the inference server to the node under another repository, as if it were a newer one;
    /// `false` for a cluster of the user's.
    pub async fn load_server_as(&self, repository: &str) -> Result<bool> {
        let Some(name) = self.state.as_ref().and_then(|state| state.file_name()) else {
            return Ok(false);
        };
        let archive = Program::new(self::repository().join("scripts/images.sh"))
            .run(["archive", "tts-server"])
            .await?
            .ok()?;
        let folder = tempfile::tempdir()?;
        let renamed = folder.path().join("server.tar");
        let reference = format!("{}/{repository}:{}", self.registry, self.tag);
        Program::new("python3")
            .arg(self::repository().join("scripts/images/retag.py"))
            .arg(archive.trim())
            .arg(&reference)
            .arg(&renamed)
            .run::<&str>([])
            .await?
            .ok()?;
        Program::new(self::repository().join("e2e/cluster/cluster.sh"))
            .arg("load")
            .arg("--name")
            .arg(name)
            .arg(&renamed)
            .run::<&str>([])
            .await?
            .ok()?;
        Ok(true)
    }

    /// The API server's audit log; absent for a cluster of the user's.
    pub fn audit_log(&self) -> Option<PathBuf> {
        Some(self.state.as_ref()?.join("log/audit.log"))
    }

    /// This machine's address as the cluster sees it: the one that packets to the API server carry.
    pub fn host_address(&self) -> Result<std::net::IpAddr> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        let server = kubeconfig
            .clusters
            .iter()
            .find_map(|cluster| cluster.cluster.as_ref()?.server.clone())
            .context("the kubeconfig names no server")?;
        let server: axum::http::Uri = server.parse()?;
        let host = server.host().context("the server's URL has no host")?;
        // Connecting a datagram socket sends nothing: it asks the routing table.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.connect((host, server.port_u16().unwrap_or(443)))?;
        Ok(socket.local_addr()?.ip())
    }
}

/// The kubeconfig of this run: the one that `make test` made, or else that of this clone's throwaway cluster.
/// The ambient `KUBECONFIG` is never used.
fn kubeconfig() -> Result<PathBuf> {
    if let Some(path) = env::var_os("TTS_RUN_KUBECONFIG").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    ensure!(
        env::var_os("TTS_E2E_KUBECONFIG").is_none(),
        "TTS_E2E_KUBECONFIG names a cluster of yours: run `make test`, which checks that the cluster may be used and \
         removes what the tests made"
    );
    Ok(clusters()?.join(NAME).join(KUBECONFIG))
}

/// Helm without a cluster: lint and template.
pub fn helm() -> Result<Program> {
    tool("helm")
}

/// A program that `scripts/go-tools.sh` builds into the cache folder, or else the one in `PATH`.
pub(crate) fn tool(name: &str) -> Result<Program> {
    let tools = tts_tests::cache().join("tools");
    let mut built: Vec<PathBuf> = std::fs::read_dir(&tools)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(&format!("{name}-"))
        })
        .map(|entry| entry.path().join(name))
        .filter(|path| path.is_file())
        .collect();
    // More than one version may lie there; the newest build is the one in use.
    built.sort_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    built
        .pop()
        .or_else(|| in_path(name))
        .map(Program::new)
        .with_context(|| format!("no {name} in {} or PATH: run `make setup`", tools.display()))
}

/// The folder of this clone's throwaway clusters, named by the first eight hexadecimal digits of the SHA-256 of the
/// clone's path.
fn clusters() -> Result<PathBuf> {
    let clone = repository().canonicalize()?;
    let id = sha256(clone.as_os_str().as_encoded_bytes());
    Ok(tts_tests::cache().join("cluster").join(&id[..8]))
}

/// Root of the repository that these tests were built from.
pub fn repository() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
