//! A namespace that a test has for itself.
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, Hasher as _},
    panic::AssertUnwindSafe,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use futures::FutureExt as _;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace as CoreNamespace, Pod, ServiceAccount},
};
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};

use crate::{
    Cluster,
    command::Output,
    conditions::Conditioned,
    eventually, operator,
    yaml::{builtin_voice, deployment},
};

/// Long enough for a voice's inspection and a pod's start on a machine that is busy with other tests.
pub const READY: Duration = Duration::from_mins(3);

/// The operator's answer to a change that it sees.
pub const SOON: Duration = Duration::from_secs(30);

/// The label of a namespace that holds its pods to a Pod Security standard.
pub const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// What the names of tests' namespaces start with.
const PREFIX: &str = "tts-operator-e2e-";
/// By this label `make test` finds the namespaces of a run that was killed.
const RUN_LABEL: &str = "tts-operator.dev/run";

pub struct Namespace {
    pub cluster: Cluster,
    pub name: String,
}

/// Runs `test` in a namespace of its own, which is gone afterwards whatever happened. Pods in it are
/// held to the restricted Pod Security standard. A failure comes with the namespace's state.
pub async fn with_namespace(
    cluster: &Cluster,
    purpose: &str,
    test: impl AsyncFnOnce(&Namespace) -> Result<()>,
) -> Result<()> {
    let namespaces = Api::<CoreNamespace>::all(cluster.client.clone());
    let namespace = Namespace {
        cluster: cluster.clone(),
        name: format!("{PREFIX}{purpose}-{}", suffix()),
    };
    namespaces
        .create(
            &PostParams::default(),
            &CoreNamespace {
                metadata: ObjectMeta {
                    name: Some(namespace.name.clone()),
                    labels: Some(labels()),
                    ..ObjectMeta::default()
                },
                ..CoreNamespace::default()
            },
        )
        .await
        .with_context(|| format!("cannot make the namespace {}", namespace.name))?;
    // Pods are refused until the controller manager has made this.
    let account = eventually("the default service account", READY, async || {
        Ok(namespace.api::<ServiceAccount>().get("default").await?)
    })
    .await
    .map(|_| ());

    let result = match account {
        Ok(()) => AssertUnwindSafe(test(&namespace))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(anyhow!("{}", panic_text(&*panic)))),
        Err(error) => Err(error),
    };
    let result = match result {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(namespace.state().await)),
    };
    // Background: the test's result does not depend on how long finalizers take.
    let deleted = namespaces
        .delete(&namespace.name, &DeleteParams::background())
        .await
        .context("cannot delete the namespace");
    result.and(deleted.map(|_| ()))
}

fn labels() -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([(ENFORCE.to_owned(), "restricted".to_owned())]);
    if let Ok(run) = std::env::var("TTS_RUN_ID") {
        labels.insert(RUN_LABEL.to_owned(), run);
    }
    labels
}

impl Namespace {
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// Whether `name` is the namespace of a test, and not of this one.
    pub fn is_of_another_test(&self, name: &str) -> bool {
        name.starts_with(PREFIX) && name != self.name
    }

    /// `kubectl` in this namespace; `arguments` are split at spaces.
    pub async fn kubectl(&self, arguments: &str) -> Result<Output> {
        self.kubectl_with("", arguments).await
    }

    pub async fn kubectl_with(&self, input: &str, arguments: &str) -> Result<Output> {
        let namespace = format!("--namespace={}", self.name);
        let arguments = arguments
            .split_whitespace()
            .chain(std::iter::once(namespace.as_str()));
        self.cluster.kubectl.run_with(input, arguments).await
    }

    /// Applies as a user does.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl_with(yaml, "apply -f -").await?.ok()
    }

    /// What the API server says against `yaml`.
    pub async fn refusal(&self, yaml: &str) -> Result<String> {
        self.kubectl_with(yaml, "apply --dry-run=server -f -")
            .await?
            .refused()
    }

    /// Waits until `object` (`ttsd/greeter`) is Ready, with the command that users have for that.
    pub async fn wait_ready(&self, object: &str) -> Result<()> {
        let seconds = READY.as_secs();
        self.kubectl(&format!(
            "wait --for=condition=Ready --timeout={seconds}s {object}"
        ))
        .await?
        .ok()?;
        Ok(())
    }

    /// Waits until the condition `type_` of the object has `status`, and returns its reason and message.
    pub async fn wait_condition<K>(
        &self,
        name: &str,
        type_: &str,
        status: &str,
    ) -> Result<(String, String)>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Conditioned
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api = self.api::<K>();
        eventually(&format!("{name} has {type_}={status}"), READY, async || {
            let object = api.get(name).await?;
            let condition = object.expect(type_, status)?;
            Ok((condition.reason.clone(), condition.message.clone()))
        })
        .await
    }

    /// What kubectl prints of one field of `object` (`ttsd/greeter`); `path` is a JSON path such as `.spec.replicas`.
    pub async fn field(&self, object: &str, path: &str) -> Result<String> {
        self.kubectl(&format!("get {object} -o jsonpath={{{path}}}"))
            .await?
            .ok()
    }

    /// The uids of the server's pods that are not on their way out.
    pub async fn server_pods(&self) -> Result<BTreeSet<String>> {
        let pods = self
            .api::<Pod>()
            .list(&ListParams::default().labels("app.kubernetes.io/name=tts-server"))
            .await?;
        Ok(pods
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter_map(|pod| pod.metadata.uid)
            .collect())
    }

    /// The shortest deployment, `greeter` of the voice `rms`, when it serves.
    pub async fn greeter(&self) -> Result<()> {
        self.apply(&[builtin_voice("rms"), deployment("greeter", "rms")].concat())
            .await?;
        self.wait_ready("ttsd/greeter").await
    }

    /// For a failed test: what is there and what happened.
    async fn state(&self) -> String {
        let mut text = format!("in namespace {}", self.name);
        for arguments in [
            "get ttsv,ttsd,deployments,pods,jobs,services -o wide",
            "get ttsv,ttsd -o jsonpath={range.items[*]}{.kind}/{.metadata.name}:{.status.conditions}{\"\\n\"}{end}",
            "get events --sort-by=.lastTimestamp -o custom-columns=OBJECT:.involvedObject.name,TYPE:.type,REASON:.reason,MESSAGE:.message",
        ] {
            match self.kubectl(arguments).await {
                Ok(output) => {
                    text = format!(
                        "{text}\n$ {}\n{}{}",
                        output.command, output.stdout, output.stderr
                    );
                }
                Err(error) => text = format!("{text}\n{error:#}"),
            }
        }
        format!("{text}\n{}", operator::log_tail(&self.cluster).await)
    }
}

/// Five characters that no other run has, as far as it matters.
fn suffix() -> String {
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    format!("{:05x}", random & 0xf_ffff)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "the test panicked".to_owned())
}

/// `text` holds each of `parts`.
pub fn contains_all(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "expected {part:?} in:\n{text}");
    }
    Ok(())
}
