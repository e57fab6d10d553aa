//! Which measurements a plan may use, and how much of each is believed.
use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt as _;
use tts_crds::v1alpha1::{InspectedFile, TtsProfile};
use tts_planner::{
    Measurement, Profile,
    validity::{Environment, GpuEnvironment, assess},
};

/// A voice of the deployment, as far as its measurements are concerned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Voice {
    /// As the deployment names it.
    pub name: String,
    /// Relative to the other voices.
    pub weight: f64,
    /// Its files; empty where they are not known, and then profiles are found by the voice's name.
    pub files: Vec<InspectedFile>,
}

/// The measurements of these voices; `oom_killed_at`: the memory limit at which a pod that served them was killed (MiB). A class that was measured in `namespace` is not planned from what others measured. The
/// ids are `namespace/name`.
pub fn of_voices(
    voices: &[Voice],
    namespace: &str,
    profiles: &[&TtsProfile],
    oom_killed_at: Option<f64>,
    now: Timestamp,
) -> Vec<Measurement> {
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for voice in voices {
        let of_voice = || profiles.iter().filter(|object| is_of(object, voice));
        let is_own = |object: &TtsProfile| object.namespace().as_deref() == Some(namespace);
        let own: BTreeSet<&str> = of_voice()
            .filter(|object| is_own(object))
            .map(|object| object.spec.0.node.class.as_str())
            .collect();
        for object in of_voice() {
            let class = object.spec.0.node.class.as_str();
            if !is_own(object) && own.contains(class) {
                continue;
            }
            let mut profile = object.spec.0.clone();
            profile.voice.name.clone_from(&voice.name);
            profile.id = id(object);
            if !ids.insert(profile.id.clone()) {
                // The same files under two names: two voices for the planner.
                profile.id = format!("{} ({})", profile.id, voice.name);
                ids.insert(profile.id.clone());
            }
            let standing = profile.check().is_ok().then(|| {
                assess(&profile, Some(&environment(&profile, &voice.files, now))).standing
            });
            found.push(Measurement {
                standing,
                oom_killed_at,
                ..Measurement::as_recorded(profile)
            });
        }
    }
    found
}

/// `namespace/name`, or the profile's own id where it comes from a file.
fn id(object: &TtsProfile) -> String {
    match (object.namespace(), &object.metadata.name) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        _ => object.spec.0.id.clone(),
    }
}

fn is_of(object: &TtsProfile, voice: &Voice) -> bool {
    if voice.files.is_empty() {
        object.spec.0.voice.name == voice.name
    } else {
        measures(object, &voice.files)
    }
}

/// Whether a profile is about these files, whatever the voice is called.
pub fn measures(profile: &TtsProfile, files: &[InspectedFile]) -> bool {
    let voice = &profile.spec.0.voice;
    let has = |ending: &str, digest: &str| {
        files.iter().any(|file| {
            file.path.ends_with(ending) && digest.strip_prefix("sha256:") == Some(&file.sha256)
        })
    };
    has(".onnx", &voice.model_digest) && has(".json", &voice.config_digest)
}

/// What is true now. What is not known is taken to be as it was.
pub fn environment(profile: &Profile, files: &[InspectedFile], now: Timestamp) -> Environment {
    let digest = |ending: &str, measured: &str| {
        let file = files.iter().find(|file| file.path.ends_with(ending));
        file.map_or_else(
            || measured.to_owned(),
            |file| format!("sha256:{}", file.sha256),
        )
    };
    let node = &profile.node.fingerprint;
    Environment {
        model_digest: digest(".onnx", &profile.voice.model_digest),
        config_digest: digest(".json", &profile.voice.config_digest),
        precision: profile.voice.variant.precision.clone(),
        nfe: profile.voice.variant.nfe,
        execution_provider: profile.server.ep,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        ort_version: profile.server.ort.clone(),
        arch: node.arch.clone(),
        cpu_model: node.cpu_model.clone(),
        flags: node.flags.clone(),
        kernel: node.kernel.clone(),
        gpu: node.gpu.as_ref().map(|gpu| GpuEnvironment {
            product: gpu.product.clone(),
            mig: gpu.mig.clone(),
            driver: gpu.driver.clone(),
        }),
        age_days: age_days(&profile.run.started, now),
        correction: 1.0,
    }
}

fn age_days(started: &str, now: Timestamp) -> u32 {
    let Ok(started) = started.parse::<Timestamp>() else {
        return 0;
    };
    let age = crate::jobs::since(started, now);
    u32::try_from(age.as_secs() / (24 * 60 * 60)).unwrap_or(u32::MAX)
}
