//! How many requests were in flight, and their mean over a time.

use crate::number::float;

struct Step {
    time: f64,
    count: usize,
    /// Request-seconds up to this time.
    sum: f64,
}

/// Requests in flight in one pod, over all its time.
#[derive(Default)]
pub(crate) struct InFlight {
    steps: Vec<Step>,
}

impl InFlight {
    pub(crate) fn set(&mut self, now: f64, count: usize) {
        if self.steps.last().map_or(0, |step| step.count) != count {
            let sum = self.sum(now);
            self.steps.push(Step {
                time: now,
                count,
                sum,
            });
        }
    }

    /// Time average from one time to a later one.
    pub(crate) fn mean(&self, from: f64, to: f64) -> f64 {
        (self.sum(to) - self.sum(from)) / (to - from)
    }

    /// When the number changed last (s).
    pub(crate) fn changed(&self) -> Option<f64> {
        self.steps.last().map(|step| step.time)
    }

    fn sum(&self, time: f64) -> f64 {
        let after = self.steps.partition_point(|step| step.time <= time);
        after
            .checked_sub(1)
            .map(|at| &self.steps[at])
            .map_or(0.0, |step| {
                step.sum + float(step.count) * (time - step.time)
            })
    }
}
