//! Which measurements a pod is planned from: on one node class, one of each voice that it serves.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::profile::{Accelerator, Profile, Validity, Variant};
use crate::rejection::{Because, Rejection};
use crate::request::{Measurement, NodeClass, Request};
use crate::validity::Standing;

/// A voice of the mix, as measured on one node class.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    /// Its share of the requests.
    pub share: f64,
    pub measurement: &'a Measurement,
    pub profile: &'a Profile,
    pub standing: Standing,
}

/// The voices that a pod serves.
#[derive(Clone, Debug)]
pub(crate) struct Mix<'a> {
    pub accelerator: Accelerator,
    /// In order of the voices' names; at least one.
    pub parts: Vec<Part<'a>>,
}

impl Mix<'_> {
    pub fn profiles(&self) -> Vec<String> {
        self.parts
            .iter()
            .map(|part| part.profile.id.clone())
            .collect()
    }

    /// By the profiles' ids.
    pub fn order(&self, other: &Self) -> Ordering {
        let ids = |mix: &Self| {
            mix.parts
                .iter()
                .map(|part| part.profile.id.as_str())
                .collect::<Vec<_>>()
        };
        ids(self).cmp(&ids(other))
    }

    /// The longest cold start, and the loading of the other voices: at most their cold starts (s).
    pub fn cold_start(&self) -> f64 {
        self.parts.iter().map(|part| part.profile.cold_start).sum()
    }
}

/// The voices to plan for, by name, with their shares of the requests.
pub(crate) fn shares(request: &Request) -> BTreeMap<&str, f64> {
    let weights: BTreeMap<&str, f64> = if request.voices.is_empty() {
        let measured = request.measurements.iter();
        measured
            .map(|measurement| (measurement.profile.voice.name.as_str(), 1.0))
            .collect()
    } else {
        let voices = request.voices.iter();
        voices
            .map(|voice| (voice.name.as_str(), voice.weight))
            .collect()
    };
    let total: f64 = weights.values().sum();
    weights
        .into_iter()
        .map(|(name, weight)| (name, weight / total))
        .collect()
}

/// All mixes for a class, and what is left out of them.
///
/// A mix has the same variant of every voice; a voice that was not measured with it takes the first
/// of its own, by name. Of several generations of one voice and variant, the newest usable one
/// counts.
pub(crate) fn mixes<'a>(
    request: &'a Request,
    class: &NodeClass,
    shares: &BTreeMap<&'a str, f64>,
) -> (Vec<Mix<'a>>, Vec<Rejection>) {
    let mut rejections = Vec::new();
    let mut usable: Vec<Part<'a>> = Vec::new();
    let here = request
        .measurements
        .iter()
        .filter(|measurement| measurement.profile.node.class == class.name);
    for measurement in here {
        let profile = &measurement.profile;
        let Some(&share) = shares.get(profile.voice.name.as_str()) else {
            continue;
        };
        let because = match profile.check() {
            Err(error) => Some(Because::Unreadable {
                message: error.to_string(),
            }),
            Ok(()) if measurement.standing().validity == Validity::Invalid => {
                Some(Because::Invalid)
            }
            Ok(()) => None,
        };
        match because {
            Some(because) => rejections.push(Rejection::of_profile(class, profile, because)),
            None => usable.push(Part {
                share,
                measurement,
                profile,
                standing: measurement.standing(),
            }),
        }
    }
    let newest = newest(class, usable, &mut rejections);
    let mut mixes = Vec::new();
    let mut missing: Option<&str> = None;
    for accelerator in [Accelerator::Cpu, Accelerator::Gpu] {
        let parts: Vec<&Part<'a>> = newest
            .iter()
            .filter(|part| part.profile.accelerator() == accelerator)
            .collect();
        let mut variants: Vec<&Variant> = parts.iter().map(|part| variant(part)).collect();
        variants.sort_by(|a, b| by_name(a, b));
        variants.dedup();
        for wanted in variants {
            let of_voice = |name: &&str| {
                let mut own: Vec<&&Part<'a>> = parts
                    .iter()
                    .filter(|part| part.profile.voice.name == **name)
                    .collect();
                own.sort_by(|a, b| by_name(variant(a), variant(b)));
                let same = own.iter().find(|part| variant(part) == wanted);
                same.or(own.first()).map(|part| Part::clone(part))
            };
            let found: Option<Vec<Part<'a>>> = shares.keys().map(of_voice).collect();
            match found {
                Some(parts) => mixes.push(Mix { accelerator, parts }),
                None => {
                    missing =
                        missing.or(shares.keys().find(|name| of_voice(name).is_none()).copied());
                }
            }
        }
    }
    if mixes.is_empty() {
        let unmeasured = newest.is_empty() && rejections.is_empty();
        if let Some(voice) = missing {
            rejections.push(Rejection::of_class(
                class,
                Because::VoiceUnmeasured {
                    voice: voice.to_owned(),
                },
            ));
        } else if unmeasured {
            rejections.push(Rejection::of_class(class, Because::Unmeasured));
        }
    }
    (mixes, rejections)
}

fn variant<'a>(part: &Part<'a>) -> &'a Variant {
    &part.profile.voice.variant
}

fn by_name(a: &Variant, b: &Variant) -> Ordering {
    (&a.precision, a.nfe).cmp(&(&b.precision, b.nfe))
}

/// The newest of each voice, variant and accelerator, in order of the profiles' ids; the others are
/// rejected.
fn newest<'a>(
    class: &NodeClass,
    mut usable: Vec<Part<'a>>,
    rejections: &mut Vec<Rejection>,
) -> Vec<Part<'a>> {
    // Newest first; of equally old ones the first by id.
    usable.sort_by(|a, b| {
        let started = |part: &Part<'_>| part.profile.run.started_millis();
        started(b)
            .cmp(&started(a))
            .then_with(|| a.profile.id.cmp(&b.profile.id))
    });
    let mut newest: Vec<Part<'a>> = Vec::new();
    for part in usable {
        let same = |other: &&Part<'a>| {
            variant(other) == variant(&part)
                && other.profile.voice.name == part.profile.voice.name
                && other.profile.accelerator() == part.profile.accelerator()
        };
        match newest.iter().find(same) {
            Some(newer) => rejections.push(Rejection::of_profile(
                class,
                part.profile,
                Because::Superseded {
                    by: newer.profile.id.clone(),
                },
            )),
            None => newest.push(part),
        }
    }
    newest.sort_by(|a, b| a.profile.id.cmp(&b.profile.id));
    newest
}
