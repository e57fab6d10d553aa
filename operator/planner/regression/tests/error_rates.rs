//! How often the detector is right, by simulation with fixed seeds.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use rand::SeedableRng;
use rand_distr::{Distribution, Exp, Normal, Uniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use tts_regression::{
    Cause, Comparison, Looks, Sequential, Thresholds, Verdict, memory_leak, paired, sequential,
    slow_drift, unpaired,
};

const TRIALS: usize = 2000;

/// Run times around one second.
#[derive(Clone, Copy)]
enum Noise {
    Gauss(f64),
    LogNormal(f64),
    /// Half the runs within 0.6 % of the fastest, 18 % of them slower by 4 to 34 %: what a speech
    /// model shows.
    Spikes,
}

struct Source(Xoshiro256PlusPlus);

impl Source {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    fn normal(&mut self, deviation: f64) -> f64 {
        Normal::new(0.0, deviation).unwrap().sample(&mut self.0)
    }

    fn uniform(&mut self) -> f64 {
        Uniform::new(0.0, 1.0).unwrap().sample(&mut self.0)
    }

    fn run(&mut self, noise: Noise) -> f64 {
        match noise {
            Noise::Gauss(cv) => (1.0 + self.normal(cv)).max(0.05),
            Noise::LogNormal(cv) => {
                let variance = (1.0 + cv * cv).ln();
                (self.normal(variance.sqrt()) - variance / 2.0).exp()
            }
            Noise::Spikes => {
                let core = 1.0 + self.normal(0.006).abs();
                let spike = Exp::<f64>::new(1.0 / 0.13)
                    .unwrap()
                    .sample(&mut self.0)
                    .min(0.30);
                if self.uniform() < 0.18 {
                    core * (1.04 + spike)
                } else {
                    core
                }
            }
        }
    }

    fn pairs(&mut self, noise: Noise, count: usize, slower: f64) -> Vec<(f64, f64)> {
        (0..count)
            .map(|_| (self.run(noise), self.run(noise) * (1.0 + slower)))
            .collect()
    }
}

/// Shares of the verdicts in percent, and samples taken on average.
#[derive(Debug)]
struct Shares {
    regressed: f64,
    passed: f64,
    noisy: f64,
    samples: f64,
}

fn shares(mut trial: impl FnMut() -> (Comparison, usize)) -> Shares {
    let (mut regressed, mut passed, mut noisy, mut samples) = (0, 0, 0, 0);
    for _ in 0..TRIALS {
        let (found, taken) = trial();
        regressed += usize::from(found.verdict == Verdict::Regressed);
        passed += usize::from(found.verdict == Verdict::Pass);
        noisy += usize::from(found.cause == Some(Cause::NoisyEnvironment));
        samples += taken;
    }
    let each = |count: usize| {
        f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(TRIALS).unwrap())
    };
    Shares {
        regressed: 100.0 * each(regressed),
        passed: 100.0 * each(passed),
        noisy: 100.0 * each(noisy),
        samples: each(samples),
    }
}

fn in_pairs(noise: Noise, count: usize, slower: f64) -> Shares {
    let mut source = Source::new(2026);
    shares(|| {
        (
            paired(&source.pairs(noise, count, slower), Thresholds::default()),
            count,
        )
    })
}

fn apart(noise: Noise, count: usize, slower: f64) -> Shares {
    let mut source = Source::new(2026);
    shares(|| {
        let (base, candidate): (Vec<f64>, Vec<f64>) =
            source.pairs(noise, count, slower).into_iter().unzip();
        (unpaired(&base, &candidate, Thresholds::default()), count)
    })
}

#[test]
fn quiet_machines_find_a_fifth_and_raise_no_false_alarm() {
    for compare in [in_pairs, apart] {
        let (same, slower) = (
            compare(Noise::Gauss(0.07), 20, 0.0),
            compare(Noise::Gauss(0.07), 20, 0.20),
        );
        println!("CV 7 %, 20: +0 {same:?}; +20 % {slower:?}");
        assert!(same.regressed <= 1.0, "{same:?}");
        assert!(same.passed >= 95.0, "{same:?}");
        assert!(slower.regressed >= 99.0, "{slower:?}");
        assert!(slower.passed <= 0.1, "{slower:?}");
    }
}

#[test]
fn noisy_machines_raise_no_false_alarm() {
    for noise in [Noise::Gauss(0.26), Noise::LogNormal(0.26)] {
        for compare in [in_pairs, apart] {
            for count in [5, 20] {
                let (same, slower) = (compare(noise, count, 0.0), compare(noise, count, 0.20));
                println!("CV 26 %, {count}: +0 {same:?}; +20 % {slower:?}");
                assert!(same.regressed <= 1.0, "{same:?}");
                assert!(slower.passed <= 2.0, "{slower:?}");
            }
            assert!(
                compare(noise, 20, 0.0).noisy >= 90.0,
                "the environment is to blame, and said to be"
            );
        }
    }
}

#[test]
fn spikes_hide_nothing() {
    let (same, slower) = (
        in_pairs(Noise::Spikes, 20, 0.0),
        in_pairs(Noise::Spikes, 20, 0.10),
    );
    println!("spikes, 20: +0 {same:?}; +10 % {slower:?}");
    assert!(same.regressed <= 1.0, "{same:?}");
    assert!(slower.regressed >= 70.0, "{slower:?}");
}

#[test]
fn looks_need_few_pairs_where_the_answer_is_plain() {
    let look = |slower| {
        let mut source = Source::new(11);
        shares(|| {
            let pairs = source.pairs(Noise::Gauss(0.07), 40, slower);
            let Sequential { comparison, .. } =
                sequential(&pairs, Looks::default(), Thresholds::default());
            (comparison, comparison.n)
        })
    };
    let (same, slower) = (look(0.0), look(0.20));
    println!("looks: +0 {same:?}; +20 % {slower:?}");
    assert!(
        same.regressed <= 1.0 && same.passed >= 99.0 && same.samples <= 16.0,
        "{same:?}"
    );
    assert!(
        slower.regressed >= 99.0 && slower.samples <= 16.0,
        "{slower:?}"
    );
}

/// A clock that drifts: total CV 26 %, 7 % within a pair; the runs in turn, ABBA.
fn drifting(source: &mut Source, count: usize, slower: f64) -> Vec<(f64, f64)> {
    let mut state = source.normal(0.25);
    let mut next = |slower: f64| {
        state = 0.9 * state + source.normal(0.25 * (1.0_f64 - 0.81).sqrt());
        (state + source.normal(0.07)).exp() * (1.0 + slower)
    };
    (0..count)
        .map(|pair| {
            if pair % 2 == 0 {
                (next(0.0), next(slower))
            } else {
                let candidate = next(slower);
                (next(0.0), candidate)
            }
        })
        .collect()
}

#[test]
fn pairs_take_out_a_drifting_clock() {
    let compare = |slower| {
        let mut source = Source::new(11);
        shares(|| {
            (
                paired(&drifting(&mut source, 20, slower), Thresholds::default()),
                20,
            )
        })
    };
    let (same, slower) = (compare(0.0), compare(0.20));
    println!("drift: +0 {same:?}; +20 % {slower:?}");
    assert!(same.regressed <= 1.0, "{same:?}");
    assert!(slower.regressed >= 90.0, "{slower:?}");
}

/// Resident memory sampled every 10 of 600 requests: noise, growth of the arena while longest texts
/// still come, a leak.
fn resident(source: &mut Source, leak_kib: f64, arena: bool) -> Vec<f64> {
    let steps: Vec<(f64, f64)> = (0..6)
        .map(|_| {
            (
                Exp::new(1.0 / 6.0).unwrap().sample(&mut source.0),
                2.0 + 12.0 * source.uniform(),
            )
        })
        .collect();
    (0..60)
        .map(f64::from)
        .map(|time| {
            let grown: f64 = steps
                .iter()
                .filter(|(at, _)| arena && *at <= time)
                .map(|(_, step)| step)
                .sum();
            400.0 + grown + leak_kib * 10.0 * time / 1024.0 + source.normal(1.0)
        })
        .collect()
}

#[test]
fn leaks_are_found_and_a_filling_arena_is_none() {
    let alarms = |leak_kib, arena| {
        let mut source = Source::new(3);
        let leaks = (0..TRIALS).filter(|_| {
            memory_leak(&resident(&mut source, leak_kib, arena), 10.0, 600.0)
                .unwrap()
                .leaks
        });
        100.0 * f64::from(u32::try_from(leaks.count()).unwrap())
            / f64::from(u32::try_from(TRIALS).unwrap())
    };
    let (quiet, filling, leak) = (alarms(0.0, false), alarms(0.0, true), alarms(10.0, true));
    println!("leak: quiet {quiet:.1} %, arena {filling:.1} %, 10 KiB a request {leak:.1} %");
    assert!(quiet <= 0.5 && filling <= 6.0, "{quiet} {filling}");
    assert!(leak >= 95.0, "{leak}");
}

#[test]
fn a_lasting_slowdown_shows_within_a_week() {
    let mut source = Source::new(5);
    let mut delays = Vec::new();
    for _ in 0..150 {
        let nights: Vec<f64> = (0..60)
            .map(|night| (1.0 + source.normal(0.03)) * if night >= 30 { 1.10 } else { 1.0 })
            .collect();
        delays.extend(
            (30..50)
                .find(|&night| slow_drift(&nights[..=night]).is_some())
                .map(|night| night - 29),
        );
    }
    assert!(delays.len() >= 148, "{}", delays.len());
    delays.sort_unstable();
    println!(
        "drift: +10 % found after {} nights",
        delays[delays.len() / 2]
    );
    assert!(delays[delays.len() / 2] <= 5, "{delays:?}");
}

#[test]
fn few_quiet_series_seem_to_drift() {
    let mut source = Source::new(6);
    let alarms = (0..300).filter(|_| {
        let nights: Vec<f64> = (0..60).map(|_| 1.0 + source.normal(0.03)).collect();
        (12..60).any(|night| slow_drift(&nights[..night]).is_some())
    });
    let share = alarms.count();
    println!("drift: {share} of 300 quiet series");
    assert!(share <= 36, "{share} of 300");
}
