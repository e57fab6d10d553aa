//! The simulator against results that are known exactly.

mod support;

use support::{CONSTANT, one};
use tts_planner_simulator::{Balancing, Length, Pods, Request, Work};

#[test]
fn one_server_with_constant_service_is_m_d_1() {
    let outcome = one(vec![1.0]).run(&CONSTANT.arrivals(1.0, 400_000, 1), 1);
    // Pollaczek and Khinchine: ρ + ρ²/(2·(1 - ρ)) with ρ = 0.5.
    assert!(
        (outcome.mean_in_system - 0.75).abs() < 0.01,
        "{}",
        outcome.mean_in_system
    );
}

#[test]
fn one_server_with_gamma_service_is_m_g_1() {
    let work = Work {
        audio_cv: 1.0,
        length: Length::Gamma,
        ..CONSTANT
    };
    let outcome = one(vec![1.0]).run(&work.arrivals(1.0, 400_000, 2), 1);
    // cs² = 1 is M/M/1: ρ/(1 - ρ).
    assert!(
        (outcome.mean_in_system - 1.0).abs() < 0.03,
        "{}",
        outcome.mean_in_system
    );
}

#[test]
fn equal_speed_for_all_is_independent_servers() {
    // Erlang C for two servers and one Erlang: 1/3 wait; L = 1 + (1/3)·1/(2 - 1).
    let work = Work {
        audio_cv: 1.0,
        length: Length::Gamma,
        s1: 1.0,
        ..CONSTANT
    };
    let outcome = one(vec![1.0, 1.0]).run(&work.arrivals(1.0, 400_000, 3), 1);
    assert!(
        (outcome.mean_in_system - 4.0 / 3.0).abs() < 0.03,
        "{}",
        outcome.mean_in_system
    );
}

#[test]
fn sharing_one_processor_slows_each_by_as_many() {
    let at = |arrival| Request {
        voice: 0,
        arrival,
        service: 1.0,
        first_audio: 1.0,
        turns: 1,
    };
    // The first request of ten is warm-up.
    let requests: Vec<Request> = (0..10)
        .map(|pair| at(f64::from(pair / 2) * 100.0))
        .collect();
    let outcome = one(vec![1.0, 2.0]).run(&requests, 1);
    assert!(
        outcome
            .first_audio
            .iter()
            .all(|time| (time - 2.0).abs() < 1e-6),
        "{:?}",
        outcome.first_audio
    );
}

#[test]
fn a_full_pod_refuses() {
    let at = |arrival| Request {
        voice: 0,
        arrival,
        service: 10.0,
        first_audio: 1.0,
        turns: 1,
    };
    let requests: Vec<Request> = (0..10).map(|index| at(f64::from(index) * 0.1)).collect();
    let pod = Pods {
        queue: Some(2),
        ..one(vec![1.0])
    };
    // Of the nine counted, two wait and seven go.
    assert!((pod.run(&requests, 1).rejected - 7.0 / 9.0).abs() < 1e-9);
}

#[test]
fn better_balancing_waits_less() {
    let work = Work {
        audio_cv: 0.6,
        ..CONSTANT
    };
    let requests = work.arrivals(9.0, 100_000, 4);
    let p95 = |balancing| {
        Pods {
            count: 6,
            slowdown: vec![1.0],
            queue: None,
            balancing,
        }
        .run(&requests, 1)
        .quantile(0.95)
    };
    let (random, in_turn, least) = (
        p95(Balancing::Random),
        p95(Balancing::RoundRobin),
        p95(Balancing::LeastInFlight),
    );
    assert!(
        random > in_turn && in_turn > least,
        "{random} {in_turn} {least}"
    );
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let run = || {
        one(vec![1.0, 1.2])
            .run(&CONSTANT.arrivals(1.5, 5000, 7), 3)
            .first_audio
    };
    assert_eq!(run(), run());
}
