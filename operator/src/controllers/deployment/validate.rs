//! Checks the object and its voices, and applies every default. Pure.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _, core::DeserializeGuard};
use sha2::{Digest as _, Sha256};
use tts_crds::v1alpha1::{
    APPROVE, InspectedFile, Placement, PodSettings, Resources, ScalingType, ServiceSettings,
    SizingMode, TtsDeployment, TtsDeploymentSpec, TtsVoice, VoiceSource, VoiceState,
};

use super::{Error, Result};
use crate::{
    children::hex,
    conditions::{self, INSPECTED, READY},
    planning::{Goals, goals::number},
    settings::Settings,
};

/// A deployment that can be planned: every default applied, every reference resolved.
pub struct ValidatedDeployment {
    pub name: String,
    pub namespace: String,
    pub owner: OwnerReference,
    pub scaling: Scaling,
    pub voices: Voices,
    /// For the status, in the order of the spec.
    pub voice_states: Vec<VoiceState>,
    pub sizing: Sizing,
    /// What the pods are planned for; `None` where they are not.
    pub goals: Option<Goals>,
    /// The plan that somebody approved, by what it was made from.
    pub approved: Option<String>,
    pub placement: Placement,
    pub pod: PodSettings,
    pub service: ServiceSettings,
    pub paused: bool,
    /// Hash of those parts of the spec that the pods are made from.
    pub spec: String,
    pub settings: Arc<Settings>,
}

/// How the number of pods is determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// By the spec.
    Static(i32),
    /// By the plan and the load.
    Auto,
    /// By somebody else.
    External,
}

/// How the size of the pods is determined where it is not planned.
pub enum Sizing {
    /// By the operator.
    Default,
    /// By the spec.
    Manual(Resources),
}

/// The voices, if all of them can be served.
pub enum Voices {
    Ready(Served),
    /// What is wrong, one clause per voice.
    NotReady {
        reason: &'static str,
        message: String,
    },
}

/// Voices to serve; never empty.
pub struct Served {
    pub voices: Vec<ReadyVoice>,
    pub default: String,
}

/// A voice with the facts from its inspection.
#[derive(Clone, Debug, Default)]
pub struct ReadyVoice {
    pub name: String,
    pub source: VoiceSource,
    /// Relative to the other voices of the deployment.
    pub weight: f64,
    pub digest: String,
    pub files: Vec<InspectedFile>,
    pub size_bytes: u64,
    pub sample_rate_hz: u32,
    pub peak_memory_bytes: Option<u64>,
    /// Server images with which it passed its inspection, the last one first; empty if that is not known.
    pub images: Vec<String>,
    /// Why it did not pass with the current server image, if it did not.
    pub failure: Option<String>,
}

/// `voices` has one entry per voice of the spec, in order; `None` if the object does not exist.
pub fn validate(
    object: &TtsDeployment,
    voices: &[Option<Arc<DeserializeGuard<TtsVoice>>>],
    settings: &Arc<Settings>,
) -> Result<ValidatedDeployment> {
    let spec = &object.spec;
    let mut voice_states = Vec::with_capacity(spec.voices.len());
    let mut ready = Vec::with_capacity(spec.voices.len());
    let mut not_ready = Vec::new();
    for (voice, found) in spec.voices.iter().zip(voices) {
        let checked = check(&voice.name, found.as_deref());
        voice_states.push(VoiceState {
            name: voice.name.clone(),
            ready: checked.is_ok(),
            digest: checked.as_ref().ok().map(|voice| voice.digest.clone()),
        });
        match checked {
            Ok(found) => ready.push(ReadyVoice {
                weight: voice.weight.as_ref().map_or(1.0, number),
                ..found
            }),
            Err(why) => not_ready.push(why),
        }
    }
    let default = spec
        .voices
        .iter()
        .find(|voice| voice.default == Some(true))
        .or(spec.voices.first())
        .map(|voice| voice.name.clone())
        .ok_or(Error::Incomplete("voices"))?;
    let voices = match not_ready.first() {
        None => Voices::Ready(Served {
            voices: ready,
            default,
        }),
        Some(first) => Voices::NotReady {
            reason: first.reason,
            message: not_ready
                .iter()
                .map(|voice| voice.message.as_str())
                .collect::<Vec<_>>()
                .join("; "),
        },
    };
    // Admission refuses what is refused here.
    let goals = Goals::of(spec).map_err(|_| Error::Incomplete("objectives and load"))?;
    let sizing = match &spec.sizing {
        None => Sizing::Default,
        Some(sizing) => match sizing.mode {
            SizingMode::FromProfile => Sizing::Default,
            // Admission requires them in this mode.
            SizingMode::Manual => Sizing::Manual(
                sizing
                    .resources
                    .clone()
                    .ok_or(Error::Incomplete("sizing.resources"))?,
            ),
        },
    };
    Ok(ValidatedDeployment {
        name: object.name_any(),
        namespace: object.namespace().ok_or(Error::Incomplete("namespace"))?,
        owner: object
            .controller_owner_ref(&())
            .ok_or(Error::Incomplete("uid"))?,
        scaling: match spec.scaling.r#type {
            None if goals.is_some() => Scaling::Auto,
            Some(ScalingType::Auto) => Scaling::Auto,
            Some(ScalingType::External) => Scaling::External,
            None | Some(ScalingType::Static) => Scaling::Static(
                spec.scaling
                    .replicas
                    .ok_or(Error::Incomplete("scaling.replicas"))?,
            ),
        },
        goals,
        approved: object.annotations().get(APPROVE).cloned(),
        placement: spec.placement.clone().unwrap_or_default(),
        voices,
        voice_states,
        sizing,
        pod: spec.pod.clone().unwrap_or_default(),
        service: spec
            .expose
            .clone()
            .and_then(|expose| expose.service)
            .unwrap_or_default(),
        paused: spec.paused,
        spec: pod_spec_hash(spec),
        settings: settings.clone(),
    })
}

fn pod_spec_hash(spec: &TtsDeploymentSpec) -> String {
    // Names and quantities: always serializable.
    let mut parts =
        serde_json::to_vec(&(&spec.voices, &spec.sizing, &spec.pod)).unwrap_or_default();
    let newer = (&spec.objectives, &spec.load, &spec.placement);
    // Records of deployments without them were made before there were any.
    if newer != (&None, &None, &None) {
        parts.extend(serde_json::to_vec(&newer).unwrap_or_default());
    }
    hex(&Sha256::digest(parts))[..16].to_owned()
}

fn positive(bytes: i64) -> Option<u64> {
    u64::try_from(bytes).ok()
}

/// Why a voice cannot be served.
struct NotReady {
    reason: &'static str,
    message: String,
}

fn check(
    name: &str,
    found: Option<&DeserializeGuard<TtsVoice>>,
) -> std::result::Result<ReadyVoice, NotReady> {
    let not_ready = |reason, message| NotReady { reason, message };
    let voice = found
        .ok_or_else(|| {
            not_ready(
                "VoiceMissing",
                format!("there is no TtsVoice {name} in this namespace; create it or remove it from spec.voices"),
            )
        })?
        .0
        .as_ref()
        .map_err(|error| not_ready("VoiceNotReady", format!("TtsVoice {name}: {error}")))?;
    let status = voice.status.clone().unwrap_or_default();
    let observed = Some(status.observed_generation) == voice.meta().generation;
    if observed && conditions::is_true(&status.conditions, READY) {
        return Ok(ReadyVoice {
            name: name.to_owned(),
            weight: 1.0,
            source: voice.spec.source.clone(),
            digest: status.digest.unwrap_or_default(),
            files: status.files,
            size_bytes: status.size_bytes.and_then(positive).unwrap_or(0),
            sample_rate_hz: status
                .sample_rate_hz
                .and_then(|rate| u32::try_from(rate).ok())
                .unwrap_or(0),
            peak_memory_bytes: status.peak_memory_bytes.and_then(positive),
            images: status.inspected_images,
            failure: status
                .conditions
                .into_iter()
                .find(|c| c.type_ == INSPECTED && c.status == "False")
                .map(|c| format!("TtsVoice {name}: {}: {}", c.reason, c.message)),
        });
    }
    let why = status
        .conditions
        .iter()
        .find(|c| observed && c.type_ == READY)
        .map_or_else(
            || "it is not inspected yet".to_owned(),
            |c| format!("{}: {}", c.reason, c.message),
        );
    Err(not_ready(
        "VoiceNotReady",
        format!("TtsVoice {name} is not ready: {why}"),
    ))
}
