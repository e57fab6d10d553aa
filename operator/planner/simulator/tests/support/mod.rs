//! What the tests share.

#![allow(dead_code, reason = "each test file uses some of these")]

use tts_planner_simulator::{Balancing, Length, Pods, Request, Work};

/// Every text takes `s1` seconds.
pub const CONSTANT: Work = Work {
    mean_audio: 1.0,
    audio_cv: 0.0,
    length: Length::LogNormal,
    s0: 0.0,
    s1: 0.5,
    f0: 0.0,
    f1: 0.0,
    chunk: None,
    noise: 0.0,
    turn: None,
};

/// One pod with a slot for each slowdown and an unbounded queue.
pub fn one(slowdown: Vec<f64>) -> Pods {
    Pods {
        count: 1,
        slowdown,
        queue: None,
        balancing: Balancing::Random,
    }
}

/// A request whose first audio comes at its end.
pub fn at(voice: usize, arrival: f64, service: f64) -> Request {
    Request {
        voice,
        arrival,
        service,
        first_audio: service,
        turns: 1,
    }
}

#[track_caller]
pub fn assert_close(value: f64, expected: f64, within: f64) {
    assert!(
        (value - expected).abs() <= within,
        "{value} is not {expected} within {within}"
    );
}
