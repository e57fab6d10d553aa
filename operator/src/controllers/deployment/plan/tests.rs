use k8s_openapi::api::core::v1::PodTemplateSpec;
use tts_crds::v1alpha1::TtsVoice;

use super::*;
use crate::controllers::deployment::{
    dereference::Kept,
    fixtures::{BUILTIN, IMAGE, references, validated, voice_that_passed},
};

const SPEC: &str = "  voices: [{name: bass}]";
const EDITED: &str = "  voices: [{name: bass}]\n  pod: {labels: {team: voice}}";
const NEWER: &str = "registry.test/tts-server:10";

fn passed(images: &[&str]) -> TtsVoice {
    voice_that_passed("bass", BUILTIN, images)
}

/// What runs with [`IMAGE`], rolled out and recorded.
fn kept() -> Kept {
    let references = references(vec![Some(passed(&[IMAGE]))]);
    let planned = plan(validated(SPEC, &references, IMAGE), &references, None);
    Kept {
        accepted: planned.workload.unwrap().accepted,
        revision: 4,
    }
}

/// The references of a deployment that serves what is [`kept`].
fn serving(voice: Option<TtsVoice>) -> References {
    References {
        accepted: Some(kept()),
        last_revision: 4,
        complete: true,
        ..references(vec![voice])
    }
}

fn serving_with(voice: TtsVoice) -> References {
    serving(Some(voice))
}

struct Seen {
    image: Option<String>,
    revision: Option<i64>,
    reason: Option<&'static str>,
    takes_turn: bool,
}

fn look(spec: &str, references: &References, image: &str) -> Seen {
    let planned = plan(validated(spec, references, image), references, None);
    let takes_turn = takes_turn(&planned, references);
    let workload = planned.workload;
    Seen {
        image: workload.as_ref().map(|w| w.accepted.image.clone()),
        revision: workload.map(|w| w.revision),
        reason: planned.pending.map(|pending| pending.reason),
        takes_turn,
    }
}

#[test]
fn the_first_template_is_accepted_at_once() {
    let seen = look(SPEC, &references(vec![Some(passed(&[IMAGE]))]), IMAGE);
    assert_eq!(seen.image.as_deref(), Some(IMAGE));
    assert_eq!((seen.revision, seen.reason), (Some(1), None));
    assert!(!seen.takes_turn, "nothing waits for it");
}

#[test]
fn what_is_accepted_is_kept_under_its_number() {
    let seen = look(SPEC, &serving_with(passed(&[IMAGE])), IMAGE);
    assert_eq!((seen.revision, seen.reason), (Some(4), None));
}

#[test]
fn a_missing_voice_keeps_what_was_accepted() {
    let seen = look(SPEC, &serving(None), IMAGE);
    assert_eq!(seen.image.as_deref(), Some(IMAGE));
    assert_eq!(
        (seen.revision, seen.reason),
        (Some(4), Some("VoiceMissing"))
    );
    let never = look(SPEC, &references(vec![None]), IMAGE);
    assert_eq!((never.image, never.reason), (None, Some("VoiceMissing")));
}

#[test]
fn a_new_image_is_not_rolled_out_before_the_voices_passed_with_it() {
    let waits = look(SPEC, &serving_with(passed(&[IMAGE])), NEWER);
    assert_eq!(waits.image.as_deref(), Some(IMAGE));
    assert_eq!(
        (waits.revision, waits.reason),
        (Some(4), Some("Inspecting"))
    );
    let rolls = look(SPEC, &serving_with(passed(&[NEWER, IMAGE])), NEWER);
    assert_eq!(rolls.image.as_deref(), Some(NEWER));
    assert_eq!((rolls.revision, rolls.reason), (Some(5), None));
    assert!(rolls.takes_turn);
}

#[test]
fn a_failed_inspection_leaves_everything_as_it_runs_and_says_so() {
    let mut voice = voice_that_passed("bass", BUILTIN, &[IMAGE]);
    let status = voice.status.as_mut().unwrap();
    status.conditions.push(
        serde_json::from_value(serde_json::json!({
            "type": "Inspected", "status": "False", "reason": "UnsupportedVoice",
            "message": "no such operator", "lastTransitionTime": "2024-01-01T00:00:00Z",
        }))
        .unwrap(),
    );
    let references = serving_with(voice);
    let planned = plan(validated(SPEC, &references, NEWER), &references, None);
    let pending = planned.pending.unwrap();
    assert_eq!(pending.reason, "InspectionFailed");
    assert!(!pending.in_progress);
    assert!(
        pending
            .message
            .contains("bass: UnsupportedVoice: no such operator")
    );
    assert_eq!(planned.workload.unwrap().revision, 4);
}

#[test]
fn voices_that_passed_with_different_images_take_the_newest_that_all_passed() {
    let two = "  voices: [{name: bass}, {name: tenor}]";
    let voices = |second: &[&str]| {
        references(vec![
            Some(passed(&["c", "b", "a"])),
            Some(voice_that_passed("tenor", BUILTIN, second)),
        ])
    };
    let image = |second: &[&str]| look(two, &voices(second), NEWER).image;
    assert_eq!(image(&["b", "a"]).as_deref(), Some("b"));
    assert_eq!(image(&["x"]), None);
    assert_eq!(image(&[]), None, "not recorded, and nothing runs");
    let running = References {
        accepted: Some(kept()),
        ..voices(&[])
    };
    let seen = look(two, &running, NEWER);
    assert_eq!(seen.image.as_deref(), Some(IMAGE), "what runs");
}

#[test]
fn a_users_change_is_rolled_out_at_once_with_the_image_that_runs() {
    let mut references = serving_with(passed(&[IMAGE]));
    references.rolling = 99;
    let seen = look(EDITED, &references, NEWER);
    assert_eq!(seen.image.as_deref(), Some(IMAGE));
    assert_eq!((seen.revision, seen.reason), (Some(5), Some("Inspecting")));
    assert!(!seen.takes_turn);
    // The arguments of this version may be unknown to an image that another version rolled out.
    references.accepted.as_mut().unwrap().accepted.operator = "0.0.1".to_owned();
    let seen = look(EDITED, &references, NEWER);
    assert_eq!((seen.revision, seen.reason), (Some(4), Some("Inspecting")));
}

#[test]
fn only_a_few_deployments_are_rolled_out_at_a_time() {
    let at = |rolling| {
        let mut references = serving_with(passed(&[NEWER, IMAGE]));
        references.rolling = rolling;
        look(SPEC, &references, NEWER)
    };
    let turn = at(2);
    assert_eq!((turn.revision, turn.reason), (Some(5), None));
    let waits = at(3);
    assert_eq!(
        (waits.revision, waits.reason),
        (Some(4), Some("WaitingForTurn"))
    );
    assert_eq!(waits.image.as_deref(), Some(IMAGE));
}

#[test]
fn a_deployment_that_does_not_serve_does_not_wait() {
    let mut references = serving_with(passed(&[NEWER, IMAGE]));
    references.complete = false;
    references.rolling = 99;
    let seen = look(SPEC, &references, NEWER);
    assert_eq!(seen.image.as_deref(), Some(NEWER));
    assert!(!seen.takes_turn);
}

#[test]
fn a_change_of_a_voice_takes_its_turn_too() {
    let mut voice = voice_that_passed("bass", BUILTIN, &[IMAGE]);
    voice.status.as_mut().unwrap().digest = Some("sha256:11".to_owned());
    let seen = look(SPEC, &serving_with(voice), IMAGE);
    assert_eq!(seen.revision, Some(5));
    assert!(seen.takes_turn);
}

#[test]
fn a_turn_that_was_taken_stays_taken_while_the_same_pods_are_rolled_out() {
    let mut references = serving_with(passed(&[IMAGE]));
    references.accepted.as_mut().unwrap().accepted.takes_turn = true;
    let planned = plan(validated(SPEC, &references, IMAGE), &references, None);
    assert!(planned.workload.as_ref().unwrap().accepted.takes_turn);
    assert!(!takes_turn(&planned, &references), "nothing new begins");
}

#[test]
fn what_runs_without_a_record_is_kept_and_recorded() {
    let template = kept().accepted.template;
    let mut references = serving(None);
    references.accepted = Some(Kept {
        accepted: Accepted::from_live(&template).unwrap(),
        revision: 0,
    });
    let seen = look(SPEC, &references, IMAGE);
    assert_eq!(seen.image.as_deref(), Some(IMAGE));
    assert_eq!(
        (seen.revision, seen.reason),
        (Some(5), Some("VoiceMissing"))
    );
    assert_eq!(Accepted::from_live(&PodTemplateSpec::default()), None);
}

#[test]
fn the_record_survives_the_api_server() {
    let accepted = kept().accepted;
    let text = serde_json::to_string(&accepted).unwrap();
    assert_eq!(serde_json::from_str::<Accepted>(&text).unwrap(), accepted);
}
