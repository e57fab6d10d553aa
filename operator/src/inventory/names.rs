//! Names of node classes.
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;

use super::{
    gpu::{self, Gpu},
    requests,
};
use crate::settings::node_classes::DeclaredClass;

/// A user's own name for the class of a node.
const CLASS: &str = "tts-operator.dev/node-class";
/// Labels with the cloud's name for the machine.
const INSTANCE_TYPES: [&str; 2] = [
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
];
/// What distributions write there instead, which says nothing about the machine.
const DISTRIBUTIONS: [&str; 7] = ["k0s", "k3d", "k3s", "kind", "kwok", "minikube", "rke2"];
const ARCH: &str = "kubernetes.io/arch";
/// What node feature discovery says of the CPU model.
const CPU_FEATURE: &str = "feature.node.kubernetes.io/cpu-model.";
const CPU_MODEL: [&str; 3] = ["vendor_id", "family", "id"];
/// Longest name: it can be the value of a label.
const MAX_LENGTH: usize = 63;

/// A class that a node belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Membership {
    pub class: String,
    /// Labels that tell its nodes from others, as far as labels do.
    pub labels: BTreeMap<String, String>,
    pub gpu: Option<Gpu>,
    /// Why the server cannot use the node's GPUs, where the class is one of GPUs.
    pub unsupported: Option<String>,
    /// What is to be said about it.
    pub remark: Option<String>,
}

/// The classes of a node: one, or one for each size of MIG devices.
pub(super) fn memberships(node: &Node, declared: &[DeclaredClass]) -> Vec<Membership> {
    let devices = gpu::of(node);
    if let Some((class, labels)) = given(node, declared) {
        return vec![Membership {
            labels,
            ..named(class, devices)
        }];
    }
    let labels = identity(node, devices.as_ref());
    let Some(devices) = devices else {
        let class = instance_type(node).map_or_else(|| by_cpu(node), normalise);
        return vec![Membership {
            class,
            labels,
            gpu: None,
            unsupported: None,
            remark: None,
        }];
    };
    let base = devices
        .product
        .or_else(|| instance_type(node).map(normalise))
        .unwrap_or_else(|| format!("{}-gpu", by_cpu(node)));
    let kinds = devices.kinds.into_iter();
    kinds
        .map(|(gpu, suffix)| Membership {
            class: with_suffix(&base, &suffix),
            labels: labels.clone(),
            gpu: Some(gpu),
            unsupported: devices.unsupported.clone(),
            remark: None,
        })
        .collect()
}

/// The labels that a class without a given name is told by.
fn identity(node: &Node, devices: Option<&gpu::Devices>) -> BTreeMap<String, String> {
    let labels = node.labels();
    let with = |names: &[String]| -> BTreeMap<String, String> {
        let found = names.iter().filter_map(|name| {
            let value = labels.get(name).filter(|value| !value.is_empty())?;
            Some((name.clone(), value.clone()))
        });
        found.collect()
    };
    let mut names: Vec<String> = Vec::new();
    if devices.is_some_and(|devices| devices.product.is_some()) {
        names.extend(gpu::PRODUCTS.map(str::to_owned));
        let product = with(&names).into_iter().next();
        return product.into_iter().collect();
    }
    if instance_type(node).is_some() {
        let name = INSTANCE_TYPES
            .iter()
            .find(|name| labels.get(**name).is_some_and(|value| !value.is_empty()));
        return with(
            &name
                .map(|name| (*name).to_owned())
                .into_iter()
                .collect::<Vec<_>>(),
        );
    }
    names.push(ARCH.to_owned());
    if cpu_model(node).is_some() {
        names.extend(CPU_MODEL.map(|part| format!("{CPU_FEATURE}{part}")));
    }
    with(&names)
}

/// The user's own label, else the first declared class whose selector matches; and the labels it is told by.
fn given<'a>(
    node: &'a Node,
    declared: &'a [DeclaredClass],
) -> Option<(&'a str, BTreeMap<String, String>)> {
    let labels = node.labels();
    let own = labels.get(CLASS).filter(|class| !class.is_empty());
    let matches = |class: &&DeclaredClass| {
        !class.selector.is_empty()
            && class
                .selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    };
    if let Some(class) = own {
        let label = BTreeMap::from([(CLASS.to_owned(), class.clone())]);
        return Some((class, label));
    }
    let class = declared.iter().find(matches)?;
    Some((&class.name, class.selector.clone()))
}

/// A class with a name that somebody gave. GPUs that the server cannot use do not exclude it: its CPUs can serve.
fn named(class: &str, devices: Option<gpu::Devices>) -> Membership {
    let class = class.to_owned();
    let Some(devices) = devices else {
        return Membership {
            class,
            labels: BTreeMap::new(),
            gpu: None,
            unsupported: None,
            remark: None,
        };
    };
    if let Some(reason) = devices.unsupported {
        return Membership {
            class,
            labels: BTreeMap::new(),
            gpu: None,
            unsupported: None,
            remark: Some(format!("GPUs are not used: {reason}")),
        };
    }
    let mut kinds = devices.kinds.into_iter().map(|(gpu, _)| gpu);
    let gpu = kinds.next();
    let others: Vec<String> = kinds.map(|other| other.resource).collect();
    let remark = (!others.is_empty()).then(|| {
        let used = gpu.as_ref().map_or("", |gpu| gpu.resource.as_str());
        format!(
            "only {used} is used, not {}: without a name of its own, a node has a class for each",
            others.join(", ")
        )
    });
    Membership {
        class,
        labels: BTreeMap::new(),
        gpu,
        unsupported: None,
        remark,
    }
}

fn instance_type(node: &Node) -> Option<&str> {
    let labels = node.labels();
    let kind = INSTANCE_TYPES.iter().find_map(|name| {
        let value = labels.get(*name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    });
    kind.filter(|kind| !DISTRIBUTIONS.contains(kind))
}

/// Architecture, CPU model where node feature discovery says it, and size.
fn by_cpu(node: &Node) -> String {
    let labels = node.labels();
    let arch = labels
        .get(ARCH)
        .filter(|arch| !arch.is_empty())
        .map_or("unknown", String::as_str);
    let model = cpu_model(node).map_or_else(String::new, |model| format!("-{model}"));
    normalise(&format!("{arch}{model}-{}-cpu", size(node)))
}

/// Vendor, family and number of the CPU model.
pub(super) fn cpu_model(node: &Node) -> Option<String> {
    let part = |name: &str| {
        let name = format!("{CPU_FEATURE}{name}");
        node.labels().get(&name).filter(|value| !value.is_empty())
    };
    let [vendor, family, id] = CPU_MODEL.map(part);
    Some(format!("{}-{}-{}", vendor?, family?, id?))
}

/// Cores of the machine, whole; those for pods where it does not say.
fn size(node: &Node) -> u64 {
    let status = node.status.as_ref();
    let of = |resources| requests::quantity(resources, "cpu");
    let capacity = of(status.and_then(|status| status.capacity.as_ref()));
    let cpu = capacity.or_else(|| of(status.and_then(|status| status.allocatable.as_ref())));
    cpu.map_or(0, |cpu| cpu.milli().div_ceil(1000))
}

/// Lower-case letters, digits and single `-`, as the value of a label may be.
pub(super) fn normalise(name: &str) -> String {
    let mut normalised = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            normalised.push(character.to_ascii_lowercase());
        } else if !normalised.is_empty() && !normalised.ends_with('-') {
            normalised.push('-');
        }
    }
    cut(&normalised, MAX_LENGTH).to_owned()
}

fn with_suffix(base: &str, suffix: &str) -> String {
    let suffix = cut(suffix, MAX_LENGTH - 1);
    format!("{}{suffix}", cut(base, MAX_LENGTH - suffix.len()))
}

/// At most so many of its (ASCII) characters, without a `-` at the end.
fn cut(name: &str, length: usize) -> &str {
    name.get(..length).unwrap_or(name).trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(labels: &str, declared: &[DeclaredClass]) -> Vec<String> {
        let node = format!(
            "{{metadata: {{labels: {{{labels}}}}}, status: {{allocatable: {{cpu: 3920m, nvidia.com/gpu: '0'}}}}}}"
        );
        let node = node.replace(
            ", nvidia.com/gpu: '0'",
            if labels.contains("nvidia") {
                ", nvidia.com/gpu: '1'"
            } else {
                ""
            },
        );
        let memberships = memberships(&serde_saphyr::from_str(&node).unwrap(), declared);
        memberships
            .into_iter()
            .map(|membership| membership.class)
            .collect()
    }

    #[test]
    fn classes_come_from_the_most_specific_label() {
        let nfd = "feature.node.kubernetes.io/cpu-model.vendor_id: AMD, feature.node.kubernetes.io/cpu-model.family: '25', feature.node.kubernetes.io/cpu-model.id: '1', kubernetes.io/arch: amd64";
        for (labels, class) in [
            (
                "tts-operator.dev/node-class: Strong.1, node.kubernetes.io/instance-type: m6i.large",
                "Strong.1",
            ),
            (
                "nvidia.com/gpu.product: Tesla-T4, node.kubernetes.io/instance-type: g4dn.xlarge",
                "nvidia-t4",
            ),
            ("node.kubernetes.io/instance-type: m6i.large", "m6i-large"),
            (
                "beta.kubernetes.io/instance-type: Standard_D4s_v5",
                "standard-d4s-v5",
            ),
            (
                "node.kubernetes.io/instance-type: k3s, kubernetes.io/arch: arm64",
                "arm64-4-cpu",
            ),
            (nfd, "amd64-amd-25-1-4-cpu"),
            ("kubernetes.io/arch: amd64", "amd64-4-cpu"),
            ("nvidia.com/gpu.present: 'true'", "unknown-4-cpu-gpu"),
            ("", "unknown-4-cpu"),
        ] {
            assert_eq!(classes(labels, &[]), [class], "{labels}");
        }
    }

    #[test]
    fn a_declared_class_takes_the_nodes_that_its_selector_matches() {
        let declared = |name: &str, selector: &str| -> DeclaredClass {
            serde_saphyr::from_str(&format!(
                "{{name: {name}, selector: {{{selector}}}, cpu: 4, memory: 8Gi, maxNodes: 2}}"
            ))
            .unwrap()
        };
        let declared = [
            declared("both", "pool: a, size: large"),
            declared("first", "pool: a"),
            declared("nothing", ""),
        ];
        assert_eq!(classes("pool: a, size: large", &declared), ["both"]);
        assert_eq!(classes("pool: a", &declared), ["first"]);
        assert_eq!(
            classes("pool: a, tts-operator.dev/node-class: own", &declared),
            ["own"]
        );
        assert_eq!(classes("pool: b", &declared), ["unknown-4-cpu"]);
    }

    #[test]
    fn names_can_be_the_value_of_a_label() {
        assert_eq!(normalise("--Standard__D4s..v5--"), "standard-d4s-v5");
        assert_eq!(normalise(&"x".repeat(80)), "x".repeat(63));
        assert_eq!(normalise(&format!("{}.y", "x".repeat(62))), "x".repeat(62));
        let long = with_suffix(&"x".repeat(63), "-shared-4");
        assert_eq!(long, format!("{}-shared-4", "x".repeat(54)));
    }
}
