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
        self.requests(user, namespace, Request::is_write).await
    }

    /// Likewise, with what `user` read; watches do not count.
    pub async fn requests_by(&self, user: &str, namespace: &Namespace) -> Result<Vec<String>> {
        self.requests(user, namespace, |_| true).await
    }

    async fn requests(
        &self,
        user: &str,
        namespace: &Namespace,
        wanted: impl Fn(&Request) -> bool,
    ) -> Result<Vec<String>> {
        Ok(requests(&self.read().await?, user)
            .filter(|request| {
                wanted(request)
                    && !request.is_lease()
                    && !namespace.is_of_another_test(&request.object.namespace)
            })
            .map(|request| request.to_string())
            .collect())
    }

    /// How often `user` wrote a Lease since then.
    pub async fn renewals_by(&self, user: &str) -> Result<usize> {
        Ok(requests(&self.read().await?, user)
            .filter(|request| request.is_write() && request.is_lease())
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

struct Request {
    verb: String,
    object: ObjectRef,
}

impl Request {
    fn is_write(&self) -> bool {
        !["get", "list"].contains(&self.verb.as_str())
    }

    fn is_lease(&self) -> bool {
        self.object.resource == "leases"
    }
}

impl fmt::Display for Request {
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

/// All but watches.
fn requests(log: &str, user: &str) -> impl Iterator<Item = Request> {
    log.lines()
        // The last line may still be being written.
        .filter_map(|line| serde_json::from_str::<Event>(line).ok())
        .filter(move |event| event.stage == "ResponseComplete" && event.user.username == user)
        .filter(|event| event.verb != "watch")
        .map(|event| Request {
            verb: event.verb,
            object: event.object_ref.unwrap_or_default(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_and_others_do_not_count_and_reads_are_told_from_writes() {
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
            line("ours", "get", "services"),
            line("ours", "patch", "deployments"),
            "{\"stage\": \"Resp".to_owned(),
        ]
        .join("\n");
        let seen: Vec<_> = requests(&log, "ours")
            .map(|request| (request.to_string(), request.is_lease(), request.is_write()))
            .collect();
        assert_eq!(
            seen,
            [
                ("update speech/leases greeter".to_owned(), true, true),
                ("get speech/services greeter".to_owned(), false, false),
                ("patch speech/deployments greeter".to_owned(), false, true),
            ]
        );
    }
}
