//! Status conditions: one verdict per type, merged into the conditions of the object.
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::runtime::events::{Event, EventType};

pub const READY: &str = "Ready";
/// Present only while true, as kstatus expects: the operator is still working on the object.
pub const RECONCILING: &str = "Reconciling";
/// Present only while true: it does not change until a user changes the object or what it refers to.
pub const STALLED: &str = "Stalled";

/// Reasons of a `Ready` condition that is not true because work is in progress.
const STEPS: [&str; 4] = ["Inspecting", "Paused", "RollingOut", "VoiceNotReady"];

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
        }
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

/// The conditions after `verdicts`, sorted by type: types without a verdict are dropped, and a
/// transition time changes only with the status.
pub fn merge(
    previous: &[Condition],
    verdicts: Vec<Verdict>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
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
        .collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

/// The conditions with `Ready`, `Reconciling` and `Stalled` replaced by `verdicts` and the others
/// unchanged.
pub fn replace(
    previous: &[Condition],
    verdicts: Vec<Verdict>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = merge(previous, verdicts, generation, now);
    conditions.extend(
        previous
            .iter()
            .filter(|c| ![READY, RECONCILING, STALLED].contains(&c.type_.as_str()))
            .cloned(),
    );
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

/// Whether the condition of `type_` is present and true.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    conditions
        .iter()
        .any(|c| c.type_ == type_ && c.status == "True")
}

/// The event for a change of `Ready`, if it changed.
///
/// Steps of normal operation are `Normal`; what may need attention is a `Warning`.
pub fn event(previous: &[Condition], current: &[Condition]) -> Option<Event> {
    let find = |conditions: &[Condition]| conditions.iter().find(|c| c.type_ == READY).cloned();
    let now = find(current)?;
    let same = |before: &Condition| before.status == now.status && before.reason == now.reason;
    if find(previous).as_ref().is_some_and(same) {
        return None;
    }
    let normal = now.status == "True" || STEPS.contains(&now.reason.as_str());
    Some(Event {
        type_: if normal {
            EventType::Normal
        } else {
            EventType::Warning
        },
        reason: now.reason,
        note: Some(truncate(now.message, MAX_NOTE)),
        action: "Reconcile".to_owned(),
        secondary: None,
    })
}

/// The event for a failed reconciliation.
pub fn failure_event(reason: &str, message: String) -> Event {
    Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(truncate(message, MAX_NOTE)),
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

    fn ready(status: Status, reason: &str) -> Vec<Verdict> {
        vec![Verdict::new(READY, status, reason, "1 of 2")]
    }

    #[test]
    fn transition_time_moves_only_when_the_status_flips() {
        let first = merge(&[], ready(Status::False, "RollingOut"), Some(1), at(10));
        let second = merge(&first, ready(Status::False, "Waiting"), Some(2), at(20));
        assert_eq!(second[0].last_transition_time, Time(at(10)));
        assert_eq!(second[0].observed_generation, Some(2));
        let third = merge(&second, ready(Status::True, "Available"), Some(2), at(30));
        assert_eq!(third[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn a_type_without_a_verdict_goes_away() {
        let stalled = Verdict::new(STALLED, Status::True, "Broken", "");
        let first = merge(&[], vec![stalled], Some(1), at(10));
        assert!(merge(&first, vec![], Some(1), at(20)).is_empty());
    }

    #[test]
    fn a_failure_replaces_the_outlook_and_keeps_what_was_found() {
        let sized = Verdict::new("Sized", Status::True, "Default", "");
        let work = Verdict::new(RECONCILING, Status::True, "RollingOut", "");
        let before = merge(&[], vec![sized, work], Some(1), at(10));
        let after = replace(&before, ready(Status::False, "NameTaken"), Some(2), at(20));
        let types: Vec<_> = after.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(types, ["Ready", "Sized"]);
    }

    #[test]
    fn an_event_is_made_once_for_a_change_of_ready() {
        let before = merge(&[], ready(Status::False, "RollingOut"), Some(1), at(10));
        let after = merge(&before, ready(Status::True, "Available"), Some(1), at(20));
        assert_eq!(event(&before, &after).unwrap().reason, "Available");
        assert!(event(&after, &after).is_none());
    }

    #[test]
    fn only_what_may_need_a_person_is_a_warning() {
        let event_of = |status, reason| {
            let conditions = merge(&[], ready(status, reason), Some(1), at(10));
            event(&[], &conditions).unwrap().type_
        };
        assert_eq!(event_of(Status::False, "RollingOut"), EventType::Normal);
        assert_eq!(event_of(Status::True, "Serving"), EventType::Normal);
        assert_eq!(event_of(Status::False, "Unreachable"), EventType::Warning);
    }

    #[test]
    fn notes_are_cut_at_a_char_boundary() {
        assert_eq!(truncate("hé".repeat(3), 6), "hé…");
        assert_eq!(truncate("short".to_owned(), 6), "short");
    }
}
