//! The data of a report.

use std::collections::BTreeMap;

use serde::Serialize;
use tts_planner::advice::{self, Advice};
use tts_planner::{Outcome, Profile, RequestError, Validity};

use crate::advice::{Matrix, Recommendation, nearest, recommendations, signals};
use crate::junit::Suite;
use crate::manifest::manifest;
use crate::measured::Measured;
use crate::options::Options;
use crate::planned::{Planned, ShapeOutcome, ShapePlan};
use crate::words::{ABSENT, cores, count, number, percent, ratio, shape, time};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("no profile was given")]
    Nothing,
    #[error("a price is given for class {class}, but no profile is of it; there are {known}")]
    UnknownClass { class: String, known: String },
    #[error("--compare needs two profiles or more, there is one")]
    NothingToCompare,
    #[error("voice {voice} cannot be planned: {error}")]
    Request { voice: String, error: RequestError },
}

/// Everything that a report says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Always `tts.report/v1`.
    pub schema: &'static str,
    pub options: Options,
    pub answers: Vec<Answer>,
    pub profiles: Vec<Measured>,
    pub plans: Vec<Planned>,
    pub matrices: Vec<Matrix>,
    pub recommendations: Vec<Recommendation>,
    /// The plan of each voice as YAML with its reasons.
    pub manifests: Vec<Manifest>,
    pub comparison: Option<Comparison>,
    pub tests: Vec<Suite>,
}

/// One of the three questions of the first page, for one profile or voice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub question: &'static str,
    pub of: String,
    pub verdict: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub voice: String,
    /// Whether it keeps the objectives.
    pub accepted: bool,
    pub yaml: String,
}

/// Profiles side by side, as ratios to the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The first is what the others are compared with.
    pub profiles: Vec<String>,
    pub rows: Vec<ComparisonRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonRow {
    pub name: &'static str,
    pub unit: &'static str,
    pub more_is_better: bool,
    pub values: Vec<Option<f64>>,
    /// Over the first profile's.
    pub ratios: Vec<Option<f64>>,
}

pub(crate) const STABLE: &str = "Is it stable?";
pub(crate) const CORES: &str = "How does it use the cores?";
pub(crate) const DIRECTION: &str = "Scale up or out?";

impl Report {
    /// # Errors
    /// When there is no profile, or the options do not fit the profiles.
    pub fn new(
        profiles: &[Profile],
        options: &Options,
        tests: Vec<Suite>,
    ) -> Result<Self, ReportError> {
        check(profiles, options)?;
        let measured: Vec<Measured> = profiles.iter().map(Measured::of).collect();
        let mut answers = Vec::new();
        answers.extend(measured.iter().map(stable));
        answers.extend(measured.iter().map(uses_cores));
        let mut report = Self {
            schema: "tts.report/v1",
            options: options.clone(),
            answers,
            profiles: measured,
            plans: Vec::new(),
            matrices: Vec::new(),
            recommendations: Vec::new(),
            manifests: Vec::new(),
            comparison: None,
            tests,
        };
        let mut by_voice: BTreeMap<&str, Vec<&Profile>> = BTreeMap::new();
        for profile in profiles.iter().filter(|p| !p.configs.is_empty()) {
            let name = profile.voice.name.as_str();
            by_voice.entry(name).or_default().push(profile);
        }
        for (voice, of_voice) in by_voice {
            report.add_plan(voice, &of_voice, options)?;
        }
        // What is first for one profile goes before what is second for another.
        report.recommendations.sort_by_key(|found| found.rank);
        for (found, rank) in report.recommendations.iter_mut().zip(1..) {
            found.rank = rank;
        }
        if options.compare {
            report.comparison = Some(compare(&report.profiles));
        }
        Ok(report)
    }

    fn add_plan(
        &mut self,
        voice: &str,
        profiles: &[&Profile],
        options: &Options,
    ) -> Result<(), ReportError> {
        let planned =
            Planned::of(voice, profiles, options).map_err(|error| ReportError::Request {
                voice: voice.to_owned(),
                error,
            })?;
        let mut matrices = Vec::new();
        for profile in profiles {
            let measured = Measured::of(profile);
            let signals = signals(&measured, profile, &planned, options);
            let matrix = Matrix::of(&profile.id, &signals);
            self.recommendations
                .extend(recommendations(&measured, &matrix, &planned, options));
            matrices.push(matrix);
        }
        self.answers.push(direction(&planned, &matrices, options));
        if let Some(plan) = nearest(&planned) {
            self.manifests.push(Manifest {
                voice: voice.to_owned(),
                accepted: planned.decision.plan().is_some(),
                yaml: manifest(plan),
            });
        }
        self.matrices.extend(matrices);
        self.plans.push(planned);
        Ok(())
    }
}

fn check(profiles: &[Profile], options: &Options) -> Result<(), ReportError> {
    if profiles.is_empty() {
        return Err(ReportError::Nothing);
    }
    if options.compare && profiles.len() < 2 {
        return Err(ReportError::NothingToCompare);
    }
    let mut known: Vec<&str> = profiles.iter().map(|p| p.node.class.as_str()).collect();
    known.sort_unstable();
    known.dedup();
    let unknown = |class: &&String| !known.contains(&class.as_str());
    match options.prices.keys().find(unknown) {
        Some(class) => Err(ReportError::UnknownClass {
            class: class.clone(),
            known: known.join(", "),
        }),
        None => Ok(()),
    }
}

fn stable(measured: &Measured) -> Answer {
    let stability = measured.stability;
    let verdict = match measured.validity {
        Validity::Valid => "Yes".to_owned(),
        Validity::Stale => "It was; measure again".to_owned(),
        Validity::Degraded | Validity::Transferred => {
            format!("Not fully: {} is taken off", percent(measured.derate))
        }
        Validity::Invalid => "No: nothing is planned from it".to_owned(),
    };
    let text = if measured.external.is_some() {
        let findings = measured.findings.iter().map(|f| f.text.as_str());
        findings.collect::<Vec<_>>().join("; ")
    } else {
        format!(
            "The passes differ by ±{}, the machine's speed changed by {}, equal requests vary by {}; {} of {} levels did not agree within 10 %.",
            percent(stability.spread),
            percent(stability.drift),
            percent(stability.noise),
            stability.unstable,
            stability.levels
        )
    };
    Answer {
        question: STABLE,
        of: measured.label(),
        verdict: format!("{verdict} ({})", measured.validity),
        text,
    }
}

fn uses_cores(measured: &Measured) -> Answer {
    let mut parts = Vec::new();
    if let Some(last) = measured.threads.as_ref().and_then(|growth| growth.last()) {
        parts.push(format!(
            "One request on {} threads is {} as fast as on one ({} efficient).",
            number(last.n),
            ratio(last.speed_up),
            percent(last.efficiency)
        ));
    }
    let verdict = match &measured.side_by_side {
        Some(growth) => {
            if let Some(last) = growth.last() {
                parts.push(format!(
                    "{} with one request of one thread each do {} the work of one ({} efficient).",
                    cores(last.n),
                    ratio(last.speed_up),
                    percent(last.efficiency)
                ));
            }
            let last = growth.last().map_or(0.0, |last| last.n);
            format!(
                "{} up to {} with requests side by side",
                capital(&growth.word.to_string()),
                cores(last)
            )
        }
        None => match &measured.threads {
            Some(growth) => format!("{} with threads", capital(&growth.word.to_string())),
            None => on_requests(measured, &mut parts).unwrap_or_else(|| capital(ABSENT)),
        },
    };
    if let Some((on, level)) = measured.busiest() {
        parts.push(format!(
            "At most {} audio-seconds per second ({}, {} in service).",
            number(level.audio_per_sec),
            shape(on.cpu, on.threads),
            count(level.n, "request")
        ));
    }
    if parts.is_empty() {
        parts.push("No shape of a pod was measured.".to_owned());
    }
    Answer {
        question: CORES,
        of: measured.label(),
        verdict,
        text: parts.join(" "),
    }
}

/// Where neither threads nor cores were varied: requests that share them, or a GPU.
fn on_requests(measured: &Measured, parts: &mut Vec<String>) -> Option<String> {
    let (on, _) = measured.busiest()?;
    let growth = on.growth.as_ref()?;
    let last = growth.last()?;
    parts.push(format!(
        "{} requests at once get {} as much done as one ({} efficient).",
        number(last.n),
        ratio(last.speed_up),
        percent(last.efficiency)
    ));
    Some(format!(
        "{} up to {} requests at once",
        capital(&growth.word.to_string()),
        number(last.n)
    ))
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

fn direction(planned: &Planned, matrices: &[Matrix], options: &Options) -> Answer {
    let answer = |verdict: &str, text: String| Answer {
        question: DIRECTION,
        of: planned.voice.clone(),
        verdict: verdict.to_owned(),
        text,
    };
    let infeasible = match &planned.decision.outcome {
        Outcome::Infeasible(infeasible) => Some(infeasible),
        Outcome::Plan(_) => None,
    };
    let Some(plan) = nearest(planned) else {
        let why = infeasible.map_or_else(String::new, |found| found.message.clone());
        return answer("Neither: there is no plan", why);
    };
    let served = plan.voices.first().map(|voice| voice.profile.as_str());
    let matrix = matrices.iter().find(|m| Some(m.profile.as_str()) == served);
    let given = |wanted: fn(&Advice) -> bool| {
        matrix.is_some_and(|matrix| matrix.advice.iter().any(|line| wanted(&line.advice)))
    };
    let x = matrix.and_then(|matrix| matrix.idle_ratio);
    let y = matrix.and_then(|matrix| matrix.slack_services);
    let tight = y.is_some_and(|y| y < advice::LOOSE);
    let verdict = if given(|a| matches!(a, Advice::ShortenService { .. }))
        || infeasible.is_some_and(|i| i.condition == tts_planner::Condition::SloInfeasible)
    {
        "Up: pods that answer faster; more pods do not help"
    } else if given(|a| matches!(a, Advice::GrowPods { .. })) || tight {
        "Up to the size of a node, then out"
    } else {
        "Out: small pods are as good as large ones"
    };
    let mut text = format!(
        "The objective of {} is {} what one idle thread needs, and {} services fit in the rest (large pods pay below {}).",
        time(options.objective),
        x.map_or_else(|| ABSENT.to_owned(), ratio),
        y.map_or_else(|| ABSENT.to_owned(), number),
        number(advice::LOOSE)
    );
    if let Some(predicted) = plan.predicted {
        text.extend([format!(
            " Planned for {} requests/s: {} of {}, each for {} requests/s.",
            number(options.peak),
            count(plan.replicas.at_peak, "pod"),
            shape(plan.pod.cpu, plan.pod.threads.intra_op),
            number(predicted.rate)
        )]);
    }
    for words in weak_or_strong(planned) {
        text.push(' ');
        text.push_str(&words);
    }
    if let Some(infeasible) = infeasible {
        text.push(' ');
        text.push_str(&infeasible.message);
    }
    answer(verdict, text)
}

/// A shape, its pods and their cost.
type Kept<'a> = (&'a ShapePlan, u32, f64);

/// The smallest and the largest pod of each class that keep the objective.
pub(crate) fn weak_or_strong(planned: &Planned) -> Vec<String> {
    let classes = planned.classes.iter();
    classes
        .filter_map(|class| weak_or_strong_on(planned, &class.class))
        .collect()
}

fn weak_or_strong_on(planned: &Planned, class: &str) -> Option<String> {
    let kept: Vec<Kept<'_>> = planned
        .shapes
        .iter()
        .filter(|shape| shape.class == class)
        .filter_map(|shape| match shape.outcome {
            ShapeOutcome::Kept { replicas, cost, .. } => Some((shape, replicas, cost)),
            ShapeOutcome::Not { .. } => None,
        })
        .collect();
    // Of one size the cheapest.
    let weak = kept.iter().min_by(|a, b| {
        let by_cpu = a.0.cpu.total_cmp(&b.0.cpu);
        by_cpu.then(a.2.total_cmp(&b.2))
    })?;
    let strong = kept.iter().max_by(|a, b| {
        let by_cpu = a.0.cpu.total_cmp(&b.0.cpu);
        by_cpu.then(b.2.total_cmp(&a.2))
    })?;
    (weak.0.cpu < strong.0.cpu).then(|| {
        let side = |(shape, replicas, cost): &Kept<'_>| {
            format!(
                "{} of {} ({} {})",
                count(*replicas, "pod"),
                cores(shape.cpu),
                number(*cost),
                planned.unit()
            )
        };
        format!(
            "Many weak or few strong on {class}: {} or {}.",
            side(weak),
            side(strong)
        )
    })
}

fn compare(profiles: &[Measured]) -> Comparison {
    type Value = fn(&Measured) -> Option<f64>;
    let rows: [(&str, &str, bool, Value); 8] = [
        ("Most throughput", "audio-s/s", true, |m| {
            Some(m.busiest()?.1.audio_per_sec)
        }),
        ("Throughput of one thread", "audio-s/s", true, |m| {
            Some(m.one_thread()?.1.audio_per_sec)
        }),
        (
            "p95 first audio, one request, fastest shape",
            "s",
            false,
            |m| Some(m.quickest()?.1.ttfa_p95),
        ),
        ("p95 real-time factor, one thread", "", false, |m| {
            Some(m.one_thread()?.1.rtf_p95)
        }),
        ("CPU time of speech", "s per audio-s", false, |m| {
            m.cpu_per_audio
        }),
        ("Memory at rest, smallest shape", "MiB", false, |m| {
            m.shapes.iter().map(|s| s.mem.base).min_by(f64::total_cmp)
        }),
        ("Cold start, 90th percentile", "s", false, |m| {
            Some(m.cold_start).filter(|_| m.external.is_none())
        }),
        ("Taken off the speed", "share", false, |m| Some(m.derate)),
    ];
    Comparison {
        profiles: profiles.iter().map(Measured::label).collect(),
        rows: rows
            .into_iter()
            .map(|(name, unit, more_is_better, value)| {
                let values: Vec<Option<f64>> = profiles.iter().map(value).collect();
                let first = values.first().copied().flatten();
                let over = |value: &Option<f64>| {
                    let (value, first) = value.zip(first)?;
                    (first > 0.0).then(|| value / first)
                };
                ComparisonRow {
                    name,
                    unit,
                    more_is_better,
                    ratios: values.iter().map(over).collect(),
                    values,
                }
            })
            .collect(),
    }
}
