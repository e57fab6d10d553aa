//! The sections of a report: what was planned, and what to do.

use tts_planner::{Accelerator, Outcome};

use crate::chart::{Axis, Chart, Kind, Series};
use crate::document::{Block, Section, Table};
use crate::planned::{Planned, ShapeOutcome};
use crate::report::{Report, weak_or_strong};
use crate::words::{ABSENT, number, or_absent, percent, ratio, shape, time};

/// None where nothing can be planned.
pub(crate) fn sections(report: &Report) -> Vec<Section> {
    if report.plans.is_empty() {
        return Vec::new();
    }
    vec![
        cost(report),
        peaks(report),
        matrix(report),
        recommendations(report),
        plans(report),
        alternatives(report),
    ]
}

fn nothing(count: Option<u32>) -> String {
    count.map_or_else(|| "no plan".to_owned(), |count| count.to_string())
}

fn price(cost: Option<f64>) -> String {
    cost.map_or_else(|| "no plan".to_owned(), number)
}

fn cost(report: &Report) -> Section {
    let mut section = Section::new("cost", "Cost against the objective");
    for planned in &report.plans {
        let unit = planned.unit();
        section.heading(format!(
            "{} at {} requests/s",
            planned.voice,
            number(report.options.peak)
        ));
        let mut table = Table::new(format!("Cost ({unit}) by p95 first audio"), &["objective"]);
        table
            .columns
            .extend(planned.classes.iter().map(|class| class.class.clone()));
        let objectives = planned.classes.first().map(|class| &class.by_objective);
        let rows = objectives
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, point)| {
                let mut cells = vec![time(point.objective)];
                cells.extend(planned.classes.iter().map(|class| {
                    let point = class.by_objective.get(index);
                    price(point.and_then(|point| point.cost))
                }));
                cells
            });
        section.table(table.with(rows));
        section.chart(Chart {
            title: "Cost against the objective".to_owned(),
            description: "Cost of the cheapest plan against the p95 time to first audio that is promised, one line per node class.".to_owned(),
            x: Axis::logarithmic("p95 first audio promised (ms)"),
            y: Axis::linear(if planned.priced { "per hour" } else { "cores" }),
            kind: Kind::Lines(
                planned
                    .classes
                    .iter()
                    .map(|class| {
                        let points = class.by_objective.iter();
                        let points = points.filter_map(|p| Some((1000.0 * p.objective, p.cost?)));
                        Series::measured(class.class.clone(), points.collect())
                    })
                    .collect(),
            ),
        });
        let crossings = planned
            .crossings
            .iter()
            .map(|crossing| match &crossing.from {
                Some(from) => format!(
                    "from {} on {} is cheaper than {from}",
                    time(crossing.objective),
                    crossing.to
                ),
                None => format!(
                    "{} is the shortest of these objectives that is kept, by {}",
                    time(crossing.objective),
                    crossing.to
                ),
            });
        section.list(crossings.collect());
        accelerators(&mut section, planned);
        shapes(&mut section, planned);
    }
    section
}

fn accelerators(section: &mut Section, planned: &Planned) {
    let best = |accelerator| {
        let classes = planned.classes.iter();
        classes
            .filter(|class| class.accelerator == accelerator)
            .filter_map(|class| Some((&class.class, class.cost?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    };
    if let (Some((cpu, on_cpu)), Some((gpu, on_gpu))) =
        (best(Accelerator::Cpu), best(Accelerator::Gpu))
    {
        section.text(format!(
            "CPU or GPU: {} {unit} on {cpu}, {} {unit} on {gpu}; the GPU costs {} as much.",
            number(on_cpu),
            number(on_gpu),
            ratio(on_gpu / on_cpu),
            unit = planned.unit()
        ));
    }
}

fn shapes(section: &mut Section, planned: &Planned) {
    for words in weak_or_strong(planned) {
        section.text(words);
    }
    let rows = planned.shapes.iter().map(|one| {
        let mut cells = vec![one.class.clone(), shape(one.cpu, one.threads)];
        match &one.outcome {
            ShapeOutcome::Kept {
                rate,
                utilisation,
                replicas,
                ttfa_p95,
                cost,
            } => cells.extend([
                number(*rate),
                percent(*utilisation),
                replicas.to_string(),
                or_absent(*ttfa_p95, time),
                number(*cost),
                String::new(),
            ]),
            ShapeOutcome::Not { message } => {
                cells.extend(std::iter::repeat_n("-".to_owned(), 5));
                cells.push(message.clone());
            }
        }
        cells
    });
    section.table(
        Table::new(
            "Each measured shape by itself",
            &[
                "class",
                "shape",
                "requests/s per pod",
                "busy",
                "pods",
                "p95 first audio",
                planned.unit(),
                "why not",
            ],
        )
        .with(rows),
    );
}

fn peaks(report: &Report) -> Section {
    let mut section = Section::new("peak", "Pods against the peak");
    for planned in &report.plans {
        section.heading(format!(
            "{} at {}",
            planned.voice,
            time(report.options.objective)
        ));
        let mut table = Table::new("Pods that keep the objective", &["requests/s at the peak"]);
        for class in &planned.classes {
            table.columns.push(format!("pods on {}", class.class));
            table
                .columns
                .push(format!("{} on {}", planned.unit(), class.class));
        }
        let first = planned.classes.first().map(|class| &class.by_peak);
        let rows = first
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, point)| {
                let mut cells = vec![number(point.peak)];
                for class in &planned.classes {
                    let point = class.by_peak.get(index);
                    cells.push(nothing(point.and_then(|point| point.replicas)));
                    cells.push(price(point.and_then(|point| point.cost)));
                }
                cells
            });
        section.table(table.with(rows));
        section.chart(Chart {
            title: "Pods against the peak".to_owned(),
            description: "Pods of the cheapest plan against requests per second at the peak, one line per node class.".to_owned(),
            x: Axis::linear("requests per second"),
            y: Axis::linear("pods"),
            kind: Kind::Lines(
                planned
                    .classes
                    .iter()
                    .map(|class| {
                        let points = class.by_peak.iter();
                        let points = points.filter_map(|p| Some((p.peak, f64::from(p.replicas?))));
                        Series::measured(class.class.clone(), points.collect())
                    })
                    .collect(),
            ),
        });
    }
    section
}

fn matrix(report: &Report) -> Section {
    let mut section = Section::new("matrix", "Decision matrix");
    for matrix in &report.matrices {
        section.heading(matrix.profile.clone());
        let rows = matrix.rows.iter().map(|row| {
            let applies = match row.applies {
                Some(true) => "yes",
                Some(false) => "no",
                None => ABSENT,
            };
            vec![
                row.question.to_owned(),
                row.value.clone(),
                row.rule.clone(),
                applies.to_owned(),
                row.then.to_owned(),
            ]
        });
        section.table(
            Table::new(
                "What the numbers say",
                &["number", "value", "rule", "applies", "then"],
            )
            .with(rows),
        );
        if matrix.advice.is_empty() {
            section.text("No row applies: nothing has to change.");
        }
        let advice = matrix.advice.iter().map(|line| line.advice.to_string());
        section.list(advice.collect());
    }
    section
}

fn recommendations(report: &Report) -> Section {
    let mut section = Section::new("recommendations", "Recommendations");
    let rows = report.recommendations.iter().map(|found| {
        vec![
            found.rank.to_string(),
            found.of.clone(),
            found.what.clone(),
            found.current.clone(),
            found.target.clone(),
            found.speed_up.map_or_else(|| "-".to_owned(), ratio),
            found.effort.word().to_owned(),
            found.risk.word().to_owned(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        section.text("Nothing has to change.");
    } else {
        section.table(
            Table::new(
                "Most pressing first",
                &[
                    "rank",
                    "profile",
                    "what",
                    "now",
                    "target",
                    "speed-up needed",
                    "effort",
                    "risk",
                ],
            )
            .with(rows),
        );
    }
    section
}

fn plans(report: &Report) -> Section {
    let mut section = Section::new("plan", "The plan");
    for planned in &report.plans {
        if let Outcome::Infeasible(infeasible) = &planned.decision.outcome {
            section.heading(planned.voice.clone());
            section.text(format!("{}: {}", infeasible.condition, infeasible.message));
        }
    }
    for manifest in &report.manifests {
        section.heading(if manifest.accepted {
            manifest.voice.clone()
        } else {
            format!(
                "{}: what comes nearest; it does not keep the objectives",
                manifest.voice
            )
        });
        section.blocks.push(Block::Code(manifest.yaml.clone()));
    }
    section
}

fn alternatives(report: &Report) -> Section {
    let mut section = Section::new("alternatives", "Alternatives");
    for planned in &report.plans {
        let alternatives = &planned.decision.alternatives;
        section.heading(planned.voice.clone());
        section.text(if planned.priced {
            "What keeps the objectives, best first:"
        } else {
            "What keeps the objectives, best first; without prices, \"an hour\" counts cores:"
        });
        let kept = alternatives.candidates.iter().map(ToString::to_string);
        lines(
            &mut section,
            kept.collect(),
            alternatives.omitted_candidates,
        );
        section.text("What was rejected, and why:");
        let rejected = alternatives.rejected.iter().map(ToString::to_string);
        lines(
            &mut section,
            rejected.collect(),
            alternatives.omitted_rejected,
        );
        for class in &planned.classes {
            if let Some(message) = &class.message {
                section.text(format!("{} alone: {message}", class.class));
            }
        }
    }
    section
}

fn lines(section: &mut Section, mut items: Vec<String>, omitted: u32) {
    if items.is_empty() {
        items.push("nothing".to_owned());
    }
    if omitted > 0 {
        items.push(format!("and {omitted} more"));
    }
    section.list(items);
}
