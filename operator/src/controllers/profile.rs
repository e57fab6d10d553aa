//! The `TtsProfile` controller: says what a measurement is worth now. The measurement itself is never changed.
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt as _, runtime::controller::Action};
use tts_crds::v1alpha1::{ProfileReason, TtsProfile, TtsProfileStatus, TtsVoiceStatus};
use tts_planner::{
    Profile, Validity,
    profile::Level,
    validity::{Finding, assess},
};

use super::{
    Context, Kind, RESYNC, Result,
    scope::{Guarded, Scope},
};
use crate::{
    cache::Cache,
    conditions::{
        self, READY, RECONCILING, STALLED,
        Status::{False, True},
        Verdict,
    },
    planning::measurements::environment,
};

/// Every condition of a profile: others are left to whoever sets them.
const OURS: [&str; 3] = [READY, RECONCILING, STALLED];

impl Kind for TtsProfile {
    type Status = TtsProfileStatus;
    const CONTROLLER: &'static str = "ttsprofile";

    fn cache(scope: &Scope) -> &Cache<Guarded<Self>> {
        &scope.profiles
    }

    fn status(&self) -> Option<&TtsProfileStatus> {
        self.status.as_ref()
    }

    fn conditions(status: &TtsProfileStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(status: &mut TtsProfileStatus, generation: i64, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    #[tracing::instrument(skip_all, fields(namespace = self.namespace(), name = self.name_any()))]
    async fn reconcile(self, ctx: Arc<Context>, scope: Arc<Scope>) -> Result<Action> {
        let namespace = self.namespace().unwrap_or_default();
        let voice = scope.voices.get(&namespace, &self.spec.0.voice.name);
        let facts = voice.and_then(|voice| voice.0.as_ref().ok()?.status.clone());
        let (status, verdicts) = status(&self, facts.as_ref(), super::now());
        super::write_status(&ctx, &scope, &self, status, &verdicts).await?;
        Ok(Action::requeue(RESYNC))
    }
}

/// The status, and the verdicts that its conditions were made of. `facts` are those of the voice in the profile's
/// namespace, if there is one.
fn status(
    object: &TtsProfile,
    facts: Option<&TtsVoiceStatus>,
    now: Timestamp,
) -> (TtsProfileStatus, Vec<Verdict>) {
    let profile = &object.spec.0;
    let previous = object.status.clone().unwrap_or_default();
    let (validity, reasons) = judged(profile, facts, now);
    let text = reasons
        .iter()
        .map(|reason| reason.text.as_str())
        .collect::<Vec<_>>()
        .join("; ");
    let verdicts = if validity == Validity::Invalid {
        let bad = Verdict::new(READY, False, validity.to_string(), text);
        vec![bad.as_type(STALLED, True), bad]
    } else {
        let text = if text.is_empty() {
            "nothing speaks against it".to_owned()
        } else {
            text
        };
        vec![Verdict::new(READY, True, validity.to_string(), text)]
    };
    let generation = object.metadata.generation;
    let fastest = |of: fn(&Level) -> f64| {
        let alone = profile
            .configs
            .iter()
            .filter_map(|config| config.levels.first());
        alone.map(of).min_by(f64::total_cmp)
    };
    let status = TtsProfileStatus {
        observed_generation: generation.unwrap_or_default(),
        conditions: conditions::merge(
            &previous.conditions,
            &OURS,
            verdicts.clone(),
            generation,
            now,
        ),
        validity: Some(validity.to_string()),
        reasons,
        real_time_factor: fastest(|level| level.rtf_p95).map(|factor| format!("{factor:.4}")),
        time_to_first_audio: fastest(|level| level.ttfa_p95)
            .map(|seconds| format!("{:.0}ms", 1000.0 * seconds)),
    };
    (status, verdicts)
}

/// What it is worth, and why: its rules, its record of the run, and what has changed since.
fn judged(
    profile: &Profile,
    facts: Option<&TtsVoiceStatus>,
    now: Timestamp,
) -> (Validity, Vec<ProfileReason>) {
    if let Err(error) = profile.check() {
        let reason = ProfileReason {
            code: "Malformed".to_owned(),
            text: format!("{error}; measure again"),
        };
        return (Validity::Invalid, vec![reason]);
    }
    let files = facts.map_or(&[][..], |facts| &facts.files);
    let assessment = assess(profile, Some(&environment(profile, files, now)));
    let reasons = assessment
        .findings
        .iter()
        // The profile's own verdict repeats what its record says.
        .filter(|finding| {
            assessment.findings.len() == 1 || !matches!(finding, Finding::Recorded { .. })
        })
        .map(|finding| {
            let code: &'static str = finding.into();
            ProfileReason {
                code: code.to_owned(),
                text: finding.to_string(),
            }
        })
        .collect();
    (assessment.standing.validity, reasons)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tts_crds::v1alpha1::{InspectedFile, TtsProfileSpec};

    use super::*;

    fn object(change: impl FnOnce(&mut Profile)) -> TtsProfile {
        let mut profile = Profile::from_json(tts_planner_dev::samples::PROFILE).unwrap();
        profile.server.version = env!("CARGO_PKG_VERSION").to_owned();
        change(&mut profile);
        let mut object = TtsProfile::new("stage", TtsProfileSpec(profile));
        object.metadata.generation = Some(1);
        object
    }

    fn days_later(days: u32) -> Timestamp {
        let started = &object(|_| {}).spec.0.run.started;
        started.parse::<Timestamp>().unwrap() + days * Duration::from_hours(24)
    }

    fn ready(status: &TtsProfileStatus) -> (&str, &str, &str) {
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == READY)
            .unwrap();
        (&ready.status, &ready.reason, &ready.message)
    }

    #[test]
    fn a_profile_says_what_it_is_worth() {
        let (fresh, _) = status(&object(|_| {}), None, days_later(1));
        assert_eq!(
            ready(&fresh),
            ("True", "Valid", "nothing speaks against it")
        );
        assert_eq!(fresh.validity.as_deref(), Some("Valid"));
        assert!(fresh.real_time_factor.is_some() && fresh.time_to_first_audio.is_some());

        let (old, _) = status(&object(|_| {}), None, days_later(91));
        assert_eq!(ready(&old).1, "Stale");
        assert_eq!(old.reasons[0].code, "Old");

        let (noisy, _) = status(
            &object(|profile| profile.run.noise_cv = 0.3),
            None,
            days_later(1),
        );
        assert_eq!(
            ready(&noisy),
            ("True", "Degraded", "equal requests varied by 30 %")
        );
    }

    #[test]
    fn another_model_makes_it_invalid() {
        let facts = TtsVoiceStatus {
            files: vec![InspectedFile {
                path: "amy.onnx".to_owned(),
                sha256: "ff".repeat(32),
                size_bytes: 1,
            }],
            ..TtsVoiceStatus::default()
        };
        let (status, _) = status(&object(|_| {}), Some(&facts), days_later(1));
        assert_eq!((ready(&status).0, ready(&status).1), ("False", "Invalid"));
        assert!(
            ready(&status).2.contains("model digest"),
            "{:?}",
            ready(&status)
        );
        assert!(conditions::is_true(&status.conditions, STALLED));
    }

    #[test]
    fn what_admission_cannot_say_is_said_here() {
        for (change, field) in [
            (
                (|profile| profile.configs[0].levels[0].n = 2) as fn(&mut Profile),
                "levels[0].n",
            ),
            (|profile| profile.configs.clear(), "configs"),
            (
                |profile| profile.configs[0].levels[0].ttfa_q[3] = 99.0,
                "ttfaQ[4]",
            ),
        ] {
            let (status, _) = status(&object(change), None, days_later(1));
            assert_eq!(ready(&status).1, "Invalid");
            assert_eq!(status.reasons[0].code, "Malformed");
            assert!(
                status.reasons[0].text.contains(field),
                "{:?}",
                status.reasons
            );
        }
    }
}
