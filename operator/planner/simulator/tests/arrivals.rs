//! Rates that vary in time.

mod support;

use support::{CONSTANT, assert_close};
use tts_planner_simulator::{Rate, Request};

fn between(requests: &[Request], from: f64, to: f64) -> f64 {
    let inside = |request: &&Request| (from..to).contains(&request.arrival);
    u32::try_from(requests.iter().filter(inside).count()).map_or(f64::NAN, f64::from)
}

#[test]
fn a_ramp_is_straight_between_flat_parts() {
    let ramp = Rate::ramp(1.0, 5.0, 100.0, 40.0, 60.0);
    for (time, rate) in [
        (-1.0, 0.0),
        (0.0, 1.0),
        (99.0, 1.0),
        (110.0, 2.0),
        (130.0, 4.0),
        (140.0, 5.0),
        (199.0, 5.0),
        (200.0, 0.0),
    ] {
        assert_close(ramp.at(time), rate, 1e-12);
    }
    assert_close(ramp.end(), 200.0, 1e-12);
}

#[test]
fn a_step_has_the_rate_after_it_at_once() {
    let step = Rate::step(1.0, 3.0, 10.0, 20.0);
    assert_close(step.at(9.999), 1.0, 1e-12);
    assert_close(step.at(10.0), 3.0, 1e-12);
    assert_close(step.end(), 30.0, 1e-12);
}

#[test]
fn arrivals_follow_the_rate() {
    let ramp = Rate::ramp(10.0, 50.0, 1000.0, 1000.0, 1000.0);
    let requests = ramp.arrivals(&[(1.0, CONSTANT), (1.0, CONSTANT)], 3);
    assert!(requests.is_sorted_by(|a, b| a.arrival <= b.arrival));
    for (from, to, expected) in [
        (0.0, 1000.0, 10_000.0),
        (1000.0, 1500.0, 10_000.0),
        (1500.0, 2000.0, 20_000.0),
        (2000.0, 3000.0, 50_000.0),
    ] {
        // Four standard deviations of a Poisson count.
        assert_close(
            between(&requests, from, to),
            expected,
            4.0 * f64::sqrt(expected),
        );
    }
    let first: Vec<Request> = requests
        .iter()
        .filter(|request| request.voice == 0)
        .copied()
        .collect();
    assert_close(between(&first, 0.0, 3000.0), 45_000.0, 4.0 * 212.0);
    assert_eq!(
        ramp.arrivals(&[(1.0, CONSTANT), (1.0, CONSTANT)], 3),
        requests
    );
}

#[test]
fn no_rate_is_no_request() {
    assert!(
        Rate::step(0.0, 0.0, 5.0, 5.0)
            .arrivals(&[(1.0, CONSTANT)], 1)
            .is_empty()
    );
    assert!(
        Rate::through(Vec::new())
            .arrivals(&[(1.0, CONSTANT)], 1)
            .is_empty()
    );
}
