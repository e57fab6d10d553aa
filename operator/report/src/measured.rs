//! What one profile says: the numbers of a report that need no plan.

use serde::Serialize;
use tts_planner::fits::{Scalability, Usl, diminishing_returns, efficiency};
use tts_planner::profile::details::{Anchor, Bottleneck, Details, Length, MemoryPoint, Pass, Soak};
use tts_planner::profile::{
    Batch, Config, Encoding, Energy, External, FullNode, Level, Memory, Stage, Verification,
};
use tts_planner::validity::{Finding, assess};
use tts_planner::{Accelerator, Profile, Validity};

use crate::words::{cores, number, percent, time};

/// One profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub id: String,
    pub voice: String,
    /// Precision, and the number of function evaluations where there is one.
    pub variant: String,
    pub class: String,
    pub accelerator: Accelerator,
    pub validity: Validity,
    /// What is taken off the speed for what speaks against the measurement.
    pub derate: f64,
    pub findings: Vec<FindingLine>,
    pub environment: Vec<Fact>,
    pub run: Vec<Fact>,
    pub stability: Stability,
    /// Throughput of one request by its threads.
    pub threads: Option<Growth>,
    /// Throughput by cores, each with a request of one thread.
    pub side_by_side: Option<Growth>,
    /// Throughput of each shape by requests in service.
    pub shapes: Vec<Shape>,
    pub lengths: Vec<Length>,
    pub memory: Vec<MemoryPoint>,
    pub bottleneck: Option<Bottleneck>,
    pub encoding: Vec<Encoding>,
    /// CPU-seconds of speech per audio-second at the shape with the least, for comparison with encoding.
    pub cpu_per_audio: Option<f64>,
    pub full_node: Vec<FullNode>,
    pub batch: Option<Batch>,
    pub verification: Option<Verification>,
    pub soak: Option<Soak>,
    pub anchors: Vec<Anchor>,
    pub passes: Vec<PassSpread>,
    pub cold_start: f64,
    pub cold_starts: Vec<f64>,
    /// What was not measured, and why.
    pub absent: Vec<String>,
    pub notes: Vec<String>,
    pub external: Option<External>,
}

/// What speaks against a measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingLine {
    pub validity: Validity,
    pub text: String,
}

/// A name and a value, ready to be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// How far the numbers repeat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stability {
    /// Half the range of the passes over their median, of throughput.
    pub spread: f64,
    /// Largest change of the machine's speed during the run.
    pub drift: f64,
    /// Coefficient of variation of equal requests.
    pub noise: f64,
    /// Levels whose passes did not agree, of so many.
    pub unstable: usize,
    pub levels: usize,
}

/// How throughput grows with threads, cores or requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    pub points: Vec<GrowthPoint>,
    /// Only with more than two points: it has three coefficients.
    pub law: Option<Usl>,
    /// By the efficiency at the largest measured count.
    pub word: Scalability,
    /// From here on a further one adds less than half of what the first one did.
    pub diminishing_from: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrowthPoint {
    pub n: f64,
    pub audio_per_sec: f64,
    pub speed_up: f64,
    pub efficiency: f64,
}

/// One pod shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    pub cpu: f64,
    pub threads: u32,
    pub levels: Vec<LevelLine>,
    pub growth: Option<Growth>,
    pub cpu_per_audio: f64,
    pub s0: f64,
    pub s1: f64,
    pub mem: Memory,
    pub gpu_mem: Option<Memory>,
    pub energy: Option<Energy>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelLine {
    pub n: u32,
    pub requests: u32,
    pub audio_per_sec: f64,
    pub s_p95: f64,
    pub rtf_p95: f64,
    pub ttfa_p95: f64,
    pub gpu_utilisation: Option<f64>,
    pub stages: Vec<Stage>,
}

/// One level over the passes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PassSpread {
    pub cpu: f64,
    pub threads: u32,
    pub n: u32,
    pub passes: usize,
    /// Audio-seconds per second.
    pub slowest: f64,
    pub fastest: f64,
    /// Cores that were used, the mean of the passes.
    pub cores_used: f64,
}

impl Measured {
    pub fn of(profile: &Profile) -> Self {
        let details = Details::of(profile);
        let assessment = assess(profile, None);
        // The profile's own verdict repeats what its record says.
        let only = assessment.findings.len() == 1;
        let findings = assessment
            .findings
            .iter()
            .filter(|finding| only || !matches!(finding, Finding::Recorded { .. }));
        let variant = &profile.voice.variant;
        Self {
            id: profile.id.clone(),
            voice: profile.voice.name.clone(),
            variant: match variant.nfe {
                Some(steps) => format!("{}, {steps} NFE", variant.precision),
                None => variant.precision.clone(),
            },
            class: profile.node.class.clone(),
            accelerator: profile.accelerator(),
            validity: assessment.standing.validity,
            derate: assessment.standing.derate,
            findings: findings
                .map(|finding| FindingLine {
                    validity: finding.validity(),
                    text: finding.to_string(),
                })
                .collect(),
            environment: environment(profile, &details),
            run: run(profile, &details),
            stability: Stability {
                spread: profile.run.throughput_rel_ci,
                drift: profile.run.anchor_drift,
                noise: profile.run.noise_cv,
                unstable: profile.run.unstable.len(),
                levels: profile.configs.iter().map(|c| c.levels.len()).sum(),
            },
            threads: Growth::of(&by_threads(&profile.configs)),
            side_by_side: Growth::of(&side_by_side(&profile.configs)),
            shapes: profile.configs.iter().map(Shape::of).collect(),
            lengths: details.lengths,
            memory: details.memory,
            bottleneck: details.bottleneck.filter(|found| !found.stage.is_empty()),
            encoding: profile.encoding.clone(),
            cpu_per_audio: profile
                .configs
                .iter()
                .map(|config| config.cpu_per_audio)
                .min_by(f64::total_cmp),
            full_node: profile.full_node.clone(),
            batch: profile.batch.clone(),
            verification: profile.verification.clone(),
            soak: details.soak,
            anchors: details.anchors,
            passes: pass_spreads(&details.passes),
            cold_start: profile.cold_start,
            cold_starts: details.cold_starts,
            absent: details.absent,
            notes: details.notes,
            external: profile.external.clone(),
        }
    }

    /// The level with the most throughput.
    pub fn busiest(&self) -> Option<(&Shape, &LevelLine)> {
        self.shapes
            .iter()
            .flat_map(|shape| shape.levels.iter().map(move |level| (shape, level)))
            .max_by(|a, b| a.1.audio_per_sec.total_cmp(&b.1.audio_per_sec))
    }

    /// The shape that answers one request first.
    pub fn quickest(&self) -> Option<(&Shape, &LevelLine)> {
        self.shapes
            .iter()
            .filter_map(|shape| Some((shape, shape.alone()?)))
            .min_by(|a, b| a.1.ttfa_p95.total_cmp(&b.1.ttfa_p95))
    }

    /// One request with one thread, on the smallest pod of whole cores.
    pub fn one_thread(&self) -> Option<(&Shape, &LevelLine)> {
        self.shapes
            .iter()
            .filter(|shape| shape.threads == 1 && shape.cpu >= 1.0)
            .filter_map(|shape| Some((shape, shape.alone()?)))
            .min_by(|a, b| a.0.cpu.total_cmp(&b.0.cpu))
    }

    /// The name of a row where profiles are compared.
    pub fn label(&self) -> String {
        format!("{} ({}) on {}", self.voice, self.variant, self.class)
    }
}

impl Shape {
    fn of(config: &Config) -> Self {
        let points = config.levels.iter();
        let points = points.map(|level| (f64::from(level.n), level.audio_per_sec));
        Self {
            cpu: config.cpu,
            threads: config.threads,
            levels: config.levels.iter().map(LevelLine::of).collect(),
            growth: Growth::of(&points.collect::<Vec<_>>()),
            cpu_per_audio: config.cpu_per_audio,
            s0: config.s0,
            s1: config.s1,
            mem: config.mem,
            gpu_mem: config.gpu_mem,
            energy: config.energy,
        }
    }

    /// One request at a time.
    pub fn alone(&self) -> Option<&LevelLine> {
        self.levels.iter().find(|level| level.n == 1)
    }
}

impl LevelLine {
    fn of(level: &Level) -> Self {
        Self {
            n: level.n,
            requests: level.requests,
            audio_per_sec: level.audio_per_sec,
            s_p95: level.s_p95,
            rtf_p95: level.rtf_p95,
            ttfa_p95: level.ttfa_p95,
            gpu_utilisation: level.gpu_utilisation,
            stages: level.stages.clone(),
        }
    }
}

impl Growth {
    /// From points (count, throughput), ascending; None with fewer than two, or without one of 1.
    fn of(points: &[(f64, f64)]) -> Option<Self> {
        let &(first, one) = points.first()?;
        if points.len() < 2 || (first - 1.0).abs() > 1e-9 || one <= 0.0 {
            return None;
        }
        let law = if points.len() > 2 {
            Usl::fit(points)
        } else {
            None
        };
        let diminishing_from = diminishing_returns(points);
        let points: Vec<GrowthPoint> = points
            .iter()
            .map(|&(n, audio_per_sec)| GrowthPoint {
                n,
                audio_per_sec,
                speed_up: audio_per_sec / one,
                efficiency: efficiency(n, audio_per_sec, one),
            })
            .collect();
        let word = Scalability::of(points.last()?.efficiency);
        Some(Self {
            points,
            law,
            word,
            diminishing_from,
        })
    }

    /// The largest measured count.
    pub fn last(&self) -> Option<&GrowthPoint> {
        self.points.last()
    }
}

/// One request at a time, by threads, each on the smallest pod that has as many cores.
fn by_threads(configs: &[Config]) -> Vec<(f64, f64)> {
    let mut points: Vec<(u32, f64, f64)> = configs
        .iter()
        .filter(|config| config.cpu >= f64::from(config.threads))
        .filter_map(|config| {
            let alone = config.levels.iter().find(|level| level.n == 1)?;
            Some((config.threads, config.cpu, alone.audio_per_sec))
        })
        .collect();
    points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points.dedup_by_key(|point| point.0);
    points
        .iter()
        .map(|&(threads, _, rate)| (f64::from(threads), rate))
        .collect()
}

/// Pods of whole cores with one thread per request and all cores busy, by cores.
fn side_by_side(configs: &[Config]) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = configs
        .iter()
        .filter(|config| config.threads == 1 && config.cpu >= 1.0)
        .filter_map(|config| {
            let workers = config.workers();
            let busy = config.levels.iter().find(|level| level.n == workers)?;
            Some((config.cpu, busy.audio_per_sec))
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn pass_spreads(passes: &[Pass]) -> Vec<PassSpread> {
    let mut sorted = passes.to_vec();
    let key = |pass: &Pass| (pass.cpu, pass.threads, pass.n);
    sorted.sort_by(|a, b| {
        let by_cpu = a.cpu.total_cmp(&b.cpu);
        by_cpu.then(a.threads.cmp(&b.threads)).then(a.n.cmp(&b.n))
    });
    sorted
        .chunk_by(|a, b| key(a) == key(b))
        .filter_map(|same| {
            let first = same.first()?;
            let rates = || same.iter().map(|pass| pass.audio_per_sec);
            let used: f64 = same.iter().map(|pass| pass.cores_used).sum();
            let passes = u32::try_from(same.len()).ok()?;
            Some(PassSpread {
                cpu: first.cpu,
                threads: first.threads,
                n: first.n,
                passes: same.len(),
                slowest: rates().min_by(f64::total_cmp)?,
                fastest: rates().max_by(f64::total_cmp)?,
                cores_used: used / f64::from(passes),
            })
        })
        .collect()
}

fn fact(name: &'static str, value: impl Into<String>) -> Fact {
    Fact {
        name,
        value: value.into(),
    }
}

fn environment(profile: &Profile, details: &Details) -> Vec<Fact> {
    let node = &profile.node.fingerprint;
    let server = &profile.server;
    let absent = || crate::words::ABSENT.to_owned();
    let mut facts = vec![
        fact("Node class", &profile.node.class),
        fact("Processor", format!("{} ({})", node.cpu_model, node.arch)),
        fact("Threads per core", node.smt.to_string()),
        fact("Kernel", &node.kernel),
        fact("Governor", node.governor.clone().unwrap_or_else(absent)),
        fact(
            "Clock while busy",
            node.mhz_busy.map_or_else(absent, |clock| {
                format!("{:.0} MHz, varies by {}", clock.median, percent(clock.cv))
            }),
        ),
        fact(
            "Matrix product, one thread",
            node.gemm_gflops1t
                .map_or_else(absent, |rate| format!("{} GFLOP/s", number(rate))),
        ),
        fact(
            "Memory bandwidth, one thread",
            node.mem_bw_gbs1t
                .map_or_else(absent, |rate| format!("{} GB/s", number(rate))),
        ),
        fact(
            "Server",
            format!(
                "{}, ONNX Runtime {}, on {}",
                server.version, server.ort, server.ep
            ),
        ),
        fact("Model", &profile.voice.model_digest),
    ];
    if details.cores.allocatable > 0.0 {
        facts.push(fact("Cores for pods", cores(details.cores.allocatable)));
    }
    if let Some(gpu) = &node.gpu {
        let mig = gpu.mig.as_ref().map(|mig| format!(", MIG {mig}"));
        facts.push(fact(
            "GPU",
            format!(
                "{}{}, {:.0} MiB, driver {}, CUDA {}, sharing: {}",
                gpu.product,
                mig.unwrap_or_default(),
                gpu.vram_mib,
                gpu.driver,
                gpu.cuda,
                gpu.sharing
            ),
        ));
    }
    facts
}

fn run(profile: &Profile, details: &Details) -> Vec<Fact> {
    let run = &profile.run;
    let corpus = &profile.corpus;
    let list = |list: &[String]| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join("; ")
        }
    };
    let mut facts = vec![
        fact("Started", &run.started),
        fact(
            "Took",
            format!("{:.0} s, {} passes", run.duration, run.passes),
        ),
        fact(
            "Texts",
            format!(
                "{}, {} s of audio on average",
                corpus.id,
                number(corpus.mean_audio)
            ),
        ),
        fact("Stolen by the hypervisor", percent(run.steal)),
        fact("CPU pressure", format!("{} %", number(run.psi_cpu_some))),
        fact("CPU time of others", percent(run.others_cpu)),
        fact("Other serving pods", run.co_tenants.to_string()),
        fact("Shapes not measured", list(&run.dropped)),
        fact("Levels that did not agree", list(&run.unstable)),
        fact("Faults", list(&run.faults)),
        fact("Cold start, 90th percentile", time(profile.cold_start)),
    ];
    if !details.sweep.is_empty() {
        facts.insert(2, fact("Sweep", &details.sweep));
    }
    facts
}

#[cfg(test)]
mod tests {
    use tts_planner_dev::samples;

    use super::*;

    #[test]
    fn threads_and_cores_are_told_apart() {
        let profile = samples::on_cpu("cpu", samples::PIPER, &[1, 2, 4, 8]);
        let measured = Measured::of(&profile);
        let threads = measured.threads.unwrap();
        assert_eq!(threads.points.len(), 4);
        assert_eq!(threads.word, Scalability::Poor, "8 threads of one request");
        assert!((threads.law.unwrap().sigma - 0.2).abs() < 1e-6);
        let cores = measured.side_by_side.unwrap();
        assert_eq!(cores.word.to_string(), "sub-linear");
        assert!(cores.points[3].speed_up > threads.points[3].speed_up);
    }

    #[test]
    fn two_points_are_no_law() {
        let growth = Growth::of(&[(1.0, 10.0), (2.0, 19.0)]).unwrap();
        assert_eq!(growth.law, None);
        assert_eq!(growth.word, Scalability::Linear);
        assert_eq!(Growth::of(&[(1.0, 10.0)]), None);
        assert_eq!(Growth::of(&[(2.0, 10.0), (4.0, 15.0)]), None);
    }
}
