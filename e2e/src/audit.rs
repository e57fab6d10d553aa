//! The API server's audit log: who wrote what.
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::Cluster;

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

    /// What `user` wrote since then, as `verb resource/name`, patches that changed nothing included. Renewals of
    /// a Lease do not count: keeping it is the point of it.
    pub async fn writes_by(&self, user: &str) -> Result<Vec<String>> {
        let mut file = tokio::fs::File::open(&self.path).await?;
        file.seek(std::io::SeekFrom::Start(self.offset)).await?;
        let mut text = String::new();
        file.read_to_string(&mut text).await?;
        Ok(writes(&text, user))
    }
}

fn writes(log: &str, user: &str) -> Vec<String> {
    log.lines()
        // The last line may still be being written.
        .filter_map(|line| serde_json::from_str::<Event>(line).ok())
        .filter(|event| event.stage == "ResponseComplete" && event.user.username == user)
        .filter(|event| !["get", "list", "watch"].contains(&event.verb.as_str()))
        .filter_map(|event| {
            let object = event.object_ref.unwrap_or_default();
            (object.resource != "leases").then(|| {
                format!(
                    "{} {}/{} {} {}",
                    event.verb, object.namespace, object.resource, object.name, object.subresource
                )
                .trim_end()
                .to_owned()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_leases_and_others_do_not_count() {
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
        assert_eq!(writes(&log, "ours"), ["patch speech/deployments greeter"]);
    }
}
