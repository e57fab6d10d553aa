//! Per-object error backoff: `kube` passes no attempt count to `error_policy`, so it is kept here.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const BASE: Duration = Duration::from_secs(1);
/// Also the longest time that an object waits after the API server has recovered.
const CAP: Duration = Duration::from_mins(2);

/// Consecutive failures, by the namespace and name of an object.
#[derive(Default)]
pub struct ErrorBackoff {
    failures: Mutex<HashMap<(String, String), Failures>>,
}

struct Failures {
    delay: Duration,
    /// When the next attempt is due.
    due: Instant,
}

impl ErrorBackoff {
    /// The delay before the next attempt, doubling with every consecutive failure of the object:
    /// 1 s, 2 s, 4 s … 2 min. An attempt that a change triggered before it was due does not count.
    pub fn next(&self, namespace: &str, name: &str) -> Duration {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), name.to_owned());
        let delay = match failures.get(&key) {
            Some(before) if now < before.due => return before.due - now,
            Some(before) => before.delay.saturating_mul(2).min(CAP),
            None => BASE,
        };
        let due = now + delay;
        failures.insert(key, Failures { delay, due });
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
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_delay_doubles_up_to_a_cap_and_starts_again_after_a_success() {
        let backoff = ErrorBackoff::default();
        let mut delays = Vec::new();
        for _ in 0..9 {
            let delay = backoff.next("speech", "narrator");
            delays.push(delay.as_secs());
            advance(delay).await;
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(backoff.next("speech", "other").as_secs(), 1);
        backoff.reset("speech", "narrator");
        assert_eq!(backoff.next("speech", "narrator").as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_before_the_next_one_is_due_do_not_prolong_the_delay() {
        let backoff = ErrorBackoff::default();
        assert_eq!(backoff.next("speech", "narrator").as_secs(), 1);
        advance(Duration::from_millis(250)).await;
        for _ in 0..3 {
            assert_eq!(backoff.next("speech", "narrator").as_millis(), 750);
        }
        advance(Duration::from_millis(750)).await;
        assert_eq!(backoff.next("speech", "narrator").as_secs(), 2);
    }
}
