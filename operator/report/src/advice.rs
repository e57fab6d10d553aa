//! The decision matrix with its numbers, and what is recommended.

use serde::Serialize;
use tts_planner::advice::{self, Advice, Signals, advise};
use tts_planner::{Accelerator, AcceptedPlan, Outcome, Profile, Validity};

use crate::measured::Measured;
use crate::options::Options;
use crate::planned::Planned;
use crate::words::{ABSENT, count, number, or_absent, percent, ratio, shape, time};

/// The signals of one profile, and what follows from them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    pub profile: String,
    pub rows: Vec<MatrixRow>,
    pub advice: Vec<AdviceLine>,
    /// x and y of the planner's advice: the objective over the p95 first audio of one idle thread,
    /// and the services that fit in what it leaves.
    pub idle_ratio: Option<f64>,
    pub slack_services: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixRow {
    pub question: &'static str,
    pub value: String,
    pub rule: String,
    /// None: a number is missing.
    pub applies: Option<bool>,
    pub then: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdviceLine {
    #[serde(flatten)]
    pub advice: Advice,
}

/// What to do, most pressing first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// The profile that it comes from.
    pub of: String,
    /// 1 is most pressing.
    pub rank: u32,
    pub what: String,
    pub current: String,
    pub target: String,
    /// How many times as fast it has to become for the target; None: speed is not the point.
    pub speed_up: Option<f64>,
    pub effort: Size,
    pub risk: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Size {
    Low,
    Medium,
    High,
}

impl Size {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// The plan, or what comes nearest.
pub fn nearest(planned: &Planned) -> Option<&AcceptedPlan> {
    match &planned.decision.outcome {
        Outcome::Plan(plan) => Some(plan),
        Outcome::Infeasible(infeasible) => infeasible.best_effort.as_deref(),
    }
}

/// What the advice rests on: measured at idle, planned at the peak.
pub fn signals(
    measured: &Measured,
    profile: &Profile,
    planned: &Planned,
    options: &Options,
) -> Signals {
    let idle = measured.one_thread().or_else(|| measured.quickest());
    let service = idle.map(|(shape, _)| shape.s0 + shape.s1 * Options::MEAN_AUDIO);
    let idle_p95 = idle.map(|(_, level)| level.ttfa_p95);
    let here = nearest(planned).filter(|plan| {
        let voices = &plan.voices;
        voices.iter().any(|voice| voice.profile == profile.id)
    });
    let predicted = here.and_then(|plan| plan.predicted);
    let ttfa_p95 = predicted.and_then(|predicted| predicted.ttfa_p95);
    let shape = here.and_then(|plan| {
        let (cpu, threads) = (plan.pod.cpu, plan.pod.threads.intra_op);
        let same = |s: &&crate::measured::Shape| (s.cpu - cpu).abs() < 1e-9 && s.threads == threads;
        measured.shapes.iter().find(same)
    });
    let classes = crate::planned::classes(&[profile], options);
    let allocatable = classes.first().map(|class| class.allocatable_cpu);
    let cost_on = |accelerator| {
        planned
            .classes
            .iter()
            .filter(|class| class.accelerator == accelerator)
            .filter_map(|class| class.cost)
            .min_by(f64::total_cmp)
    };
    let gpu_cost = cost_on(Accelerator::Gpu);
    let cpu_cost = cost_on(Accelerator::Cpu);
    Signals {
        ttfa_objective: Some(options.objective),
        idle_ratio: idle_p95.map(|p95| options.objective / p95),
        slack_services: idle_p95
            .zip(service)
            .map(|(p95, service)| (options.objective - p95) / service),
        ttfa_p95,
        wait_share: ttfa_p95
            .zip(predicted)
            .map(|(p95, predicted)| ((p95 - predicted.ttfa_p95_idle) / p95).max(0.0)),
        pod_can_grow: here
            .zip(allocatable)
            .map(|(plan, cores)| plan.pod.cpu + f64::from(plan.pod.threads.intra_op) <= cores),
        rtf_objective: Some(Options::REAL_TIME_FACTOR),
        rtf_p95_full: shape.and_then(|shape| Some(shape.levels.last()?.rtf_p95)),
        rtf_p95_fewer: shape.and_then(|shape| Some(shape.alone()?.rtf_p95)),
        doubling_efficiency: doubling(measured),
        memory_share: here.and_then(|plan| {
            let (cpu, threads) = (plan.pod.cpu, plan.pod.threads.intra_op);
            let points = measured.memory.iter();
            points
                .filter(|point| (point.cpu - cpu).abs() < 1e-9 && point.threads == threads)
                .map(|point| point.mib / plan.pod.resources.memory)
                .max_by(f64::total_cmp)
        }),
        gpu_gain: (measured.accelerator == Accelerator::Gpu)
            .then(|| measured.shapes.iter().find_map(second))
            .flatten(),
        gpu_cost_ratio: gpu_cost
            .zip(cpu_cost)
            .filter(|_| measured.accelerator == Accelerator::Cpu)
            .map(|(gpu, cpu)| gpu / cpu),
        ..Signals::default()
    }
}

/// X(2) / X(1) of a shape.
fn second(shape: &crate::measured::Shape) -> Option<f64> {
    let points = &shape.growth.as_ref()?.points;
    let two = points.iter().find(|point| (point.n - 2.0).abs() < 1e-9)?;
    Some(two.speed_up)
}

/// Speed-up of one request from 1 to 2 threads, over two.
fn doubling(measured: &Measured) -> Option<f64> {
    let points = &measured.threads.as_ref()?.points;
    let two = points.iter().find(|point| (point.n - 2.0).abs() < 1e-9)?;
    Some(two.efficiency)
}

impl Matrix {
    pub fn of(profile: &str, signals: &Signals) -> Self {
        let advice = advise(signals);
        let rows = rows(signals, &advice);
        Self {
            profile: profile.to_owned(),
            rows,
            advice: advice
                .into_iter()
                .map(|advice| AdviceLine { advice })
                .collect(),
            idle_ratio: signals.idle_ratio,
            slack_services: signals.slack_services,
        }
    }
}

fn rows(signals: &Signals, advice: &[Advice]) -> Vec<MatrixRow> {
    let given = |code: &str| advice.iter().any(|advice| <&str>::from(advice) == code);
    let row = |question, value: Option<String>, rule, code, then| MatrixRow {
        question,
        applies: value.as_ref().map(|_| given(code)),
        value: value.unwrap_or_else(|| ABSENT.to_owned()),
        rule,
        then,
    };
    let late = signals
        .ttfa_p95
        .zip(signals.wait_share)
        .map(|(p95, wait)| format!("{}, {} of it waiting", time(p95), percent(wait)));
    let slack = signals.slack_services.map(number);
    let rtf = signals.rtf_p95_full.zip(signals.rtf_p95_fewer);
    let more = format!("late, more than {} of it waiting", percent(advice::QUEUE));
    vec![
        row(
            "Objective over p95 first audio of one idle thread (x)",
            signals.idle_ratio.map(ratio),
            format!("below {}", ratio(advice::NO_ROOM)),
            "ShortenService",
            "scale up: more pods do not help",
        ),
        row(
            "p95 first audio at the peak, planned; slack below the rule",
            late.clone()
                .zip(slack.clone())
                .map(|(late, slack)| format!("{late}; slack {slack}")),
            format!("{more}, slack below {}", number(advice::LOOSE)),
            "GrowPods",
            "scale up: bigger pods",
        ),
        row(
            "The same with more slack (y, services that fit in the rest)",
            late.zip(slack)
                .map(|(late, slack)| format!("{late}; slack {slack}")),
            format!("{more}, slack from {}", number(advice::LOOSE)),
            "ScaleOut",
            "scale out: one more pod",
        ),
        row(
            "p95 real-time factor with all workers busy, and with one",
            rtf.map(|(full, one)| format!("{}, {}", number(full), number(one))),
            format!(
                "above {}, kept with fewer",
                or_absent(signals.rtf_objective, number)
            ),
            "LowerConcurrency",
            "fewer requests at once",
        ),
        row(
            "Efficiency of a second thread",
            signals.doubling_efficiency.map(percent),
            format!(
                "below {}, and x above {}",
                percent(advice::WASTED),
                ratio(advice::ROOM)
            ),
            "HalveThreads",
            "fewer threads, more workers",
        ),
        row(
            "Utilisation at the peak over days",
            signals.utilisation_at_peak.map(percent),
            format!("below {}", percent(advice::IDLE)),
            "ShrinkPods",
            "smaller pods",
        ),
        row(
            "Peak memory over the planned limit",
            signals.memory_share.map(percent),
            format!("above {}", percent(advice::MEMORY)),
            "RaiseMemory",
            "more memory",
        ),
        row(
            "What two requests on the GPU get done, over one",
            signals.gpu_gain.map(ratio),
            format!("above {}", ratio(advice::SHARED)),
            "ShareGpu",
            "more requests at once",
        ),
        row(
            "The same",
            signals.gpu_gain.map(ratio),
            format!("below {}", ratio(advice::ALONE)),
            "OneAtATime",
            "more pods, one request each",
        ),
        row(
            "Cost on the GPU over cost on CPUs",
            signals.gpu_cost_ratio.map(percent),
            format!("below {}", percent(advice::MOVE)),
            "MoveToGpu",
            "move to the GPU class",
        ),
    ]
}

/// What to do about one profile.
pub fn recommendations(
    measured: &Measured,
    matrix: &Matrix,
    planned: &Planned,
    options: &Options,
) -> Vec<Recommendation> {
    let advice = matrix.advice.iter().map(|line| of_advice(&line.advice));
    let again = again(measured);
    // Without a usable measurement nothing else counts; a doubtful one still says what to do.
    let (first, later) = if measured.validity == Validity::Invalid {
        (again, None)
    } else {
        (None, again)
    };
    let mut list: Vec<Recommendation> = first.into_iter().collect();
    list.extend(shorten(measured, planned, options));
    list.extend(advice);
    list.extend(later);
    list.extend(leak(measured));
    list.extend(encoding(measured));
    list.extend(bottleneck(measured));
    for (one, rank) in list.iter_mut().zip(1..) {
        one.rank = rank;
        one.of.clone_from(&measured.id);
    }
    list
}

fn recommendation(what: impl Into<String>, current: String, target: String) -> Recommendation {
    Recommendation {
        of: String::new(),
        rank: 0,
        what: what.into(),
        current,
        target,
        speed_up: None,
        effort: Size::Low,
        risk: Size::Low,
    }
}

fn leak(measured: &Measured) -> Option<Recommendation> {
    let soak = measured.soak.as_ref().filter(|soak| soak.leak)?;
    Some(Recommendation {
        effort: Size::High,
        ..recommendation(
            "find the leak",
            format!(
                "memory grows by {} MiB per 100,000 requests",
                number(soak.growth_mib)
            ),
            "no growth".to_owned(),
        )
    })
}

fn again(measured: &Measured) -> Option<Recommendation> {
    if measured.validity == Validity::Valid {
        return None;
    }
    let findings = measured.findings.iter();
    let texts: Vec<String> = findings
        .filter(|finding| !finding.text.is_empty())
        .map(|finding| finding.text.clone())
        .collect();
    Some(recommendation(
        format!("measure again, on a quiet machine: {}", texts.join("; ")),
        format!(
            "{}, {} is taken off the speed",
            measured.validity,
            percent(measured.derate)
        ),
        "Valid".to_owned(),
    ))
}

/// Nothing keeps the promise: by how much it is missed.
fn shorten(measured: &Measured, planned: &Planned, options: &Options) -> Option<Recommendation> {
    planned.decision.infeasible()?;
    let (fastest, level) = measured.quickest()?;
    let late = level.ttfa_p95 * (1.0 + measured.derate);
    (late > options.objective).then(|| Recommendation {
        of: String::new(),
        rank: 0,
        what: format!(
            "shorten the service on {}: a faster class, lower precision or fewer NFE steps",
            measured.class
        ),
        current: format!(
            "{} p95 first audio of one request ({}), with the derate",
            time(late),
            shape(fastest.cpu, fastest.threads)
        ),
        target: time(options.objective),
        speed_up: Some(late / options.objective),
        effort: Size::High,
        risk: Size::Medium,
    })
}

fn of_advice(advice: &Advice) -> Recommendation {
    use Size::{High, Low, Medium};
    let row = |what: &str, current, target, effort, risk| Recommendation {
        effort,
        risk,
        ..recommendation(what, current, target)
    };
    match *advice {
        Advice::ShortenService { idle_ratio } => Recommendation {
            speed_up: (idle_ratio > 0.0).then(|| advice::NO_ROOM / idle_ratio),
            ..row(
                "scale up: more threads or a faster class",
                format!(
                    "the objective is {} what one idle thread needs",
                    ratio(idle_ratio)
                ),
                format!("at least {}", ratio(advice::NO_ROOM)),
                Medium,
                Medium,
            )
        },
        Advice::ScaleOut {
            ttfa_p95,
            wait_share,
            ..
        } => row(
            "scale out: add a pod",
            format!(
                "{} p95 first audio, {} of it waiting",
                time(ttfa_p95),
                percent(wait_share)
            ),
            "the objective".to_owned(),
            Low,
            Low,
        ),
        Advice::GrowPods {
            ttfa_p95,
            wait_share,
            ..
        } => row(
            "scale up: pods of the whole node with the same threads",
            format!(
                "{} p95 first audio, {} of it waiting",
                time(ttfa_p95),
                percent(wait_share)
            ),
            "the objective".to_owned(),
            Low,
            Medium,
        ),
        Advice::LowerConcurrency { rtf_p95, objective } => row(
            "lower maxConcurrency",
            format!("p95 real-time factor {}", number(rtf_p95)),
            number(objective),
            Low,
            Low,
        ),
        Advice::HalveThreads { efficiency, .. } => row(
            "one thread per request, more requests side by side",
            format!("a second thread is {} efficient", percent(efficiency)),
            format!("at least {}", percent(advice::WASTED)),
            Low,
            Low,
        ),
        Advice::RaiseMemory { share } => row(
            "raise the memory of pods",
            format!("{} of the limit", percent(share)),
            format!("at most {}", percent(advice::MEMORY)),
            Low,
            Low,
        ),
        Advice::ShareGpu { gain } => row(
            "let requests share the GPU",
            format!("two get {} as much done as one", ratio(gain)),
            "2 or more at once".to_owned(),
            Low,
            Medium,
        ),
        Advice::OneAtATime { gain } => row(
            "one request at a time on the GPU; capacity from more pods",
            format!("two get {} as much done as one", ratio(gain)),
            "1 at once".to_owned(),
            Low,
            Low,
        ),
        Advice::MoveToGpu { cost_ratio } => row(
            "move to the GPU class",
            format!("{} of the cost on CPUs", percent(cost_ratio)),
            format!("below {}", percent(advice::MOVE)),
            High,
            Medium,
        ),
        // Of a running deployment only.
        Advice::ShrinkPods { utilisation, days } => row(
            "smaller pods",
            format!("{} busy over {}", percent(utilisation), count(days, "day")),
            format!("at least {}", percent(advice::IDLE)),
            Low,
            Low,
        ),
    }
}

/// The format that costs least beside speech, where another costs much.
fn encoding(measured: &Measured) -> Option<Recommendation> {
    const MUCH: f64 = 0.25;
    let speech = measured.cpu_per_audio.filter(|&cpu| cpu > 0.0)?;
    let by_cost = |a: &&tts_planner::profile::Encoding, b: &&tts_planner::profile::Encoding| {
        a.cpu_per_audio.total_cmp(&b.cpu_per_audio)
    };
    let most = measured.encoding.iter().max_by(by_cost)?;
    let least = measured.encoding.iter().min_by(by_cost)?;
    let share = most.cpu_per_audio / speech;
    (share > MUCH).then(|| Recommendation {
        of: String::new(),
        rank: 0,
        what: format!(
            "choose the audio format with its CPU time in mind: {} costs most, {} least",
            most.format, least.format
        ),
        current: format!(
            "{}: {} of the CPU time of speech",
            most.format,
            percent(share)
        ),
        target: format!(
            "{}: {}",
            least.format,
            percent(least.cpu_per_audio / speech)
        ),
        speed_up: None,
        effort: Size::Low,
        risk: Size::Low,
    })
}

/// By Amdahl's law, what a stage twice as fast would bring.
fn bottleneck(measured: &Measured) -> Option<Recommendation> {
    let found = measured.bottleneck.as_ref()?;
    let gain = 1.0 / (1.0 - found.share / 2.0);
    Some(Recommendation {
        of: String::new(),
        rank: 0,
        what: format!(
            "make {} faster (lower precision, fewer NFE steps, a faster class) before anything else",
            found.stage
        ),
        current: format!("{} of a request's time", percent(found.share)),
        target: format!(
            "a stage twice as fast makes requests {} as fast",
            ratio(gain)
        ),
        speed_up: Some(2.0),
        effort: Size::High,
        risk: Size::Medium,
    })
}

#[cfg(test)]
mod tests {
    use tts_planner_dev::samples;

    use super::*;

    #[test]
    fn the_matrix_says_what_the_planner_advises() {
        let signals = Signals {
            idle_ratio: Some(1.0),
            ..Signals::default()
        };
        let matrix = Matrix::of("p", &signals);
        assert_eq!(matrix.rows[0].applies, Some(true));
        assert!(matrix.rows[1..].iter().all(|row| row.applies.is_none()));
        assert_eq!(matrix.rows[5].value, "not measured");
        assert_eq!(matrix.advice.len(), 1);
    }

    #[test]
    fn an_objective_that_cannot_be_kept_names_the_speed_up() {
        let profile = samples::on_cpu("cpu", samples::PIPER, &[1, 2]);
        let options = Options {
            objective: 0.05,
            ..Options::default()
        };
        let planned = Planned::of("voice", &[&profile], &options).unwrap();
        let measured = Measured::of(&profile);
        let signals = signals(&measured, &profile, &planned, &options);
        let matrix = Matrix::of(&profile.id, &signals);
        let list = recommendations(&measured, &matrix, &planned, &options);
        assert!(list[0].what.starts_with("shorten the service"));
        assert!(list[0].speed_up.unwrap() > 2.0);
    }
}
