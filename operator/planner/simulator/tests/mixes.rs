//! Requests of several voices in one stream.

mod support;

use support::{CONSTANT, assert_close, at, one};
use tts_planner_simulator::{Fleet, Length, Request, Work, mixed_arrivals};

const RANDOM: Work = Work {
    mean_audio: 3.0,
    audio_cv: 0.8,
    length: Length::LogNormal,
    s0: 0.05,
    s1: 0.1,
    f0: 0.02,
    f1: 0.1,
    chunk: Some((1.0, 0.3)),
    noise: 0.1,
    turn: None,
};

#[test]
fn a_mix_of_equal_voices_is_the_single_voice() {
    for gap_cv2 in [0.5, 1.0, 3.0] {
        let single = RANDOM.renewal_arrivals(2.0, gap_cv2, 10_000, 5);
        let mix = [(1.0, RANDOM), (3.0, RANDOM)];
        let mixed = mixed_arrivals(&mix, 2.0, gap_cv2, 10_000, 5);
        let of_one = |request: &Request| Request {
            voice: 0,
            ..*request
        };
        assert_eq!(mixed.iter().map(of_one).collect::<Vec<_>>(), single);
        let second = mixed.iter().filter(|request| request.voice == 1).count();
        // Four standard deviations of a binomial: 4·√(10,000·0.75·0.25).
        assert!(second.abs_diff(7500) <= 174, "{second}");
    }
}

#[test]
fn a_voice_without_weight_does_not_come() {
    let of = |mix: &[(f64, Work)]| mixed_arrivals(mix, 1.0, 1.0, 1000, 1);
    let some = of(&[(0.0, RANDOM), (1.0, RANDOM), (0.0, RANDOM)]);
    assert!(some.iter().all(|request| request.voice == 1));
    assert!(of(&[]).is_empty());
}

#[test]
fn one_slot_waits_by_the_moments_of_the_mix() {
    let voice = |s1| Work { s1, ..CONSTANT };
    // Service of 0.2 s for three of four, 1 s for the others: E[S] = 0.4 s, E[S²] = 0.28 s².
    let mix = [(3.0, voice(0.2)), (1.0, voice(1.0))];
    let requests = mixed_arrivals(&mix, 1.25, 1.0, 400_000, 6);
    let outcome = one(vec![1.0]).run(&requests, 1);
    // Pollaczek and Khinchine: λ·E[S²]/(2·(1 - ρ)) with λ = 1.25/s and ρ = 0.5. Both voices meet
    // the same queue.
    for (index, service) in [(0, 0.2), (1, 1.0)] {
        let times = outcome.voice(index).first_audio;
        let mean = times.iter().sum::<f64>() / f64::from(u32::try_from(times.len()).unwrap());
        assert_close(mean, 0.35 + service, 0.01);
    }
}

#[test]
fn each_voice_is_slowed_by_its_own_curve() {
    let fleet = Fleet {
        voices: vec![vec![1.0, 2.0], vec![1.0, 1.5]],
        ..Fleet::from(one(vec![1.0, 1.0]))
    };
    let outcome = fleet.run(&[at(0, 0.0, 1.0), at(1, 0.0, 1.0)], 1);
    // At 1.5 s the second ends and the first has done 0.75 s of its second, the rest alone.
    assert_close(outcome.first_audio[0], 1.75, 1e-6);
    assert_close(outcome.first_audio[1], 1.5, 1e-6);
}

#[test]
fn a_voice_beyond_the_list_has_the_curve_of_the_pods() {
    let fleet = Fleet {
        voices: vec![vec![1.0, 3.0]],
        ..Fleet::from(one(vec![1.0, 2.0]))
    };
    let outcome = fleet.run(&[at(1, 0.0, 1.0), at(1, 0.0, 1.0)], 1);
    assert_close(outcome.first_audio[0], 2.0, 1e-6);
}

#[test]
fn the_outcome_of_one_voice_is_its_requests_alone() {
    // One slot, room for one to wait: the third of each four comes too early.
    let requests: Vec<Request> = (0..2)
        .flat_map(|round| {
            let start = 100.0 * f64::from(round);
            [
                at(0, start, 1.0),
                at(1, start + 0.5, 2.0),
                at(1, start + 0.6, 2.0),
                at(0, start + 50.0, 1.0),
            ]
        })
        .collect();
    let mut pods = one(vec![1.0]);
    pods.queue = Some(1);
    let outcome = pods.run(&requests, 1);
    assert_close(outcome.rejected, 0.25, 1e-9);
    let (first, second) = (outcome.voice(0), outcome.voice(1));
    assert_close(first.rejected, 0.0, 1e-9);
    assert_close(second.rejected, 0.5, 1e-9);
    assert_close(first.quantile(1.0), 1.0, 1e-6);
    assert_close(second.quantile(0.0), 2.5, 1e-6);
    assert_close(first.late_or_rejected(2.0), 0.0, 1e-9);
    assert_close(second.late_or_rejected(2.0), 1.0, 1e-9);
    assert_close(second.late_or_rejected(3.0), 0.5, 1e-9);
    // Their numbers in the pod add up.
    assert_close(
        first.mean_in_system + second.mean_in_system,
        outcome.mean_in_system,
        1e-9,
    );
}
