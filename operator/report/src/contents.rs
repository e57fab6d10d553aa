//! The sections of a report: what was measured. What was planned is in [`crate::plan_contents`].

use tts_planner::profile::{ClientLevel, OpenLoop, PROBABILITIES};

use crate::chart::{Axis, Chart, Kind, Series};
use crate::document::{Block, Section, Table};
use crate::measured::{Growth, Measured, Shape};
use crate::plan_contents;
use crate::report::{CORES, Comparison, DIRECTION, Report, STABLE};
use crate::words::{ABSENT, cores, number, or_absent, percent, ratio, shape, time};

pub(crate) const TITLE: &str = "Measured voices: report and plan";

/// All sections, the first page first.
pub(crate) fn sections(report: &Report) -> Vec<Section> {
    let inside = || report.profiles.iter().filter(|m| m.external.is_none());
    let mut list = vec![first_page(report), validity(&report.profiles)];
    if inside().next().is_some() {
        list.push(growth(inside()));
        list.push(concurrency(inside()));
        list.push(lengths(inside()));
        list.push(memory(inside()));
        list.push(bottleneck(inside()));
        list.push(encoding(inside()));
    }
    list.extend(report.comparison.as_ref().map(comparison));
    list.extend(plan_contents::sections(report));
    let outside: Vec<&Measured> = report
        .profiles
        .iter()
        .filter(|m| m.external.is_some())
        .collect();
    if !outside.is_empty() {
        list.push(clients(&outside));
    }
    if !report.tests.is_empty() {
        list.push(tests(report));
    }
    list.push(method(report));
    list
}

fn row<const N: usize>(cells: [String; N]) -> Vec<String> {
    cells.into()
}

fn first_page(report: &Report) -> Section {
    let mut section = Section::new("answers", "Three questions");
    for question in [STABLE, CORES, DIRECTION] {
        section.heading(question);
        let answers = report.answers.iter().filter(|a| a.question == question);
        let before = section.blocks.len();
        section.blocks.extend(answers.map(|answer| Block::Answer {
            of: answer.of.clone(),
            verdict: answer.verdict.clone(),
            text: answer.text.clone(),
        }));
        if section.blocks.len() == before {
            section.text(format!("{ABSENT}."));
        }
    }
    section
}

fn validity(profiles: &[Measured]) -> Section {
    let mut section = Section::new("validity", "Validity and environment");
    for measured in profiles {
        section.heading(format!("{}: {}", measured.id, measured.validity));
        section.text(format!(
            "What speaks against the measurement takes {} off its speed; a plan takes off 5 % at least.",
            percent(measured.derate)
        ));
        section.list(
            measured
                .findings
                .iter()
                .map(|finding| format!("{}: {}", finding.validity, finding.text))
                .collect(),
        );
        let facts = measured.environment.iter().chain(&measured.run);
        section.table(
            Table::new("Environment and run", &["what", "value"])
                .with(facts.map(|fact| row([fact.name.to_owned(), fact.value.clone()]))),
        );
        stability(&mut section, measured);
        if !measured.absent.is_empty() {
            section.text("Not measured:");
            section.list(measured.absent.clone());
        }
        section.list(measured.notes.clone());
    }
    section
}

fn stability(section: &mut Section, measured: &Measured) {
    if measured.external.is_some() {
        return;
    }
    section.table(
        Table::new(
            "Each level over the passes",
            &[
                "shape",
                "in service",
                "passes",
                "slowest (audio-s/s)",
                "fastest",
                "apart",
                "cores used",
            ],
        )
        .with(measured.passes.iter().map(|pass| {
            row([
                shape(pass.cpu, pass.threads),
                pass.n.to_string(),
                pass.passes.to_string(),
                number(pass.slowest),
                number(pass.fastest),
                percent(pass.fastest / pass.slowest - 1.0),
                number(pass.cores_used),
            ])
        })),
    );
    section.chart(Chart {
        title: format!("The machine's speed during the run: {}", measured.class),
        description: "Median service time of one text, measured again and again between the passes; level is steady.".to_owned(),
        x: Axis::linear("since the beginning (s)"),
        y: Axis::linear("service time (ms)"),
        kind: Kind::Lines(vec![Series::measured(
            "one text, one at a time",
            measured
                .anchors
                .iter()
                .map(|anchor| (anchor.at_s, 1000.0 * anchor.median_s))
                .collect(),
        )]),
    });
    if let Some(soak) = &measured.soak {
        section.text(format!(
            "Soak of {} requests in {} s: {} MiB at the beginning, {} MiB at the end; {}.",
            soak.requests,
            number(soak.seconds),
            number(soak.first_mib),
            number(soak.last_mib),
            if soak.leak { "a leak" } else { "no leak" }
        ));
    }
    if let Some(check) = &measured.verification {
        section.text(format!(
            "Checked at {} requests/s: p95 first audio {} predicted, {} measured ({}).",
            number(check.lambda),
            time(check.trace_matched_p95.predicted),
            time(check.trace_matched_p95.measured),
            percent(check.error)
        ));
    }
}

/// A title, what is counted, what that means, and where it is.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Measured) -> Option<&Growth>,
);

fn growth<'a>(profiles: impl Iterator<Item = &'a Measured> + Clone) -> Section {
    let mut section = Section::new("scaling", "Speed-up and efficiency");
    section.text("Linear: at least 90 % efficient at the largest measured count; sub-linear: at least 50 %; poor: less. Efficiency is speed-up over count.");
    let cases: [Case; 2] = [
        (
            "Threads of one request",
            "threads",
            "Threads share one request: it answers sooner.",
            |m| m.threads.as_ref(),
        ),
        (
            "Cores with requests side by side, one thread each",
            "cores",
            "Each core has a request of its own: more is done, none answers sooner.",
            |m| m.side_by_side.as_ref(),
        ),
    ];
    for (title, noun, words, get) in cases {
        section.heading(title);
        section.text(words);
        let mut rows = Vec::new();
        let mut verdicts = Vec::new();
        let mut series = Vec::new();
        let mut most = 1.0_f64;
        for measured in profiles.clone() {
            let Some(growth) = get(measured) else {
                verdicts.push(format!(
                    "{}: {ABSENT} at more than one count.",
                    measured.label()
                ));
                continue;
            };
            verdicts.push(verdict(measured, growth, noun));
            for point in &growth.points {
                most = most.max(point.n);
                rows.push(row([
                    measured.label(),
                    number(point.n),
                    number(point.audio_per_sec),
                    ratio(point.speed_up),
                    percent(point.efficiency),
                ]));
            }
            let points = growth.points.iter().map(|p| (p.n, p.speed_up)).collect();
            series.push(Series::measured(measured.label(), points));
        }
        section.list(verdicts);
        section.table(
            Table::new(
                format!("{title}: throughput"),
                &["profile", noun, "audio-s/s", "speed-up", "efficiency"],
            )
            .with(rows),
        );
        if !series.is_empty() {
            series.push(Series::law("linear", vec![(1.0, 1.0), (most, most)]));
        }
        section.chart(Chart {
            title: format!("{title}: speed-up"),
            description: format!(
                "Speed-up against {noun}, with the straight line of perfect scaling."
            ),
            x: Axis::linear(noun),
            y: Axis::linear("speed-up"),
            kind: Kind::Lines(series),
        });
    }
    full_node(&mut section, profiles);
    section
}

fn verdict(measured: &Measured, growth: &Growth, noun: &str) -> String {
    let mut text = format!("{}: {}", measured.label(), growth.word);
    if let Some(last) = growth.last() {
        text.extend([format!(
            ", {} efficient at {} {noun}",
            percent(last.efficiency),
            number(last.n)
        )]);
    }
    match growth.diminishing_from {
        Some(from) => text.extend([format!(
            "; from {} {noun} on each further one adds less than half of the first",
            number(from)
        )]),
        None => text.push_str("; every measured step adds at least half of the first"),
    }
    match &growth.law {
        Some(law) => text.extend([format!(
            ". Universal Scalability Law: sigma {} (serial share), kappa {} (agreement), off by at most {}{}.",
            number(law.sigma),
            number(law.kappa),
            percent(law.max_residual),
            law.peak().map_or_else(
                || ", no peak".to_owned(),
                |peak| format!(", peak at {}", number(peak))
            )
        )]),
        None => text.push_str(". Too few points for a law."),
    }
    text
}

fn full_node<'a>(section: &mut Section, profiles: impl Iterator<Item = &'a Measured>) {
    let rows = profiles.flat_map(|measured| {
        measured.full_node.iter().map(|busy| {
            row([
                measured.label(),
                busy.workers.to_string(),
                busy.threads.to_string(),
                number(busy.audio_per_sec),
            ])
        })
    });
    section.table(
        Table::new(
            "The whole node busy, as several pods",
            &["profile", "requests", "threads each", "audio-s/s"],
        )
        .with(rows),
    );
}

fn concurrency<'a>(profiles: impl Iterator<Item = &'a Measured> + Clone) -> Section {
    let mut section = Section::new(
        "concurrency",
        "Throughput and first audio against concurrency",
    );
    for measured in profiles {
        section.heading(measured.label());
        let rows = measured.shapes.iter().flat_map(|one| {
            one.levels.iter().map(move |level| {
                row([
                    shape(one.cpu, one.threads),
                    level.n.to_string(),
                    level.requests.to_string(),
                    number(level.audio_per_sec),
                    time(level.ttfa_p95),
                    time(level.s_p95),
                    number(level.rtf_p95),
                    or_absent(level.gpu_utilisation, percent),
                ])
            })
        });
        section.table(
            Table::new(
                "Levels",
                &[
                    "shape",
                    "in service",
                    "requests",
                    "audio-s/s",
                    "p95 first audio",
                    "p95 service",
                    "p95 RTF",
                    "GPU busy",
                ],
            )
            .with(rows),
        );
        let curves = |value: fn(&crate::measured::LevelLine) -> f64| -> Vec<Series> {
            let shapes = measured.shapes.iter();
            shapes
                .map(|one| {
                    let levels = one.levels.iter();
                    Series::measured(
                        shape(one.cpu, one.threads),
                        levels
                            .map(|level| (f64::from(level.n), value(level)))
                            .collect(),
                    )
                })
                .collect()
        };
        section.chart(Chart {
            title: "Throughput".to_owned(),
            description:
                "Audio-seconds per second against requests in service, one line per shape of a pod."
                    .to_owned(),
            x: Axis::linear("requests in service"),
            y: Axis::linear("audio-seconds per second"),
            kind: Kind::Lines(curves(|level| level.audio_per_sec)),
        });
        section.chart(Chart {
            title: "p95 time to first audio".to_owned(),
            description: "95th percentile of the time to first audio against requests in service, one line per shape of a pod.".to_owned(),
            x: Axis::linear("requests in service"),
            y: Axis::linear("ms"),
            kind: Kind::Lines(curves(|level| 1000.0 * level.ttfa_p95)),
        });
        let laws = measured.shapes.iter().filter_map(|one| {
            let law = one.growth.as_ref()?.law?;
            Some(format!(
                "{}: sigma {}, kappa {}, off by at most {}",
                shape(one.cpu, one.threads),
                number(law.sigma),
                number(law.kappa),
                percent(law.max_residual)
            ))
        });
        section.list(laws.collect());
        if let Some(batch) = &measured.batch {
            let rows = batch.levels.iter();
            section.table(
                Table::new("Batches", &["requests together", "mean time", "padding"]).with(
                    rows.map(|level| {
                        row([
                            level.size.to_string(),
                            time(level.mean_service),
                            ratio(level.padding),
                        ])
                    }),
                ),
            );
        }
    }
    section
}

fn lengths<'a>(profiles: impl Iterator<Item = &'a Measured> + Clone) -> Section {
    let mut section = Section::new("lengths", "Service time against length");
    let mut rows = Vec::new();
    let mut service = Vec::new();
    let mut factor = Vec::new();
    for measured in profiles {
        let found = measured
            .lengths
            .iter()
            .filter(|length| length.audio_s > 0.0);
        for length in found.clone() {
            rows.push(row([
                measured.label(),
                shape(length.cpu, length.threads),
                number(length.audio_s),
                time(length.service_s),
                time(length.first_audio_s),
                number(length.service_s / length.audio_s),
            ]));
        }
        let mut points: Vec<(f64, f64)> = found.map(|l| (l.audio_s, l.service_s)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        service.push(Series::measured(
            measured.label(),
            points
                .iter()
                .map(|&(audio, s)| (audio, 1000.0 * s))
                .collect(),
        ));
        factor.push(Series::measured(
            measured.label(),
            points
                .iter()
                .map(|&(audio, s)| (audio, s / audio))
                .collect(),
        ));
    }
    section.table(
        Table::new(
            "One request at a time, medians",
            &[
                "profile",
                "shape",
                "audio (s)",
                "service",
                "first audio",
                "RTF",
            ],
        )
        .with(rows),
    );
    for (title, label, series) in [
        ("Service time", "ms", service),
        ("Real-time factor", "service time over audio", factor),
    ] {
        section.chart(Chart {
            title: format!("{title} against length"),
            description: format!("{title} of one request at a time against the audio of its text."),
            x: Axis::linear("audio of the text (s)"),
            y: Axis::linear(label),
            kind: Kind::Lines(series),
        });
    }
    section
}

fn memory<'a>(profiles: impl Iterator<Item = &'a Measured> + Clone) -> Section {
    let mut section = Section::new("memory", "Memory against audio in flight");
    let mut rows = Vec::new();
    let mut series = Vec::new();
    for measured in profiles {
        for one in &measured.shapes {
            rows.push(row([
                measured.label(),
                shape(one.cpu, one.threads),
                number(one.mem.base),
                number(one.mem.per_inflight_audio),
                or_absent(one.mem.process, number),
                number(one.mem.resid_sd),
                or_absent(one.gpu_mem.map(|memory| memory.base), number),
            ]));
            let same = |point: &&tts_planner::profile::details::MemoryPoint| {
                (point.cpu - one.cpu).abs() < 1e-9 && point.threads == one.threads
            };
            let mut points: Vec<(f64, f64)> = measured
                .memory
                .iter()
                .filter(same)
                .map(|point| (point.inflight_audio_s, point.mib))
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            if points.len() > 1 && series.len() < 7 {
                let name = format!("{}: {}", measured.class, shape(one.cpu, one.threads));
                series.push(Series::measured(name, points));
            }
        }
    }
    section.table(
        Table::new(
            "Regression (MiB)",
            &[
                "profile",
                "shape",
                "at rest",
                "per audio-s in flight",
                "process alone",
                "left over",
                "GPU, at rest",
            ],
        )
        .with(rows),
    );
    section.chart(Chart {
        title: "Peak memory".to_owned(),
        description: "Peak memory of the process against the audio-seconds in flight, one line per shape of a pod.".to_owned(),
        x: Axis::linear("audio-seconds in flight"),
        y: Axis::linear("MiB"),
        kind: Kind::Lines(series),
    });
    section
}

fn bottleneck<'a>(profiles: impl Iterator<Item = &'a Measured> + Clone) -> Section {
    let mut section = Section::new("bottleneck", "Bottleneck and stages");
    for measured in profiles {
        section.heading(measured.label());
        match &measured.bottleneck {
            Some(found) => section.text(format!(
                "{} takes {} of a request's time ({}, {} in service).",
                found.stage,
                percent(found.share),
                shape(found.cpu, found.threads),
                found.n
            )),
            None => section.text(format!("Bottleneck: {ABSENT}.")),
        }
        let rows = measured.shapes.iter().flat_map(|one| {
            one.levels
                .iter()
                .filter(|level| !level.stages.is_empty())
                .map(|level| {
                    let stages = level.stages.iter();
                    let stages: Vec<String> = stages
                        .map(|stage| format!("{} {}", stage.name, percent(stage.share)))
                        .collect();
                    row([
                        shape(one.cpu, one.threads),
                        level.n.to_string(),
                        stages.join(", "),
                    ])
                })
        });
        section.table(
            Table::new(
                "Share of a request's time",
                &["shape", "in service", "stages"],
            )
            .with(rows),
        );
        if let Some((_, level)) = measured.busiest() {
            let stages = level.stages.iter();
            section.chart(Chart {
                title: "Stages at the busiest level".to_owned(),
                description: "Share of a request's time by stage, in percent.".to_owned(),
                x: Axis::linear("percent of a request's time"),
                y: Axis::linear(""),
                kind: Kind::Bars(stages.map(|s| (s.name.clone(), 100.0 * s.share)).collect()),
            });
        }
        energy(&mut section, &measured.shapes);
    }
    section
}

fn energy(section: &mut Section, shapes: &[Shape]) {
    let rows: Vec<Vec<String>> = shapes
        .iter()
        .filter_map(|one| {
            let energy = one.energy?;
            Some(row([
                shape(one.cpu, one.threads),
                number(energy.per_audio),
                number(energy.idle_watts),
            ]))
        })
        .collect();
    if !rows.is_empty() {
        section
            .table(Table::new("Energy", &["shape", "J per audio-s", "idle node (W)"]).with(rows));
    }
}

fn encoding<'a>(profiles: impl Iterator<Item = &'a Measured> + Clone) -> Section {
    let mut section = Section::new("encoding", "Encoding");
    let mut charts = Vec::new();
    let mut rows = Vec::new();
    for measured in profiles {
        let mut formats = measured.encoding.clone();
        formats.sort_by(|a, b| b.cpu_per_audio.total_cmp(&a.cpu_per_audio));
        for one in &formats {
            let share = measured.cpu_per_audio.filter(|&speech| speech > 0.0);
            rows.push(row([
                measured.label(),
                one.format.clone(),
                number(1000.0 * one.cpu_per_audio),
                or_absent(share.map(|speech| one.cpu_per_audio / speech), percent),
            ]));
        }
        charts.push(Chart {
            title: format!("CPU time of encoding: {}", measured.label()),
            description: "CPU-milliseconds per second of audio, by format.".to_owned(),
            x: Axis::linear("CPU-ms per audio-second"),
            y: Axis::linear(""),
            kind: Kind::Bars(
                formats
                    .iter()
                    .map(|one| (one.format.clone(), 1000.0 * one.cpu_per_audio))
                    .collect(),
            ),
        });
    }
    section.table(
        Table::new(
            "CPU time per audio-second",
            &["profile", "format", "CPU-ms", "over that of speech"],
        )
        .with(rows),
    );
    for chart in charts {
        section.chart(chart);
    }
    section
}

fn comparison(comparison: &Comparison) -> Section {
    let mut section = Section::new("comparison", "Side by side");
    if let Some(first) = comparison.profiles.first() {
        section.text(format!("Ratios are to {first}."));
    }
    let mut columns = vec!["what".to_owned(), "unit".to_owned(), "better".to_owned()];
    columns.extend(comparison.profiles.iter().cloned());
    let mut table = Table::new("Profiles", &[]);
    table.columns = columns;
    section.table(table.with(comparison.rows.iter().map(|line| {
        let better = if line.more_is_better { "more" } else { "less" };
        let mut cells = vec![
            line.name.to_owned(),
            line.unit.to_owned(),
            better.to_owned(),
        ];
        let values = line.values.iter().zip(&line.ratios).enumerate();
        cells.extend(values.map(|(index, (value, over))| match (value, over) {
            (Some(value), Some(over)) if index > 0 => {
                format!("{} ({})", number(*value), ratio(*over))
            }
            (value, _) => or_absent(*value, number),
        }));
        cells
    })));
    section
}

/// The value of quantiles at a probability.
fn quantile(values: &[f64], probability: f64) -> String {
    let at = PROBABILITIES
        .iter()
        .position(|p| (p - probability).abs() < 1e-9);
    or_absent(at.and_then(|at| values.get(at)).copied(), time)
}

fn clients(profiles: &[&Measured]) -> Section {
    let mut section = Section::new("clients", "What clients see");
    section.text("Measured through endpoints: nothing is known of what is behind them, and nothing is planned from it.");
    for measured in profiles {
        let Some(external) = &measured.external else {
            continue;
        };
        section.heading(measured.label());
        section.text(format!("{}, format {}.", external.url, external.format));
        section.table(
            Table::new(
                "Each client sends its next request when the last one is answered",
                &[
                    "clients",
                    "requests",
                    "errors",
                    "audio-s/s",
                    "median first audio",
                    "p95 first audio",
                    "p95 answer",
                ],
            )
            .with(external.levels.iter().map(|level: &ClientLevel| {
                row([
                    level.clients.to_string(),
                    level.requests.to_string(),
                    level.errors.to_string(),
                    number(level.audio_per_sec),
                    quantile(&level.ttfa_q, 0.5),
                    quantile(&level.ttfa_q, 0.95),
                    quantile(&level.total_q, 0.95),
                ])
            })),
        );
        let levels = external.levels.iter();
        section.chart(Chart {
            title: "p95 first audio, as clients see it".to_owned(),
            description: "95th percentile of the time to first audio against clients.".to_owned(),
            x: Axis::linear("clients"),
            y: Axis::linear("ms"),
            kind: Kind::Lines(vec![Series::measured(
                measured.label(),
                levels
                    .filter_map(|level| {
                        Some((f64::from(level.clients), 1000.0 * level.ttfa_q.get(19)?))
                    })
                    .collect(),
            )]),
        });
        if !external.open_loop.is_empty() {
            section.table(
                Table::new(
                    "Requests at their own times",
                    &[
                        "requests/s",
                        "requests",
                        "errors",
                        "told to come later",
                        "p95 first audio",
                        "p95 answer",
                    ],
                )
                .with(external.open_loop.iter().map(|run: &OpenLoop| {
                    row([
                        number(run.rate),
                        run.requests.to_string(),
                        run.errors.to_string(),
                        run.rejected.to_string(),
                        quantile(&run.ttfa_q, 0.95),
                        quantile(&run.total_q, 0.95),
                    ])
                })),
            );
        }
    }
    section
}

fn tests(report: &Report) -> Section {
    let mut section = Section::new("tests", "Tests");
    section.table(
        Table::new(
            "Test results",
            &["suite", "tests", "failed", "skipped", "seconds"],
        )
        .with(report.tests.iter().map(|suite| {
            row([
                suite.name.clone(),
                suite.tests.to_string(),
                suite.failed.to_string(),
                suite.skipped.to_string(),
                number(suite.seconds),
            ])
        })),
    );
    let failures = report.tests.iter().flat_map(|suite| {
        let failures = suite.failures.iter();
        failures.map(|test| format!("failed: {}, {test}", suite.name))
    });
    section.list(failures.collect());
    section
}

fn method(report: &Report) -> Section {
    let mut section = Section::new("method", "Method and limits");
    let mut items = vec![
        "Each shape of a pod was measured as a process of its own, bound to as many cores, with a fixed number of requests in service all the time (closed loop). No network is part of it.".to_owned(),
        "A percentile is over single requests; throughput is over all passes.".to_owned(),
        "RTF is service time over audio: below 1 speech is made faster than it is heard. Audio-s/s is seconds of audio per second.".to_owned(),
        "Plans take the larger of what the measurement's findings ask for and 5 % off the speed; waiting is computed by queueing formulas from the measured levels, for requests that arrive at random and a balancer that picks pods at random.".to_owned(),
        format!(
            "Planned with {} s of audio per request on average, a p95 first audio of {} and a peak of {} requests/s; the autoscaler has room for 20 % growth a minute.",
            number(crate::options::Options::MEAN_AUDIO),
            time(report.options.objective),
            number(report.options.peak)
        ),
        "A profile does not know how many nodes there are, nor their memory: as many nodes and as much memory as needed are assumed. A node has the cores that the measurement found for pods.".to_owned(),
        "Where a class has no price, a pod counts as its cores, a GPU as eight more.".to_owned(),
        "Fits are shown from three points on and reach no further than twice what was measured; sizes between and above measured ones are marked.".to_owned(),
        "Effort and risk of recommendations are rules of thumb, the same in every report.".to_owned(),
    ];
    for measured in report.profiles.iter().filter(|m| m.external.is_none()) {
        let largest = measured
            .shapes
            .iter()
            .map(|one| one.cpu)
            .fold(0.0, f64::max);
        items.push(format!(
            "{}: measured up to {}.",
            measured.id,
            cores(largest)
        ));
    }
    section.list(items);
    section
}
