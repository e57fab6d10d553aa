//! What is taken from a measurement: its shapes and levels, the passes that count, and their samples.

use std::collections::BTreeMap;

use tts_planner::profile::Stage;

use super::{
    grid::Shape,
    passes::PASSES,
    protocol::{LevelSamples, Sample},
    state::{Measured, Measurement},
};
use crate::statistics::median;

/// The shapes that were measured: fewest cores first, then fewest threads.
pub fn shapes(measurement: &Measurement) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    for level in &measurement.levels {
        if !shapes.contains(&level.shape) {
            shapes.push(level.shape);
        }
    }
    shapes.sort_by(|a, b| a.cpu.total_cmp(&b.cpu).then(a.threads.cmp(&b.threads)));
    shapes
}

/// Requests in service that a shape was measured with.
pub fn levels_of(measurement: &Measurement, shape: Shape) -> Vec<u32> {
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
pub fn last_passes(measurement: &Measurement, shape: Shape, n: u32) -> Vec<&Measured> {
    let passes = measurement.passes(shape, n);
    let count = usize::try_from(PASSES).unwrap_or(3);
    passes[passes.len().saturating_sub(count)..].to_vec()
}

/// All samples of some levels.
pub fn samples<'a>(passes: &[&'a Measured]) -> Vec<&'a Sample> {
    passes
        .iter()
        .flat_map(|level| &level.samples.samples)
        .collect()
}

/// Medians per text: (text, audio, service, first audio).
pub fn by_text(samples: &[&Sample]) -> Vec<(usize, f64, f64, f64)> {
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

/// Shares of the time of all requests.
pub fn stages<'a>(levels: impl Iterator<Item = &'a LevelSamples>) -> Vec<Stage> {
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
