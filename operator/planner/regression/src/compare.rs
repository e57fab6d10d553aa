//! A candidate against a baseline: one comparison, and looks at a growing number of samples.

use serde::Serialize;

use crate::Verdict;
use crate::numeric::variance;
use crate::ranks::{
    hodges_lehmann_paired, hodges_lehmann_unpaired, mann_whitney_above, signed_rank_above,
};

/// What counts as slower, and how sure to be of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Thresholds {
    /// δ: slower by no more than this is the same speed.
    pub negligible: f64,
    /// α: at which "slower by at most δ" is rejected.
    pub alarm: f64,
    /// The estimate itself must reach this for an alarm.
    pub effect: f64,
    /// Δ: slower by this must be ruled out for a pass.
    pub limit: f64,
    /// At which "slower by at least Δ" is rejected.
    pub pass: f64,
    /// Coefficient of variation of one run above which the environment is too noisy to pass
    /// anything.
    pub noise: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            negligible: 0.03,
            alarm: 0.01,
            effect: 0.05,
            limit: 0.10,
            pass: 0.05,
            noise: 0.15,
        }
    }
}

/// How the samples were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Design {
    Paired,
    Unpaired,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::Display)]
pub enum Cause {
    TooFewSamples,
    /// Equal runs vary too much: more of them will not help, another machine or a locked clock
    /// will.
    NoisyEnvironment,
    /// A sample that is no positive finite number.
    BadSample,
}

/// A verdict and every number it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    pub verdict: Verdict,
    pub cause: Option<Cause>,
    pub design: Design,
    /// Pairs, or samples of the smaller arm.
    pub n: usize,
    /// Candidate over baseline, Hodges and Lehmann's estimate.
    pub ratio: f64,
    /// 95 % interval of the ratio.
    pub interval: (f64, f64),
    /// p of "slower by at most δ".
    pub p_same: f64,
    /// p of "slower by at least Δ".
    pub p_slower: f64,
    /// Coefficient of variation of one run, what differs between equal runs.
    pub noise_cv: f64,
    pub thresholds: Thresholds,
}

/// Compares pairs (baseline, candidate) of service times by the signed ranks of ln(candidate /
/// baseline).
///
/// Regressed when "slower by at most δ" is rejected at α and the ratio reaches 1 + `effect`; pass
/// when "slower by at least Δ" is rejected. Noise never raises an alarm of its own and, since ranks
/// keep their error rate whatever the noise, hides none; it withholds a pass.
pub fn paired(pairs: &[(f64, f64)], thresholds: Thresholds) -> Comparison {
    let usable = pairs
        .iter()
        .all(|(base, candidate)| positive(*base) && positive(*candidate));
    let ratios: Vec<f64> = if usable {
        pairs
            .iter()
            .map(|(base, candidate)| libm::log(candidate / base))
            .collect()
    } else {
        Vec::new()
    };
    let opposite: Vec<f64> = ratios.iter().map(|ratio| -ratio).collect();
    let estimate = hodges_lehmann_paired(&ratios);
    let found = Comparison {
        verdict: Verdict::Inconclusive,
        cause: (!usable).then_some(Cause::BadSample),
        design: Design::Paired,
        n: pairs.len(),
        ratio: libm::exp(estimate.shift),
        interval: (libm::exp(estimate.low), libm::exp(estimate.high)),
        p_same: signed_rank_above(&ratios, libm::log(1.0 + thresholds.negligible)),
        p_slower: signed_rank_above(&opposite, -libm::log(1.0 + thresholds.limit)),
        // The difference of two runs varies as both together.
        noise_cv: coefficient_of_variation(variance(&ratios) / 2.0),
        thresholds,
    };
    judged(found)
}

/// Compares two independent samples of service times by Mann and Whitney's test on their
/// logarithms. For when the two could not run in turn; samples taken in two blocks carry any drift
/// between the blocks as if it were a change.
pub fn unpaired(base: &[f64], candidate: &[f64], thresholds: Thresholds) -> Comparison {
    let usable = base.iter().chain(candidate).all(|value| positive(*value));
    let logs = |values: &[f64]| -> Vec<f64> {
        if usable {
            values.iter().map(|value| libm::log(*value)).collect()
        } else {
            Vec::new()
        }
    };
    let (base, candidate) = (logs(base), logs(candidate));
    let estimate = hodges_lehmann_unpaired(&base, &candidate);
    let found = Comparison {
        verdict: Verdict::Inconclusive,
        cause: (!usable).then_some(Cause::BadSample),
        design: Design::Unpaired,
        n: base.len().min(candidate.len()),
        ratio: libm::exp(estimate.shift),
        interval: (libm::exp(estimate.low), libm::exp(estimate.high)),
        p_same: mann_whitney_above(&base, &candidate, libm::log(1.0 + thresholds.negligible)),
        p_slower: mann_whitney_above(&candidate, &base, -libm::log(1.0 + thresholds.limit)),
        noise_cv: coefficient_of_variation(variance(&base).max(variance(&candidate))),
        thresholds,
    };
    judged(found)
}

fn positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

/// Of a quantity whose logarithm has this variance.
fn coefficient_of_variation(log_variance: f64) -> f64 {
    (libm::exp(log_variance) - 1.0).sqrt()
}

fn judged(mut found: Comparison) -> Comparison {
    if found.cause.is_some() {
        return found;
    }
    let thresholds = found.thresholds;
    // Noise is estimated from the same samples: below five it is no estimate.
    let noisy = found.n >= 5 && found.noise_cv > thresholds.noise;
    (found.verdict, found.cause) =
        if found.p_same < thresholds.alarm && found.ratio >= 1.0 + thresholds.effect {
            (Verdict::Regressed, None)
        } else if noisy {
            (Verdict::Inconclusive, Some(Cause::NoisyEnvironment))
        } else if found.p_slower < thresholds.pass {
            (Verdict::Pass, None)
        } else {
            (Verdict::Inconclusive, Some(Cause::TooFewSamples))
        };
    found
}

/// When to look at a growing number of pairs, and how sure to be each time so that all looks
/// together keep the error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Looks {
    /// Pairs, ascending.
    pub at: [usize; 3],
    pub alarm: f64,
    pub pass: f64,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            at: [10, 20, 40],
            alarm: 0.004,
            pass: 0.025,
        }
    }
}

/// What the looks so far say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sequential {
    /// The look that decided, or the last one there was.
    pub comparison: Comparison,
    /// Pairs to have before the next look; None when there is a verdict, or none will come.
    pub next: Option<usize>,
}

/// Looks at the first 10, 20 and 40 pairs and stops at the first answer. A noisy environment ends
/// it too: more samples are no cure.
pub fn sequential(pairs: &[(f64, f64)], looks: Looks, thresholds: Thresholds) -> Sequential {
    let thresholds = Thresholds {
        alarm: looks.alarm,
        pass: looks.pass,
        ..thresholds
    };
    let mut last = None;
    for count in looks.at {
        let Some(seen) = pairs.get(..count) else {
            let comparison = last.unwrap_or_else(|| Comparison {
                verdict: Verdict::Inconclusive,
                cause: Some(Cause::TooFewSamples),
                ..paired(pairs, thresholds)
            });
            return Sequential {
                comparison,
                next: Some(count),
            };
        };
        let comparison = paired(seen, thresholds);
        if comparison.verdict != Verdict::Inconclusive
            || comparison.cause != Some(Cause::TooFewSamples)
        {
            return Sequential {
                comparison,
                next: None,
            };
        }
        last = Some(comparison);
    }
    Sequential {
        comparison: last.unwrap_or_else(|| paired(pairs, thresholds)),
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty pairs, each run within ±1 % of one second, the candidate slower by `slower`.
    fn quiet(count: u32, slower: f64) -> Vec<(f64, f64)> {
        let wobble = |k: u32| 1.0 + 0.01 * (f64::from(k * 7 % 11) / 5.0 - 1.0);
        (0..count)
            .map(|k| (wobble(k), wobble(k + 3) * (1.0 + slower)))
            .collect()
    }

    #[test]
    fn the_three_answers() {
        let verdict = |slower| paired(&quiet(20, slower), Thresholds::default()).verdict;
        assert_eq!(verdict(0.0), Verdict::Pass);
        assert_eq!(verdict(0.2), Verdict::Regressed);
        assert_eq!(verdict(-0.3), Verdict::Pass, "faster is no regression");
        assert_eq!(
            [0, 1, 2],
            [Verdict::Pass, Verdict::Regressed, Verdict::Inconclusive].map(Verdict::exit_code)
        );
    }

    #[test]
    fn the_numbers_are_those_of_the_data() {
        let found = paired(&quiet(20, 0.2), Thresholds::default());
        assert!((found.ratio - 1.2).abs() < 0.01);
        assert!(
            found.interval.0 < found.ratio
                && found.ratio < found.interval.1
                && found.interval.1 < 1.22
        );
        assert!(found.p_same < 0.001 && found.p_slower > 0.9);
        assert!(found.noise_cv < 0.02);
        let json = serde_json::to_value(found).unwrap();
        assert_eq!(json["verdict"], "Regressed");
        assert_eq!(json["n"], 20);
    }

    #[test]
    fn three_pairs_are_no_evidence() {
        let found = paired(&quiet(3, 0.5), Thresholds::default());
        assert_eq!(
            (found.verdict, found.cause),
            (Verdict::Inconclusive, Some(Cause::TooFewSamples))
        );
        assert_eq!(
            paired(&[], Thresholds::default()).verdict,
            Verdict::Inconclusive
        );
    }

    #[test]
    fn noise_withholds_a_pass_and_raises_no_alarm() {
        let noisy: Vec<(f64, f64)> = (0..40)
            .map(|k| if k % 2 == 0 { (1.0, 1.6) } else { (1.6, 1.0) })
            .collect();
        let found = paired(&noisy, Thresholds::default());
        assert_eq!(
            (found.verdict, found.cause),
            (Verdict::Inconclusive, Some(Cause::NoisyEnvironment))
        );
        let slower: Vec<(f64, f64)> = noisy
            .iter()
            .map(|(base, candidate)| (*base, candidate * 3.0))
            .collect();
        assert_eq!(
            paired(&slower, Thresholds::default()).verdict,
            Verdict::Regressed
        );
    }

    #[test]
    fn bad_samples_are_named() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let found = paired(&[(1.0, bad)], Thresholds::default());
            assert_eq!(
                (found.verdict, found.cause),
                (Verdict::Inconclusive, Some(Cause::BadSample))
            );
            let found = unpaired(&[bad], &[1.0], Thresholds::default());
            assert_eq!(found.cause, Some(Cause::BadSample));
        }
    }

    #[test]
    fn unpaired_samples_have_the_same_answers() {
        let arms = |slower| -> (Vec<f64>, Vec<f64>) { quiet(20, slower).into_iter().unzip() };
        let verdict = |slower| {
            let (base, candidate) = arms(slower);
            unpaired(&base, &candidate, Thresholds::default()).verdict
        };
        assert_eq!(
            (verdict(0.0), verdict(0.2)),
            (Verdict::Pass, Verdict::Regressed)
        );
    }

    #[test]
    fn looks_stop_at_the_first_answer() {
        let looks = |count, slower| {
            sequential(
                &quiet(count, slower),
                Looks::default(),
                Thresholds::default(),
            )
        };
        let early = looks(40, 0.0);
        assert_eq!(
            (early.comparison.verdict, early.comparison.n, early.next),
            (Verdict::Pass, 10, None)
        );
        let waiting = looks(7, 0.0);
        assert_eq!(
            (waiting.comparison.verdict, waiting.next),
            (Verdict::Inconclusive, Some(10))
        );
        // Half the pairs are as fast, half are slower by 15 %: ten of them leave it open.
        let torn: Vec<(f64, f64)> = (0..15)
            .map(|k| (1.0, if k % 2 == 0 { 1.0 } else { 1.15 }))
            .collect();
        let between = sequential(&torn, Looks::default(), Thresholds::default());
        assert_eq!((between.comparison.n, between.next), (10, Some(20)));
    }
}
