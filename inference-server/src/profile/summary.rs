//! From samples to a profile.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use tts_planner::{
    Validity,
    profile::{
        self, Config, Encoding, Energy, ExecutionProvider, Fingerprint, Fit, FullNode, Law, Level,
        Memory, PROBABILITIES, Profile, Run, SCHEMA, Scaling, ServiceTime, Stage, Variant,
        details::{Bottleneck, Cores, Details, Length, Pass, Request, Soak},
    },
    validity::assess,
};

use super::{
    accelerator,
    grid::{Grid, Shape},
    measure::{PASSES, agree, drift, throughput},
    numbers::{clock, round},
    protocol::{LevelSamples, Sample, Verified},
    state::{Measured, Measurement},
};
use crate::{
    fetch::download::hex,
    machine::{
        fingerprint::Identity,
        gpu::{Facts, sharing::Hints},
    },
    statistics::{Line, float, half_range, mean_and_sd, median, quantile, sorted, variation},
};

/// Loudest sample of a text below which it is silence.
const SILENCE: f64 = 0.001;
/// Cores below which parts of a core are asked for.
const SMALL: f64 = 3.0;
/// Single requests that are kept: the comparison of tails needs a hundred.
const MOST_REQUESTS: usize = 180;

/// What is known besides the measurement.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub voice: &'a str,
    pub model_digest: String,
    pub config_digest: String,
    pub image: String,
    pub class: String,
    pub identity: Identity,
    pub threads_per_core: u32,
    /// The GPU that was measured, and what was known of its sharing.
    pub gpu: Option<(Facts, Hints)>,
    pub sweep: String,
    pub node: String,
    pub corpus_id: String,
    /// The first texts are the load, the others the lengths.
    pub load_texts: &'a [String],
    pub cores: Cores,
    pub grid: &'a Grid,
    pub co_tenants: u32,
    pub notes: Vec<String>,
}

/// The profile of a measurement. Its verdict is the one that the planner would come to.
pub fn profile(measurement: &Measurement, context: &Context<'_>) -> Profile {
    let shapes = shapes(measurement);
    let configs: Vec<Config> = shapes
        .iter()
        .filter_map(|shape| config(measurement, *shape))
        .collect();
    let details = details(measurement, context, &shapes);
    let mut profile = Profile {
        schema: SCHEMA.to_owned(),
        id: String::new(),
        voice: profile::Voice {
            name: context.voice.to_owned(),
            model_digest: context.model_digest.clone(),
            config_digest: context.config_digest.clone(),
            variant: Variant {
                precision: "fp32".to_owned(),
                nfe: None,
            },
        },
        server: profile::Server {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            image: context.image.clone(),
            ort: crate::engine::environment::VERSION.to_owned(),
            ep: match context.gpu {
                Some(_) => ExecutionProvider::Cuda,
                None => ExecutionProvider::Cpu,
            },
            allow_spinning: false,
            arena: true,
        },
        node: profile::Node {
            class: context.class.clone(),
            fingerprint: fingerprint(measurement, context),
        },
        run: run(measurement, context, &shapes),
        corpus: corpus(measurement, context),
        streaming: true,
        cold_start: round(quantile(
            &sorted(measurement.cold_starts.iter().copied()),
            0.9,
        )),
        scaling: scaling(&configs),
        configs,
        full_node: full_node(measurement),
        encoding: measurement
            .codecs
            .iter()
            .map(|codec| Encoding {
                format: codec.format.clone(),
                cpu_per_audio: round(codec.cpu_per_audio),
            })
            .collect(),
        batch: None,
        verification: None,
        external: None,
        report: details.to_block(),
    };
    profile.run.validity = assess(&profile, None).standing.validity;
    profile.id = id(&profile);
    profile
}

/// `VOICE.CLASS.DIGEST`.
pub fn id(profile: &Profile) -> String {
    let content = serde_json::to_vec(profile).unwrap_or_default();
    let digest = hex(&Sha256::digest(content));
    format!(
        "{}.{}.{}",
        profile.voice.name,
        profile.node.class,
        &digest[..8]
    )
}

/// The shapes that were measured: fewest cores first, then fewest threads.
fn shapes(measurement: &Measurement) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    for level in &measurement.levels {
        if !shapes.contains(&level.shape) {
            shapes.push(level.shape);
        }
    }
    shapes.sort_by(|a, b| a.cpu.total_cmp(&b.cpu).then(a.threads.cmp(&b.threads)));
    shapes
}

fn levels_of(measurement: &Measurement, shape: Shape) -> Vec<u32> {
    let of_shape = measurement
        .levels
        .iter()
        .filter(|level| level.shape == shape);
    let mut levels: Vec<u32> = of_shape.map(|level| level.n).collect();
    levels.sort_unstable();
    levels.dedup();
    levels
}

/// The passes that count: the last three.
fn last_passes(measurement: &Measurement, shape: Shape, n: u32) -> Vec<&Measured> {
    let passes = measurement.passes(shape, n);
    let count = usize::try_from(PASSES).unwrap_or(3);
    passes[passes.len().saturating_sub(count)..].to_vec()
}

fn samples<'a>(passes: &[&'a Measured]) -> Vec<&'a Sample> {
    passes
        .iter()
        .flat_map(|level| &level.samples.samples)
        .collect()
}

/// Medians per text: (text, audio, service, first audio).
fn by_text(samples: &[&Sample]) -> Vec<(usize, f64, f64, f64)> {
    let mut texts: BTreeMap<usize, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        texts.entry(sample.text).or_default().push(sample);
    }
    let of = |samples: &[&Sample], value: fn(&Sample) -> f64| {
        median(samples.iter().map(|sample| value(sample)))
    };
    texts
        .into_iter()
        .map(|(text, samples)| {
            (
                text,
                of(&samples, |sample| sample.audio),
                of(&samples, |sample| sample.service),
                of(&samples, |sample| sample.first),
            )
        })
        .collect()
}

fn config(measurement: &Measurement, shape: Shape) -> Option<Config> {
    let levels: Vec<Level> = levels_of(measurement, shape)
        .into_iter()
        .filter_map(|n| level(measurement, shape, n))
        .collect();
    let alone = by_text(&samples(&last_passes(measurement, shape, 1)));
    let busiest = last_passes(measurement, shape, levels.last()?.n);
    let first_chunk = |text: usize| {
        measurement
            .verified
            .get(text)
            .map_or(0.0, |verified| verified.chunk_audio)
    };
    let service: Vec<_> = alone
        .iter()
        .map(|(_, audio, service, _)| (*audio, *service))
        .collect();
    let first: Vec<_> = alone
        .iter()
        .map(|(text, _, _, first)| (first_chunk(*text), *first))
        .collect();
    let (service, first) = (Line::fit(&service), Line::fit(&first));
    let cpu = busiest
        .iter()
        .filter(|pass| pass.samples.audio > 0.0)
        .map(|pass| pass.samples.cpu / pass.samples.audio);
    Some(Config {
        cpu: shape.cpu,
        threads: shape.threads,
        sessions: shape.workers(),
        s0: round(service.intercept),
        s1: round(service.slope),
        f0: round(first.intercept),
        f1: round(first.slope),
        cpu_per_audio: round(median(cpu)),
        mem: memory(measurement, shape),
        gpu_mem: accelerator::memory(measurement, shape),
        energy: energy(measurement, shape),
        levels,
    })
}

fn level(measurement: &Measurement, shape: Shape, n: u32) -> Option<Level> {
    let passes = last_passes(measurement, shape, n);
    let samples = samples(&passes);
    if samples.is_empty() {
        return None;
    }
    let service = sorted(samples.iter().map(|sample| sample.service));
    let first = sorted(samples.iter().map(|sample| sample.first));
    let factor = samples.iter().filter(|sample| sample.audio > 0.0);
    let factor = sorted(factor.map(|sample| sample.service / sample.audio));
    let (mean, sd) = mean_and_sd(&service);
    Some(Level {
        n,
        requests: u32::try_from(samples.len()).unwrap_or(u32::MAX),
        seconds: round(passes.iter().map(|pass| pass.samples.window).sum()),
        audio_per_sec: round(median(passes.iter().map(|pass| throughput(&pass.samples)))),
        s_p50: round(quantile(&service, 0.5)),
        s_p95: round(quantile(&service, 0.95)),
        rtf_p95: round(quantile(&factor, 0.95)),
        ttfa_p95: round(quantile(&first, 0.95)),
        throttled_periods: round(median(passes.iter().map(|pass| pass.samples.throttled))),
        ttfa_q: PROBABILITIES.map(|p| round(quantile(&first, p))).to_vec(),
        service: Some(ServiceTime {
            mean: round(mean),
            median: round(quantile(&service, 0.5)),
            min: round(quantile(&service, 0.0)),
            max: round(quantile(&service, 1.0)),
            sd: round(sd),
            cv: round(variation(&service)),
        }),
        stages: stages(passes.iter().map(|pass| &pass.samples)),
        gpu_utilisation: accelerator::utilisation(&passes),
    })
}

/// Shares of the time of all requests.
fn stages<'a>(levels: impl Iterator<Item = &'a LevelSamples>) -> Vec<Stage> {
    let mut sums: Vec<(String, f64)> = Vec::new();
    for (name, seconds) in levels.flat_map(|level| &level.stages) {
        match sums.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += seconds,
            None => sums.push((name.clone(), *seconds)),
        }
    }
    let all: f64 = sums.iter().map(|(_, seconds)| seconds).sum();
    sums.into_iter()
        .map(|(name, seconds)| Stage {
            name,
            // Rounded down: shares never add up to more than 1.
            share: if all > 0.0 {
                (seconds / all * 1e4).floor() / 1e4
            } else {
                0.0
            },
        })
        .collect()
}

fn memory(measurement: &Measurement, shape: Shape) -> Memory {
    let measured = measurement
        .memory
        .iter()
        .find(|memory| memory.shape == shape);
    let points: Vec<(f64, f64)> = measured
        .iter()
        .flat_map(|memory| &memory.points)
        .map(|point| (point.inflight_audio_s, point.mib))
        .collect();
    let line = Line::fit(&points);
    Memory {
        base: round(line.intercept),
        process: measured.map(|memory| round(memory.process_mib.min(line.intercept))),
        per_inflight_audio: round(line.slope),
        resid_sd: round(line.residual_sd),
        per_queued: Memory::PER_QUEUED,
    }
}

fn energy(measurement: &Measurement, shape: Shape) -> Option<Energy> {
    let idle_watts = measurement.surroundings.idle_watts?;
    let of_shape = || {
        measurement
            .energy
            .iter()
            .filter(|energy| energy.shape == shape)
    };
    let audio: f64 = of_shape().map(|energy| energy.audio).sum();
    let above: f64 = of_shape()
        .map(|energy| energy.joules - idle_watts * energy.seconds)
        .sum();
    (audio > 0.0).then(|| Energy {
        per_audio: round((above / audio).max(0.0)),
        idle_watts: round(idle_watts),
    })
}

fn full_node(measurement: &Measurement) -> Vec<FullNode> {
    let mut threads: Vec<u32> = measurement.nodes.iter().map(|node| node.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    threads
        .into_iter()
        .filter_map(|threads| {
            let of_threads = || {
                measurement
                    .nodes
                    .iter()
                    .filter(|node| node.threads == threads)
            };
            Some(FullNode {
                threads,
                workers: of_threads().next()?.workers,
                requests: of_threads().map(|node| node.requests).sum(),
                audio_per_sec: round(median(of_threads().map(|node| node.audio_per_sec))),
            })
        })
        .collect()
}

fn fingerprint(measurement: &Measurement, context: &Context<'_>) -> Fingerprint {
    let identity = &context.identity;
    Fingerprint {
        arch: identity.arch.clone(),
        cpu_model: identity.cpu_model.clone(),
        flags: identity.features.clone(),
        smt: context.threads_per_core,
        mhz_busy: clock(&measurement.clocks),
        governor: identity.governor.clone(),
        kernel: identity.kernel.clone(),
        gpu: context
            .gpu
            .as_ref()
            .map(|(facts, hints)| accelerator::gpu(measurement, facts, *hints)),
        gemm_gflops1t: speeds(measurement, |(gflops, _)| *gflops),
        mem_bw_gbs1t: speeds(measurement, |(_, bandwidth)| *bandwidth),
    }
}

fn speeds(measurement: &Measurement, of: fn(&(f64, f64)) -> f64) -> Option<f64> {
    let all = &measurement.calibration;
    (!all.is_empty()).then(|| round(median(all.iter().map(of))))
}

fn run(measurement: &Measurement, context: &Context<'_>, shapes: &[Shape]) -> Run {
    let levels: Vec<(Shape, u32)> = shapes
        .iter()
        .flat_map(|shape| {
            levels_of(measurement, *shape)
                .into_iter()
                .map(|n| (*shape, n))
        })
        .collect();
    let passes = |(shape, n): &(Shape, u32)| last_passes(measurement, *shape, *n);
    let spread = |level| {
        let throughputs: Vec<f64> = passes(level)
            .iter()
            .map(|pass| throughput(&pass.samples))
            .collect();
        half_range(&throughputs)
    };
    // Parts of a core are stopped and started again by the kernel: they vary by their nature.
    let whole = || levels.iter().filter(|(shape, _)| shape.cpu >= 1.0);
    let unstable = whole()
        .filter(|level| !agree(&passes(level)))
        .map(|(shape, n)| format!("{shape}, {n} in service"));
    let seen = &measurement.surroundings;
    let count = usize::try_from(PASSES).unwrap_or(3) + 1;
    let anchors = &measurement.anchors;
    let anchors = &anchors[anchors.len().saturating_sub(count)..];
    let share = |part: f64| {
        if seen.cpu > 0.0 {
            (part / seen.cpu).clamp(0.0, 1.0)
        } else {
            0.0
        }
    };
    let mut dropped = context.grid.dropped.clone();
    if context.gpu.is_none() && context.cores.allocatable < SMALL {
        let measured = |part: f64| shapes.iter().any(|shape| (shape.cpu - part).abs() < 0.01);
        for part in [0.25, 0.5].into_iter().filter(|part| !measured(*part)) {
            dropped.push(format!("{part} cpu x 1 thread(s)"));
        }
    }
    Run {
        started: measurement.started.clone(),
        duration: round(measurement.seconds),
        passes: PASSES,
        anchor_drift: round(drift(anchors.iter().map(|anchor| anchor.median_s))),
        psi_cpu_some: round(seen.idle_pressure),
        steal: round(share(seen.stolen)),
        validity: Validity::Valid,
        throughput_rel_ci: round(whole().map(spread).fold(0.0, f64::max).min(0.9)),
        noise_cv: round(median(anchors.iter().map(|anchor| anchor.cv))),
        dropped,
        unstable: unstable.collect(),
        co_tenants: context.co_tenants,
        others_cpu: round(share(seen.busy - seen.own)),
        faults: faults(measurement),
    }
}

/// What makes the measurement one of something else than speech.
fn faults(measurement: &Measurement) -> Vec<String> {
    let mut faults = Vec::new();
    let silent: Vec<String> = measurement
        .verified
        .iter()
        .enumerate()
        .filter(|(_, text)| text.peak < SILENCE)
        .map(|(index, _)| (index + 1).to_string())
        .collect();
    if !silent.is_empty() {
        faults.push(format!("silence instead of text {}", silent.join(", ")));
    }
    let levels = measurement.levels.iter().map(|level| &level.samples);
    let errors: Vec<&String> = levels
        .chain(&measurement.lengths)
        .flat_map(|samples| &samples.errors)
        .collect();
    if let Some(first) = errors.first() {
        faults.push(format!(
            "{} request(s) failed, the first: {first}",
            errors.len()
        ));
    }
    faults
}

fn corpus(measurement: &Measurement, context: &Context<'_>) -> profile::Corpus {
    let load = &measurement.verified[..context.load_texts.len().min(measurement.verified.len())];
    let audio: Vec<f64> = load.iter().map(|text| text.audio).collect();
    let characters: usize = context
        .load_texts
        .iter()
        .map(|text| text.chars().count())
        .sum();
    let seconds: f64 = audio.iter().sum();
    let phonemes: usize = load.iter().map(|text| text.phonemes).sum();
    let first: Vec<f64> = load
        .iter()
        .map(|text: &Verified| text.chunk_audio)
        .collect();
    let chunks: Vec<f64> = load.iter().map(|text| float(text.chunks)).collect();
    let (mean, _) = mean_and_sd(&audio);
    profile::Corpus {
        id: context.corpus_id.clone(),
        mean_audio: round(mean),
        cv_audio: round(variation(&audio)),
        chunk_audio: round(mean_and_sd(&first).0),
        chunks_per_text: Some(round(mean_and_sd(&chunks).0)),
        audio_per_char: round(seconds / float(characters.max(1))),
        phonemes_per_audio: (phonemes > 0 && seconds > 0.0)
            .then(|| round(float(phonemes) / seconds)),
    }
}

/// Fits over what was measured: throughput of one request by threads, and of one thread by requests in service.
fn scaling(configs: &[Config]) -> Option<Scaling> {
    let fit = |points: Vec<(f64, f64)>| {
        let mut points = points;
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|a, b| (a.0 - b.0).abs() < 1e-9);
        let usl = tts_planner::fits::Usl::fit(&points).filter(|_| points.len() > 2)?;
        Some(Fit {
            law: Law::Usl,
            sigma: round(usl.sigma),
            kappa: round(usl.kappa),
            max_residual: Some(round(usl.max_residual)),
        })
    };
    let whole = || configs.iter().filter(|config| config.cpu >= 1.0);
    let own_cores = whole().filter(|config| (config.cpu - f64::from(config.threads)).abs() < 1e-9);
    let threads = own_cores.filter_map(|config| {
        Some((
            f64::from(config.threads),
            config.levels.first()?.audio_per_sec,
        ))
    });
    let threads = fit(threads.collect());
    let largest = whole()
        .filter(|config| config.threads == 1)
        .max_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let concurrency = largest.map(|config| {
        let levels = config.levels.iter();
        levels
            .map(|level| (f64::from(level.n), level.audio_per_sec))
            .collect()
    });
    let concurrency = concurrency.and_then(fit);
    (threads.is_some() || concurrency.is_some()).then_some(Scaling {
        threads,
        concurrency,
    })
}

/// What was not measured, and why.
fn absent(measurement: &Measurement, context: &Context<'_>) -> Vec<String> {
    let mut absent = Vec::new();
    if measurement.surroundings.idle_watts.is_none() {
        absent.push("energy: the machine has no counter that may be read".to_owned());
    }
    if measurement.clocks.is_empty() {
        absent.push("clock: the machine does not tell".to_owned());
    }
    if measurement
        .ready
        .as_ref()
        .is_none_or(|ready| ready.largest_batch < 2)
    {
        absent.push("batches: the engine runs one request at a time".to_owned());
    }
    if measurement.soak.is_none() {
        absent.push("soak: part of the full sweep".to_owned());
    }
    if let Some((facts, _)) = &context.gpu {
        absent.extend(accelerator::absent(measurement, facts));
    }
    absent
}

fn details(measurement: &Measurement, context: &Context<'_>, shapes: &[Shape]) -> Details {
    Details {
        sweep: context.sweep.clone(),
        node: context.node.clone(),
        cores: context.cores.clone(),
        bottleneck: bottleneck(measurement, shapes),
        lengths: lengths(measurement, shapes),
        memory: measurement
            .memory
            .iter()
            .flat_map(|memory| memory.points.clone())
            .collect(),
        anchors: measurement.anchors.clone(),
        passes: measurement.levels.iter().map(pass).collect(),
        samples: requests(measurement, shapes),
        cold_starts: measurement
            .cold_starts
            .iter()
            .map(|seconds| round(*seconds))
            .collect(),
        soak: soak(measurement),
        calibration: measurement
            .calibration
            .iter()
            .map(|(gflops, _)| round(*gflops))
            .collect(),
        absent: absent(measurement, context),
        notes: context.notes.clone(),
    }
}

fn pass(measured: &Measured) -> Pass {
    let samples = &measured.samples;
    Pass {
        cpu: measured.shape.cpu,
        threads: measured.shape.threads,
        n: measured.n,
        pass: measured.pass,
        requests: u32::try_from(samples.samples.len()).unwrap_or(u32::MAX),
        audio_per_sec: round(throughput(samples)),
        first_audio_s: round(median(samples.samples.iter().map(|sample| sample.first))),
        cores_used: round(if samples.window > 0.0 {
            samples.cpu / samples.window
        } else {
            0.0
        }),
    }
}

/// The stage with the largest share at the busiest level of the largest shape of one thread.
fn bottleneck(measurement: &Measurement, shapes: &[Shape]) -> Option<Bottleneck> {
    let shape = shapes.iter().rev().find(|shape| shape.threads == 1)?;
    let n = *levels_of(measurement, *shape).last()?;
    let passes = last_passes(measurement, *shape, n);
    let largest = stages(passes.iter().map(|pass| &pass.samples))
        .into_iter()
        .max_by(|a, b| a.share.total_cmp(&b.share))?;
    Some(Bottleneck {
        stage: largest.name,
        share: largest.share,
        cpu: shape.cpu,
        threads: shape.threads,
        n,
    })
}

/// Service time against length: the sweep of lengths, else the texts of the load.
fn lengths(measurement: &Measurement, shapes: &[Shape]) -> Vec<Length> {
    let Some(shape) = shapes.iter().find(|shape| shape.cpu >= 1.0) else {
        return Vec::new();
    };
    let of_sweep: Vec<&Sample> = measurement
        .lengths
        .iter()
        .flat_map(|samples| &samples.samples)
        .collect();
    let of_load = samples(&last_passes(measurement, *shape, 1));
    let samples = if of_sweep.is_empty() {
        of_load
    } else {
        of_sweep
    };
    let requests = |text: usize| samples.iter().filter(|sample| sample.text == text).count();
    let mut lengths: Vec<Length> = by_text(&samples)
        .into_iter()
        .map(|(text, audio, service, first)| Length {
            cpu: shape.cpu,
            threads: shape.threads,
            audio_s: round(audio),
            chunk_audio_s: measurement
                .verified
                .get(text)
                .map_or(0.0, |text| round(text.chunk_audio)),
            requests: u32::try_from(requests(text)).unwrap_or(u32::MAX),
            service_s: round(service),
            first_audio_s: round(first),
        })
        .collect();
    lengths.sort_by(|a, b| a.audio_s.total_cmp(&b.audio_s));
    lengths
}

/// Requests one at a time of the smallest shape of whole cores, as many of each pass.
fn requests(measurement: &Measurement, shapes: &[Shape]) -> Vec<Request> {
    let Some(shape) = shapes.iter().find(|shape| shape.cpu >= 1.0) else {
        return Vec::new();
    };
    let passes = last_passes(measurement, *shape, 1);
    let each = MOST_REQUESTS / passes.len().max(1);
    let samples = passes
        .iter()
        .flat_map(|pass| pass.samples.samples.iter().take(each));
    samples
        .map(|sample| Request {
            text: u32::try_from(sample.text).unwrap_or(u32::MAX),
            service_s: round(sample.service),
            first_audio_s: round(sample.first),
        })
        .collect()
}

fn soak(measurement: &Measurement) -> Option<Soak> {
    let soak = measurement.soak.as_ref()?;
    let per_block = f64::from(soak.requests) / float(soak.resident.len().max(1));
    let limit = 2.0 * soak.resident.first().copied().unwrap_or(0.0);
    let leak = tts_regression::memory_leak(&soak.resident, per_block, limit);
    Some(Soak {
        requests: soak.requests,
        seconds: round(soak.seconds),
        first_mib: round(soak.resident.first().copied().unwrap_or(0.0)),
        last_mib: round(soak.resident.last().copied().unwrap_or(0.0)),
        leak: leak.is_some_and(|leak| leak.leaks),
        growth_mib: round(leak.map_or(0.0, |leak| 100_000.0 * leak.per_request)),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use tts_planner::profile::details::Anchor;

    use super::*;
    use crate::profile::{
        grid::Sweep,
        state::{MeasuredMemory, Surroundings},
    };

    const TEXTS: usize = 4;

    pub(crate) fn shape(cpu: f64, threads: u32) -> Shape {
        Shape { cpu, threads }
    }

    /// A level in which a text of `a` audio-seconds takes `0.01 + 0.1 · a` seconds at speed 1.
    pub(crate) fn level(shape: Shape, n: u32, pass: u32, speed: f64) -> Measured {
        let samples: Vec<Sample> = (0..24)
            .map(|index| {
                let text = index % TEXTS;
                let audio = 2.0 * float(text + 1);
                Sample {
                    text,
                    first: (0.01 + 0.1 * 2.0) / speed,
                    service: (0.01 + 0.1 * audio) / speed,
                    audio,
                }
            })
            .collect();
        let audio: f64 = samples.iter().map(|sample| sample.audio).sum();
        let window = samples.iter().map(|sample| sample.service).sum::<f64>() / f64::from(n);
        Measured {
            shape,
            n,
            pass,
            samples: LevelSamples {
                window,
                audio,
                cpu: 0.5 * window,
                cpu_in_all: 0.5 * window,
                stages: vec![("model".to_owned(), 3.0), ("codec".to_owned(), 1.0)],
                samples,
                ..LevelSamples::default()
            },
        }
    }

    pub(crate) fn measurement() -> Measurement {
        let mut levels = Vec::new();
        for pass in 0..3 {
            levels.push(level(shape(1.0, 1), 1, pass, 1.0));
            levels.push(level(shape(2.0, 1), 1, pass, 1.0));
            levels.push(level(shape(2.0, 1), 2, pass, 1.0));
        }
        let verified = (0..TEXTS).map(|text| Verified {
            audio: 2.0 * float(text + 1),
            chunk_audio: 2.0,
            longest_chunk: 2.0,
            chunks: text + 1,
            phonemes: 24 * (text + 1),
            peak: 0.5,
        });
        Measurement {
            started: "2024-05-01T10:00:00Z".to_owned(),
            verified: verified.collect(),
            levels,
            memory: vec![MeasuredMemory {
                gpu: Vec::new(),
                shape: shape(1.0, 1),
                process_mib: 40.0,
                loaded_mib: 100.0,
                points: [(0.0, 100.0), (2.0, 104.0)]
                    .map(
                        |(inflight_audio_s, mib)| tts_planner::profile::details::MemoryPoint {
                            cpu: 1.0,
                            threads: 1,
                            n: 1,
                            inflight_audio_s,
                            mib,
                        },
                    )
                    .to_vec(),
            }],
            anchors: vec![
                Anchor {
                    at_s: 0.0,
                    requests: 20,
                    median_s: 0.5,
                    cv: 0.02,
                };
                4
            ],
            cold_starts: vec![0.5, 0.6, 0.7],
            surroundings: Surroundings {
                busy: 10.0,
                own: 9.8,
                cpu: 20.0,
                ..Surroundings::default()
            },
            ..Measurement::default()
        }
    }

    fn of(measurement: &Measurement) -> Profile {
        on(None, measurement)
    }

    /// On a GPU, if there is one.
    pub(crate) fn on(gpu: Option<(Facts, Hints)>, measurement: &Measurement) -> Profile {
        let texts: Vec<String> = (0..TEXTS).map(|_| "x".repeat(30)).collect();
        let grid = Grid::new(Sweep::Quick, 4.0);
        let context = Context {
            voice: "amy",
            model_digest: "sha256:aa".to_owned(),
            config_digest: "sha256:bb".to_owned(),
            image: String::new(),
            class: "stage".to_owned(),
            identity: Identity {
                arch: "amd64".to_owned(),
                cpu_model: "Example 3000".to_owned(),
                features: Vec::new(),
                governor: Some("performance".to_owned()),
                kernel: "6.1".to_owned(),
            },
            threads_per_core: 1,
            gpu,
            sweep: "quick".to_owned(),
            node: String::new(),
            corpus_id: "texts".to_owned(),
            load_texts: &texts,
            cores: Cores {
                allocatable: 4.0,
                ..Cores::default()
            },
            grid: &grid,
            co_tenants: 0,
            notes: Vec::new(),
        };
        super::profile(measurement, &context)
    }

    pub(crate) fn profile() -> Profile {
        of(&measurement())
    }

    #[test]
    fn a_quiet_measurement_is_a_valid_profile_with_its_laws() {
        let profile = profile();
        profile.check().unwrap();
        assert_eq!(
            profile.run.validity,
            Validity::Valid,
            "{:?}",
            assess(&profile, None).findings
        );
        let config = &profile.configs[0];
        assert!((config.s0 - 0.01).abs() < 1e-6 && (config.s1 - 0.1).abs() < 1e-6);
        // All first chunks are equal: the law is the constant.
        assert!((config.f0 - 0.21).abs() < 1e-6, "{}", config.f0);
        assert!(
            (config.mem.base - 100.0).abs() < 1e-6
                && (config.mem.per_inflight_audio - 2.0).abs() < 1e-6
        );
        assert_eq!(config.levels[0].requests, 72);
        assert!((config.levels[0].stages[0].share - 0.75).abs() < 1e-9);
        assert_eq!(profile.configs[1].levels.len(), 2);
        assert!((profile.cold_start - 0.68).abs() < 1e-6);
        assert!((profile.corpus.phonemes_per_audio.unwrap() - 12.0).abs() < 1e-6);
        assert_eq!(profile.corpus.chunks_per_text, Some(2.5));
        assert!((profile.run.others_cpu - 0.01).abs() < 1e-6);
        assert_eq!(Details::of(&profile).bottleneck.unwrap().stage, "model");
        assert!(profile.id.starts_with("amy.stage."));
    }

    #[test]
    fn it_survives_its_file() {
        let profile = profile();
        let folder = tempfile::tempdir().unwrap();
        for name in ["p.json", "p.yaml"] {
            let path = folder.path().join(name);
            crate::profile::output::write(&profile, Some(&path)).unwrap();
            assert_eq!(
                crate::profile::output::read(&path).unwrap(),
                profile,
                "{name}"
            );
        }
        let (lines, message) = crate::profile::output::log_lines(&profile).unwrap();
        let text: String = lines
            .iter()
            .filter_map(|line| line.strip_prefix("tts-profile-data "))
            .collect();
        assert_eq!(Profile::from_json(&text).unwrap(), profile);
        assert_eq!(message["profile"]["bytes"], text.len());
        assert_eq!(
            lines[0].split(' ').nth(2),
            message["profile"]["sha256"].as_str()
        );
        assert!(lines.iter().all(|line| line.len() < 4100));
    }

    #[test]
    fn passes_that_differ_are_unstable() {
        let mut measurement = measurement();
        measurement.levels[3] = level(shape(1.0, 1), 1, 1, 1.3);
        let profile = of(&measurement);
        assert_eq!(profile.run.unstable, ["1 cpu x 1 thread(s), 1 in service"]);
        assert_eq!(profile.run.validity, Validity::Degraded);
        assert!(profile.run.throughput_rel_ci > 0.1);
    }

    #[test]
    fn fast_nonsense_silence_and_errors_are_no_result() {
        let validity = |change: fn(&mut Measurement)| {
            let mut measurement = measurement();
            change(&mut measurement);
            of(&measurement).run.validity
        };
        let invalid = Validity::Invalid;
        assert_eq!(
            validity(|measurement| measurement.verified[2].peak = 0.0),
            invalid
        );
        assert_eq!(
            validity(|measurement| measurement.verified[0].phonemes = 1000),
            invalid
        );
        assert_eq!(
            validity(|measurement| measurement.levels[0].samples.errors.push("no".to_owned())),
            invalid
        );
        assert_eq!(
            validity(|measurement| measurement.anchors[3].median_s = 0.7),
            invalid
        );
        assert_eq!(
            validity(|measurement| measurement.anchors[3].median_s = 0.6),
            Validity::Degraded
        );
        assert_eq!(
            validity(|measurement| measurement.surroundings.own = 5.0),
            Validity::Degraded
        );
    }

    #[test]
    fn a_fifth_pass_replaces_the_first_two() {
        let mut measurement = measurement();
        measurement
            .levels
            .insert(0, level(shape(1.0, 1), 1, 4, 1.0));
        measurement.levels[1] = level(shape(1.0, 1), 1, 0, 9.0);
        measurement.levels.push(level(shape(1.0, 1), 1, 3, 1.0));
        let profile = of(&measurement);
        assert!(
            profile.run.unstable.is_empty(),
            "{:?}",
            profile.run.unstable
        );
        assert_eq!(profile.configs[0].levels[0].requests, 72);
    }

    #[test]
    fn numbers_have_six_digits() {
        assert!((round(0.123_456_789) - 0.123_457).abs() < 1e-12);
        assert!((round(123_456_789.0) - 123_457_000.0).abs() < 1e-6);
        assert!(round(0.0).abs() < 1e-12);
    }

    #[test]
    fn small_nodes_name_the_parts_of_a_core_that_were_not_measured() {
        let measurement = measurement();
        let texts = Vec::new();
        let grid = Grid::new(Sweep::Quick, 2.0);
        let mut profile = of(&measurement);
        assert!(profile.run.dropped.is_empty());
        let context = Context {
            cores: Cores {
                allocatable: 2.0,
                ..Cores::default()
            },
            grid: &grid,
            load_texts: &texts,
            voice: "amy",
            model_digest: String::new(),
            config_digest: String::new(),
            image: String::new(),
            class: "stage".to_owned(),
            identity: Identity {
                arch: String::new(),
                cpu_model: String::new(),
                features: Vec::new(),
                governor: None,
                kernel: String::new(),
            },
            threads_per_core: 1,
            gpu: None,
            sweep: "quick".to_owned(),
            node: String::new(),
            corpus_id: String::new(),
            co_tenants: 0,
            notes: Vec::new(),
        };
        profile.run = run(&measurement, &context, &shapes(&measurement));
        assert_eq!(
            profile.run.dropped,
            ["0.25 cpu x 1 thread(s)", "0.5 cpu x 1 thread(s)"]
        );
    }
}
