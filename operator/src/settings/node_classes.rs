//! Classes of nodes that an autoscaler would create, and prices.
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use k8s_openapi::api::core::v1::{Node, Taint};
use kube::core::ObjectMeta;
use serde::{Deserialize, Deserializer};
use tts_crds::quantity::Quantity;
use tts_planner::CpuManager;

use crate::inventory::{Amount, Gpu, NVIDIA};

const MAX_CLASSES: usize = 64;
const MAX_PRICES: usize = 256;
const MAX_LABELS: usize = 16;
const MAX_TAINTS: usize = 16;
/// Longest value of a label.
const MAX_NAME: usize = 63;
/// Thousandths of cores.
const CPU: RangeInclusive<u64> = 100..=1_024_000;
/// 64 Mi to 64 Ti.
const MEMORY: RangeInclusive<u64> = 64 << 20..=64 << 40;
const MAX_GPUS: u32 = 64;
/// As many as Kubernetes supports in a cluster.
const MAX_NODES: u32 = 5_000;
/// A day.
const MAX_PROVISIONING: u32 = 86_400;
const MAX_PRICE: f64 = 1e6;

/// A class of nodes: a pool that an autoscaler grows, or a name for nodes that there are.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeclaredClass {
    pub name: String,
    /// Labels of its nodes. Without them, nodes belong to it that get its name otherwise.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
    /// What one node offers to pods (`allocatable`), before `DaemonSets`.
    #[serde(deserialize_with = "written")]
    cpu: String,
    #[serde(deserialize_with = "written")]
    memory: String,
    /// GPUs of one node.
    #[serde(default)]
    gpus: u32,
    /// The most nodes that there can be.
    pub max_nodes: u32,
    #[serde(default)]
    pub price_per_hour: Option<f64>,
    /// Until a new node is ready.
    #[serde(default)]
    pub provisioning_seconds: u32,
    /// The kubelet's policy; without it, what labels say.
    #[serde(default)]
    pub cpu_manager: Option<CpuManager>,
    #[serde(default)]
    taints: Vec<DeclaredTaint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeclaredTaint {
    key: String,
    #[serde(default)]
    value: Option<String>,
    effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, strum::IntoStaticStr)]
enum Effect {
    NoSchedule,
    NoExecute,
    PreferNoSchedule,
}

/// A quantity as written: its range is checked where its place is known.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "write a quantity, such as 8, 7500m or 32Gi")]
    enum Written {
        Integer(u64),
        Number(f64),
        Text(String),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Integer(value) => value.to_string(),
        Written::Number(value) => value.to_string(),
        Written::Text(text) => text,
    })
}

impl DeclaredClass {
    /// What one node offers, before `DaemonSets`.
    pub(crate) fn offers(&self) -> Amount {
        let parse = |text| Quantity::parse(text).ok();
        Amount {
            milli: parse(&self.cpu).map_or(0, |cpu| cpu.milli()),
            bytes: parse(&self.memory).map_or(0, |memory| memory.bytes()),
        }
    }

    pub(crate) fn gpu(&self) -> Option<Gpu> {
        (self.gpus > 0).then(|| Gpu {
            resource: NVIDIA.to_owned(),
            slots: self.gpus,
            pods_per_gpu: 1,
        })
    }

    /// Taints that keep pods off.
    pub(crate) fn taints(&self) -> Vec<Taint> {
        let taints = self.taints.iter();
        taints
            .filter(|taint| taint.effect != Effect::PreferNoSchedule)
            .map(|taint| Taint {
                key: taint.key.clone(),
                value: taint.value.clone(),
                effect: <&str>::from(taint.effect).to_owned(),
                time_added: None,
            })
            .collect()
    }

    /// A node as it would be, as far as is known, to see which `DaemonSets` would run there: they often select Linux and a
    /// usual architecture.
    pub(crate) fn as_node(&self) -> Node {
        let mut labels = self.selector.clone();
        for (key, usual) in [
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
        ] {
            labels
                .entry(key.to_owned())
                .or_insert_with(|| usual.to_owned());
        }
        if self.gpus > 0 {
            // What GPU feature discovery would write, and the DaemonSets of the GPU operator select.
            labels
                .entry("nvidia.com/gpu.present".to_owned())
                .or_insert_with(|| "true".to_owned());
        }
        let mut node = Node {
            metadata: ObjectMeta {
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            ..Node::default()
        };
        node.spec.get_or_insert_default().taints = Some(self.taints());
        node
    }
}

/// What the settings say about node classes.
#[derive(Clone, Copy, Debug)]
pub struct NodeClassSettings<'a> {
    pub classes: &'a [DeclaredClass],
    /// Price of a node per hour by the name of its class, for classes that are not declared. In any one currency.
    pub prices: &'a BTreeMap<String, f64>,
}

/// What is wrong with `nodeClasses` or `prices`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("nodeClasses has {0} entries; write at most {MAX_CLASSES}")]
    TooManyClasses(usize),
    #[error("prices has {0} entries; write at most {MAX_PRICES}")]
    TooManyPrices(usize),
    #[error("nodeClasses[{index}].{field} is {value}; write {help}")]
    Field {
        index: usize,
        field: &'static str,
        value: String,
        help: String,
    },
    #[error(
        "nodeClasses[{first}] and nodeClasses[{second}] have the same {field}; write each class once"
    )]
    Twice {
        first: usize,
        second: usize,
        field: &'static str,
    },
    #[error("prices[{class:?}] is {price}; write a price per hour of 0 to {MAX_PRICE}")]
    Price { class: String, price: f64 },
    #[error("prices has {class:?}, which is not the name of a node class; {NAME_HELP}")]
    PriceName { class: String },
    #[error(
        "prices[{class:?}] and nodeClasses[{index}].pricePerHour are both set; remove one of them"
    )]
    TwoPrices { class: String, index: usize },
}

const NAME_HELP: &str =
    "write 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends";

impl NodeClassSettings<'_> {
    /// Price of a node of this class per hour, if that is known.
    pub fn price(&self, class: &str) -> Option<f64> {
        let declared = self.classes.iter().find(|declared| declared.name == class);
        declared
            .and_then(|declared| declared.price_per_hour)
            .or_else(|| self.prices.get(class).copied())
    }

    /// The first rule that does not hold.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.classes.len() > MAX_CLASSES {
            return Err(Error::TooManyClasses(self.classes.len()));
        }
        if self.prices.len() > MAX_PRICES {
            return Err(Error::TooManyPrices(self.prices.len()));
        }
        for (index, class) in self.classes.iter().enumerate() {
            check(index, class)?;
            for (first, other) in self.classes[..index].iter().enumerate() {
                let twice = |field| Error::Twice {
                    first,
                    second: index,
                    field,
                };
                if other.name == class.name {
                    return Err(twice("name"));
                }
                if other.selector == class.selector && !class.selector.is_empty() {
                    return Err(twice("selector"));
                }
            }
            if class.price_per_hour.is_some() && self.prices.contains_key(&class.name) {
                return Err(Error::TwoPrices {
                    class: class.name.clone(),
                    index,
                });
            }
        }
        for (class, price) in self.prices {
            if !is_name(class) {
                return Err(Error::PriceName {
                    class: class.clone(),
                });
            }
            if !is_price(*price) {
                return Err(Error::Price {
                    class: class.clone(),
                    price: *price,
                });
            }
        }
        Ok(())
    }
}

fn check(index: usize, class: &DeclaredClass) -> Result<(), Error> {
    let field = |field, value: String, help: String| {
        Err(Error::Field {
            index,
            field,
            value,
            help,
        })
    };
    if !is_name(&class.name) {
        let help = NAME_HELP.trim_start_matches("write ").to_owned();
        return field("name", format!("{:?}", class.name), help);
    }
    if class.selector.len() > MAX_LABELS {
        let value = format!("{} labels", class.selector.len());
        return field("selector", value, format!("at most {MAX_LABELS}"));
    }
    if let Some((key, value)) = class
        .selector
        .iter()
        .find(|(key, value)| !is_key(key) || !value.is_empty() && !is_name(value))
    {
        let help = "labels of nodes, such as karpenter.sh/nodepool: speech".to_owned();
        return field("selector", format!("{key}: {value}"), help);
    }
    let milli = Quantity::parse(&class.cpu).map_or(0, |cpu| cpu.milli());
    if !CPU.contains(&milli) {
        let help = "the cores that a node offers to pods, 100m to 1024, such as 7500m".to_owned();
        return field("cpu", format!("{:?}", class.cpu), help);
    }
    let bytes = Quantity::parse(&class.memory).map_or(0, |memory| memory.bytes());
    if !MEMORY.contains(&bytes) {
        let help = "the memory that a node offers to pods, 64Mi to 64Ti, such as 28Gi".to_owned();
        return field("memory", format!("{:?}", class.memory), help);
    }
    if class.gpus > MAX_GPUS {
        let help = format!("the GPUs of one node, 0 to {MAX_GPUS}");
        return field("gpus", class.gpus.to_string(), help);
    }
    if !(1..=MAX_NODES).contains(&class.max_nodes) {
        let help =
            format!("the most nodes that there can be, 1 to {MAX_NODES}, or remove the class");
        return field("maxNodes", class.max_nodes.to_string(), help);
    }
    if let Some(price) = class.price_per_hour.filter(|price| !is_price(*price)) {
        let help = format!("a price per hour of 0 to {MAX_PRICE}");
        return field("pricePerHour", price.to_string(), help);
    }
    if class.provisioning_seconds > MAX_PROVISIONING {
        let help = format!("the seconds until a new node is ready, 0 to {MAX_PROVISIONING}");
        return field(
            "provisioningSeconds",
            class.provisioning_seconds.to_string(),
            help,
        );
    }
    if class.taints.len() > MAX_TAINTS {
        let value = format!("{} taints", class.taints.len());
        return field("taints", value, format!("at most {MAX_TAINTS}"));
    }
    let mut seen = BTreeSet::new();
    for taint in &class.taints {
        let effect = <&str>::from(taint.effect);
        let value = taint.value.as_deref().unwrap_or_default();
        if !is_key(&taint.key) || !value.is_empty() && !is_name(value) {
            let help = "taints of nodes, such as {key: nvidia.com/gpu, value: present, effect: NoSchedule}";
            return field("taints", format!("{}:{effect}", taint.key), help.to_owned());
        }
        if !seen.insert((&taint.key, effect)) {
            let help = "each key and effect once".to_owned();
            return field("taints", format!("{}:{effect} twice", taint.key), help);
        }
    }
    Ok(())
}

/// What the value of a label may be, and not empty.
fn is_name(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text
            .chars()
            .all(|c| ends(c) || matches!(c, '-' | '_' | '.'))
}

/// The key of a label or taint: a name, with a domain before it or without.
fn is_key(text: &str) -> bool {
    let (domain, name) = text.rsplit_once('/').unwrap_or(("a", text));
    let is_domain = (1..=253).contains(&domain.len())
        && domain
            .split('.')
            .all(|part| is_name(part) && !part.contains(['_', '.']));
    is_domain && is_name(name)
}

fn is_price(price: f64) -> bool {
    // Neither is true of NaN.
    (0.0..=MAX_PRICE).contains(&price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::parse;

    /// A class with these fields in place of the usual ones.
    fn with(changes: &[(&str, &str)]) -> String {
        let mut fields = BTreeMap::from([
            ("name", "speech"),
            ("cpu", "'8'"),
            ("memory", "16Gi"),
            ("maxNodes", "3"),
        ]);
        fields.extend(changes.iter().copied());
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        format!("{{{}}}", fields.join(", "))
    }

    fn settings(classes: &[String], prices: &str) -> Result<crate::settings::Settings, String> {
        parse(&format!(
            "{{server: {{image: x}}, nodeClasses: [{}], prices: {{{prices}}}}}",
            classes.join(", ")
        ))
        .map_err(|error| error.to_string())
    }

    fn mistake(changes: &[(&str, &str)]) -> String {
        settings(&[with(&[("name", "fine")]), with(changes)], "").unwrap_err()
    }

    #[test]
    fn everything_can_be_declared() {
        let class = with(&[
            ("selector", "{karpenter.sh/nodepool: speech}"),
            ("cpu", "7.5"),
            ("gpus", "2"),
            ("pricePerHour", "1.006"),
            ("provisioningSeconds", "90"),
            ("cpuManager", "static"),
            (
                "taints",
                "[{key: nvidia.com/gpu, effect: NoSchedule}, {key: spot, value: 'true', effect: PreferNoSchedule}]",
            ),
        ]);
        let settings = settings(&[class], "m6i-large: 0.096").unwrap();
        let class = &settings.node_classes[0];
        assert_eq!(class.offers().milli, 7_500);
        assert_eq!(class.offers().bytes, 16 << 30);
        assert_eq!(class.gpu().unwrap().slots, 2);
        assert_eq!(class.taints().len(), 1);
        assert_eq!(class.cpu_manager, Some(CpuManager::Static));
        assert_eq!(settings.prices.len(), 1);
    }

    #[test]
    fn the_example_of_the_documentation_is_valid() {
        let page = include_str!("../../../docs/inventory.md");
        let (_, example) = page.split_once("```yaml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let settings = parse(&format!("server: {{image: x}}\n{example}")).unwrap();
        assert_eq!(settings.node_classes.len(), 2);
        assert_eq!(settings.prices.len(), 2);
    }

    #[test]
    fn mistakes_name_the_field_and_what_to_write() {
        for (field, value, message) in [
            (
                "cpu",
                "a lot",
                "nodeClasses[1].cpu is \"a lot\"; write the cores that a node offers to pods, 100m to 1024, such as 7500m",
            ),
            (
                "memory",
                "16",
                "nodeClasses[1].memory is \"16\"; write the memory",
            ),
            ("memory", "-1Gi", "nodeClasses[1].memory is \"-1Gi\""),
            (
                "name",
                "''",
                "nodeClasses[1].name is \"\"; write 1 to 63 letters",
            ),
            ("name", "-x", "nodeClasses[1].name is \"-x\""),
            (
                "gpus",
                "65",
                "nodeClasses[1].gpus is 65; write the GPUs of one node, 0 to 64",
            ),
            (
                "maxNodes",
                "0",
                "nodeClasses[1].maxNodes is 0; write the most nodes",
            ),
            (
                "pricePerHour",
                "-1",
                "nodeClasses[1].pricePerHour is -1; write a price per hour",
            ),
            ("pricePerHour", ".nan", "nodeClasses[1].pricePerHour is NaN"),
            (
                "provisioningSeconds",
                "86401",
                "nodeClasses[1].provisioningSeconds is 86401; write the seconds",
            ),
            (
                "selector",
                "{'a b': c}",
                "nodeClasses[1].selector is a b: c; write labels",
            ),
            (
                "taints",
                "[{key: a/b/c, effect: NoSchedule}]",
                "nodeClasses[1].taints is a/b/c:NoSchedule; write taints",
            ),
            (
                "taints",
                "[{key: a, effect: NoSchedule}, {key: a, value: b, effect: NoSchedule}]",
                "nodeClasses[1].taints is a:NoSchedule twice",
            ),
            (
                "name",
                "fine",
                "nodeClasses[0] and nodeClasses[1] have the same name",
            ),
            ("nodes", "3", "unknown field"),
            ("taints", "[{key: a, effect: Sometimes}]", "Sometimes"),
            ("cpu", "[8]", "write a quantity, such as 8, 7500m or 32Gi"),
        ] {
            let error = mistake(&[(field, value)]);
            assert!(error.contains(message), "{field}: {value}: {error}");
        }
    }

    #[test]
    fn the_limits_are_accepted_and_no_more() {
        for (field, last, beyond) in [
            ("cpu", "100m", "99m"),
            ("cpu", "1024", "1024001m"),
            ("memory", "64Mi", "67108863"),
            ("memory", "64Ti", "65Ti"),
            ("gpus", "64", "65"),
            ("maxNodes", "5000", "5001"),
            ("provisioningSeconds", "86400", "86401"),
            ("pricePerHour", "1000000", "1000000.5"),
            ("name", &"x".repeat(63), &"x".repeat(64)),
            ("selector", &labels(16), &labels(17)),
            ("taints", &taints(16), &taints(17)),
        ] {
            settings(&[with(&[(field, last)])], "").unwrap();
            let error = settings(&[with(&[(field, beyond)])], "").unwrap_err();
            assert!(
                error.contains(&format!("nodeClasses[0].{field} is ")),
                "{error}"
            );
        }
        let classes = |count: usize| -> Vec<String> {
            let names = (0..count).map(|number| format!("n{number}"));
            names.map(|name| with(&[("name", &name)])).collect()
        };
        settings(&classes(64), "").unwrap();
        let error = settings(&classes(65), "").unwrap_err();
        assert_eq!(error, "nodeClasses has 65 entries; write at most 64");
        let prices = |count: usize| {
            let prices = (0..count).map(|number| format!("n{number}: 1"));
            prices.collect::<Vec<_>>().join(", ")
        };
        settings(&[], &prices(256)).unwrap();
        let error = settings(&[], &prices(257)).unwrap_err();
        assert_eq!(error, "prices has 257 entries; write at most 256");
        settings(&[], "a: 1000000, b: 0").unwrap();
    }

    fn labels(count: usize) -> String {
        let labels = (0..count).map(|number| format!("l{number}: ''"));
        format!("{{{}}}", labels.collect::<Vec<_>>().join(", "))
    }

    fn taints(count: usize) -> String {
        let taints = (0..count).map(|number| format!("{{key: t{number}, effect: NoExecute}}"));
        format!("[{}]", taints.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn prices_are_checked() {
        for (prices, message) in [
            (
                "a: -0.1",
                "prices[\"a\"] is -0.1; write a price per hour of 0 to 1000000",
            ),
            ("a: .inf", "prices[\"a\"] is inf"),
            (
                "'m6i large': 1",
                "prices has \"m6i large\", which is not the name of a node class",
            ),
            (
                "speech: 1",
                "prices[\"speech\"] and nodeClasses[0].pricePerHour are both set; remove one of them",
            ),
        ] {
            let error = settings(&[with(&[("pricePerHour", "2")])], prices).unwrap_err();
            assert!(error.contains(message), "{prices}: {error}");
        }
        settings(&[with(&[])], "speech: 1").unwrap();
    }

    #[test]
    fn a_selector_is_written_once() {
        let class = |name| with(&[("name", name), ("selector", "{pool: a}")]);
        let error = settings(&[class("a"), class("b")], "").unwrap_err();
        assert!(error.contains("have the same selector"), "{error}");
    }
}
