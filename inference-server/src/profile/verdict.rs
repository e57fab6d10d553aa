//! Whether a voice is fast enough, or slower than before: the exit status of `profile`.

use std::str::FromStr;

use tts_planner::{Profile, Validity, validity::Standing};
use tts_regression::Verdict;

/// Uncertainty of any measurement.
const UNCERTAIN: f64 = 0.05;

/// What one metric says.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub verdict: Verdict,
    pub text: String,
}

/// The worst of all: one that is regressed decides, then one without an answer.
pub fn overall(judgements: &[Judgement]) -> Verdict {
    let any = |verdict| {
        judgements
            .iter()
            .any(|judgement| judgement.verdict == verdict)
    };
    if any(Verdict::Regressed) {
        Verdict::Regressed
    } else if any(Verdict::Inconclusive) {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

/// The most that may be measured, of one request at a time at the fastest pod shape, as 95th percentiles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Real-time factor.
    pub rtf: Option<f64>,
    /// Time to first audio (s).
    pub ttfa: Option<f64>,
}

impl FromStr for Ceilings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ceilings = Self::default();
        for part in text.split(',') {
            let (name, value) = part
                .split_once('=')
                .ok_or("write rtf=0.36, ttfa=400ms, or both with a comma")?;
            let place = match name.trim() {
                "rtf" => &mut ceilings.rtf,
                "ttfa" => &mut ceilings.ttfa,
                other => return Err(format!("{other:?} has no ceiling; use rtf or ttfa")),
            };
            let number = if name.trim() == "rtf" {
                value.trim().parse().ok()
            } else {
                let duration = humantime::parse_duration(value.trim()).ok();
                duration.map(|duration| duration.as_secs_f64())
            };
            let number: f64 = number.ok_or_else(|| {
                format!("{value:?} is no value of {name}; write rtf=0.36 or ttfa=400ms")
            })?;
            if !(number > 0.0 && number.is_finite()) {
                return Err(format!("{name} must be above zero"));
            }
            *place = Some(number);
        }
        Ok(ceilings)
    }
}

impl Ceilings {
    /// Holds a profile against the ceilings. What lies within the uncertainty of the measurement of a ceiling has no answer;
    /// a measurement that is not valid never passes.
    pub fn judge(&self, profile: &Profile) -> Vec<Judgement> {
        let derate = Standing::as_recorded(profile).derate.max(UNCERTAIN);
        let fastest = |of: fn(&tts_planner::profile::Level) -> f64| {
            let alone = profile
                .configs
                .iter()
                .filter_map(|config| config.levels.first());
            alone.map(of).fold(f64::INFINITY, f64::min)
        };
        let rtf = self
            .rtf
            .map(|ceiling| ("p95 RTF", "", fastest(|level| level.rtf_p95), ceiling));
        let ttfa = self.ttfa.map(|ceiling| {
            (
                "p95 first audio",
                " s",
                fastest(|level| level.ttfa_p95),
                ceiling,
            )
        });
        rtf.into_iter()
            .chain(ttfa)
            .map(|(name, unit, value, ceiling)| {
                let verdict = if value * (1.0 - derate) > ceiling {
                    Verdict::Regressed
                } else if value * (1.0 + derate) <= ceiling && profile.run.validity != Validity::Invalid {
                    Verdict::Pass
                } else {
                    Verdict::Inconclusive
                };
                Judgement {
                    verdict,
                    text: format!(
                        "{name} is {value:.4}{unit} +/- {:.0} %, the ceiling {ceiling}{unit}: {verdict}",
                        100.0 * derate
                    ),
                }
            })
            .collect()
    }
}

/// Holds a profile against an earlier one.
pub fn against(earlier: &Profile, later: &Profile) -> Judgement {
    let found = tts_regression::profiles(earlier, later);
    let cause = found
        .cause
        .map_or_else(String::new, |cause| format!(" ({cause})"));
    Judgement {
        verdict: found.verdict,
        text: format!(
            "against {}: {}: {}{cause}",
            earlier.id,
            found.reasons.join("; "),
            found.verdict
        ),
    }
}

#[cfg(test)]
mod tests {
    use Verdict::{Inconclusive, Pass, Regressed};

    use super::*;

    fn judged(ceilings: &str, change: impl FnOnce(&mut Profile)) -> Vec<Verdict> {
        let mut profile = crate::profile::summary::tests::profile();
        let level = &mut profile.configs[0].levels[0];
        (level.rtf_p95, level.ttfa_p95) = (0.30, 0.200);
        profile.configs.truncate(1);
        change(&mut profile);
        let ceilings: Ceilings = ceilings.parse().unwrap();
        ceilings
            .judge(&profile)
            .into_iter()
            .map(|judgement| judgement.verdict)
            .collect()
    }

    #[test]
    fn a_value_near_its_ceiling_has_no_answer() {
        let nothing = |_: &mut Profile| {};
        assert_eq!(judged("rtf=0.36", nothing), [Verdict::Pass]);
        assert_eq!(judged("rtf=0.31", nothing), [Verdict::Inconclusive]);
        assert_eq!(judged("rtf=0.29", nothing), [Verdict::Inconclusive]);
        assert_eq!(judged("rtf=0.28", nothing), [Verdict::Regressed]);
        assert_eq!(
            judged("rtf=0.36,ttfa=150ms", nothing),
            [Verdict::Pass, Verdict::Regressed]
        );
        // A noisy measurement knows less.
        assert_eq!(
            judged("rtf=0.36", |profile| profile.run.noise_cv = 0.3),
            [Verdict::Pass]
        );
        assert_eq!(
            judged("rtf=0.34", |profile| profile.run.noise_cv = 0.3),
            [Verdict::Inconclusive]
        );
        assert_eq!(
            judged("rtf=0.36", |profile| profile.run.validity =
                Validity::Invalid),
            [Verdict::Inconclusive]
        );
    }

    #[test]
    fn the_worst_decides() {
        let all = |verdicts: &[Verdict]| {
            let judgements: Vec<_> = verdicts
                .iter()
                .map(|verdict| Judgement {
                    verdict: *verdict,
                    text: String::new(),
                })
                .collect();
            overall(&judgements)
        };
        assert_eq!(all(&[Pass, Pass]), Pass);
        assert_eq!(all(&[Pass, Inconclusive]), Inconclusive);
        assert_eq!(all(&[Inconclusive, Regressed, Pass]), Regressed);
    }

    #[test]
    fn ceilings_are_read_strictly() {
        assert_eq!(
            "ttfa=400ms, rtf=0.36".parse(),
            Ok(Ceilings {
                rtf: Some(0.36),
                ttfa: Some(0.4)
            })
        );
        for text in [
            "", "rtf", "rtf=x", "rtf=-1", "rtf=NaN", "ttfa=400", "ttfa=0s", "wer=1",
        ] {
            assert!(text.parse::<Ceilings>().is_err(), "{text}");
        }
    }
}
