//! The nodes of the cluster and what runs on each of them, as a watch sees them. The right to read them is optional.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future;
use k8s_openapi::{
    api::{
        apps::v1::DaemonSet,
        core::v1::{Node, NodeStatus},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, ResourceExt as _, runtime::watcher};
use tokio::{sync::watch, time::timeout};

use crate::cache::{Cache, Change, News, Watched};

/// How long to wait at the start for the first list, or for the answer that there is none to be had.
const FIRST_LIST: Duration = Duration::from_secs(10);

/// What is known of the nodes. `None`: they cannot be read.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub nodes: Option<Vec<Node>>,
    pub daemon_sets: Option<Vec<DaemonSet>>,
}

/// Whether a kind can be read; `None` before the API server has answered.
type Readable = Option<bool>;

/// The watches of nodes and of what runs on each of them.
pub struct NodeWatch {
    nodes: Cache<Node>,
    daemon_sets: Cache<DaemonSet>,
    readable: watch::Sender<(Readable, Readable)>,
    changes: watch::Sender<u64>,
    known: Mutex<Option<Arc<Known>>>,
}

impl Default for NodeWatch {
    fn default() -> Self {
        Self {
            nodes: Cache::default(),
            daemon_sets: Cache::default(),
            readable: watch::Sender::new((None, None)),
            changes: watch::Sender::new(0),
            known: Mutex::default(),
        }
    }
}

impl NodeWatch {
    /// Watches forever.
    pub async fn watch(&self, client: &Client) {
        // A node reports that it lives every few minutes, which changes nothing.
        let (news_of_nodes, news_of_sets) = (News::default(), News::default());
        let nodes = self.nodes.watch(
            Api::all(client.clone()),
            watcher::Config::default(),
            slim_node,
            |change| self.changed(&change, &news_of_nodes, &self.nodes),
            |error| self.answered("nodes", error.is_none(), |readable| &mut readable.0),
        );
        let daemon_sets = self.daemon_sets.watch(
            Api::all(client.clone()),
            watcher::Config::default(),
            slim_daemon_set,
            |change| self.changed(&change, &news_of_sets, &self.daemon_sets),
            |error| self.answered("daemonsets", error.is_none(), |readable| &mut readable.1),
        );
        future::join(nodes, daemon_sets).await;
    }

    /// What is known now; at the start, once the API server has answered.
    pub async fn known(&self) -> Arc<Known> {
        let mut readable = self.readable.subscribe();
        let answered = readable.wait_for(|(nodes, sets)| nodes.is_some() && sets.is_some());
        // Without an answer nothing is known, which is planned with.
        let _ = timeout(FIRST_LIST, answered).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get_or_insert_with(|| {
                let (nodes, daemon_sets) = *self.readable.borrow();
                Arc::new(Known {
                    nodes: listed(nodes, &self.nodes),
                    daemon_sets: listed(daemon_sets, &self.daemon_sets),
                })
            })
            .clone()
    }

    /// Changes whenever nodes did.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn answered(
        &self,
        kind: &str,
        works: bool,
        of: impl Fn(&mut (Readable, Readable)) -> &mut Readable,
    ) {
        let changed = self.readable.send_if_modified(|readable| {
            let place = of(readable);
            // A watch that worked and fails now still has its list.
            let now = Some(works || *place == Some(true));
            std::mem::replace(place, now) != now
        });
        if changed {
            if !works {
                tracing::info!(
                    kind,
                    "cannot be read; planning with the classes of the settings"
                );
            }
            self.forget();
        }
    }

    fn changed<K: Watched + PartialEq>(
        &self,
        change: &Change<'_, K>,
        news: &News<K>,
        cache: &Cache<K>,
    ) {
        let is_news = match change {
            Change::Of(object) => news.is_news(object, cache.knows(object)),
            Change::Any => true,
        };
        if is_news {
            self.forget();
        }
    }

    fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.changes.send_modify(|changes| *changes += 1);
    }
}

/// In the order of their names.
fn listed<K: Watched>(readable: Readable, cache: &Cache<K>) -> Option<Vec<K>> {
    let mut objects: Vec<K> = cache
        .filter(|_| true)
        .iter()
        .map(|object| (**object).clone())
        .collect();
    objects.sort_by_key(|object| (object.namespace(), object.name_any()));
    (readable == Some(true)).then_some(objects)
}

/// What classes are made of.
fn slim_node(node: &mut Node) {
    slim_metadata(&mut node.metadata);
    if let Some(status) = node.status.take() {
        let mut conditions = status.conditions;
        for condition in conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        node.status = Some(NodeStatus {
            allocatable: status.allocatable,
            capacity: status.capacity,
            conditions,
            ..NodeStatus::default()
        });
    }
}

/// What its pods request, and where they run.
fn slim_daemon_set(set: &mut DaemonSet) {
    slim_metadata(&mut set.metadata);
    set.status = None;
    let template = set
        .spec
        .as_mut()
        .and_then(|spec| spec.template.spec.as_mut());
    for container in template.into_iter().flat_map(|pod| {
        pod.containers
            .iter_mut()
            .chain(pod.init_containers.iter_mut().flatten())
    }) {
        container.env = None;
        container.command = None;
        container.args = None;
        container.volume_mounts = None;
    }
}

fn slim_metadata(metadata: &mut ObjectMeta) {
    metadata.annotations = None;
    metadata.owner_references = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(version: &str, cpu: &str, heartbeat: &str) -> Node {
        let mut node: Node = serde_saphyr::from_str(&format!(
            "{{metadata: {{name: ash, uid: u, resourceVersion: '{version}'}}, status: {{allocatable: {{cpu: '{cpu}'}}, conditions: [{{type: Ready, status: 'True', lastHeartbeatTime: '{heartbeat}'}}]}}}}"
        ))
        .unwrap();
        slim_node(&mut node);
        node
    }

    #[test]
    fn a_heartbeat_is_no_news_and_a_size_and_the_end_are() {
        let news = News::default();
        assert!(news.is_news(&node("1", "4", "2026-01-01T00:00:00Z"), true));
        assert!(!news.is_news(&node("2", "4", "2026-01-01T00:05:00Z"), true));
        assert!(news.is_news(&node("3", "8", "2026-01-01T00:05:00Z"), true));
        // The last event of a node has it as it was.
        assert!(news.is_news(&node("4", "8", "2026-01-01T00:05:00Z"), false));
    }

    #[test]
    fn whoever_knew_the_nodes_learns_that_they_changed() {
        let nodes = NodeWatch::default();
        let before = *nodes.changes().borrow();
        nodes.changed(&Change::Any, &News::default(), &nodes.nodes);
        assert_eq!(*nodes.changes().borrow(), before + 1);
    }

    #[tokio::test]
    async fn without_rights_nothing_is_known_and_a_lost_watch_keeps_its_list() {
        let nodes = NodeWatch::default();
        nodes.answered("nodes", false, |readable| &mut readable.0);
        nodes.answered("daemonsets", true, |readable| &mut readable.1);
        let known = nodes.known().await;
        assert!(known.nodes.is_none());
        assert_eq!(known.daemon_sets.as_ref().map(Vec::len), Some(0));
        nodes.answered("nodes", true, |readable| &mut readable.0);
        assert!(nodes.known().await.nodes.is_some());
        nodes.answered("nodes", false, |readable| &mut readable.0);
        assert!(nodes.known().await.nodes.is_some());
    }
}
