#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method is not general enough over the lifetime of a case"
)]
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use tts_crds::v1alpha1::{InspectedFile, TtsDeploymentSpec, TtsProfileSpec};
use tts_planner::{Because, Profile, profile::ExecutionProvider};
use tts_planner_dev::samples;

use super::*;
use crate::{
    inventory::{Lists, inventory},
    settings::node_classes::{DeclaredClass, NodeClassSettings},
};

const NODES: &str = "
- {metadata: {name: ash, labels: {tts-operator.dev/node-class: strong}}, status: {allocatable: {cpu: '8', memory: 32Gi}, conditions: [{type: Ready, status: 'True'}]}}
- {metadata: {name: birch, labels: {tts-operator.dev/node-class: strong}}, status: {allocatable: {cpu: '8', memory: 32Gi}, conditions: [{type: Ready, status: 'True'}]}}
- {metadata: {name: cedar, labels: {tts-operator.dev/node-class: weak}}, status: {allocatable: {cpu: '8', memory: 32Gi}, conditions: [{type: Ready, status: 'True'}]}}
- {metadata: {name: elm, labels: {tts-operator.dev/node-class: tainted}}, spec: {taints: [{key: speech, effect: NoSchedule}]}, status: {allocatable: {cpu: '8', memory: 32Gi}, conditions: [{type: Ready, status: 'True'}]}}
";

/// A cluster with measurements, for one deployment.
struct World {
    spec: String,
    nodes: String,
    prices: BTreeMap<String, f64>,
    declared: Vec<DeclaredClass>,
    voices: Vec<Voice>,
    profiles: Vec<TtsProfile>,
}

fn files(model: &str) -> Vec<InspectedFile> {
    let file = |path: &str, sha256: &str| InspectedFile {
        path: path.to_owned(),
        sha256: sha256.to_owned(),
        size_bytes: 1,
    };
    vec![file("v.onnx", model), file("v.onnx.json", "cc")]
}

fn voice(name: &str, model: &str) -> Voice {
    Voice {
        name: name.to_owned(),
        weight: 1.0,
        files: files(model),
    }
}

fn profile(namespace: &str, class: &str, model: &str) -> TtsProfile {
    let mut profile: Profile = samples::on_cpu(class, samples::PIPER, &[1, 2, 4]);
    assert_eq!(profile.server.ep, ExecutionProvider::Cpu);
    profile.voice.model_digest = format!("sha256:{model}");
    profile.voice.config_digest = "sha256:cc".to_owned();
    profile.server.version = env!("CARGO_PKG_VERSION").to_owned();
    profile.run.started = "2026-11-01T00:00:00Z".to_owned();
    let mut object = TtsProfile::new(&format!("{class}-{model}"), TtsProfileSpec(profile));
    object.metadata.namespace = Some(namespace.to_owned());
    object
}

impl World {
    fn new() -> Self {
        Self {
            spec: "objectives: {timeToFirstAudio: 800ms}, load: {peakRequestsPerSecond: 5}"
                .to_owned(),
            nodes: NODES.to_owned(),
            prices: BTreeMap::new(),
            declared: Vec::new(),
            voices: vec![voice("amy", "aa")],
            profiles: vec![
                profile("stage", "strong", "aa"),
                profile("stage", "weak", "aa"),
            ],
        }
    }

    fn with<T>(&self, look: impl FnOnce(&Case<'_>) -> T) -> T {
        let spec: TtsDeploymentSpec =
            serde_saphyr::from_str(&format!("{{voices: [{{name: amy}}], {}}}", self.spec)).unwrap();
        let goals = Goals::of(&spec).unwrap().unwrap();
        let nodes: Vec<Node> = serde_saphyr::from_str(&self.nodes).unwrap();
        let lists = Lists {
            nodes: Some(&nodes),
            ..Lists::default()
        };
        let settings = NodeClassSettings {
            classes: &self.declared,
            prices: &self.prices,
        };
        let profiles: Vec<&TtsProfile> = self.profiles.iter().collect();
        look(&Case {
            goals: &goals,
            namespace: "stage",
            voices: &self.voices,
            profiles: &profiles,
            inventory: &inventory(lists, settings),
            limits: NamespaceLimits::default(),
            current: None,
            oom_killed_at: None,
            now: "2026-11-02T00:00:00Z".parse().unwrap(),
        })
    }

    fn decision(&self) -> Decision {
        self.with(|case| case.plan()).unwrap()
    }

    fn class(&self) -> Option<String> {
        self.decision().plan()?.node_class.clone()
    }

    fn inputs(&self) -> String {
        self.with(|case| case.inputs())
    }
}

#[test]
fn the_cheapest_class_is_chosen_and_a_price_changes_it() {
    let mut world = World::new();
    world.prices = BTreeMap::from([("strong".to_owned(), 0.5), ("weak".to_owned(), 0.1)]);
    assert_eq!(world.class().as_deref(), Some("weak"));
    let before = world.inputs();
    world.prices.insert("weak".to_owned(), 0.9);
    assert_eq!(world.class().as_deref(), Some("strong"));
    assert_ne!(world.inputs(), before);
}

#[test]
fn only_listed_classes_and_tolerated_taints_are_used() {
    let mut world = World::new();
    world.spec += ", placement: {nodeClasses: [weak, huge]}";
    assert_eq!(world.class().as_deref(), Some("weak"));
    assert_eq!(world.with(|case| case.unknown_classes().join(" ")), "huge");
    world.profiles.push(profile("stage", "tainted", "aa"));
    world.spec = World::new().spec + ", placement: {nodeClasses: [tainted]}";
    let refused = world.decision();
    assert_eq!(
        refused.infeasible().unwrap().condition,
        tts_planner::Condition::NoNodeClass
    );
    world.spec = World::new().spec
        + ", placement: {nodeClasses: [tainted], tolerations: [{key: speech, operator: Exists}]}";
    assert_eq!(world.class().as_deref(), Some("tainted"));
}

#[test]
fn a_declared_class_counts_without_a_node() {
    let mut world = World::new();
    world.nodes = "[]".to_owned();
    let none = world.decision();
    assert!(none.infeasible().is_some());
    world.declared =
        serde_saphyr::from_str("[{name: strong, cpu: 8, memory: 32Gi, maxNodes: 5}]").unwrap();
    assert_eq!(world.class().as_deref(), Some("strong"));
}

#[test]
fn profiles_of_other_files_are_not_used_whatever_they_are_called() {
    let mut world = World::new();
    world.profiles = vec![profile("stage", "strong", "bb")];
    let decision = world.decision();
    assert_eq!(
        decision.infeasible().unwrap().condition,
        tts_planner::Condition::NoProfile
    );
    // Without files, as for a manifest that was not applied, the name is what there is.
    let name = world.profiles[0].spec.0.voice.name.clone();
    world.voices = vec![Voice {
        name,
        weight: 1.0,
        files: Vec::new(),
    }];
    assert_eq!(world.class().as_deref(), Some("strong"));
}

#[test]
fn what_was_measured_in_the_own_namespace_counts_before_what_others_share() {
    let mut world = World::new();
    let mut shared = profile("operator", "strong", "aa");
    shared.spec.0.run.started = "2026-11-01T12:00:00Z".to_owned();
    world.profiles = vec![profile("stage", "strong", "aa"), shared.clone()];
    let used = |world: &World| world.decision().plan().unwrap().voices[0].profile.clone();
    assert_eq!(used(&world), "stage/strong-aa");
    world.profiles.remove(0);
    assert_eq!(used(&world), "operator/strong-aa");
}

#[test]
fn the_same_files_under_two_names_are_two_voices() {
    let mut world = World::new();
    world.voices.push(voice("bob", "aa"));
    let decision = world.decision();
    let voices: Vec<&str> = decision
        .plan()
        .unwrap()
        .voices
        .iter()
        .map(|voice| voice.name.as_str())
        .collect();
    assert_eq!(voices, ["amy", "bob"]);
}

#[test]
fn inputs_do_not_follow_what_other_pods_take_or_the_namespace_leaves() {
    let world = World::new();
    let inputs = world.inputs();
    world.with(|case| {
        let mut inventory = case.inventory.clone();
        inventory.classes.retain(|class| class.name == "strong");
        let other = Case {
            inventory: &inventory,
            current: None,
            ..*case
        };
        assert_ne!(other.inputs(), inputs, "a class that went away");
        let limits = NamespaceLimits {
            quota: Quota {
                pods: Some(1),
                ..Quota::default()
            },
            ..NamespaceLimits::default()
        };
        let other = Case {
            limits,
            current: None,
            ..*case
        };
        assert_eq!(other.inputs(), inputs);
        assert_ne!(other.request().quota, case.request().quota);
    });
    let mut busier = World::new();
    busier.spec = busier.spec.replace("Second: 5", "Second: 6");
    assert_ne!(busier.inputs(), inputs);
}

#[test]
fn a_stale_or_broken_profile_does_not_make_the_others_useless() {
    let mut world = World::new();
    world.profiles[0].spec.0.configs[0].levels[0].audio_per_sec = f64::NAN;
    let decision = world.decision();
    assert_eq!(decision.plan().unwrap().node_class.as_deref(), Some("weak"));
    let rejected = &decision.alternatives.rejected;
    assert!(
        rejected
            .iter()
            .any(|rejection| matches!(rejection.because, Because::Unreadable { .. })),
        "{rejected:?}"
    );
}

#[test]
fn a_contradiction_is_an_error() {
    let mut world = World::new();
    world.spec = world
        .spec
        .replace("Second: 5", "Second: 5, baseRequestsPerSecond: 6");
    let error = world.with(|case| case.plan()).unwrap_err().to_string();
    assert!(error.contains("baseRps"), "{error}");
}
