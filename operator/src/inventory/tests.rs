//! Inventories of clusters as they are found: `nodes/*.yaml` has lists with the labels, taints, sizes and `DaemonSets` that each
//! platform is known for. They were put together by hand from what the platforms document, not copied from one cluster.
use std::{fs, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tts_planner::{CpuManager, Exclusion, NodeClass, Presence, Request};

use super::*;
use crate::settings::node_classes::DeclaredClass;

/// A file of `nodes/`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    node_classes: Vec<DeclaredClass>,
    #[serde(default)]
    prices: BTreeMap<String, f64>,
    items: Vec<Value>,
}

#[derive(Clone, Default)]
struct Cluster {
    nodes: Vec<Node>,
    daemon_sets: Vec<DaemonSet>,
    pods: Vec<Pod>,
    declared: Vec<DeclaredClass>,
    prices: BTreeMap<String, f64>,
}

impl Cluster {
    fn read(name: &str) -> Self {
        let path = folder().join(format!("{name}.yaml"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let file: File = serde_saphyr::from_str(&text).unwrap();
        let mut cluster = Self {
            declared: file.node_classes,
            prices: file.prices,
            ..Self::default()
        };
        cluster.settings().check().unwrap();
        for item in file.items {
            match item["kind"].as_str() {
                Some("Node") => cluster.nodes.push(serde_json::from_value(item).unwrap()),
                Some("DaemonSet") => {
                    cluster
                        .daemon_sets
                        .push(serde_json::from_value(item).unwrap());
                }
                Some("Pod") => cluster.pods.push(serde_json::from_value(item).unwrap()),
                kind => panic!("{name}: an item of the kind {kind:?}"),
            }
        }
        cluster
    }

    fn settings(&self) -> NodeClassSettings<'_> {
        NodeClassSettings {
            classes: &self.declared,
            prices: &self.prices,
        }
    }

    fn lists(&self) -> Lists<'_> {
        Lists {
            nodes: Some(&self.nodes),
            daemon_sets: Some(&self.daemon_sets),
            pods: Some(&self.pods),
            deployment: None,
        }
    }

    fn inventory(&self) -> Inventory {
        inventory(self.lists(), self.settings())
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/inventory/nodes")
}

fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn class(cluster: &str, name: &str) -> Class {
    let inventory = Cluster::read(cluster).inventory();
    let known: Vec<&str> = inventory.classes.iter().map(|c| c.name.as_str()).collect();
    let found = inventory.class(name);
    found
        .unwrap_or_else(|| panic!("{cluster} has no {name}, but {known:?}"))
        .clone()
}

fn planned(cluster: &str, name: &str, tolerations: &str) -> NodeClass {
    let tolerations: Vec<Toleration> = serde_saphyr::from_str(tolerations).unwrap();
    class(cluster, name).for_planner(&tolerations)
}

/// Whether the planner takes the classes.
fn accepted(classes: Vec<NodeClass>) {
    let mut request: Request = serde_json::from_value(serde_json::json!({
        "measurements": [],
        "objectives": {"ttfaP95": 1.0},
        "load": {"peak": {"requestsPerSecond": 1.0}},
        "classes": [],
    }))
    .unwrap();
    request.classes = classes;
    request.check().unwrap();
}

/// What the planner gets, in a line.
fn line(class: &NodeClass) -> String {
    let excluded = class
        .excluded
        .map_or_else(String::new, |why| format!("; {why}"));
    let Promised { cpu, memory, gpus } = class.promised;
    format!(
        "{}: {} x {} cores, {} MiB, {} GPU slots for {} per GPU; taken {cpu} cores, {memory} MiB, {gpus} GPUs{excluded}",
        class.name,
        class.max_nodes,
        class.allocatable_cpu,
        class.allocatable_memory,
        class.gpu_slots,
        class.pods_per_gpu,
    )
}

#[test]
fn clusters_have_these_inventories() {
    #[derive(Serialize)]
    struct Shown {
        #[serde(flatten)]
        inventory: Inventory,
        planner: Vec<String>,
    }
    let names = names();
    assert!(names.len() >= 14, "only {names:?}");
    for name in names {
        let inventory = Cluster::read(&name).inventory();
        let planner = inventory.for_planner(&[]);
        let shown = Shown {
            planner: planner.iter().map(line).collect(),
            inventory,
        };
        insta::assert_yaml_snapshot!(name.as_str(), shown);
        accepted(planner);
    }
}

#[test]
fn daemon_sets_are_subtracted_where_they_run() {
    // 7910m - aws-node 50m - kube-proxy 100m - ebs-csi-node 30m - datadog 200m; 31391684Ki - 120Mi - 256Mi
    let general = class("eks", "m6i-2xlarge");
    assert_eq!((general.cpu, general.memory), (7.53, 30_279.0));
    // Without datadog, which does not tolerate the GPU's taint, and with the device plugin (50m, 64Mi).
    let gpu = class("eks", "nvidia-a10g");
    assert_eq!((gpu.cpu, gpu.memory), (3.69, 14_612.0));
    // 3920m - 100m fluentbit - 8m metrics - 10m CSI - 100m of the static kube-proxy
    let gke = class("gke", "n2-standard-4");
    assert!((gke.cpu - 3.702).abs() < 1e-9, "{}", gke.cpu);
}

#[test]
fn what_others_request_is_taken() {
    let general = planned("eks", "m6i-2xlarge", "[]");
    assert_eq!(
        general.promised,
        Promised {
            cpu: 2.0,
            memory: 4096.0,
            gpus: 0
        },
        "the shop's pod; not the DaemonSet's, not the finished Job's, not our own"
    );
    assert_eq!(planned("eks", "nvidia-a10g", "[]").promised.gpus, 1);
}

#[test]
fn prices_come_from_the_settings() {
    assert_eq!(class("eks", "m6i-2xlarge").price_per_hour, Some(0.46));
    assert_eq!(class("declared", "speech-cpu").price_per_hour, Some(0.357));
    assert_eq!(class("declared", "reserved").price_per_hour, None);
    let remarks = Cluster::read("eks").inventory().remarks;
    assert_eq!(
        remarks,
        ["prices name classes that there are not: m7i-large"]
    );
}

#[test]
fn a_gpu_has_one_name_whoever_labels_it() {
    assert_eq!(class("gke", "nvidia-l4-shared-2").nodes.len(), 1);
    assert_eq!(class("time-slicing", "nvidia-a10-shared-4").nodes.len(), 1);
    // No label has the product.
    let aks = planned(
        "aks",
        "standard-nc4as-t4-v3",
        "[{key: sku, operator: Equal, value: gpu, effect: NoSchedule}]",
    );
    assert_eq!((aks.gpu_slots, aks.max_nodes, aks.excluded), (1, 1, None));
}

#[test]
fn shared_gpus_have_a_slot_for_each_pod() {
    let shared = planned("time-slicing", "nvidia-a10-shared-4", "[]");
    assert_eq!((shared.gpu_slots, shared.pods_per_gpu), (4, 4));
    let whole = planned("time-slicing", "nvidia-a10", "[]");
    assert_eq!((whole.gpu_slots, whole.pods_per_gpu), (1, 1));
    assert_eq!(whole.max_nodes, 1, "the other offers no GPU yet");
}

#[test]
fn mig_devices_are_classes_of_their_own() {
    let of = |name: &str| {
        let class = class("openshift-mig", name);
        let gpu = class.gpu.unwrap();
        (gpu.resource, gpu.slots)
    };
    let base = "nvidia-a100-sxm4-40gb";
    assert_eq!(of(base), ("nvidia.com/gpu".to_owned(), 2));
    assert_eq!(
        of(&format!("{base}-mig-1g-5gb")),
        ("nvidia.com/mig-1g.5gb".to_owned(), 7)
    );
    assert_eq!(
        of(&format!("{base}-mig-3g-20gb")),
        ("nvidia.com/mig-3g.20gb".to_owned(), 2)
    );
    let taken = planned("openshift-mig", &format!("{base}-mig-3g-20gb"), "[]").promised;
    assert_eq!(taken.gpus, 1);
}

#[test]
fn the_taint_of_gpus_is_tolerated_and_no_other() {
    let gpu = class("eks", "nvidia-a10g");
    assert_eq!(gpu.for_planner(&[]).excluded, None);
    assert_eq!(
        gpu.tolerations()[0].key.as_deref(),
        Some("nvidia.com/gpu"),
        "whoever builds the pods has to know"
    );
    let tainted = |tolerations| planned("aks", "standard-nc4as-t4-v3", tolerations).excluded;
    assert_eq!(tainted("[]"), Some(Exclusion::Tainted));
    assert_eq!(tainted("[{key: sku, operator: Exists}]"), None);
}

#[test]
fn unsupported_gpus_are_excluded_with_the_reason() {
    for (cluster, name, reason) in [
        (
            "amd-gpu",
            "amd-instinct-mi210",
            "AMD_Instinct_MI210: the server uses GPUs through CUDA, which AMD does not have",
        ),
        (
            "amd-gpu",
            "flex-170",
            "Flex_170: the server uses GPUs through CUDA, which Intel does not have",
        ),
        (
            "mixed",
            "nvidia-v100-sxm2-16gb",
            "Tesla-V100-SXM2-16GB has compute capability 7.0; ONNX Runtime's GPU build has code for 7.5, 8.x, 9.x and 12.x",
        ),
    ] {
        let class = class(cluster, name);
        let obstacle = class.nodes[0].obstacle.as_ref().unwrap();
        assert_eq!(obstacle.to_string(), reason);
        let planned = class.for_planner(&[]);
        assert_eq!(planned.excluded, Some(Exclusion::UnsupportedGpu), "{name}");
    }
    // Its owner named it, so its CPUs are used.
    let lab = class("amd-gpu", "lab");
    assert_eq!(lab.gpu, None);
    assert_eq!(lab.for_planner(&[]).excluded, None);
    assert!(
        lab.remarks[0].starts_with("GPUs are not used: Tesla-P40 has"),
        "{:?}",
        lab.remarks
    );
}

#[test]
fn each_node_says_why_it_takes_no_pods() {
    let class = class("mixed", "amd64-8-cpu");
    let reasons: Vec<(&str, String)> = class
        .nodes
        .iter()
        .filter_map(|node| Some((node.name.as_str(), unusable(node, &[])?)))
        .collect();
    let expected = [
        ("win-1", "its operating system is windows"),
        ("worker-cordoned", "cordoned"),
        ("worker-deleted", "being removed: the node is being deleted"),
        ("worker-not-ready", "not ready"),
        ("worker-pressed", "not ready: memory pressure"),
        ("worker-reserved", "taint team=billing:NoSchedule"),
        (
            "worker-scaled-down",
            "being removed: taint ToBeDeletedByClusterAutoscaler=1764288000:NoSchedule",
        ),
        ("worker-unreachable", "not ready: unreachable"),
    ];
    assert_eq!(
        reasons,
        expected.map(|(name, text)| (name, text.to_owned()))
    );
    let of = |tolerations| planned("mixed", "amd64-8-cpu", tolerations).max_nodes;
    assert_eq!(of("[]"), 2);
    assert_eq!(of("[{key: team, operator: Exists}]"), 3);
    assert_eq!(
        planned("mixed", "c7i-large", "[]").excluded,
        Some(Exclusion::Cordoned)
    );
}

#[test]
fn unlike_nodes_of_one_class_are_remarked_and_the_smallest_counts() {
    let class = class("mixed", "by-hand");
    assert_eq!((class.cpu, class.memory), (3.9, 7650.0));
    let text = class.remarks.join("\n");
    assert!(text.contains("3.9 to 15.9 cores"), "{text}");
    assert!(
        text.contains("different CPUs (Intel-6-143, Intel-6-79)"),
        "{text}"
    );
}

#[test]
fn distributions_are_not_machines() {
    assert_eq!(class("k3s-raspberry-pi", "arm64-4-cpu").nodes.len(), 3);
    assert_eq!(class("minikube", "amd64-2-cpu").nodes.len(), 1);
    assert_eq!(planned("kind", "amd64-12-cpu", "[]").max_nodes, 2);
}

#[test]
fn the_cpu_manager_is_known_where_a_label_or_the_settings_say_it() {
    let of = |cluster, name| class(cluster, name).cpu_manager;
    assert_eq!(
        of("kubeadm-nfd", "amd64-intel-6-106-64-cpu"),
        Some(CpuManager::Static)
    );
    assert_eq!(
        of("kubeadm-nfd", "amd64-amd-25-1-64-cpu"),
        Some(CpuManager::None)
    );
    assert_eq!(of("declared", "reserved"), Some(CpuManager::Static));
    assert_eq!(of("eks", "m6i-2xlarge"), None);
}

#[test]
fn a_pool_without_nodes_is_what_its_declaration_says() {
    // 7500m - aws-node 50m - kube-proxy 100m - ebs 30m; datadog does not tolerate its taint.
    let reserved = planned("declared", "reserved", "[{key: team, operator: Exists}]");
    assert_eq!(
        (
            reserved.allocatable_cpu,
            reserved.max_nodes,
            reserved.presence
        ),
        (7.32, 2, Presence::Declared)
    );
    assert_eq!(
        planned("declared", "reserved", "[]").excluded,
        Some(Exclusion::Tainted)
    );
}

#[test]
fn live_nodes_win_over_a_declaration_except_for_the_maximum_and_the_price() {
    let live = planned("declared", "speech-cpu", "[]");
    // 7910m - 380m; declared were 15900m.
    assert_eq!(
        (live.allocatable_cpu, live.max_nodes, live.presence),
        (7.53, 10, Presence::Present)
    );
    assert_eq!(live.price_per_hour, Some(0.357));
}

#[test]
fn a_node_that_is_starting_does_not_hide_its_declaration() {
    let starting = planned("declared", "speech-gpu", "[]");
    assert_eq!(starting.presence, Presence::Declared);
    // As declared, 3920m, less 180m and the device plugin's 50m; the node counts as one of the four to come.
    assert_eq!(
        (
            starting.gpu_slots,
            starting.max_nodes,
            starting.allocatable_cpu
        ),
        (1, 4, 3.69)
    );
    assert!((starting.provisioning - 240.0).abs() < 1e-9);
    assert_eq!(starting.excluded, None, "the GPU's taint is tolerated");
}

#[test]
fn nodes_of_a_pool_that_stay_unusable_are_a_part_of_its_maximum() {
    let mut cluster = Cluster::read("declared");
    for node in &mut cluster.nodes {
        node.spec.get_or_insert_default().unschedulable = Some(true);
    }
    let planned = cluster
        .inventory()
        .class("speech-cpu")
        .unwrap()
        .for_planner(&[]);
    assert_eq!(
        (planned.max_nodes, planned.presence),
        (9, Presence::Declared)
    );
    // Declared again: 15900m - 380m.
    assert!((planned.allocatable_cpu - 15.52).abs() < 1e-9);
}

#[test]
fn what_cannot_be_read_is_said_and_not_subtracted() {
    let cluster = Cluster::read("eks");
    let lists = Lists {
        nodes: Some(&cluster.nodes),
        ..Lists::default()
    };
    let inventory = inventory(lists, cluster.settings());
    let class = inventory.class("m6i-2xlarge").unwrap();
    assert_eq!((class.cpu, class.memory), (7.91, 30_655.0));
    let text = inventory.remarks.join("\n");
    assert!(
        text.contains("allow the operator to list daemonsets"),
        "{text}"
    );
    assert!(text.contains("allow the operator to list pods"), "{text}");
    let nothing = super::inventory(Lists::default(), Cluster::read("declared").settings());
    assert_eq!(nothing.classes.len(), 3, "the declared ones");
    assert!(nothing.remarks[0].contains("allow the operator to list nodes"));
}

#[test]
fn the_order_of_lists_does_not_matter() {
    for name in names() {
        let cluster = Cluster::read(&name);
        let expected = cluster.inventory();
        for turn in 0..4 {
            let mut turned = cluster.clone();
            let turn_list = |length: usize| if length == 0 { 0 } else { turn % length };
            let by = turn_list(turned.nodes.len());
            turned.nodes.rotate_left(by);
            let by = turn_list(turned.daemon_sets.len());
            turned.daemon_sets.rotate_right(by);
            turned.pods.reverse();
            if turn % 2 == 1 {
                turned.nodes.reverse();
                turned.daemon_sets.reverse();
            }
            assert_eq!(turned.inventory(), expected, "{name}, turn {turn}");
        }
    }
}

#[test]
fn odd_quantities_neither_panic_nor_break_the_planner() {
    let odd = [
        "",
        " ",
        "lots",
        "-1",
        "-1Gi",
        "NaN",
        "1e400",
        "1E-400",
        "9223372036854775807",
        "7E",
        "7Ei",
        "8Ei",
        "0.0000000001",
        "99999999999999999999999999999999999999999999",
        ".",
        "1.5.2",
        "12n",
        "+3",
    ];
    for read in names().iter().map(|name| Cluster::read(name)) {
        for text in odd {
            for resource in ["cpu", "memory", NVIDIA, "nvidia.com/mig-1g.5gb"] {
                let mut cluster = read.clone();
                spoil(&mut cluster, resource, text);
                accepted(cluster.inventory().for_planner(&[]));
            }
        }
    }
}

/// Writes an odd quantity wherever one is read.
fn spoil(cluster: &mut Cluster, resource: &str, text: &str) {
    let quantity = k8s_openapi::apimachinery::pkg::api::resource::Quantity(text.to_owned());
    for node in &mut cluster.nodes {
        let status = node.status.get_or_insert_default();
        for list in [&mut status.allocatable, &mut status.capacity] {
            let list = list.get_or_insert_default();
            list.insert(resource.to_owned(), quantity.clone());
        }
        let labels = node.labels_mut();
        labels.insert("nvidia.com/gpu.replicas".to_owned(), text.to_owned());
    }
    for pod in &mut cluster.pods {
        let spec = pod.spec.get_or_insert_default();
        let overhead = spec.overhead.get_or_insert_default();
        overhead.insert(resource.to_owned(), quantity.clone());
    }
}

#[test]
fn an_object_without_anything_is_a_node_nevertheless() {
    let cluster = Cluster {
        nodes: vec![Node::default()],
        daemon_sets: vec![DaemonSet::default()],
        pods: vec![Pod::default()],
        ..Cluster::default()
    };
    let inventory = cluster.inventory();
    assert_eq!(inventory.classes[0].name, "unknown-0-cpu");
    accepted(inventory.for_planner(&[]));
}
