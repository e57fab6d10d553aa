//! The pod template of the inference server. Pure.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction, NodeAffinity,
        NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, PodTemplateSpec, Probe,
        ResourceRequirements, TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use sha2::{Digest as _, Sha256};

use super::{
    sizing::PodSize,
    validate::{ReadyVoice, Served, ValidatedDeployment},
};
use crate::{
    children::hex,
    controllers::server_image,
    labels::{self, SERVER},
};

/// Name of the container that serves.
pub const SERVER_CONTAINER: &str = "server";
/// Port of the server container, and its name.
pub const CONTAINER_PORT: i32 = 8000;
pub const PORT_NAME: &str = "http";
/// How long loading and testing all voices may take: minutes for many large voices on a slow disk.
pub const STARTUP_SECONDS: i32 = 600;

/// On failure, the last log lines are the termination message, which the operator copies to the status.
const LAST_LOG_LINES: &str = "FallbackToLogsOnError";
/// Combined digest of the voices: a changed voice changes the pod template.
const VOICES_DIGEST: &str = "tts-operator.dev/voices-digest";
/// Room for the logs of a container, which the kubelet rotates at 50 MiB (five files of 10 MiB) by default.
const LOGS_BYTES: u64 = 128 << 20;
/// Folder of the downloaded voices in the pod.
const VOICES_DIR: &str = "/voices";
/// How long a terminating pod still accepts requests, until endpoints and proxies are updated.
const DRAIN_DELAY_SECONDS: i64 = 5;
/// How long requests in flight may take to finish after that.
const DRAIN_TIMEOUT_SECONDS: i64 = 60;
/// Both, plus time for the process to exit.
const TERMINATION_GRACE_SECONDS: i64 = DRAIN_DELAY_SECONDS + DRAIN_TIMEOUT_SECONDS + 5;

/// The template of pods of this image, which may be older than the current one.
pub fn build(
    tts: &ValidatedDeployment,
    served: &Served,
    size: &PodSize,
    image: &str,
) -> PodTemplateSpec {
    let mut pod_labels = tts.pod.labels.clone();
    pod_labels.extend(labels::recommended(SERVER, &tts.name));
    let mut annotations = tts.pod.annotations.clone();
    annotations.insert(VOICES_DIGEST.to_owned(), digest(&served.voices));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(tts, served, size, image)),
    }
}

/// Whether pods that serve these voices download any of them.
pub fn downloads(served: &Served) -> bool {
    !downloaded(served).is_empty()
}

fn downloaded(served: &Served) -> Vec<&ReadyVoice> {
    let voices = served.voices.iter();
    voices
        .filter(|voice| voice.source.files.is_some())
        .collect()
}

fn pod(tts: &ValidatedDeployment, served: &Served, size: &PodSize, image: &str) -> PodSpec {
    let downloads = downloaded(served);
    let mut container = server(tts, served, size, image);
    let (init_containers, volumes) = if downloads.is_empty() {
        (None, None)
    } else {
        container.volume_mounts = Some(vec![VolumeMount {
            read_only: Some(true),
            ..voices_mount()
        }]);
        (
            Some(vec![fetch(tts, &downloads, image)]),
            Some(vec![voices_volume(&downloads)]),
        )
    };
    PodSpec {
        service_account_name: Some(tts.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(TERMINATION_GRACE_SECONDS),
        priority_class_name: tts.pod.priority_class_name.clone(),
        image_pull_secrets: server_image::pull_secrets(
            &tts.settings.server,
            &tts.pod.image_pull_secrets,
        ),
        security_context: Some(server_image::pod_security_context()),
        topology_spread_constraints: Some(
            ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
                .map(|topology| spread(tts, topology))
                .to_vec(),
        ),
        affinity: affinity(&size.node_labels),
        node_selector: Some(tts.placement.node_selector.clone())
            .filter(|labels| !labels.is_empty()),
        tolerations: Some(tts.placement.tolerations.iter().map(Into::into).collect())
            .filter(|tolerations: &Vec<_>| !tolerations.is_empty()),
        init_containers,
        containers: vec![container],
        volumes,
        ..PodSpec::default()
    }
}

/// Only nodes that have all labels of one of these.
fn affinity(node_labels: &[BTreeMap<String, String>]) -> Option<Affinity> {
    let terms = node_labels.iter().map(|labels| NodeSelectorTerm {
        match_expressions: Some(
            labels
                .iter()
                .map(|(key, value)| NodeSelectorRequirement {
                    key: key.clone(),
                    operator: "In".to_owned(),
                    values: Some(vec![value.clone()]),
                })
                .collect(),
        ),
        ..NodeSelectorTerm::default()
    });
    let node_affinity = NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(NodeSelector {
            node_selector_terms: terms.collect(),
        }),
        ..NodeAffinity::default()
    };
    (!node_labels.is_empty()).then(|| Affinity {
        node_affinity: Some(node_affinity),
        ..Affinity::default()
    })
}

fn server(tts: &ValidatedDeployment, served: &Served, size: &PodSize, image: &str) -> Container {
    let mut args = vec![
        "serve".to_owned(),
        format!("--listen=:{CONTAINER_PORT}"),
        "--log-format=json".to_owned(),
        format!("--workers={}", size.workers),
        format!("--intra-threads={}", size.threads),
        format!("--queue={}", size.queue),
        format!("--drain-delay={DRAIN_DELAY_SECONDS}s"),
        format!("--drain-timeout={DRAIN_TIMEOUT_SECONDS}s"),
        format!("--default-voice={}", served.default),
    ];
    args.extend(
        served
            .voices
            .iter()
            .map(|voice| match &voice.source.builtin {
                Some(builtin) => format!("--voice={}=builtin:{}", voice.name, builtin.name),
                None => format!("--voice={0}={VOICES_DIR}/{0}", voice.name),
            }),
    );
    let mut container =
        server_image::container(&tts.settings.server, image, SERVER_CONTAINER, args);
    container.ports = Some(vec![ContainerPort {
        name: Some(PORT_NAME.to_owned()),
        container_port: CONTAINER_PORT,
        // Explicit, because it is part of the key that server-side apply merges on.
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }]);
    container.startup_probe = Some(probe("/startupz", 1, STARTUP_SECONDS));
    container.readiness_probe = Some(probe("/readyz", 2, 2));
    container.liveness_probe = Some(probe("/livez", 10, 3));
    container.resources = Some(resources(size, total_bytes(&downloaded(served))));
    container.termination_message_policy = Some(LAST_LOG_LINES.to_owned());
    container
}

fn resources(size: &PodSize, voices_bytes: u64) -> ResourceRequirements {
    let quantity = |quantity: &tts_crds::quantity::Quantity| Quantity(quantity.to_string());
    let mut requests = disk(voices_bytes);
    requests.extend([
        ("cpu".to_owned(), quantity(&size.cpu_request)),
        ("memory".to_owned(), quantity(&size.memory_request)),
    ]);
    let mut limits = disk(LOGS_BYTES.saturating_add(volume_bytes(voices_bytes)));
    limits.extend(
        [("cpu", &size.cpu_limit), ("memory", &size.memory_limit)]
            .into_iter()
            .filter_map(|(name, limit)| Some((name.to_owned(), quantity(limit.as_ref()?)))),
    );
    ResourceRequirements {
        requests: Some(requests),
        limits: Some(limits),
        ..ResourceRequirements::default()
    }
}

/// Logs and, in a volume, downloaded voices count as ephemeral storage; at least one mebibyte.
fn disk(bytes: u64) -> BTreeMap<String, Quantity> {
    let quantity = tts_crds::quantity::Quantity::from_bytes_in_mebi(bytes.max(1));
    BTreeMap::from([(
        "ephemeral-storage".to_owned(),
        Quantity(quantity.to_string()),
    )])
}

/// Twice the size of the voices leaves room to replace a file.
fn volume_bytes(voices_bytes: u64) -> u64 {
    voices_bytes.saturating_mul(2)
}

fn total_bytes(downloads: &[&ReadyVoice]) -> u64 {
    let sizes = downloads.iter().map(|voice| voice.size_bytes);
    sizes.fold(0, u64::saturating_add)
}

/// Downloads the voices and verifies their digests before the server starts.
fn fetch(tts: &ValidatedDeployment, downloads: &[&ReadyVoice], image: &str) -> Container {
    let mut args = vec![
        "fetch".to_owned(),
        format!("--to={VOICES_DIR}"),
        "--log-format=json".to_owned(),
    ];
    if tts.settings.downloads.allow_http {
        args.push("--allow-http".to_owned());
    }
    args.extend(downloads.iter().map(|voice| {
        let source = serde_json::to_string(&voice.source).unwrap_or_default();
        format!("--voice={}={source}", voice.name)
    }));
    let mut container = server_image::container(&tts.settings.server, image, "fetch", args);
    container
        .env
        .get_or_insert_default()
        .extend(server_image::download_environment(&tts.settings.downloads));
    container.termination_message_policy = Some(LAST_LOG_LINES.to_owned());
    container.volume_mounts = Some(vec![voices_mount()]);
    let bytes = total_bytes(downloads);
    let mut requests = disk(bytes);
    requests.extend([
        ("cpu".to_owned(), Quantity("50m".to_owned())),
        ("memory".to_owned(), Quantity("64Mi".to_owned())),
    ]);
    let mut limits = disk(LOGS_BYTES.saturating_add(volume_bytes(bytes)));
    limits.insert("memory".to_owned(), Quantity("256Mi".to_owned()));
    container.resources = Some(ResourceRequirements {
        requests: Some(requests),
        limits: Some(limits),
        ..ResourceRequirements::default()
    });
    container
}

fn voices_mount() -> VolumeMount {
    VolumeMount {
        name: "voices".to_owned(),
        mount_path: VOICES_DIR.to_owned(),
        ..VolumeMount::default()
    }
}

/// The sizes are known from the inspection.
fn voices_volume(downloads: &[&ReadyVoice]) -> Volume {
    let bytes = volume_bytes(total_bytes(downloads));
    let limit = tts_crds::quantity::Quantity::from_bytes_in_mebi(bytes);
    Volume {
        name: "voices".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(limit.to_string())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// With every default written out: whatever else is in a probe was added by somebody.
fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        failure_threshold: Some(failure_threshold),
        success_threshold: Some(1),
        ..Probe::default()
    }
}

/// Preferred, not required: all pods still run on a single node.
fn spread(tts: &ValidatedDeployment, topology_key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::selector(SERVER, &tts.name)),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    }
}

fn digest(voices: &[ReadyVoice]) -> String {
    let mut hash = Sha256::new();
    for voice in voices {
        hash.update(format!("{}={}\n", voice.name, voice.digest));
    }
    format!("sha256:{}", hex(&hash.finalize()))
}
