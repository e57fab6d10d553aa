//! The Job of a benchmark, and the object of its result. Pure.
use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{
            Affinity, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource,
            KeyToPath, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
            ObjectFieldSelector, PodSpec, ResourceRequirements, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::ResourceExt as _;
use tts_crds::v1alpha1::{Sweep, TtsProfile, TtsProfileSpec};
use tts_planner::Profile;

use super::{
    budget,
    dereference::{NODE, Site},
    history,
    validate::ValidatedBenchmark,
};
use crate::{
    controllers::server_image,
    jobs::{self, SCRATCH_DIR, TERMINATION_LOG, Task},
    labels::{self, BENCHMARK},
};

/// Name of the container whose log has the profile.
pub const PROFILER: &str = "profile";
/// Label of a profile: its voice.
const VOICE: &str = "tts-operator.dev/voice";

/// What is measured so far, in the folder that all containers share.
const STATE: &str = "state.json";
const CORPUS_DIR: &str = "/corpus";
const CORPUS_FILE: &str = "texts";
/// Nodes with fewer cores get pods of a part of a core.
const SMALL: f64 = 3.0;
/// Parts of a core, with their names: measured in containers with such a limit.
const PARTS: [(&str, &str); 2] = [("quarter-core", "250m"), ("half-core", "500m")];
const MEBI: u64 = 1 << 20;

pub fn job(benchmark: &ValidatedBenchmark, site: &Site, attempt: u32) -> Job {
    // Slow voices and restless machines need several times as long as expected; the files are downloaded, too.
    let deadline = (6 * benchmark.expected()).max(Duration::from_mins(45));
    let task = Task {
        role: BENCHMARK,
        verb: "profile",
        instance: &benchmark.name,
        namespace: &benchmark.namespace,
        owner: &benchmark.owner,
        subject: &benchmark.subject,
        deadline,
        pod: pod(benchmark, site),
    };
    let mut job = jobs::job(task, attempt);
    let minutes = benchmark.estimate.minutes.to_string();
    let annotations = job.annotations_mut();
    annotations.insert(budget::EXPECTED_MINUTES.to_owned(), minutes);
    if let Some(node) = &site.node {
        annotations.insert(NODE.to_owned(), node.clone());
    }
    job
}

fn pod(benchmark: &ValidatedBenchmark, site: &Site) -> PodSpec {
    let settings = &benchmark.settings;
    let small = site.allocatable.is_some_and(|cores| cores < SMALL);
    let parts = PARTS.iter().filter(|_| small).map(|(name, limit)| {
        // All go on with one file; the first creates it.
        let more = [
            "--only-limit".to_owned(),
            format!("--resume={SCRATCH_DIR}/{STATE}"),
            format!("--save={SCRATCH_DIR}/{STATE}"),
        ];
        let mut container = container(benchmark, site, name, more);
        container.resources = Some(resources(benchmark, limit, Some(limit)));
        container
    });
    let parts: Vec<Container> = parts.collect();
    let more = ["--report-to-log".to_owned()];
    let mut main = container(benchmark, site, PROFILER, more);
    main.resources = Some(resources(benchmark, &millicores(requested(site)), None));
    if let (Some(args), false) = (&mut main.args, parts.is_empty()) {
        args.push(format!("--resume={SCRATCH_DIR}/{STATE}"));
    }
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: server_image::pull_secrets(&settings.server, &[]),
        security_context: Some(server_image::pod_security_context()),
        affinity: site.node.as_deref().map(on_node),
        node_selector: benchmark.spec.node_selector.clone(),
        tolerations: (!benchmark.spec.tolerations.is_empty())
            .then(|| benchmark.spec.tolerations.iter().map(Into::into).collect()),
        init_containers: (!parts.is_empty()).then_some(parts),
        containers: vec![main],
        volumes: Some(volumes(benchmark)),
        ..PodSpec::default()
    }
}

fn container<const N: usize>(
    benchmark: &ValidatedBenchmark,
    site: &Site,
    name: &str,
    more: [String; N],
) -> Container {
    let (spec, settings) = (&benchmark.spec, &benchmark.settings);
    let sweep = match spec.sweep {
        Sweep::Quick => "quick",
        Sweep::Full => "full",
    };
    let mut args = vec![
        "profile".to_owned(),
        format!("--name={}", spec.voice.name),
        format!("--voice={}={}", spec.voice.name, benchmark.source),
        format!("--work-dir={SCRATCH_DIR}"),
        format!("--class={}", site.class),
        format!("--sweep={sweep}"),
        format!("--image={}", benchmark.image),
        format!("--co-tenants={}", site.occupancy.serving),
        format!("--termination-message={TERMINATION_LOG}"),
    ];
    if let Some(cores) = site.allocatable {
        args.push(format!("--allocatable={cores}"));
        args.push(format!("--requested={:.3}", requested(site)));
    }
    if spec.corpus.is_some() {
        args.push(format!("--corpus={CORPUS_DIR}/{CORPUS_FILE}"));
    }
    if let Some(seconds) = spec.level_seconds {
        args.push(format!("--level-seconds={seconds}"));
    }
    if let Some(seconds) = spec.max_audio_seconds {
        args.push(format!("--max-audio-seconds={seconds}"));
    }
    if settings.downloads.allow_http {
        args.push("--allow-http".to_owned());
    }
    args.extend(more);
    let mut container = server_image::container(&settings.server, &benchmark.image, name, args);
    let environment = container.env.get_or_insert_default();
    environment.extend(server_image::download_environment(&settings.downloads));
    environment.push(EnvVar {
        name: "NODE_NAME".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "spec.nodeName".to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
    container.termination_message_path = Some(TERMINATION_LOG.to_owned());
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    };
    let mut mounts = vec![mount("work", SCRATCH_DIR)];
    if spec.corpus.is_some() {
        mounts.push(mount("corpus", CORPUS_DIR));
    }
    container.volume_mounts = Some(mounts);
    container
}

fn volumes(benchmark: &ValidatedBenchmark) -> Vec<Volume> {
    let mut volumes = vec![Volume {
        name: "work".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity("8Gi".to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }];
    if let Some(corpus) = &benchmark.spec.corpus {
        let reference = &corpus.config_map_key_ref;
        volumes.push(Volume {
            name: "corpus".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: reference.name.clone(),
                items: Some(vec![KeyToPath {
                    key: reference.key.clone(),
                    path: CORPUS_FILE.to_owned(),
                    ..KeyToPath::default()
                }]),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        });
    }
    volumes
}

/// The cores that are free on the node, as far as requests tell: at least a tenth, so that the pod can be scheduled.
fn requested(site: &Site) -> f64 {
    let free = site
        .allocatable
        .map_or(1.0, |cores| cores - site.occupancy.requested);
    (free * 10.0).floor().max(1.0) / 10.0
}

fn millicores(cores: f64) -> String {
    format!("{:.0}m", 1000.0 * cores)
}

/// Memory from what the inspection needed: each worker has sessions of its own, and several processes fill the node.
fn resources(
    benchmark: &ValidatedBenchmark,
    cpu: &str,
    limit: Option<&str>,
) -> ResourceRequirements {
    let peak = benchmark.peak_memory.unwrap_or(512 * MEBI);
    let quantity = |bytes: u64| tts_crds::quantity::Quantity::from_bytes_in_mebi(bytes).to_string();
    let memory = (2 * peak).max(512 * MEBI);
    let most = (16 * peak).clamp(2048 * MEBI, 65_536 * MEBI);
    let map = |values: Vec<(&str, String)>| -> BTreeMap<String, Quantity> {
        values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Quantity(value)))
            .collect()
    };
    let mut limits = vec![
        ("ephemeral-storage", "9Gi".to_owned()),
        ("memory", quantity(most)),
    ];
    limits.extend(limit.map(|cpu| ("cpu", cpu.to_owned())));
    ResourceRequirements {
        requests: Some(map(vec![
            ("cpu", cpu.to_owned()),
            ("ephemeral-storage", "64Mi".to_owned()),
            ("memory", quantity(memory)),
        ])),
        limits: Some(map(limits)),
        ..ResourceRequirements::default()
    }
}

/// Through the scheduler, which knows whether the pod fits; `nodeName` would go around it.
fn on_node(node: &str) -> Affinity {
    Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![NodeSelectorTerm {
                    match_fields: Some(vec![NodeSelectorRequirement {
                        key: "metadata.name".to_owned(),
                        operator: "In".to_owned(),
                        values: Some(vec![node.to_owned()]),
                    }]),
                    ..NodeSelectorTerm::default()
                }],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// The object of a profile. It has no owner: measurements outlive the benchmark that asked for them.
pub fn profile(benchmark: &ValidatedBenchmark, profile: &Profile) -> TtsProfile {
    let name: String = profile
        .id
        .chars()
        .map(|character| match character.to_ascii_lowercase() {
            character if character.is_ascii_alphanumeric() => character,
            _ => '-',
        })
        .collect();
    let mut object = TtsProfile::new(name.trim_matches('-'), TtsProfileSpec(profile.clone()));
    object.metadata.namespace = Some(benchmark.namespace.clone());
    let mut labels = labels::recommended(BENCHMARK, &benchmark.name);
    labels.insert(history::BENCHMARK.to_owned(), benchmark.name.clone());
    labels.insert(VOICE.to_owned(), benchmark.spec.voice.name.clone());
    object.metadata.labels = Some(labels);
    object
}
