//! Whether the passes over a level agree.

use super::{
    grid::Point,
    protocol::LevelSamples,
    state::{Measured, Measurement},
};
use crate::statistics::{median, sorted};

/// Passes that a stored value is the median of.
pub const PASSES: u32 = 3;
/// Anchors whose medians differ by more than this say that the machine's speed changed.
const DRIFT: f64 = 0.10;
/// So many of the last anchors are compared.
const RECENT: usize = 4;
/// Passes that differ by more than this do not agree.
const AGREEMENT: f64 = 0.10;

/// Audio-seconds per second.
pub fn throughput(samples: &LevelSamples) -> f64 {
    if samples.window > 0.0 {
        samples.audio / samples.window
    } else {
        0.0
    }
}

/// Largest value over the smallest, less 1; 0 of none.
pub fn drift(values: impl IntoIterator<Item = f64>) -> f64 {
    let values = sorted(values);
    match (values.first(), values.last()) {
        (Some(least), Some(most)) if *least > 0.0 => most / least - 1.0,
        _ => 0.0,
    }
}

/// Whether the last three passes agree within 10 % in throughput and in median first audio.
pub fn agree(passes: &[&Measured]) -> bool {
    let count = usize::try_from(PASSES).unwrap_or(3);
    let last = &passes[passes.len().saturating_sub(count)..];
    let first_audio =
        |level: &&Measured| median(level.samples.samples.iter().map(|sample| sample.first));
    drift(last.iter().map(|level| throughput(&level.samples))) <= AGREEMENT
        && drift(last.iter().map(first_audio)) <= AGREEMENT
}

/// The levels to measure once more in this pass: all where the machine's speed changed lately, else those that do not agree.
///
/// From what was known before the pass only: a measurement that is resumed decides as it did the first time.
pub fn to_repeat(points: &[Point], measurement: &Measurement, pass: u32) -> Vec<Point> {
    // One anchor before each pass.
    let before = usize::try_from(pass).map_or(usize::MAX, |pass| pass + 1);
    let known = measurement.anchors.iter().take(before);
    let recent = known.rev().take(RECENT);
    let drifted = drift(recent.map(|anchor| anchor.median_s)) > DRIFT;
    let agreed = |shape, n| {
        let mut passes = measurement.passes(shape, n);
        passes.retain(|level| level.pass < pass);
        agree(&passes)
    };
    let points = points.iter().map(|point| Point {
        shape: point.shape,
        levels: point
            .levels
            .iter()
            .copied()
            .filter(|n| drifted || !agreed(point.shape, *n))
            .collect(),
    });
    points.filter(|point| !point.levels.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use tts_planner::profile::details::Anchor;

    use super::*;
    use crate::profile::{grid::Shape, protocol::Sample};

    fn measured(audio: f64, first: f64) -> Measured {
        Measured {
            shape: Shape {
                cpu: 1.0,
                threads: 1,
            },
            n: 1,
            pass: 0,
            samples: LevelSamples {
                window: 1.0,
                audio,
                samples: vec![Sample {
                    text: 0,
                    first,
                    service: first,
                    audio,
                }],
                ..LevelSamples::default()
            },
        }
    }

    #[test]
    fn the_last_three_passes_have_to_agree() {
        let agreed = |values: &[(f64, f64)]| {
            let passes: Vec<_> = values
                .iter()
                .map(|(audio, first)| measured(*audio, *first))
                .collect();
            agree(&passes.iter().collect::<Vec<_>>())
        };
        assert!(agreed(&[(100.0, 0.1), (109.0, 0.1), (105.0, 0.109)]));
        assert!(!agreed(&[(100.0, 0.1), (111.0, 0.1), (105.0, 0.1)]));
        assert!(!agreed(&[(100.0, 0.1), (100.0, 0.1), (100.0, 0.112)]));
        // An early disturbance is forgotten.
        assert!(agreed(&[
            (50.0, 0.2),
            (100.0, 0.1),
            (101.0, 0.1),
            (102.0, 0.1)
        ]));
    }

    #[test]
    fn what_is_repeated_does_not_depend_on_what_was_measured_later() {
        let shape = Shape {
            cpu: 1.0,
            threads: 1,
        };
        let points = [Point {
            shape,
            levels: vec![1],
        }];
        let anchor = |median_s| Anchor {
            median_s,
            ..Anchor::default()
        };
        let mut measurement = Measurement {
            anchors: vec![anchor(1.0); 4],
            ..Measurement::default()
        };
        for pass in 0..PASSES {
            measurement.levels.push(Measured {
                pass,
                ..measured(100.0, 0.1)
            });
        }
        assert_eq!(to_repeat(&points, &measurement, 3), []);
        // Another level was repeated meanwhile, and the machine became slower.
        measurement.anchors.push(anchor(1.2));
        assert_eq!(to_repeat(&points, &measurement, 3), []);
        assert_eq!(to_repeat(&points, &measurement, 4), points);
        measurement.levels.push(Measured {
            pass: 4,
            ..measured(150.0, 0.1)
        });
        assert_eq!(to_repeat(&points, &measurement, 3), []);
        assert_eq!(to_repeat(&points, &measurement, 4), points);
    }

    #[test]
    fn drift_is_relative_to_the_smallest() {
        assert!((drift([1.0, 1.3, 1.1]) - 0.3).abs() < 1e-9);
        assert!(drift([]).abs() < 1e-9);
    }
}
