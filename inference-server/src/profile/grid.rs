//! What is measured: pod shapes and requests in service, by sweep and by the cores that there are.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::scheduler::worker::MOST_WORKERS;

/// How much is measured.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Sweep {
    /// A few shapes, in 3 to 5 minutes.
    Quick,
    /// All shapes and a soak, in 15 to 40 minutes.
    Full,
}

/// A pod: cores, and threads per request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    pub cpu: f64,
    pub threads: u32,
}

impl Shape {
    /// Requests that run side by side.
    pub fn workers(self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "cores of a machine"
        )]
        let workers = (self.cpu / f64::from(self.threads)).floor() as u32;
        workers.max(1)
    }

    /// Whole cores.
    pub fn cores(self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "cores of a machine"
        )]
        let cores = self.cpu.ceil() as usize;
        cores.max(1)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} cpu x {} thread(s)", self.cpu, self.threads)
    }
}

/// A pod shape with the numbers of requests in service that are measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub shape: Shape,
    pub levels: Vec<u32>,
}

/// All cores of the node busy: `pods` of this shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullNodePoint {
    pub pod: Shape,
    pub pods: u32,
}

/// What is measured on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub points: Vec<Point>,
    pub full_node: Vec<FullNodePoint>,
    /// Asked for, but above what the machine has.
    pub dropped: Vec<String>,
}

/// Most processes at once: each loads the model.
const MOST_PODS: u32 = 16;

impl Grid {
    /// The grid for a machine of which a pod can have so many cores.
    pub fn new(sweep: Sweep, cores: f64) -> Self {
        let wanted: Vec<(u32, u32)> = match sweep {
            Sweep::Quick if cores < 4.0 => vec![(1, 1), (2, 1), (2, 2)],
            Sweep::Quick => vec![(1, 1), (4, 1), (4, 4)],
            Sweep::Full => [1, 2, 4, 8]
                .into_iter()
                .flat_map(|cpu| [1, 2, 4, 8].map(|threads| (cpu, threads)))
                .filter(|(cpu, threads)| threads <= cpu)
                .collect(),
        };
        let (fits, above): (Vec<_>, Vec<_>) = wanted
            .into_iter()
            .partition(|(cpu, _)| f64::from(*cpu) <= cores);
        let shape = |(cpu, threads): (u32, u32)| Shape {
            cpu: f64::from(cpu),
            threads,
        };
        let points: Vec<Point> = fits
            .iter()
            .map(|pair| {
                let shape = shape(*pair);
                Point {
                    shape,
                    levels: levels(sweep, shape.workers()),
                }
            })
            .collect();
        let full_node = full_node(&points, cores);
        Self {
            points,
            full_node,
            dropped: above
                .into_iter()
                .map(|pair| shape(pair).to_string())
                .collect(),
        }
    }

    /// The grid for a GPU, of a pod with so many cores: one shape, with the workers that `serve` would start. Only requests in
    /// service differ.
    pub fn of_gpu(sweep: Sweep, cores: f64) -> Self {
        let shape = Shape {
            cpu: cores.floor().clamp(1.0, f64::from(MOST_WORKERS)),
            threads: 1,
        };
        let wanted: &[u32] = match sweep {
            Sweep::Quick => &[1, 2, 4, 8],
            Sweep::Full => &[1, 2, 3, 4, 6, 8],
        };
        let workers = shape.workers();
        let above = wanted.iter().filter(|n| **n > workers);
        let above = above.map(|n| format!("{shape}, {n} in service"));
        let only_on_cpus = ["the whole node busy", "parts of a core"]
            .map(|what| format!("{what}: measured with --device cpu only"));
        Self {
            points: vec![Point {
                shape,
                levels: up_to(workers, wanted),
            }],
            full_node: Vec::new(),
            dropped: above.chain(only_on_cpus).collect(),
        }
    }

    /// The shape whose time of service is measured against the length of the text: the first of them. Not a part of a core,
    /// which the kernel stops again and again: that is another law.
    pub fn shape_of_lengths(&self) -> Option<Shape> {
        let first = self.points.first().map(|point| point.shape);
        first.filter(|shape| shape.cpu >= 1.0)
    }

    /// A part of a core under a CPU limit, measured alone.
    pub fn of_limit(limit: f64) -> Self {
        Self {
            points: vec![Point {
                shape: Shape {
                    cpu: limit,
                    threads: 1,
                },
                levels: vec![1],
            }],
            full_node: Vec::new(),
            dropped: Vec::new(),
        }
    }
}

fn levels(sweep: Sweep, workers: u32) -> Vec<u32> {
    let wanted: &[u32] = match sweep {
        Sweep::Quick => &[1],
        Sweep::Full => &[1, 2, 4, 8],
    };
    up_to(workers, wanted)
}

/// Those below the workers, and the workers.
fn up_to(workers: u32, wanted: &[u32]) -> Vec<u32> {
    let below = wanted.iter().copied().filter(|n| *n < workers);
    below.chain([workers]).collect()
}

/// For each number of threads the smallest pods that fill the node, few enough.
fn full_node(points: &[Point], cores: f64) -> Vec<FullNodePoint> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cores of a machine"
    )]
    let cores = cores.floor() as u32;
    let mut threads: Vec<u32> = points.iter().map(|point| point.shape.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    threads
        .into_iter()
        .filter_map(|threads| {
            let mut cpu = threads;
            while cores / cpu > MOST_PODS {
                cpu *= 2;
            }
            let pods = cores / cpu;
            let pod = Shape {
                cpu: f64::from(cpu),
                threads,
            };
            (pods > 0).then_some(FullNodePoint { pod, pods })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(grid: &Grid) -> Vec<(f64, u32, Vec<u32>)> {
        grid.points
            .iter()
            .map(|point| (point.shape.cpu, point.shape.threads, point.levels.clone()))
            .collect()
    }

    #[test]
    fn a_small_machine_has_its_own_quick_points() {
        let grid = Grid::new(Sweep::Quick, 2.0);
        assert_eq!(
            shapes(&grid),
            [(1.0, 1, vec![1]), (2.0, 1, vec![1, 2]), (2.0, 2, vec![1])]
        );
        assert!(grid.dropped.is_empty());
        // Two pods of one worker, one pod of two threads.
        let pods: Vec<_> = grid
            .full_node
            .iter()
            .map(|point| (point.pod.threads, point.pods))
            .collect();
        assert_eq!(pods, [(1, 2), (2, 1)]);
    }

    #[test]
    fn what_a_pod_cannot_have_is_dropped_and_named() {
        let grid = Grid::new(Sweep::Quick, 1.93);
        assert_eq!(shapes(&grid), [(1.0, 1, vec![1])]);
        assert_eq!(grid.dropped, ["2 cpu x 1 thread(s)", "2 cpu x 2 thread(s)"]);
        let grid = Grid::new(Sweep::Full, 4.0);
        assert_eq!(grid.points.len(), 6);
        assert_eq!(grid.dropped.len(), 4);
    }

    #[test]
    fn a_large_machine() {
        let grid = Grid::new(Sweep::Quick, 64.0);
        assert_eq!(
            shapes(&grid),
            [(1.0, 1, vec![1]), (4.0, 1, vec![1, 4]), (4.0, 4, vec![1])]
        );
        let full = Grid::new(Sweep::Full, 64.0);
        assert_eq!(full.points.len(), 10);
        let levels: usize = full.points.iter().map(|point| point.levels.len()).sum();
        assert_eq!(levels, 20);
        assert!(full.full_node.iter().all(|point| point.pods <= MOST_PODS));
        assert!((full.full_node[0].pod.cpu - 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_gpu_is_one_shape_with_the_workers_of_serve() {
        let grid = Grid::of_gpu(Sweep::Quick, 15.9);
        assert_eq!(shapes(&grid), [(8.0, 1, vec![1, 2, 4, 8])]);
        assert!(grid.full_node.is_empty());
        assert_eq!(
            grid.dropped,
            [
                "the whole node busy: measured with --device cpu only",
                "parts of a core: measured with --device cpu only"
            ]
        );
        assert_eq!(grid.shape_of_lengths(), Some(grid.points[0].shape));
        let grid = Grid::of_gpu(Sweep::Full, 8.0);
        assert_eq!(shapes(&grid), [(8.0, 1, vec![1, 2, 3, 4, 6, 8])]);
    }

    #[test]
    fn a_gpu_pod_of_few_cores_has_few_workers_and_names_the_levels_above() {
        let grid = Grid::of_gpu(Sweep::Quick, 3.9);
        assert_eq!(shapes(&grid), [(3.0, 1, vec![1, 2, 3])]);
        assert_eq!(
            grid.dropped[..2],
            [
                "3 cpu x 1 thread(s), 4 in service",
                "3 cpu x 1 thread(s), 8 in service"
            ]
        );
        let grid = Grid::of_gpu(Sweep::Full, 1.0);
        assert_eq!(shapes(&grid), [(1.0, 1, vec![1])]);
        assert_eq!(grid.dropped.len(), 5 + 2);
    }

    #[test]
    fn a_part_of_a_core_is_one_point() {
        let grid = Grid::of_limit(0.25);
        assert_eq!(shapes(&grid), [(0.25, 1, vec![1])]);
        assert_eq!(grid.shape_of_lengths(), None);
        let whole = Grid::new(Sweep::Quick, 2.0).shape_of_lengths();
        assert_eq!(whole.map(Shape::cores), Some(1));
    }
}
