//! The operator under test: installed once by its chart and shared by the tests, or taken by one test alone.
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use kube::{Api, ResourceExt, api::ListParams};
use tokio::time::timeout;

use crate::{Cluster, authority::Authority, cluster, digest::sha256, eventually};

// Names of the suite's own: on a cluster of the user's, `make test` refuses where anything of these names exists.
pub const NAMESPACE: &str = "tts-operator-e2e";
pub const RELEASE: &str = "tts-operator-e2e";
pub const CRDS_RELEASE: &str = "tts-operator-e2e-crds";
/// The user that the API server knows the operator as.
pub const USER: &str = "system:serviceaccount:tts-operator-e2e:tts-operator-e2e";
/// The chart names the lease as the release.
const LEASE: &str = RELEASE;
/// What a probe has to wait for at most.
const ANSWER: Duration = Duration::from_secs(5);
/// A killed leader's lease has to expire first.
pub const TAKE_OVER: Duration = Duration::from_mins(1);

/// Holding this keeps the operator as it is (`shared`), or keeps other tests away (`alone`).
pub struct Operator {
    cluster: Cluster,
    _lock: File,
}

impl Operator {
    /// The operator with the suite's settings, installed if it is not there. Tests share it.
    pub async fn shared(cluster: &Cluster) -> Result<Self> {
        let marker = folder(cluster)?.join("installed");
        loop {
            let held = lock(cluster, "operator", false).await?;
            if installed(cluster, &marker).await? {
                return Ok(Self {
                    cluster: cluster.clone(),
                    _lock: held,
                });
            }
            drop(held);
            let _alone = lock(cluster, "operator", true).await?;
            if !installed(cluster, &marker).await? {
                install(cluster, &[]).await?;
                std::fs::write(&marker, fingerprint(cluster).await?)
                    .context("cannot remember the installation")?;
            }
        }
    }

    /// Whatever is installed, for one test alone, which may change it: the next shared one is installed anew.
    pub async fn alone(cluster: &Cluster) -> Result<Self> {
        let held = lock(cluster, "operator", true).await?;
        let _ = std::fs::remove_file(folder(cluster)?.join("installed"));
        Ok(Self {
            cluster: cluster.clone(),
            _lock: held,
        })
    }

    /// The suite's operator with other settings of the chart, for one test alone.
    pub async fn alone_with(cluster: &Cluster, settings: &[&str]) -> Result<Self> {
        let operator = Self::alone(cluster).await?;
        install(cluster, settings).await?;
        Ok(operator)
    }

    /// Changes the settings of the chart; for a test that has the operator for itself.
    pub async fn set(&self, settings: &[&str]) -> Result<()> {
        install(&self.cluster, settings).await
    }

    /// What `/readyz` of one pod answers.
    pub async fn readyz(&self, pod: &str) -> Result<(u16, String)> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/readyz");
        let request = axum::http::Request::get(path).body(kube::client::Body::empty())?;
        let answer = async {
            // 503 is an answer.
            let response = self.cluster.once.send(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect_bytes().await?;
            anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        // The API server waits long for a pod whose network is being set up.
        timeout(ANSWER, answer)
            .await
            .with_context(|| format!("{pod} does not answer"))?
    }

    /// Deletes all pods of the operator, and returns the new one when it answers.
    pub async fn restart(&self) -> Result<String> {
        let former: Vec<String> = self
            .pods()
            .await?
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        let mut arguments = vec!["delete", "pod", "--namespace", NAMESPACE];
        arguments.extend(former.iter().map(String::as_str));
        self.cluster.kubectl.run(arguments).await?.ok()?;
        eventually("a new operator answers", TAKE_OVER, async || {
            let pods = self.pods().await?;
            let new = pods
                .iter()
                .map(ResourceExt::name_any)
                .find(|name| !former.contains(name))
                .context("there is no new pod")?;
            self.readyz(&new).await?;
            Ok(new)
        })
        .await
    }

    /// No operator in the cluster, for one test alone, which runs its own outside of it.
    pub async fn absent(cluster: &Cluster) -> Result<Self> {
        let operator = Self::alone_with(cluster, &["replicas=0"]).await?;
        eventually("no operator runs", TAKE_OVER, async || {
            let pods = operator.all_pods().await?;
            ensure!(pods.is_empty(), "{} pods are left", pods.len());
            Ok(())
        })
        .await?;
        Ok(operator)
    }

    /// Those on their way out as well: they act until they have ended.
    async fn all_pods(&self) -> Result<Vec<Pod>> {
        let pods = Api::<Pod>::namespaced(self.cluster.client.clone(), NAMESPACE)
            .list(&ListParams::default().labels("app.kubernetes.io/name=tts-operator"))
            .await?;
        Ok(pods.items)
    }

    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let pods = self.all_pods().await?;
        Ok(pods
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .collect())
    }

    /// The name of the pod that holds the lease.
    pub async fn leader(&self) -> Result<String> {
        let lease = Api::<Lease>::namespaced(self.cluster.client.clone(), NAMESPACE)
            .get(LEASE)
            .await?;
        let holder = lease
            .spec
            .and_then(|spec| spec.holder_identity)
            .filter(|holder| !holder.is_empty())
            .context("nobody holds the lease")?;
        ensure!(
            self.pods()
                .await?
                .iter()
                .any(|pod| pod.name_any() == holder),
            "the lease is held by {holder}, which is no running pod"
        );
        Ok(holder)
    }

    /// Waits until a pod other than `former` leads.
    pub async fn next_leader(&self, former: &str) -> Result<String> {
        eventually("another operator leads", TAKE_OVER, async || {
            let leader = self.leader().await?;
            ensure!(leader != former, "{former} still holds the lease");
            Ok(leader)
        })
        .await
    }

    /// The metrics of one pod, by name and labels as they are printed.
    pub async fn metrics(&self, pod: &str) -> Result<BTreeMap<String, f64>> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics");
        let request = axum::http::Request::get(path).body(Vec::new())?;
        let text = self
            .cluster
            .client
            .request_text(request)
            .await
            .with_context(|| format!("no metrics from {pod}"))?;
        Ok(text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect())
    }
}

/// Our kinds, without an operator: enough for what the API server itself decides. They stay while this is held.
pub struct Kinds {
    _lock: File,
}

impl Kinds {
    pub async fn installed(cluster: &Cluster) -> Result<Self> {
        let held = lock(cluster, "operator", false).await?;
        let _one_at_a_time = lock(cluster, "kinds", true).await?;
        install_kinds(cluster).await?;
        Ok(Self { _lock: held })
    }
}

async fn install_kinds(cluster: &Cluster) -> Result<()> {
    let arguments = upgrade(CRDS_RELEASE);
    cluster.helm()?.run(arguments).await?.ok()?;
    let crds: Vec<String> = tts_crds::all().iter().map(ResourceExt::name_any).collect();
    let wait = ["wait", "--for=condition=Established", "--timeout=1m", "crd"];
    let arguments = wait.into_iter().chain(crds.iter().map(String::as_str));
    cluster.kubectl.run(arguments).await?.ok()?;
    // The API server's lists of kinds lag behind Established by a moment.
    eventually("our kinds are served", Duration::from_mins(1), async || {
        let kinds = crds.join(",");
        cluster
            .kubectl
            .run(["get", &kinds, "--namespace=default"])
            .await?
            .ok()
    })
    .await?;
    Ok(())
}

/// Helm's arguments to install or upgrade the release, from the chart in this repository.
pub fn upgrade(release: &str) -> Vec<String> {
    let chart = match release {
        CRDS_RELEASE => "tts-operator-crds",
        _ => "tts-operator",
    };
    upgrade_from(release, &cluster::repository().join("charts").join(chart))
}

/// Helm's arguments to install or upgrade the release from a chart in `folder`. Nothing is taken over from another
/// owner, except the CRDs by the release that left them there.
pub fn upgrade_from(release: &str, folder: &Path) -> Vec<String> {
    [
        "upgrade",
        release,
        &folder.to_string_lossy(),
        "--install",
        "--create-namespace",
        "--wait",
        "--timeout=3m",
        &format!("--namespace={NAMESPACE}"),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The settings that every installation under test has: the images and the suite's certificate authority.
pub fn settings(cluster: &Cluster) -> Result<Vec<String>> {
    let authority = folder(cluster)?.join("trusted.pem");
    std::fs::write(&authority, Authority::of(&folder(cluster)?)?.certificate)?;
    let mut arguments = vec![format!("--set-file=ca.pem={}", authority.display())];
    for setting in [
        // Enough for a pod to start, and short enough to wait for in a test.
        "stalledAfter=20s".to_owned(),
        format!("image.registry={}", cluster.registry),
        format!("image.tag={}", cluster.tag),
        // The tag stays the same from build to build: this is what rolls the operator.
        format!("podAnnotations.build={}", build()),
    ] {
        arguments.extend(["--set-string".to_owned(), setting]);
    }
    Ok(arguments)
}

/// Installs or changes the suite's operator, with its kinds.
async fn install(cluster: &Cluster, more: &[&str]) -> Result<()> {
    install_kinds(cluster).await?;
    let mut arguments = upgrade(RELEASE);
    arguments.extend(settings(cluster)?);
    // A running operator reads new settings when the kubelet has brought them, a new pod starts with them.
    let applied = &sha256(more.join("\n").as_bytes())[..16];
    arguments.push(format!("--set-string=podAnnotations.settings={applied}"));
    for setting in more {
        arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
    }
    cluster.helm()?.run(arguments).await?.ok()?;
    Ok(())
}

/// Of the operator's binary, as far as this machine built it.
fn build() -> String {
    match std::fs::read(cluster::repository().join("bin/tts-operator")) {
        Ok(binary) => sha256(&binary)[..16].to_owned(),
        Err(_) => "elsewhere".to_owned(),
    }
}

/// Changes with every change of the operator's Deployment and with the build and the charts under test.
async fn fingerprint(cluster: &Cluster) -> Result<String> {
    let deployment = Api::<Deployment>::namespaced(cluster.client.clone(), NAMESPACE)
        .get_opt(RELEASE)
        .await?;
    let meta = deployment.unwrap_or_default().metadata;
    Ok(format!(
        "{} {} {} {}",
        meta.uid.unwrap_or_default(),
        meta.generation.unwrap_or_default(),
        build(),
        charts()?
    ))
}

fn charts() -> Result<String> {
    fn add(folder: &Path, contents: &mut Vec<u8>) -> Result<()> {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        entries.sort();
        for path in entries {
            if path.is_dir() {
                add(&path, contents)?;
            } else {
                contents.extend(std::fs::read(&path)?);
            }
        }
        Ok(())
    }
    let mut contents = Vec::new();
    add(&cluster::repository().join("charts"), &mut contents)?;
    Ok(sha256(&contents)[..16].to_owned())
}

async fn installed(cluster: &Cluster, marker: &Path) -> Result<bool> {
    let Ok(remembered) = std::fs::read_to_string(marker) else {
        return Ok(false);
    };
    Ok(remembered == fingerprint(cluster).await?)
}

/// What the tests remember about this cluster from one test binary to the next.
pub fn folder(cluster: &Cluster) -> Result<PathBuf> {
    let folder = tts_tests::cache().join("e2e").join(&cluster.uid);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Across threads and test binaries; the operating system lets go of it when the test ends, however it ends.
async fn lock(cluster: &Cluster, what: &str, alone: bool) -> Result<File> {
    let path = folder(cluster)?.join(format!("{what}.lock"));
    tokio::task::spawn_blocking(move || {
        let file = File::create(&path)?;
        if alone {
            file.lock()?;
        } else {
            file.lock_shared()?;
        }
        Ok(file)
    })
    .await?
}

/// The last lines of the operator's log, for a failed test.
pub async fn log_tail(cluster: &Cluster) -> String {
    let arguments = [
        "logs",
        "--namespace",
        NAMESPACE,
        "--selector=app.kubernetes.io/name=tts-operator",
        "--tail=40",
    ];
    match cluster.kubectl.run(arguments).await {
        Ok(output) => format!("$ {}\n{}{}", output.command, output.stdout, output.stderr),
        Err(error) => format!("{error:#}"),
    }
}
