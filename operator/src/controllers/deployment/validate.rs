//! Turns the object and its voices into the input of the builders. Pure.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _, core::DeserializeGuard};
use tts_crds::v1alpha1::{
    PodSettings, ServiceSettings, TtsDeployment, TtsVoice, VoiceSource, VoiceState,
};

use super::{Error, Result, dereference::References, sizing, sizing::PodSize};
use crate::{
    conditions::{self, READY},
    settings::ServerSettings,
};

/// A deployment that can be built: every default applied, every reference resolved.
pub struct ValidatedDeployment {
    pub name: String,
    pub namespace: String,
    pub owner: OwnerReference,
    pub replicas: i32,
    pub voices: Voices,
    /// For the status, in the order of the spec.
    pub voice_states: Vec<VoiceState>,
    pub pod: PodSettings,
    pub service: ServiceSettings,
    pub paused: bool,
    pub settings: Arc<ServerSettings>,
}

/// The voices, if all of them can be served.
pub enum Voices {
    Ready {
        served: Served,
        size: PodSize,
    },
    /// What is wrong, one clause per voice; running pods are not changed.
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
    pub digest: String,
    pub size_bytes: u64,
    pub sample_rate_hz: u32,
    pub peak_memory_bytes: Option<u64>,
}

pub fn validate(
    object: &TtsDeployment,
    references: &References,
    settings: &Arc<ServerSettings>,
) -> Result<ValidatedDeployment> {
    let spec = &object.spec;
    let mut voice_states = Vec::with_capacity(spec.voices.len());
    let mut ready = Vec::with_capacity(spec.voices.len());
    let mut not_ready = Vec::new();
    for (voice, found) in spec.voices.iter().zip(&references.voices) {
        let checked = check(&voice.name, found.as_ref());
        voice_states.push(VoiceState {
            name: voice.name.clone(),
            ready: checked.is_ok(),
            digest: checked.as_ref().ok().map(|voice| voice.digest.clone()),
        });
        match checked {
            Ok(voice) => ready.push(voice),
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
        None => Voices::Ready {
            size: sizing::size(
                spec.sizing.as_ref(),
                &ready,
                references.accepted_memory.as_ref(),
            ),
            served: Served {
                voices: ready,
                default,
            },
        },
        Some(first) => Voices::NotReady {
            reason: first.reason,
            message: not_ready
                .iter()
                .map(|voice| voice.message.as_str())
                .collect::<Vec<_>>()
                .join("; "),
        },
    };
    Ok(ValidatedDeployment {
        name: object.name_any(),
        namespace: object.namespace().ok_or(Error::Incomplete("namespace"))?,
        owner: object
            .controller_owner_ref(&())
            .ok_or(Error::Incomplete("uid"))?,
        replicas: spec.scaling.as_ref().map_or(1, |scaling| scaling.replicas),
        voices,
        voice_states,
        pod: spec.pod.clone().unwrap_or_default(),
        service: spec
            .expose
            .clone()
            .and_then(|expose| expose.service)
            .unwrap_or_default(),
        paused: spec.paused,
        settings: settings.clone(),
    })
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
            source: voice.spec.source.clone(),
            digest: status.digest.unwrap_or_default(),
            size_bytes: status.size_bytes.and_then(positive).unwrap_or(0),
            sample_rate_hz: status
                .sample_rate_hz
                .and_then(|rate| u32::try_from(rate).ok())
                .unwrap_or(0),
            peak_memory_bytes: status.peak_memory_bytes.and_then(positive),
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
