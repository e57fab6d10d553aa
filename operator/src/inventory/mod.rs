//! The inventory: node classes from what the cluster says about its nodes. Nodes of one class are interchangeable for a measurement
//! and for a plan.
//!
//! [`inventory`] is pure: lists in, classes out, whatever the order of the lists. What classes are named after and what is
//! subtracted is in docs/inventory.md.
mod class;
mod daemon_sets;
mod gpu;
mod names;
mod occupancy;
mod quota;
mod requests;
mod state;
mod taints;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, Pod, PodSpec, Toleration},
};
use kube::ResourceExt as _;
use serde::Serialize;
use tts_planner::Promised;

pub use class::{Class, Member};
pub use gpu::{Gpu, NVIDIA};
pub use occupancy::{Occupancy, occupancy};
pub use quota::{NamespaceLimits, Taken, namespace_limits, taken};
pub use requests::Amount;
pub use state::Obstacle;

use crate::settings::node_classes::NodeClassSettings;

/// What the API server lists. `None`: the operator may not read it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lists<'a> {
    pub nodes: Option<&'a [Node]>,
    pub daemon_sets: Option<&'a [DaemonSet]>,
    pub pods: Option<&'a [Pod]>,
    /// Namespace and name of the deployment that the capacity is for: the pods of others count as taken. `None`: no pods of
    /// ours do.
    pub deployment: Option<(&'a str, &'a str)>,
}

/// The node classes that there are or could be, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    pub classes: Vec<Class>,
    /// What a reader has to know about all of it.
    pub remarks: Vec<String>,
}

impl Inventory {
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.name == name)
    }

    /// What the planner gets, for a deployment with these tolerations.
    pub fn for_planner(&self, tolerations: &[Toleration]) -> Vec<tts_planner::NodeClass> {
        self.classes
            .iter()
            .map(|class| class.for_planner(tolerations))
            .collect()
    }
}

/// Groups nodes into classes, adds those that are declared, and says what is odd.
pub fn inventory(lists: Lists<'_>, settings: NodeClassSettings<'_>) -> Inventory {
    let mut members: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    let mut remarks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut pods: BTreeMap<&str, Vec<(&Pod, &PodSpec)>> = BTreeMap::new();
    for (node, pod, spec) in occupancy::running(lists.pods.unwrap_or_default()) {
        pods.entry(node).or_default().push((pod, spec));
    }
    for node in lists.nodes.unwrap_or_default() {
        let memberships = names::memberships(node, settings.classes);
        let on_node = pods.get(node.name_any().as_str());
        let on_node = on_node.map(Vec::as_slice).unwrap_or_default();
        let offered = offered(node, lists.daemon_sets.unwrap_or_default(), on_node);
        let classes: Vec<String> = memberships.iter().map(|of| of.class.clone()).collect();
        for membership in memberships {
            let notes = remarks.entry(membership.class.clone()).or_default();
            notes.extend(membership.remark.clone());
            let others = classes.iter().filter(|class| **class != membership.class);
            notes.extend(others.map(|other| {
                format!(
                    "its nodes are also of the class {other}: cores and memory that one uses the other has not"
                )
            }));
            let taken = taken_by_others(on_node, &membership, lists);
            let class = membership.class.clone();
            let member = Member::new(node, membership, offered, taken);
            members.entry(class).or_default().push(member);
        }
    }
    let mut names: BTreeSet<&String> = members.keys().collect();
    names.extend(settings.classes.iter().map(|declared| &declared.name));
    let classes: Vec<Class> = names
        .into_iter()
        .map(|name| {
            let declared = settings.classes.iter().find(|class| class.name == *name);
            let declared = declared.map(|class| {
                let offered = class.offers().minus(daemon_sets::requests(
                    lists.daemon_sets.unwrap_or_default(),
                    &class.as_node(),
                ));
                (class, offered)
            });
            Class::new(
                name,
                members.get(name).cloned().unwrap_or_default(),
                declared,
                settings.prices.get(name).copied(),
                remarks.get(name).cloned().unwrap_or_default(),
            )
        })
        .collect();
    let remarks = general_remarks(lists, settings, &classes);
    Inventory { classes, remarks }
}

/// What a node offers to pods, after those that run on every node.
fn offered(node: &Node, daemon_sets: &[DaemonSet], pods: &[(&Pod, &PodSpec)]) -> Amount {
    let status = node.status.as_ref();
    let allocatable = Amount::of(status.and_then(|status| status.allocatable.as_ref()));
    let fixed = pods
        .iter()
        .filter(|(pod, _)| daemon_sets::is_static(pod))
        .fold(Amount::default(), |sum, (_, spec)| {
            sum.plus(requests::of_pod(spec))
        });
    allocatable
        .minus(fixed)
        .minus(daemon_sets::requests(daemon_sets, node))
}

/// What pods on a node request that are neither this operator's, or of the deployment in question, nor subtracted already.
fn taken_by_others(
    pods: &[(&Pod, &PodSpec)],
    membership: &names::Membership,
    lists: Lists<'_>,
) -> Promised {
    let daemon_sets = lists.daemon_sets.is_some();
    let resource = membership.gpu.as_ref().map(|gpu| gpu.resource.as_str());
    let mut amount = Amount::default();
    let mut gpus: u32 = 0;
    for (_, spec) in pods.iter().filter(|(pod, _)| {
        !occupancy::is_own(pod, lists.deployment) && !occupancy::is_subtracted(pod, daemon_sets)
    }) {
        amount = amount.plus(requests::of_pod(spec));
        let devices = resource.map_or(0, |resource| requests::devices(spec, resource));
        gpus = gpus.saturating_add(devices);
    }
    Promised {
        cpu: amount.cores(),
        memory: amount.mebibytes(),
        gpus,
    }
}

fn general_remarks(
    lists: Lists<'_>,
    settings: NodeClassSettings<'_>,
    classes: &[Class],
) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut unread = |list: bool, text: &str| {
        if !list {
            remarks.push(text.to_owned());
        }
    };
    unread(
        lists.nodes.is_some(),
        "the nodes could not be read: only declared classes are known; allow the operator to list nodes",
    );
    unread(
        lists.daemon_sets.is_some(),
        "the DaemonSets could not be read: nothing is subtracted for their pods; allow the operator to list daemonsets",
    );
    unread(
        lists.pods.is_some(),
        "the pods could not be read: nothing is subtracted for static pods, and what others request is not known; allow the operator to list pods",
    );
    let unknown: Vec<&str> = settings
        .prices
        .keys()
        .filter(|name| !classes.iter().any(|class| class.name == **name))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() && lists.nodes.is_some() {
        remarks.push(format!(
            "prices name classes that there are not: {}",
            unknown.join(", ")
        ));
    }
    remarks
}

/// Why a pod with these tolerations cannot be scheduled to a member of a class; `None` if it can.
pub fn unusable(member: &Member, tolerations: &[Toleration]) -> Option<String> {
    if let Some(obstacle) = &member.obstacle {
        return Some(obstacle.to_string());
    }
    member
        .taints
        .iter()
        .find(|taint| !taints::tolerated(taint, tolerations))
        .map(|taint| format!("taint {}", taints::text(taint)))
}
