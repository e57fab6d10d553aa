//! Rules with one right answer each.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

mod bounds;
mod classes;
mod measurements;
mod stored;
mod voices;

use tts_planner::{AcceptedPlan, Request};
use tts_planner_dev::samples::{changed, decide, request};

fn only_cpu() -> Request {
    changed(&request(), |r| {
        r.classes.truncate(1);
        r.measurements.truncate(1);
    })
}

fn planned(request: &Request) -> AcceptedPlan {
    decide(request).plan().cloned().unwrap()
}
