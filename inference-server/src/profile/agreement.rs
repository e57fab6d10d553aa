//! Whether two measurements of the same thing say the same.

use tts_planner::{
    Profile, Validity,
    profile::{Config, Level, PROBABILITIES},
};

/// Throughput that differs by more does not agree.
const THROUGHPUT: f64 = 0.05;
/// Quantiles of first audio that differ by more do not agree.
const FIRST_AUDIO: f64 = 0.10;
/// The quantiles that are compared: a level of 60 requests knows none further out.
const QUANTILES: std::ops::RangeInclusive<f64> = 0.05..=0.95;

/// How far two profiles of one grid differ, at worst.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    pub throughput: f64,
    pub first_audio: f64,
}

impl Difference {
    /// The largest relative differences of levels that both have, above parts of a core.
    pub fn of(one: &Profile, other: &Profile) -> Self {
        let mut worst = Self::default();
        for (left, right) in levels(one, other) {
            worst.throughput = worst
                .throughput
                .max(relative(left.audio_per_sec, right.audio_per_sec));
            let quantiles = PROBABILITIES
                .iter()
                .zip(left.ttfa_q.iter().zip(&right.ttfa_q));
            for (_, (left, right)) in quantiles.filter(|(p, _)| QUANTILES.contains(*p)) {
                worst.first_audio = worst.first_audio.max(relative(*left, *right));
            }
        }
        worst
    }

    pub fn agrees(self) -> bool {
        self.throughput <= THROUGHPUT && self.first_audio <= FIRST_AUDIO
    }
}

fn relative(left: f64, right: f64) -> f64 {
    let mean = f64::midpoint(left, right);
    if mean > 0.0 {
        (left - right).abs() / mean
    } else {
        0.0
    }
}

fn levels<'a>(
    one: &'a Profile,
    other: &'a Profile,
) -> impl Iterator<Item = (&'a Level, &'a Level)> {
    let same = |left: &Config, right: &Config| {
        left.threads == right.threads && (left.cpu - right.cpu).abs() < 1e-9
    };
    let configs = one
        .configs
        .iter()
        .filter(|config| config.cpu >= 1.0)
        .filter_map(move |left| {
            Some((left, other.configs.iter().find(|right| same(left, right))?))
        });
    configs.flat_map(|(left, right)| {
        left.levels.iter().filter_map(|level| {
            Some((level, right.levels.iter().find(|other| other.n == level.n)?))
        })
    })
}

/// A line about two runs.
pub fn text(one: &Profile, other: &Profile) -> String {
    let difference = Difference::of(one, other);
    let both_valid = one.run.validity == Validity::Valid && other.run.validity == Validity::Valid;
    let verdict = match (difference.agrees(), both_valid) {
        (true, true) => "agree",
        (false, true) => "do not agree although both are Valid",
        (true, false) => "agree, but not both are Valid",
        (false, false) => "do not agree, and not both are Valid",
    };
    format!(
        "{} ({}) and {} ({}): throughput differs by at most {:.1} % (5 allowed), first audio by {:.1} % (10 allowed): {verdict}",
        one.id,
        one.run.validity,
        other.id,
        other.run.validity,
        100.0 * difference.throughput,
        100.0 * difference.first_audio
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::summary::tests::profile;

    #[test]
    fn the_worst_level_decides() {
        let one = profile();
        assert!(Difference::of(&one, &one).agrees());
        let mut other = profile();
        other.configs[0].levels[0].audio_per_sec *= 1.04;
        assert!(Difference::of(&one, &other).agrees());
        other.configs[0].levels[0].audio_per_sec *= 1.03;
        assert!(!Difference::of(&one, &other).agrees());
        assert!(text(&one, &other).contains("do not agree although both are Valid"));
        let mut other = profile();
        // The largest value is one request: it says nothing.
        let quantiles = &mut other.configs[0].levels[0].ttfa_q;
        *quantiles.last_mut().unwrap() *= 3.0;
        assert!(Difference::of(&one, &other).agrees());
        for quantile in &mut other.configs[0].levels[0].ttfa_q {
            *quantile *= 1.2;
        }
        assert!(!Difference::of(&one, &other).agrees());
    }
}
