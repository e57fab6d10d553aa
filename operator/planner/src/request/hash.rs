//! The hash by which a request is known again: a plan is computed anew only when it changes.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Load, Measurement, NodeClass, Policy, Request};
use crate::profile::FullNode;
use crate::validity::used;

/// The projection that is hashed. It changes when the planner decides differently from the same
/// inputs or when a default changes, so that plans are computed anew.
const PROJECTION: &str = "tts.plan-inputs/v1";

impl Request {
    /// SHA-256 over what the decision depends on, as 64 hexadecimal digits; the same whatever the
    /// order of the lists.
    ///
    /// Not over what runs now ([`Request::current`]), nor over what profiles hold for reports or
    /// what the run was like, beyond how much is believed of it. Values that equal their defaults are
    /// left out: a new version that adds fields finds the same hash.
    pub fn input_hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(PROJECTION);
        hash.update(self.projection().to_string());
        hash.finalize()
            .iter()
            .fold(String::with_capacity(64), |text, byte| {
                text + &format!("{byte:02x}")
            })
    }

    fn projection(&self) -> Value {
        let mut classes: Vec<&NodeClass> = self.classes.iter().collect();
        classes.sort_by(|a, b| a.name.cmp(&b.name));
        let classes: Vec<Value> = classes
            .into_iter()
            .map(|class| {
                let default = NodeClass::new(&class.name, -1.0, -1.0, 0);
                let mut fields = beyond(class, &default);
                fields.insert("name".to_owned(), class.name.clone().into());
                fields.insert("maxNodes".to_owned(), class.max_nodes.into());
                fields.into()
            })
            .collect();
        let mut measurements: Vec<&Measurement> = self.measurements.iter().collect();
        measurements.sort_by(|a, b| a.profile.id.cmp(&b.profile.id));
        let mut voices: Vec<(&str, f64)> = self
            .voices
            .iter()
            .map(|voice| (voice.name.as_str(), voice.weight))
            .collect();
        voices.sort_by(|a, b| a.0.cmp(b.0));
        json!({
            "voices": voices,
            "measurements": measurements.into_iter().map(measurement).collect::<Vec<_>>(),
            "objectives": self.objectives,
            "peak": self.load.peak,
            "load": beyond(&self.load, &Load::new(self.load.peak)),
            "classes": classes,
            "policy": beyond(&self.policy, &Policy::default()),
            "quota": beyond(&self.quota, &super::Quota::default()),
        })
    }
}

/// The fields of `value` that differ from those of `default`.
fn beyond<T: Serialize>(value: &T, default: &T) -> Map<String, Value> {
    // Structs with named fields and no maps with other keys are always objects.
    match (serde_json::to_value(value), serde_json::to_value(default)) {
        (Ok(Value::Object(mut fields)), Ok(Value::Object(default))) => {
            fields.retain(|name, value| default.get(name) != Some(value));
            fields
        }
        _ => Map::new(),
    }
}

/// What is planned with.
fn measurement(measurement: &Measurement) -> Value {
    let profile = &measurement.profile;
    let standing = measurement.standing();
    let mut configs: Vec<_> = profile.configs.iter().collect();
    configs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu).then(a.threads.cmp(&b.threads)));
    let configs: Vec<Value> = configs
        .into_iter()
        .map(|config| {
            let levels = config.levels.iter().filter(|level| used(level));
            let levels: Vec<Value> = levels
                .map(|level| json!([level.n, level.audio_per_sec, level.rtf_p95, level.ttfa_q]))
                .collect();
            let mut fields = json!({
                "cpu": config.cpu,
                "threads": config.threads,
                "service": [config.s0, config.s1],
                "cpuPerAudio": config.cpu_per_audio,
                "mem": config.mem,
                "levels": levels,
            });
            set(&mut fields, "gpuMem", config.gpu_mem);
            set(&mut fields, "energy", config.energy);
            fields
        })
        .collect();
    let mut fields = json!({
        "id": profile.id,
        "voice": profile.voice.name,
        "variant": profile.voice.variant,
        "class": profile.node.class,
        "accelerator": profile.accelerator(),
        "started": profile.run.started,
        "noise": profile.run.noise_cv,
        "meanAudio": profile.corpus.mean_audio,
        "streaming": profile.streaming,
        "coldStart": profile.cold_start,
        "standing": [json!(standing.validity), json!(standing.derate), json!(standing.slowdown())],
        "configs": configs,
    });
    set(
        &mut fields,
        "vram",
        profile
            .node
            .fingerprint
            .gpu
            .as_ref()
            .map(|gpu| gpu.vram_mib),
    );
    set(&mut fields, "oomKilledAt", measurement.oom_killed_at);
    let mut full_node: Vec<_> = profile.full_node.iter().collect();
    full_node.sort_by(|a, b| {
        let key = |point: &FullNode| (point.threads, point.workers, point.requests);
        key(a)
            .cmp(&key(b))
            .then(a.audio_per_sec.total_cmp(&b.audio_per_sec))
    });
    set(
        &mut fields,
        "fullNode",
        Some(full_node).filter(|points| !points.is_empty()),
    );
    let mut encoding: Vec<_> = profile.encoding.iter().collect();
    encoding.sort_by(|a, b| {
        a.format
            .cmp(&b.format)
            .then(a.cpu_per_audio.total_cmp(&b.cpu_per_audio))
    });
    set(
        &mut fields,
        "encoding",
        Some(encoding).filter(|formats| !formats.is_empty()),
    );
    fields
}

/// Adds what is there.
fn set<T: Serialize>(fields: &mut Value, name: &str, value: Option<T>) {
    if let (Some(fields), Some(value)) = (fields.as_object_mut(), value) {
        fields.insert(name.to_owned(), json!(value));
    }
}
