//! The API server's audit log: who wrote what.
use std::{fmt, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::{Cluster, Namespace};

/// A place in the audit log.
pub struct Audit {
    path: PathBuf,
    offset: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

impl Audit {
    /// From now on; absent for a cluster that keeps its audit log elsewhere.
    pub async fn from_now(cluster: &Cluster) -> Result<Option<Self>> {
        let Some(path) = cluster.audit_log() else {
            return Ok(None);
        };
        let offset = tokio::fs::metadata(&path)
            .await
            .with_context(|| format!("the cluster has no audit log at {}", path.display()))?
            .len();
        Ok(Some(Self { path, offset }))
    }

    /// What `user` wrote since then, as `verb namespace/resource name`, patches that changed nothing included.
    /// Renewals of a Lease do not count, keeping it is the point of it; nor do other tests' namespaces.
    pub async fn writes_by(&self, user: &str, namespace: &Namespace) -> Result<Vec<String>> {
        Ok(writes(&self.read().await?, user)
            .filter(|write| {
                !write.is_lease() && !namespace.is_of_another_test(&write.object.namespace)
            })
            .map(|write| write.to_string())
            .collect())
    }

    /// How often `user` wrote a Lease since then.
    pub async fn renewals_by(&self, user: &str) -> Result<usize> {
        Ok(writes(&self.read().await?, user)
            .filter(Write::is_lease)
            .count())
    }

    async fn read(&self) -> Result<String> {
        let mut file = tokio::fs::File::open(&self.path).await?;
        file.seek(std::io::SeekFrom::Start(self.offset)).await?;
        let mut text = String::new();
        file.read_to_string(&mut text).await?;
        Ok(text)
    }
}

struct Write {
    verb: String,
    object: ObjectRef,
}

impl Write {
    fn is_lease(&self) -> bool {
        self.object.resource == "leases"
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectRef {
            resource,
            subresource,
            namespace,
            name,
        } = &self.object;
        write!(f, "{} {namespace}/{resource} {name}", self.verb)?;
        if subresource.is_empty() {
            Ok(())
        } else {
            write!(f, " {subresource}")
        }
    }
}

fn writes(log: &str, user: &str) -> impl Iterator<Item = Write> {
    log.lines()
        // The last line may still be being written.
        .filter_map(|line| serde_json::from_str::<Event>(line).ok())
        .filter(move |event| event.stage == "ResponseComplete" && event.user.username == user)
        .filter(|event| !["get", "list", "watch"].contains(&event.verb.as_str()))
        .map(|event| Write {
            verb: event.verb,
            object: event.object_ref.unwrap_or_default(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_others_do_not_count() {
        let line = |user: &str, verb: &str, resource: &str| {
            serde_json::json!({
                "stage": "ResponseComplete", "verb": verb, "user": {"username": user},
                "objectRef": {"resource": resource, "namespace": "speech", "name": "greeter"},
            })
            .to_string()
        };
        let log = [
            line("ours", "watch", "services"),
            line("ours", "update", "leases"),
            line("other", "patch", "services"),
            line("ours", "patch", "deployments"),
            "{\"stage\": \"Resp".to_owned(),
        ]
        .join("\n");
        let written: Vec<_> = writes(&log, "ours")
            .map(|write| (write.to_string(), write.is_lease()))
            .collect();
        assert_eq!(
            written,
            [
                ("update speech/leases greeter".to_owned(), true),
                ("patch speech/deployments greeter".to_owned(), false),
            ]
        );
    }
}
