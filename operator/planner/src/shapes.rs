//! The pod shapes to consider on a node class: those that were measured, and sizes between and next
//! to them; for several voices, those that all of them have.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::fits::{Usl, merged};
use crate::mix::Mix;
use crate::numeric::{float, floor};
use crate::profile::{Accelerator, Config, Level, Memory, Profile};
use crate::request::{NodeClass, Policy};
use crate::validity::{LARGEST_DERATE, used};

/// Sizes that pack well on most nodes.
const USUAL: [u32; 4] = [1, 2, 4, 8];
/// Whole nodes, halves, thirds and quarters.
const PODS_PER_NODE: u32 = 4;

/// Where a size that was not measured lies among those of as many threads that were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Position {
    Between,
    /// More cores than any that was measured, or more requests side by side; at most twice as many
    /// requests.
    Above,
    /// Fewer cores than any that was measured.
    Below,
}

/// Cores and threads of a pod, with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Shape<'a> {
    pub config: Cow<'a, Config>,
    /// Not measured: from the scaling law of shapes with as many threads.
    pub interpolated: bool,
    /// Largest relative difference between that law and the throughput of any measured level, 0
    /// where nothing comes from the law. The largest and not the root mean square: a law of three
    /// coefficients through three to five levels has few errors to average, and the level that it
    /// misses most may be the one that this shape needs.
    pub residual: f64,
}

/// Cores and threads of a pod that serves a mix of voices.
#[derive(Clone, Debug)]
pub(crate) struct PodShape<'a> {
    pub cpu: f64,
    pub threads: u32,
    /// What is known of each voice on such a pod, in the order of the mix.
    pub voices: Vec<Shape<'a>>,
}

impl PodShape<'_> {
    pub fn interpolated(&self) -> bool {
        self.voices.iter().any(|voice| voice.interpolated)
    }

    /// Requests that run side by side on a CPU.
    pub fn workers(&self) -> u32 {
        self.configs().next().map_or(1, Config::workers)
    }

    pub fn configs(&self) -> impl Iterator<Item = &Config> {
        self.voices.iter().map(|voice| voice.config.as_ref())
    }
}

/// The shapes that every voice of the mix has.
pub(crate) fn pod_shapes<'a>(
    mix: &Mix<'a>,
    class: &NodeClass,
    policy: &Policy,
) -> Vec<PodShape<'a>> {
    let mut voices = mix
        .parts
        .iter()
        .map(|part| shapes(part.profile, class, policy));
    let first = voices.next().unwrap_or_default();
    let mut pods: Vec<PodShape<'a>> = first
        .into_iter()
        .map(|shape| PodShape {
            cpu: shape.config.cpu,
            threads: shape.config.threads,
            voices: vec![shape],
        })
        .collect();
    for shapes in voices {
        pods.retain_mut(|pod| {
            let same = |shape: &&Shape<'a>| {
                shape.config.cpu.total_cmp(&pod.cpu).is_eq() && shape.config.threads == pod.threads
            };
            match shapes.iter().find(same) {
                Some(shape) => {
                    pod.voices.push(shape.clone());
                    true
                }
                None => false,
            }
        });
    }
    pods
}

/// The measured shapes and, on CPUs, the sizes {1, 2, 4, 8} and whole parts of the node that were
/// not measured: a pod must pack, and 4 cores on a node of 7.5 leave 3.4 idle. Threads are never
/// interpolated: eight threads may be worth 1.2. Levels of too few requests count as not measured.
fn shapes<'a>(profile: &'a Profile, class: &NodeClass, policy: &Policy) -> Vec<Shape<'a>> {
    let configs: Vec<Cow<'a, Config>> = profile.configs.iter().filter_map(trusted).collect();
    let mut shapes: Vec<Shape<'a>> = configs
        .iter()
        .map(|config| Shape {
            config: config.clone(),
            interpolated: false,
            residual: 0.0,
        })
        .collect();
    if policy.interpolate_sizes && profile.accelerator() == Accelerator::Cpu {
        let mut threads: Vec<u32> = configs.iter().map(|config| config.threads).collect();
        threads.sort_unstable();
        threads.dedup();
        for threads in threads {
            let measured = alike(&configs, threads);
            for cores in sizes(class, policy) {
                let known = measured
                    .iter()
                    .any(|config| config.cpu.total_cmp(&f64::from(cores)).is_eq());
                if cores >= threads && !known {
                    let found = between(&measured, cores, threads);
                    shapes.extend(found.map(|(config, residual)| Shape {
                        config: Cow::Owned(config),
                        interpolated: true,
                        residual,
                    }));
                }
            }
        }
    }
    shapes
}

/// Where a size that was not measured lies among those of as many threads that were.
pub(crate) fn position(profile: &Profile, size: &Config) -> Position {
    let configs: Vec<Cow<'_, Config>> = profile.configs.iter().filter_map(trusted).collect();
    let measured = alike(&configs, size.threads);
    let side_by_side = measured
        .iter()
        .flat_map(|config| &config.levels)
        .map(|level| level.n)
        .max();
    let smallest = measured.first().map_or(0.0, |config| config.cpu);
    let largest = measured.last().map_or(0.0, |config| config.cpu);
    if size.cpu > largest || Some(size.workers()) > side_by_side {
        Position::Above
    } else if size.cpu < smallest {
        Position::Below
    } else {
        Position::Between
    }
}

/// A measured shape with the levels that have enough requests; None when it has no first level.
fn trusted(config: &Config) -> Option<Cow<'_, Config>> {
    if !used(config.levels.first()?) {
        return None;
    }
    if config.levels.iter().all(used) {
        return Some(Cow::Borrowed(config));
    }
    let mut trusted = config.clone();
    trusted.levels.retain(used);
    Some(Cow::Owned(trusted))
}

/// The measured shapes of whole cores with as many threads, ascending in cores.
fn alike<'b>(configs: &'b [Cow<'_, Config>], threads: u32) -> Vec<&'b Config> {
    let mut alike: Vec<&Config> = configs
        .iter()
        .map(Cow::as_ref)
        .filter(|config| config.threads == threads && config.cpu >= 1.0)
        .collect();
    alike.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    alike
}

fn sizes(class: &NodeClass, policy: &Policy) -> Vec<u32> {
    let parts = (1..=PODS_PER_NODE)
        .map(|pods| floor(class.allocatable_cpu / f64::from(pods) - policy.cpu_overhead))
        .filter(|&cores| cores >= 1);
    let mut sizes: Vec<u32> = USUAL.into_iter().chain(parts).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// A shape of `cores` from measured ones with the same threads, ascending in cores, and how far the
/// law that it comes from misses what was measured. None with fewer than two levels to fit, or when
/// the workers are more than one doubling above what was measured.
fn between(measured: &[&Config], cores: u32, threads: u32) -> Option<(Config, f64)> {
    let workers = cores / threads;
    let levels = || measured.iter().flat_map(|config| &config.levels);
    let points = merged(
        &mut levels()
            .map(|level| (level.n, level.audio_per_sec))
            .collect::<Vec<_>>(),
    );
    let &(largest, _) = points.last()?;
    if points.len() < 2 {
        return None;
    }
    let law = Usl::fit(&points)?;
    let mut counts: Vec<u32> = levels()
        .map(|level| level.n)
        .filter(|&n| n < workers)
        .chain([workers])
        .collect();
    counts.sort_unstable();
    counts.dedup();
    let known = |n: &u32| levels().any(|level| level.n == *n);
    let residual = if counts.iter().all(known) {
        0.0
    } else {
        levels()
            .map(|level| (law.at(f64::from(level.n)) / level.audio_per_sec - 1.0).abs())
            .fold(law.max_residual, f64::max)
    };
    let levels = counts
        .into_iter()
        .map(|n| level(levels(), &law, n, largest))
        .collect::<Option<Vec<_>>>()?;
    let distance = |config: &Config| (config.cpu - f64::from(cores)).abs();
    // Of two equally near the smaller, which comes first.
    let nearest = measured
        .iter()
        .copied()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let config = Config {
        cpu: f64::from(cores),
        threads,
        sessions: if threads == 1 { 1 } else { workers },
        mem: memory(measured, workers)?,
        levels,
        ..nearest.clone()
    };
    Some((config, residual.min(LARGEST_DERATE)))
}

/// The level n: as measured, or with the law's throughput and, like it, times that grow as n/X(n).
fn level<'a>(
    levels: impl Iterator<Item = &'a Level> + Clone,
    law: &Usl,
    n: u32,
    largest: f64,
) -> Option<Level> {
    if let Some(level) = levels.clone().find(|level| level.n == n) {
        return Some(level.clone());
    }
    let audio_per_sec = law.estimate(f64::from(n), largest)?.value;
    let below = levels
        .filter(|level| level.n < n)
        .max_by_key(|level| level.n)?;
    let slower = (f64::from(n) / audio_per_sec) / (f64::from(below.n) / below.audio_per_sec);
    Some(Level {
        n,
        audio_per_sec,
        s_p50: below.s_p50 * slower,
        s_p95: below.s_p95 * slower,
        rtf_p95: below.rtf_p95 * slower,
        ttfa_p95: below.ttfa_p95 * slower,
        ttfa_q: below.ttfa_q.iter().map(|time| time * slower).collect(),
        service: None,
        stages: Vec::new(),
        gpu_utilisation: None,
        ..below.clone()
    })
}

/// The base grows with the workers along a straight line through the measured shapes; never below
/// the largest smaller shape's, so that noise in it cannot make a bigger pod need less.
fn memory(measured: &[&Config], workers: u32) -> Option<Memory> {
    let points: Vec<(f64, f64)> = measured
        .iter()
        .map(|config| (f64::from(config.workers()), config.mem.base))
        .collect();
    let count = float(points.len());
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let spread: f64 = points
        .iter()
        .map(|point| (point.0 - mean_x) * (point.0 - mean_x))
        .sum();
    let slope = if spread > 0.0 {
        points
            .iter()
            .map(|point| (point.0 - mean_x) * (point.1 - mean_y))
            .sum::<f64>()
            / spread
    } else {
        0.0
    };
    let line = mean_y + slope.max(0.0) * (f64::from(workers) - mean_x);
    let smaller = points
        .iter()
        .filter(|point| point.0 <= f64::from(workers))
        .map(|point| point.1)
        .fold(0.0, f64::max);
    let largest = |value: fn(&Memory) -> f64| {
        measured
            .iter()
            .map(|config| value(&config.mem))
            .fold(0.0, f64::max)
    };
    // The part that is counted once: the smallest that was found.
    let process = measured
        .iter()
        .map(|config| config.mem.process)
        .reduce(|a, b| Some(a?.min(b?)))
        .flatten();
    (!measured.is_empty()).then(|| Memory {
        base: line.max(smaller),
        process,
        per_inflight_audio: largest(|memory| memory.per_inflight_audio),
        resid_sd: largest(|memory| memory.resid_sd),
        per_queued: largest(|memory| memory.per_queued),
    })
}
