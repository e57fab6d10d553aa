//! Status conditions: one verdict per type, merged into the conditions of the object.
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::runtime::events::{Event, EventType};

pub const READY: &str = "Ready";
/// Present only while true, as kstatus expects: the operator is still working on the object.
pub const RECONCILING: &str = "Reconciling";
/// Present only while true: it does not change until a user changes the object or what it refers to.
pub const STALLED: &str = "Stalled";

/// Of a voice: whether it passed its inspection with the current server image.
pub const INSPECTED: &str = "Inspected";
/// Of a deployment: whether its pods have the template of the current spec, voices and server image.
pub const UP_TO_DATE: &str = "UpToDate";

/// Of a deployment: whether its voices are measured where its pods may run.
pub const PROFILED: &str = "Profiled";
/// Of a deployment: whether its pods are as large as they should be.
pub const SIZED: &str = "Sized";

/// Of a benchmark: whether its last profile is slower than the accepted one.
pub const REGRESSED: &str = "Regressed";
/// Of a benchmark: whether its profiles became slower some time ago and stayed so.
pub const DRIFTING: &str = "Drifting";

/// Conditions whose failure is worth an event although the object stays ready.
const ANNOUNCED: [&str; 2] = [INSPECTED, UP_TO_DATE];

/// Maximum length of a message; the API server accepts four times as much.
const MAX_MESSAGE: usize = 8 * 1024;
/// Maximum length of an event note in the API server, in bytes.
const MAX_NOTE: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Status {
    True,
    False,
    Unknown,
}

/// The outcome for one condition type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub type_: &'static str,
    pub status: Status,
    /// `CamelCase`.
    pub reason: String,
    /// For users: the state, and what to do about it.
    pub message: String,
    /// Whether it is a step of normal operation, which needs no attention even if it is not true.
    pub step: bool,
}

impl Verdict {
    pub fn new(
        type_: &'static str,
        status: Status,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            status,
            reason: reason.into(),
            message: message.into(),
            step: false,
        }
    }

    /// As a step of normal operation.
    #[must_use]
    pub fn as_step(self) -> Self {
        Self { step: true, ..self }
    }

    /// The verdict that `condition` was made of, if it is one of `ours`.
    pub fn repeat(condition: &Condition, ours: &[&'static str]) -> Option<Self> {
        let type_ = ours.iter().find(|type_| **type_ == condition.type_)?;
        let status = match condition.status.as_str() {
            "True" => Status::True,
            "False" => Status::False,
            _ => Status::Unknown,
        };
        Some(Self::new(
            type_,
            status,
            &condition.reason,
            &condition.message,
        ))
    }

    /// The same reason and message with another type and status.
    #[must_use]
    pub fn as_type(&self, type_: &'static str, status: Status) -> Self {
        Self {
            type_,
            status,
            ..self.clone()
        }
    }
}

/// The conditions after `verdicts`, sorted by type. Of the types in `ours`, those without a verdict are
/// dropped; others belong to somebody else and stay. A transition time changes only with the status.
pub fn merge(
    previous: &[Condition],
    ours: &[&str],
    verdicts: Vec<Verdict>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let foreign = previous
        .iter()
        .filter(|condition| !ours.contains(&condition.type_.as_str()))
        .cloned();
    let mut conditions: Vec<Condition> = verdicts
        .into_iter()
        .map(|verdict| {
            let status: &str = verdict.status.into();
            let unchanged = previous
                .iter()
                .find(|c| c.type_ == verdict.type_ && c.status == status);
            Condition {
                type_: verdict.type_.to_owned(),
                status: status.to_owned(),
                reason: verdict.reason,
                message: truncate(verdict.message, MAX_MESSAGE),
                observed_generation: generation,
                last_transition_time: unchanged
                    .map_or(Time(now), |c| c.last_transition_time.clone()),
            }
        })
        .chain(foreign)
        .collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

/// Whether the condition of `type_` is present and true.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    conditions
        .iter()
        .any(|c| c.type_ == type_ && c.status == "True")
}

/// The events for what `verdicts` change: `Ready`, other conditions whose failure leaves the object ready, each answer
/// whether a benchmark is slower, and a slow drift.
///
/// Steps of normal operation are `Normal`; what may need attention is a `Warning`.
pub fn events(previous: &[Condition], verdicts: &[Verdict]) -> Vec<Event> {
    let is_known = |verdict: &Verdict| {
        let status: &str = verdict.status.into();
        previous
            .iter()
            .any(|c| c.type_ == verdict.type_ && c.status == status && c.reason == verdict.reason)
    };
    let is_ready = verdicts
        .iter()
        .any(|verdict| verdict.type_ == READY && verdict.status == Status::True);
    let is_worth_telling = |verdict: &Verdict| match verdict.type_ {
        READY | REGRESSED => true,
        DRIFTING => verdict.status == Status::True,
        type_ => {
            let failed = ANNOUNCED.contains(&type_) && verdict.status == Status::False;
            failed && is_ready && !verdict.step
        }
    };
    let is_normal = |verdict: &Verdict| match verdict.type_ {
        // Without an answer there is nothing to do at once.
        REGRESSED | DRIFTING => verdict.status != Status::True,
        _ => verdict.status == Status::True || verdict.step,
    };
    verdicts
        .iter()
        .filter(|verdict| is_worth_telling(verdict) && !is_known(verdict))
        .map(|verdict| Event {
            type_: if is_normal(verdict) {
                EventType::Normal
            } else {
                EventType::Warning
            },
            reason: verdict.reason.clone(),
            note: Some(note(verdict.message.clone())),
            action: "Reconcile".to_owned(),
            secondary: None,
        })
        .collect()
}

/// Text for an event, cut to what the API server accepts.
pub fn note(text: String) -> String {
    truncate(text, MAX_NOTE)
}

/// The event for something that failed.
pub fn failure_event(reason: &str, message: String) -> Event {
    Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(note(message)),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

fn truncate(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    const OURS: [&str; 4] = [READY, RECONCILING, STALLED, INSPECTED];

    fn merged(previous: &[Condition], verdicts: Vec<Verdict>, seconds: i64) -> Vec<Condition> {
        merge(previous, &OURS, verdicts, Some(seconds), at(seconds))
    }

    fn ready(status: Status, reason: &str) -> Vec<Verdict> {
        vec![Verdict::new(READY, status, reason, "1 of 2")]
    }

    #[test]
    fn transition_time_moves_only_when_the_status_flips() {
        let first = merged(&[], ready(Status::False, "RollingOut"), 10);
        let second = merged(&first, ready(Status::False, "Waiting"), 20);
        assert_eq!(second[0].last_transition_time, Time(at(10)));
        assert_eq!(second[0].observed_generation, Some(20));
        let third = merged(&second, ready(Status::True, "Available"), 30);
        assert_eq!(third[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn a_type_without_a_verdict_goes_away_and_a_foreign_one_stays() {
        let foreign = Verdict::new("Approved", Status::True, "ByHand", "");
        let before = merge(&[], &["Approved"], vec![foreign], Some(1), at(5));
        let stalled = Verdict::new(STALLED, Status::True, "Broken", "");
        let first = merged(&before, vec![stalled], 10);
        assert_eq!(first.len(), 2);
        assert_eq!(merged(&first, vec![], 20), before);
    }

    #[test]
    fn an_event_is_made_once_for_a_change_of_ready() {
        let before = merged(&[], ready(Status::False, "RollingOut"), 10);
        let verdicts = ready(Status::True, "Available");
        assert_eq!(events(&before, &verdicts)[0].reason, "Available");
        let after = merged(&before, verdicts.clone(), 20);
        assert!(events(&after, &verdicts).is_empty());
    }

    #[test]
    fn only_what_may_need_a_person_is_a_warning() {
        let type_of = |verdict| events(&[], &[verdict])[0].type_;
        let unready = || Verdict::new(READY, Status::False, "Unreachable", "no route");
        assert_eq!(type_of(unready()), EventType::Warning);
        assert_eq!(type_of(unready().as_step()), EventType::Normal);
        let serving = ready(Status::True, "Serving").remove(0);
        assert_eq!(type_of(serving), EventType::Normal);
    }

    #[test]
    fn a_failed_inspection_of_a_ready_voice_is_announced() {
        let failed = Verdict::new(INSPECTED, Status::False, "UnsupportedVoice", "");
        let verdicts = |ready_status, inspected: &Verdict| {
            [ready(ready_status, "Inspected"), vec![inspected.clone()]].concat()
        };
        let before = merged(&[], ready(Status::True, "Inspected"), 10);
        let made = events(&before, &verdicts(Status::True, &failed));
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].type_, EventType::Warning);
        assert_eq!(made[0].reason, "UnsupportedVoice");
        assert!(events(&before, &verdicts(Status::True, &failed.as_step())).is_empty());
    }

    #[test]
    fn each_answer_about_a_benchmark_is_told_and_a_slower_one_warns() {
        let told = |previous: &[Condition], type_, status, reason: &str| {
            let verdict = Verdict::new(type_, status, reason, "1.2 times");
            let events = events(previous, &[verdict]);
            events.first().map(|event| event.type_)
        };
        let (normal, warning) = (Some(EventType::Normal), Some(EventType::Warning));
        assert_eq!(told(&[], REGRESSED, Status::False, "Pass"), normal);
        assert_eq!(
            told(&[], REGRESSED, Status::Unknown, "Inconclusive"),
            normal
        );
        assert_eq!(told(&[], REGRESSED, Status::True, "Regressed"), warning);
        assert_eq!(told(&[], DRIFTING, Status::True, "SlowDrift"), warning);
        assert_eq!(told(&[], DRIFTING, Status::False, "Steady"), None);
        let known = Verdict::new(REGRESSED, Status::False, "Pass", "1.0 times");
        let known = merge(&[], &[REGRESSED], vec![known], None, at(10));
        assert_eq!(told(&known, REGRESSED, Status::False, "Pass"), None);
    }

    #[test]
    fn a_verdict_is_repeated_from_its_condition() {
        let verdict = Verdict::new(READY, Status::False, "TooLarge", "9 GiB");
        let conditions = merged(&[], vec![verdict.clone()], 10);
        assert_eq!(Verdict::repeat(&conditions[0], &OURS), Some(verdict));
        assert_eq!(Verdict::repeat(&conditions[0], &[STALLED]), None);
    }

    #[test]
    fn notes_are_cut_at_a_char_boundary() {
        assert_eq!(truncate("hé".repeat(3), 6), "hé…");
        assert_eq!(truncate("short".to_owned(), 6), "short");
    }
}
