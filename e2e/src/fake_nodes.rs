//! Nodes that are objects only: no kubelet stands behind them, so pods that the scheduler places there never start. For what can be
//! seen of nodes without running on them.
use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::interval};

use crate::Cluster;

/// Label of every such node, and the taint that keeps all pods off that do not ask for it.
pub const FAKE: &str = "e2e.tts-operator.dev/fake-node";
/// Label with the class of a node.
const CLASS: &str = "tts-operator.dev/node-class";
/// More often than the node controller loses patience.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Fake nodes, which report that they live until they are dropped.
pub struct FakeNodes {
    client: Client,
    heartbeat: JoinHandle<()>,
}

impl FakeNodes {
    pub fn new(cluster: &Cluster) -> Self {
        let client = cluster.client.clone();
        let heartbeat = tokio::spawn(live(client.clone()));
        Self { client, heartbeat }
    }

    /// A ready node of this class.
    pub async fn add(&self, name: &str, class: &str, cpu: &str, memory: &str) -> Result<()> {
        let nodes = Api::<Node>::all(self.client.clone());
        let labels = BTreeMap::from([
            (FAKE, "true"),
            (CLASS, class),
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/hostname", name),
        ]);
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": [{"key": FAKE, "value": "true", "effect": "NoSchedule"}]},
        }))?;
        nodes
            .create(&PostParams::default(), &node)
            .await
            .with_context(|| format!("cannot create the node {name}"))?;
        let resources =
            json!({"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"});
        let mut status = ready();
        status["status"]["capacity"] = resources.clone();
        status["status"]["allocatable"] = resources;
        patch(&nodes, name, &status).await?;
        // The node controller taints what is new, until it has seen it ready.
        crate::eventually(
            "the fake node takes pods",
            Duration::from_secs(30),
            async || {
                let node = nodes.get(name).await?;
                let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
                anyhow::ensure!(taints.iter().all(|taint| taint.key == FAKE), "{taints:?}");
                Ok(())
            },
        )
        .await
    }

    pub async fn remove(&self, name: &str) -> Result<()> {
        let nodes = Api::<Node>::all(self.client.clone());
        nodes.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Deletes all that there are; pods on them are garbage-collected.
    pub async fn clear(self) -> Result<()> {
        self.heartbeat.abort();
        let nodes = Api::<Node>::all(self.client.clone());
        nodes
            .delete_collection(
                &DeleteParams::default(),
                &ListParams::default().labels(FAKE),
            )
            .await?;
        Ok(())
    }
}

async fn live(client: Client) {
    let nodes = Api::<Node>::all(client);
    let mut ticks = interval(HEARTBEAT);
    loop {
        ticks.tick().await;
        let Ok(found) = nodes.list(&ListParams::default().labels(FAKE)).await else {
            continue;
        };
        for node in found {
            // One that was just deleted has nothing to report.
            let _ = patch(&nodes, &node.name_any(), &ready()).await;
        }
    }
}

fn ready() -> Value {
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    json!({"status": {"conditions": [{
        "type": "Ready", "status": "True", "reason": "Fake", "message": "this node is fake",
        "lastHeartbeatTime": now,
    }]}})
}

async fn patch(nodes: &Api<Node>, name: &str, status: &Value) -> Result<()> {
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Strategic(status))
        .await?;
    Ok(())
}
