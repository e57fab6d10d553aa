//! Where pods may run.
use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::v1alpha1::NodeToleration;

/// Where pods may run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.tolerations) || self.tolerations.all(t, t.operator == 'Exists' ? !has(t.value) : has(t.key))")
        .message("a toleration has a key, and a value unless its operator is Exists, which tolerates each value; correct placement.tolerations")
)]
pub struct Placement {
    /// Classes of nodes that pods may run on, as the operator names them or as its settings declare them; all when empty.
    /// Pods are planned for one class. Only with planned pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub node_classes: Vec<String>,

    /// Labels of the nodes that pods may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints of the nodes that pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<NodeToleration>,
}
