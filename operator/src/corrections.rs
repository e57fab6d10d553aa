//! Keeps the operator from fighting with another writer over the same field.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A difference that others make again and again is corrected this often in [`PERIOD`], and once in it
/// where the API server changes every write of ours (an admission webhook).
const MOST: u32 = 5;
const PERIOD: Duration = Duration::from_mins(10);

/// What was corrected lately, by the uid of the object.
#[derive(Default)]
pub struct Corrections(Mutex<HashMap<String, Correction>>);

struct Correction {
    difference: String,
    count: u32,
    last: Instant,
    told: bool,
}

/// What to do about a difference.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Correct,
    /// Others will only make it again; `tell` the user, once.
    Leave {
        tell: bool,
    },
}

impl Corrections {
    /// Whether to write, given how the live object with this uid differs.
    pub fn verdict(&self, uid: &str, difference: &str) -> Verdict {
        self.verdict_at(uid, difference, Instant::now())
    }

    fn verdict_at(&self, uid: &str, difference: &str, now: Instant) -> Verdict {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, correction| now.duration_since(correction.last) < PERIOD);
        match all.get_mut(uid) {
            Some(before) if before.difference == difference && before.count >= MOST => {
                let tell = !before.told;
                before.told = true;
                Verdict::Leave { tell }
            }
            _ => Verdict::Correct,
        }
    }

    /// Records a write; `left` is how the object still differs in the API server's answer.
    pub fn wrote(&self, uid: &str, corrected: &str, left: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let futile = !left.is_empty();
        let difference = if futile { left } else { corrected };
        let before = all
            .get(uid)
            .filter(|before| before.difference == difference);
        let count = if futile {
            MOST
        } else {
            before.map_or(0, |before| before.count) + 1
        };
        let told = before.is_some_and(|before| before.told);
        all.insert(
            uid.to_owned(),
            Correction {
                difference: difference.to_owned(),
                count,
                last: Instant::now(),
                told,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAVE: Verdict = Verdict::Leave { tell: false };

    #[test]
    fn what_each_write_brings_back_is_written_once_a_period_and_told_once() {
        let corrections = Corrections::default();
        assert_eq!(corrections.verdict("u", "image"), Verdict::Correct);
        corrections.wrote("u", "image", "image");
        assert_eq!(
            corrections.verdict("u", "image"),
            Verdict::Leave { tell: true }
        );
        assert_eq!(corrections.verdict("u", "image"), LEAVE);
        assert_eq!(
            corrections.verdict("u", "args"),
            Verdict::Correct,
            "another one"
        );
        assert_eq!(
            corrections.verdict("v", "image"),
            Verdict::Correct,
            "elsewhere"
        );
        let later = Instant::now() + PERIOD;
        assert_eq!(
            corrections.verdict_at("u", "image", later),
            Verdict::Correct
        );
    }

    #[test]
    fn a_person_is_corrected_each_time_and_another_controller_five_times() {
        let corrections = Corrections::default();
        for _ in 0..MOST {
            assert_eq!(corrections.verdict("u", "replicas"), Verdict::Correct);
            corrections.wrote("u", "replicas", "");
        }
        assert_eq!(
            corrections.verdict("u", "replicas"),
            Verdict::Leave { tell: true }
        );
    }
}
