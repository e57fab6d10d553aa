//! GPUs of a node: the resources that pods request them by, their product, how they are shared, and whether the server supports them.
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use serde::Serialize;

use super::{names::normalise, requests};

/// Whole GPUs, or MIG devices where all are of one size (strategy `single`).
pub const NVIDIA: &str = "nvidia.com/gpu";
/// MIG devices of one profile, where sizes differ (strategy `mixed`).
const MIG: &str = "nvidia.com/mig-";
/// What the device plugin appends to the names of resources and products that pods share.
const SHARED: [&str; 2] = [".shared", "-SHARED"];

/// Labels with the product, the most exact first: GPU feature discovery, GKE, EKS, Karpenter.
pub(super) const PRODUCTS: [&str; 4] = [
    "nvidia.com/gpu.product",
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
];

/// What people write there to say only that there is a GPU.
const NO_PRODUCTS: [&str; 4] = ["true", "gpu", "nvidia", "nvidia-gpu"];

/// GPUs of other makers: resource, maker, labels with the product.
const OTHERS: [(&str, &str, &[&str]); 3] = [
    (
        "amd.com/gpu",
        "AMD",
        &["amd.com/gpu.product-name", "beta.amd.com/gpu.product-name"],
    ),
    ("gpu.intel.com/i915", "Intel", &["gpu.intel.com/product"]),
    ("gpu.intel.com/xe", "Intel", &["gpu.intel.com/product"]),
];

/// Compute capabilities that ONNX Runtime's published GPU build has code for. It is compiled for 7.5, 8.0, 8.6, 8.9, 9.0 and
/// 12.0 without PTX, and such code runs on the same major version with the same or a higher minor one.
/// <https://docs.nvidia.com/cuda/cuda-programming-guide/01-introduction/cuda-platform.html>
const CAPABILITIES: [(u32, u32); 4] = [(7, 5), (8, 0), (9, 0), (12, 0)];

/// Compute capability of products without code, for nodes whose labels have the product only.
/// <https://developer.nvidia.com/cuda/gpus> and its page of legacy GPUs.
const WITHOUT_CODE: [(&str, (u32, u32)); 14] = [
    ("k40", (3, 5)),
    ("k80", (3, 7)),
    ("m40", (5, 2)),
    ("m60", (5, 2)),
    ("p100", (6, 0)),
    ("p4", (6, 1)),
    ("p40", (6, 1)),
    ("v100", (7, 0)),
    ("v100s", (7, 0)),
    ("b200", (10, 0)),
    ("gb200", (10, 0)),
    ("b300", (10, 3)),
    ("gb300", (10, 3)),
    ("thor", (11, 0)),
];

/// One kind of GPU device that a node offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gpu {
    /// What pods request, for example `nvidia.com/gpu` or `nvidia.com/mig-1g.5gb`.
    pub resource: String,
    /// Devices of a node; each place counts where pods share a device.
    pub slots: u32,
    /// Pods that share one GPU or MIG device; 1 where they do not.
    pub pods_per_gpu: u32,
}

/// The devices of one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Devices {
    /// Normalised; `None` if no label has it.
    pub product: Option<String>,
    /// Each with the end of its class's name: MIG profile and sharing.
    pub kinds: Vec<(Gpu, String)>,
    /// Why the server cannot use them.
    pub unsupported: Option<String>,
}

/// The GPUs of a node; `None` if it has none. The kinds that have devices now, else the one that it should have.
pub(super) fn of(node: &Node) -> Option<Devices> {
    let labels = node.labels();
    let label = |name: &str| labels.get(name).filter(|value| !value.is_empty());
    let status = node.status.as_ref();
    let allocatable = status.and_then(|status| status.allocatable.as_ref());
    let capacity = status.and_then(|status| status.capacity.as_ref());
    for (resource, maker, products) in OTHERS {
        let slots = requests::count(allocatable, resource);
        let product = products.iter().find_map(|name| label(name));
        if slots > 0 || product.is_some() {
            let gpu = Gpu {
                resource: resource.to_owned(),
                slots,
                pods_per_gpu: 1,
            };
            let name = product.map_or_else(|| format!("an {maker} GPU"), Clone::clone);
            return Some(Devices {
                product: product.map(|product| normalise(product)),
                kinds: vec![(gpu, String::new())],
                unsupported: Some(format!(
                    "{name}: the server uses GPUs through CUDA, which {maker} does not have"
                )),
            });
        }
    }
    let product = PRODUCTS
        .iter()
        .filter_map(|name| label(name))
        .find(|product| !NO_PRODUCTS.contains(&product.as_str()));
    let names: Vec<&String> = [allocatable, capacity]
        .into_iter()
        .flatten()
        .flat_map(BTreeMap::keys)
        .filter(|name| is_nvidia(name))
        .collect();
    if names.is_empty() && product.is_none() {
        return None;
    }
    let mut kinds: BTreeMap<&str, Gpu> = BTreeMap::new();
    for name in names {
        let slots = requests::count(allocatable, name);
        if slots > 0 {
            let gpu = Gpu {
                resource: name.clone(),
                slots,
                pods_per_gpu: pods_per_gpu(labels, name),
            };
            kinds.insert(name, gpu);
        }
    }
    let mut kinds: Vec<(Gpu, String)> = kinds
        .into_values()
        .map(|gpu| {
            let suffix = suffix(labels, &gpu);
            (gpu, suffix)
        })
        .collect();
    if kinds.is_empty() {
        let missing = Gpu {
            resource: NVIDIA.to_owned(),
            slots: 0,
            pods_per_gpu: 1,
        };
        kinds.push((missing, String::new()));
    }
    Some(Devices {
        product: product.map(|product| self::product(product)),
        kinds,
        unsupported: unsupported(labels, product.map(String::as_str)),
    })
}

fn is_nvidia(resource: &str) -> bool {
    resource.strip_suffix(SHARED[0]).unwrap_or(resource) == NVIDIA || resource.starts_with(MIG)
}

/// `NVIDIA-T4`, `Tesla-T4`, `nvidia-tesla-t4` and `t4` are all `nvidia-t4`.
fn product(text: &str) -> String {
    let text = text.strip_suffix(SHARED[1]).unwrap_or(text);
    let name = normalise(text);
    let mut short = name.as_str();
    while let Some(rest) = ["nvidia-", "tesla-"]
        .iter()
        .find_map(|maker| short.strip_prefix(maker))
    {
        short = rest;
    }
    format!("nvidia-{short}")
}

/// Label of a resource, as GPU feature discovery writes it: `nvidia.com/mig-1g.5gb.replicas`.
fn of_resource<'a>(
    labels: &'a BTreeMap<String, String>,
    resource: &str,
    what: &str,
) -> Option<&'a str> {
    let resource = resource.strip_suffix(SHARED[0]).unwrap_or(resource);
    labels
        .get(&format!("{resource}.{what}"))
        .map(String::as_str)
}

fn pods_per_gpu(labels: &BTreeMap<String, String>, resource: &str) -> u32 {
    let gke = labels.get("cloud.google.com/gke-max-shared-clients-per-gpu");
    of_resource(labels, resource, "replicas")
        .or(gke.map(String::as_str))
        .and_then(|replicas| replicas.parse().ok())
        .map_or(1, |replicas: u32| replicas.clamp(1, 1000))
}

/// What tells devices of one product apart: `-mig-1g-5gb`, `-shared-4` (time-slicing), `-mps-4`.
fn suffix(labels: &BTreeMap<String, String>, gpu: &Gpu) -> String {
    let resource = gpu
        .resource
        .strip_suffix(SHARED[0])
        .unwrap_or(&gpu.resource);
    let profile = resource
        .strip_prefix(MIG)
        .or_else(|| {
            let size = labels.get("cloud.google.com/gke-gpu-partition-size")?;
            Some(size.as_str())
        })
        .map_or_else(String::new, |profile| {
            format!("-mig-{}", normalise(profile))
        });
    let strategy = of_resource(labels, resource, "sharing-strategy").or_else(|| {
        let gke = labels.get("cloud.google.com/gke-gpu-sharing-strategy")?;
        Some(gke.as_str())
    });
    let sharing = match (gpu.pods_per_gpu, strategy) {
        (1, _) => String::new(),
        (pods, Some("mps")) => format!("-mps-{pods}"),
        (pods, _) => format!("-shared-{pods}"),
    };
    format!("{profile}{sharing}")
}

/// Why ONNX Runtime's GPU build does not run there.
fn unsupported(labels: &BTreeMap<String, String>, product: Option<&str>) -> Option<String> {
    let name = product.unwrap_or("its GPU");
    if labels.get("kubernetes.io/arch").map(String::as_str) == Some("arm64") {
        return Some(format!(
            "{name}: ONNX Runtime publishes its GPU build for amd64 only"
        ));
    }
    let number = |part: &str| {
        labels
            .get(&format!("nvidia.com/gpu.compute.{part}"))
            .and_then(|text| text.parse::<u32>().ok())
    };
    let labelled = number("major").zip(number("minor"));
    let known = || {
        let words = product?.to_ascii_lowercase();
        let mut words = words.split(['-', '_', ' ', '.']);
        words.find_map(|word| {
            let found = WITHOUT_CODE.iter().find(|(name, _)| *name == word);
            found.map(|(_, capability)| *capability)
        })
    };
    let (major, minor) = labelled.or_else(known)?;
    let runs = CAPABILITIES
        .iter()
        .any(|(with, from)| *with == major && minor >= *from);
    (!runs).then(|| {
        format!(
            "{name} has compute capability {major}.{minor}; ONNX Runtime's GPU build has code for 7.5, 8.x, 9.x and 12.x"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(labels: &str, allocatable: &str) -> Option<Devices> {
        let text = format!(
            "{{metadata: {{labels: {{{labels}}}}}, status: {{allocatable: {{{allocatable}}}}}}}"
        );
        of(&serde_saphyr::from_str(&text).unwrap())
    }

    #[test]
    fn one_product_has_one_name() {
        for text in [
            "NVIDIA-T4",
            "Tesla-T4",
            "nvidia-tesla-t4",
            "t4",
            "Tesla-T4-SHARED",
        ] {
            assert_eq!(product(text), "nvidia-t4", "{text}");
        }
        assert_eq!(
            product("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"),
            "nvidia-a100-sxm4-40gb-mig-1g-5gb"
        );
        assert_eq!(product("Quadro-RTX-4000"), "nvidia-quadro-rtx-4000");
    }

    #[test]
    fn a_label_that_only_says_that_there_is_a_gpu_is_no_product() {
        let found = devices(
            "k8s.amazonaws.com/accelerator: 'true'",
            "nvidia.com/gpu: '1'",
        );
        assert_eq!(found.unwrap().product, None);
        let labels =
            "k8s.amazonaws.com/accelerator: nvidia, karpenter.k8s.aws/instance-gpu-name: a10g";
        let found = devices(labels, "nvidia.com/gpu: '1'");
        assert_eq!(found.unwrap().product.as_deref(), Some("nvidia-a10g"));
    }

    #[test]
    fn sharing_is_part_of_the_name() {
        let suffix = |labels: &str, allocatable: &str| {
            let found = devices(labels, allocatable).unwrap();
            let kinds = found.kinds.into_iter();
            kinds
                .map(|(gpu, suffix)| (suffix, gpu.slots, gpu.pods_per_gpu))
                .collect::<Vec<_>>()
        };
        let of = |name: &str, slots, pods| vec![(name.to_owned(), slots, pods)];
        assert_eq!(
            suffix(
                "nvidia.com/gpu.replicas: '4', nvidia.com/gpu.sharing-strategy: time-slicing",
                "nvidia.com/gpu: '8'"
            ),
            of("-shared-4", 8, 4)
        );
        assert_eq!(
            suffix(
                "nvidia.com/gpu.replicas: '4', nvidia.com/gpu.sharing-strategy: mps",
                "nvidia.com/gpu.shared: '4'"
            ),
            of("-mps-4", 4, 4)
        );
        assert_eq!(
            suffix(
                "cloud.google.com/gke-max-shared-clients-per-gpu: '2', cloud.google.com/gke-gpu-sharing-strategy: time-sharing, cloud.google.com/gke-gpu-partition-size: 1g.5gb",
                "nvidia.com/gpu: '14'"
            ),
            of("-mig-1g-5gb-shared-2", 14, 2)
        );
        assert_eq!(
            suffix(
                "nvidia.com/mig-1g.5gb.replicas: '2', nvidia.com/gpu.replicas: '0'",
                "nvidia.com/mig-1g.5gb.shared: '14', nvidia.com/gpu: '1'"
            ),
            vec![
                (String::new(), 1, 1),
                ("-mig-1g-5gb-shared-2".to_owned(), 14, 2)
            ]
        );
        assert_eq!(
            suffix("nvidia.com/gpu.replicas: many", "nvidia.com/gpu: '1'"),
            of("", 1, 1)
        );
    }

    #[test]
    fn a_gpu_without_code_is_unsupported() {
        let reason = |labels: &str| {
            devices(labels, "nvidia.com/gpu: '1'")
                .unwrap()
                .unsupported
                .unwrap_or_default()
        };
        let of = |major: &str, minor: &str| {
            reason(&format!(
                "nvidia.com/gpu.product: X, nvidia.com/gpu.compute.major: '{major}', nvidia.com/gpu.compute.minor: '{minor}'"
            ))
        };
        for (major, minor) in [
            ("7", "5"),
            ("8", "0"),
            ("8", "6"),
            ("8", "9"),
            ("9", "0"),
            ("12", "0"),
            ("12", "1"),
        ] {
            assert_eq!(of(major, minor), "");
        }
        for (major, minor) in [
            ("3", "7"),
            ("6", "1"),
            ("7", "0"),
            ("7", "2"),
            ("10", "0"),
            ("10", "3"),
            ("11", "0"),
        ] {
            let text = of(major, minor);
            assert!(
                text.starts_with(&format!("X has compute capability {major}.{minor};")),
                "{text}"
            );
        }
        assert!(reason("nvidia.com/gpu.product: Tesla-V100-SXM2-16GB").contains("7.0"));
        assert!(reason("cloud.google.com/gke-accelerator: nvidia-tesla-p4").contains("6.1"));
        assert!(reason("cloud.google.com/gke-accelerator: nvidia-b200").contains("10.0"));
        assert_eq!(reason("nvidia.com/gpu.product: NVIDIA-L4"), "");
        // What nobody knows is not excluded.
        assert_eq!(reason("nvidia.com/gpu.product: NVIDIA-Next"), "");
        assert_eq!(
            reason("nvidia.com/gpu.product: NVIDIA-GH200-480GB, kubernetes.io/arch: arm64"),
            "NVIDIA-GH200-480GB: ONNX Runtime publishes its GPU build for amd64 only"
        );
    }

    #[test]
    fn other_makers_are_unsupported() {
        let found = devices("", "amd.com/gpu: '1'").unwrap();
        assert!(found.unsupported.unwrap().starts_with("an AMD GPU: "));
        let found = devices("gpu.intel.com/product: Flex_170", "gpu.intel.com/i915: '1'").unwrap();
        assert_eq!(found.product.as_deref(), Some("flex-170"));
        assert!(found.unsupported.unwrap().contains("Intel"));
    }

    #[test]
    fn a_gpu_without_a_device_plugin_is_a_gpu_with_no_slots() {
        let found = devices("nvidia.com/gpu.product: NVIDIA-L4", "cpu: '4'").unwrap();
        assert_eq!(found.kinds[0].0.slots, 0);
        assert_eq!(devices("", "cpu: '4'"), None);
    }
}
