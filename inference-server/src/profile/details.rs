//! What a profile says to reports: samples, passes, anchors, and what was not measured.

use tts_planner::profile::details::{Bottleneck, Details, Length, Pass, Request, Soak};

use super::{
    accelerator,
    context::Context,
    grid::Shape,
    numbers::round,
    passes::throughput,
    protocol::Sample,
    selection::{by_text, last_passes, levels_of, samples, stages},
    state::{Measured, Measurement},
};
use crate::statistics::{float, median};

/// Single requests that are kept: the comparison of tails needs a hundred.
const MOST_REQUESTS: usize = 180;

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

/// What the planner does not need.
pub fn details(measurement: &Measurement, context: &Context<'_>, shapes: &[Shape]) -> Details {
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
