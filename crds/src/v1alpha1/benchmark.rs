//! `TtsBenchmark`: a request to measure one voice on one node class.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NodeToleration, unobserved};

/// Annotation by which a benchmark with `approval: Ask` is let go: the value is `status.estimate.hash`.
pub const APPROVE: &str = "tts-operator.dev/approve";

/// What to measure, where and when.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "tts-operator.dev",
    version = "v1alpha1",
    kind = "TtsBenchmark",
    plural = "ttsbenchmarks",
    shortname = "ttsb",
    category = "tts",
    namespaced,
    status = "TtsBenchmarkStatus",
    derive = "PartialEq",
    doc = "A request to measure one voice on the nodes of one class. The result is a TtsProfile.",
    selectable = ".spec.voice.name",
    printcolumn(name = "Voice", type_ = "string", json_path = ".spec.voice.name"),
    printcolumn(name = "Sweep", type_ = "string", json_path = ".spec.sweep"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict.result"),
    printcolumn(name = "Profile", type_ = "string", json_path = ".status.profile"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    // The Job is named `<name>-profile-<8 hex digits>` and a Job's name has 63 characters.
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,44}[a-z0-9])?$')")
        .message("metadata.name must be 1 to 46 characters: lower-case letters, digits and '-', no '-' at the ends; choose a shorter or simpler name"),
    validation = Rule::new("!has(self.spec.nodeClass) || !has(self.spec.nodeSelector)")
        .message("nodeClass and nodeSelector exclude each other; set one of them"),
    validation = Rule::new("!has(self.spec.tolerations) || self.spec.tolerations.all(t, t.operator == 'Exists' ? !has(t.value) : has(t.key))")
        .message("a toleration has a key, and a value unless its operator is Exists, which tolerates each value; correct spec.tolerations")
)]
#[serde(rename_all = "camelCase")]
pub struct TtsBenchmarkSpec {
    /// The voice, a `TtsVoice` of this namespace. It must be ready.
    pub voice: BenchmarkVoice,

    /// Class of the nodes to measure on, as the operator names it or as its settings declare it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub node_class: Option<String>,

    /// Labels of the nodes to measure on, instead of a class. Without both, any node that pods can be scheduled to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub node_selector: Option<std::collections::BTreeMap<String, String>>,

    /// Taints of the nodes that the measurement tolerates. Nodes with other taints are not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<NodeToleration>,

    /// How much is measured: `Quick` takes 3 to 5 minutes, `Full` 15 to 40.
    #[serde(default)]
    pub sweep: Sweep,

    /// How long each level is measured per pass, at least; without it, 7 seconds for `Quick` and 20 for `Full`. Slow voices
    /// need more; with few requests the profile is Degraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600))]
    pub level_seconds: Option<i32>,

    /// Texts to speak; without it, twelve English texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus: Option<CorpusSource>,

    /// Also measure texts of up to this many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 30, max = 600))]
    pub max_audio_seconds: Option<i32>,

    /// Measure again and again; without it, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,

    /// Image of the inference server; without it, that of the operator's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,

    /// `Auto` starts at once; `Ask` shows the expected time in `status.estimate`, and waits for the annotation
    /// `tts-operator.dev/approve` with the hash that stands there.
    #[serde(default)]
    pub approval: Approval,

    /// Start nothing new.
    #[serde(default)]
    pub suspend: bool,

    /// Profiles of this benchmark that are kept; older ones are deleted, except the accepted one.
    #[serde(default = "history_limit")]
    #[schemars(range(min = 1, max = 100))]
    pub history_limit: i32,
}

impl TtsBenchmarkSpec {
    /// A quick measurement of this voice on any node.
    pub fn of(voice: &str) -> Self {
        Self {
            voice: BenchmarkVoice {
                name: voice.to_owned(),
            },
            node_class: None,
            node_selector: None,
            tolerations: Vec::new(),
            sweep: Sweep::default(),
            level_seconds: None,
            corpus: None,
            max_audio_seconds: None,
            schedule: None,
            image: None,
            approval: Approval::default(),
            suspend: false,
            history_limit: history_limit(),
        }
    }
}

fn history_limit() -> i32 {
    10
}

/// The voice of a benchmark.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BenchmarkVoice {
    /// Name of the `TtsVoice`.
    #[schemars(length(min = 1, max = 46))]
    pub name: String,
}

/// How much is measured.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sweep {
    #[default]
    Quick,
    Full,
}

/// Whether a benchmark waits for a person.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    #[default]
    Auto,
    Ask,
}

/// Where the texts are.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CorpusSource {
    /// A key of a `ConfigMap` of this namespace: one text per line, at most 200.
    pub config_map_key_ref: ConfigMapKey,
}

/// A key of a `ConfigMap`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKey {
    /// Name of the `ConfigMap`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// When to measure.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Five fields as in a `CronJob`, such as `0 3 * * *`.
    #[schemars(length(min = 9, max = 100))]
    pub cron: String,
    /// IANA name of the time zone, such as `Europe/Berlin`; without it, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

/// Observed state of the benchmark.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TtsBenchmarkStatus {
    /// `metadata.generation` that this status was computed from; -1 until the operator has
    /// processed the object.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,

    /// Conditions: `Ready` (nothing keeps it from measuring, or it has measured), `Succeeded` (the last measurement gave a
    /// profile), `Regressed` (the last profile is slower than the accepted one), `Drifting` (the profiles became slower some
    /// time ago and stayed so); `Reconciling` and `Stalled` are present only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// What a measurement is expected to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,

    /// The last profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub profile: Option<String>,

    /// The profile that later ones are compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub accepted_profile: Option<String>,

    /// The comparison of the last profile with the accepted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<BenchmarkVerdict>,

    /// The last measurements, failed ones too: the operator's budget of node-hours counts those that ended within 24 hours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub runs: Vec<BenchmarkRun>,

    /// What the last measurement was of: the voice, its files, the image, the sweep and the time of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub measured: Option<String>,

    /// The last time of the schedule for which a measurement was started; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_schedule_time: Option<String>,

    /// The next time of the schedule; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next_schedule_time: Option<String>,
}

impl Default for TtsBenchmarkStatus {
    fn default() -> Self {
        Self {
            observed_generation: unobserved(),
            conditions: Vec::new(),
            estimate: None,
            profile: None,
            accepted_profile: None,
            verdict: None,
            runs: Vec::new(),
            measured: None,
            last_schedule_time: None,
            next_schedule_time: None,
        }
    }
}

/// What a measurement is expected to take.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Minutes, for a voice that is not slow.
    pub minutes: i32,
    /// Hours of one node, such as `0.1`.
    #[schemars(length(max = 16))]
    pub node_hours: String,
    /// What they cost, in the currency of the operator's prices, where `nodeClass` has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cost: Option<String>,
    /// Identifies what is to be measured: the value of the annotation `tts-operator.dev/approve`.
    #[schemars(length(max = 64))]
    pub hash: String,
}

/// A measurement that used a node.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BenchmarkRun {
    /// Name of its Job.
    #[schemars(length(max = 63))]
    pub job: String,
    /// When its pod started; RFC 3339.
    #[schemars(length(max = 64))]
    pub start_time: String,
    /// When it ended; RFC 3339.
    #[schemars(length(max = 64))]
    pub end_time: String,
}

/// How the last profile compares with the accepted one.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BenchmarkVerdict {
    /// `Pass`, `Regressed`, `Inconclusive` or `NoisyEnvironment`.
    #[schemars(length(max = 32))]
    pub result: String,
    /// Service time of the last profile over that of the accepted one, such as `1.03`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub ratio: Option<String>,
    /// In words, with the numbers.
    #[schemars(length(max = 4096))]
    pub text: String,
    /// The profile that it was compared with.
    #[schemars(length(max = 253))]
    pub against: String,
}
