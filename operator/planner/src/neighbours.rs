//! What pods lose to others on the same node.
//!
//! A profile measures one pod alone. A plan packs nodes, and pods that share caches and memory
//! bandwidth slow each other: M busy workers of all pods together get as much done as the node was
//! measured to do with M in service.

use crate::fits::merged;
use crate::profile::Profile;
use crate::validity::{enough, used};

/// The least that is taken off where the node was not measured that busy.
pub(crate) const UNMEASURED: f64 = 0.15;

/// Throughput of a whole node by busy workers, for requests of one thread count.
#[derive(Clone, Debug)]
pub(crate) struct NodeCurve {
    /// (workers, audio-seconds per second), ascending.
    points: Vec<(f64, f64)>,
}

/// How fast the requests of a pod are beside busy neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Beside {
    /// Of the speed alone; at most 1.
    pub speed: f64,
    /// Whether the node was measured that busy.
    pub measured: bool,
}

impl NodeCurve {
    /// From the levels of all pod sizes with as many threads and from the full node.
    pub fn of(profile: &Profile, threads: u32) -> Self {
        let levels = profile
            .configs
            .iter()
            .filter(|config| config.threads == threads && config.cpu >= 1.0)
            .flat_map(|config| &config.levels)
            .filter(|level| used(level))
            .map(|level| (level.n, level.audio_per_sec));
        let full = profile
            .full_node
            .iter()
            .filter(|point| point.threads == threads && enough(point.requests))
            .map(|point| (point.workers, point.audio_per_sec));
        Self {
            points: merged(&mut levels.chain(full).collect::<Vec<_>>()),
        }
    }

    /// Straight between the points, in proportion below the first, nothing beyond the last.
    fn at(&self, workers: f64) -> Option<f64> {
        let after = self.points.partition_point(|point| point.0 <= workers);
        let upper = self.points.get(after);
        let Some(&(from, low)) = after
            .checked_sub(1)
            .and_then(|below| self.points.get(below))
        else {
            return upper.map(|(to, high)| high * workers / to);
        };
        if from.total_cmp(&workers).is_eq() {
            return Some(low);
        }
        let &(to, high) = upper?;
        Some(low + (high - low) * (workers - from) / (to - from))
    }

    /// For a pod with `in_service` = n requests on `cpu` cores, m = n·min(1, cpu) busy workers,
    /// while its `others` neighbours have `busy` requests each: with M busy workers on the node,
    /// each has `(X(M) / M) / (X(m) / m)` of its speed alone. Where the node was not measured with
    /// M, what is lost at the most that was measured counts.
    pub fn beside(&self, others: u32, busy: f64, in_service: u32, cpu: f64) -> Beside {
        let own = f64::from(in_service) * cpu.min(1.0);
        let all = own + f64::from(others) * busy * cpu.min(1.0);
        let most = self.points.last().map_or(0.0, |point| point.0);
        let known = all.min(most);
        let speed = match (self.at(own), self.at(known)) {
            (Some(alone), Some(together)) if known > own => own * together / (known * alone),
            _ => 1.0,
        };
        Beside {
            speed: speed.min(1.0),
            measured: others == 0 || all <= most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> NodeCurve {
        NodeCurve {
            points: points.to_vec(),
        }
    }

    fn close(found: Beside, speed: f64, measured: bool) {
        assert!((found.speed - speed).abs() < 1e-12, "{found:?}");
        assert_eq!(found.measured, measured, "{found:?}");
    }

    #[test]
    fn busy_neighbours_slow_a_pod_as_the_node_shows() {
        let node = curve(&[(1.0, 10.0), (2.0, 18.0), (4.0, 30.0), (8.0, 40.0)]);
        close(node.beside(0, 2.0, 2, 2.0), 1.0, true);
        close(node.beside(3, 2.0, 2, 2.0), 40.0 / (4.0 * 18.0), true);
        close(node.beside(1, 3.0, 3, 3.0), 35.0 / (2.0 * 24.0), true);
        close(node.beside(2, 0.5, 1, 1.0), 18.0 / 20.0, true);
        close(node.beside(2, 0.0, 1, 1.0), 1.0, true);
    }

    #[test]
    fn beyond_what_was_measured_the_largest_loss_counts() {
        let node = curve(&[(1.0, 10.0), (2.0, 18.0)]);
        close(node.beside(3, 1.0, 1, 1.0), 18.0 / 20.0, false);
        close(node.beside(3, 2.0, 2, 2.0), 1.0, false);
        close(curve(&[]).beside(1, 1.0, 1, 1.0), 1.0, false);
    }

    #[test]
    fn pods_of_half_a_core_keep_half_a_worker_busy() {
        let node = curve(&[(1.0, 10.0), (2.0, 18.0)]);
        close(node.beside(3, 1.0, 1, 0.5), 18.0 / 20.0, true);
    }

    #[test]
    fn a_node_that_gains_from_company_is_not_believed() {
        let node = curve(&[(1.0, 10.0), (2.0, 25.0)]);
        close(node.beside(1, 1.0, 1, 1.0), 1.0, true);
    }
}
