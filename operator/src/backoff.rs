//! Per-object error backoff: `kube` passes no attempt count to `error_policy`, so it is kept here.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

const BASE: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_mins(5);

/// Consecutive failures, by the namespace and name of an object.
#[derive(Default)]
pub struct ErrorBackoff {
    failures: Mutex<HashMap<(String, String), u32>>,
}

impl ErrorBackoff {
    /// The delay before the next attempt, doubling with every consecutive failure of the object:
    /// 1 s, 2 s, 4 s … 5 min.
    pub fn next(&self, namespace: &str, name: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures
            .entry((namespace.to_owned(), name.to_owned()))
            .or_default();
        let delay = BASE.saturating_mul(1 << (*count).min(16)).min(CAP);
        *count = count.saturating_add(1);
        delay
    }

    /// Resets the object, after a success or after its deletion.
    pub fn reset(&self, namespace: &str, name: &str) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(namespace.to_owned(), name.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_a_cap_and_starts_again_after_a_success() {
        let backoff = ErrorBackoff::default();
        let delays: Vec<u64> = (0..11)
            .map(|_| backoff.next("speech", "narrator").as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff.next("speech", "other").as_secs(), 1);
        backoff.reset("speech", "narrator");
        assert_eq!(backoff.next("speech", "narrator").as_secs(), 1);
    }
}
