//! From samples to a profile.

use sha2::{Digest as _, Sha256};
use tts_planner::{
    Validity,
    profile::{
        self, Config, Encoding, Energy, ExecutionProvider, Fingerprint, Fit, FullNode, Law, Level,
        Memory, PROBABILITIES, Profile, Run, SCHEMA, Scaling, ServiceTime, Variant,
    },
    validity::assess,
};

use super::{
    accelerator,
    context::Context,
    details::details,
    grid::Shape,
    numbers::{clock, round},
    passes::{PASSES, agree, drift, throughput},
    protocol::Verified,
    selection::{by_text, last_passes, levels_of, samples, shapes, stages},
    state::Measurement,
};
use crate::{
    fetch::download::hex,
    statistics::{Line, float, half_range, mean_and_sd, median, quantile, sorted, variation},
};

/// Loudest sample of a text below which it is silence.
const SILENCE: f64 = 0.001;
/// Cores below which parts of a core are asked for.
const SMALL: f64 = 3.0;

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

#[cfg(test)]
pub(crate) mod tests;
