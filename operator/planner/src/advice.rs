//! Scale up or scale out: what the numbers of a running deployment say to do next.
//!
//! Two of them decide most: `x = T / F95` of one idle thread, and `y = (T - F95) / E[S]`. Below
//! x = 1.1 no number of pods helps, only a shorter service does. With a small y pooled workers
//! (bigger pods) wait far less than the same workers behind a balancer that picks at random: each
//! of four in one pod carries 5.4 times what one alone does at y = 0.5, but only 1.4 times at y = 5.

use serde::Serialize;

/// Below this, one idle thread cannot keep the promise with room to spare.
pub const NO_ROOM: f64 = 1.1;
/// From this many services of slack on, small pods are as good as large ones.
pub const LOOSE: f64 = 3.0;
/// Half of the time to first audio spent waiting: it is the queue, not the service.
pub const QUEUE: f64 = 0.5;
/// Doubling threads below this efficiency wastes them, if the promise has room.
pub const WASTED: f64 = 0.6;
pub const ROOM: f64 = 1.5;
/// Idle pods, for this many days.
pub const IDLE: f64 = 0.3;
pub const IDLE_DAYS: u32 = 7;
/// Of the memory limit.
pub const MEMORY: f64 = 0.85;
/// What a second request on a GPU adds: worth sharing, and not worth it.
pub const SHARED: f64 = 1.3;
pub const ALONE: f64 = 1.1;
/// A GPU this much cheaper is worth a move.
pub const MOVE: f64 = 0.85;

/// What is known of a deployment. None is unknown: no advice rests on it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// T, the promise (s).
    pub ttfa_objective: Option<f64>,
    /// x: T over the p95 of first audio of one idle thread.
    pub idle_ratio: Option<f64>,
    /// y: services that fit in what the promise leaves after first audio.
    pub slack_services: Option<f64>,
    /// p95 of time to first audio as observed (s), and the share of it spent waiting.
    pub ttfa_p95: Option<f64>,
    pub wait_share: Option<f64>,
    /// Whether a node holds more workers than the pod has.
    pub pod_can_grow: Option<bool>,
    pub rtf_objective: Option<f64>,
    /// p95 of the real-time factor with all slots busy, and with fewer.
    pub rtf_p95_full: Option<f64>,
    pub rtf_p95_fewer: Option<f64>,
    /// Speed-up from t to 2t threads, over two.
    pub doubling_efficiency: Option<f64>,
    pub utilisation_at_peak: Option<f64>,
    pub replicas: Option<u32>,
    pub min_replicas: Option<u32>,
    /// Days over which the peak was observed.
    pub days: Option<u32>,
    /// Peak memory over its limit.
    pub memory_share: Option<f64>,
    /// G(2) = X(2)/X(1) on a GPU.
    pub gpu_gain: Option<f64>,
    /// Cost on a GPU over the cost on CPUs, at the peak.
    pub gpu_cost_ratio: Option<f64>,
}

/// What to do, with the numbers that say so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, strum::IntoStaticStr)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Advice {
    ShortenService {
        idle_ratio: f64,
    },
    ScaleOut {
        ttfa_p95: f64,
        wait_share: f64,
        slack_services: f64,
    },
    GrowPods {
        ttfa_p95: f64,
        wait_share: f64,
        slack_services: f64,
    },
    LowerConcurrency {
        rtf_p95: f64,
        objective: f64,
    },
    HalveThreads {
        efficiency: f64,
        idle_ratio: f64,
    },
    ShrinkPods {
        utilisation: f64,
        days: u32,
    },
    RaiseMemory {
        share: f64,
    },
    ShareGpu {
        gain: f64,
    },
    OneAtATime {
        gain: f64,
    },
    MoveToGpu {
        cost_ratio: f64,
    },
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::ShortenService { idle_ratio } => write!(
                f,
                "scale up: the promise is {idle_ratio:.2}x what one idle thread does (< {NO_ROOM}); more threads, a faster class, lower precision or fewer NFE steps; adding pods cannot shorten service"
            ),
            Self::ScaleOut {
                ttfa_p95,
                wait_share,
                slack_services,
            } => write!(
                f,
                "scale out: p95 TTFA {:.0} ms, {:.0} % of it waiting, {slack_services:.1} services of slack{}, add one",
                1000.0 * ttfa_p95,
                100.0 * wait_share,
                if slack_services < LOOSE {
                    ": the pod fills its node".to_owned()
                } else {
                    format!(" (>= {LOOSE}): small pods are efficient")
                }
            ),
            Self::GrowPods {
                ttfa_p95,
                wait_share,
                slack_services,
            } => write!(
                f,
                "scale up to whole-node pods with the same threads: p95 TTFA {:.0} ms, {:.0} % of it waiting, {slack_services:.1} services of slack (< {LOOSE}): pooled workers carry 1.75 to 5 times as much",
                1000.0 * ttfa_p95,
                100.0 * wait_share
            ),
            Self::LowerConcurrency { rtf_p95, objective } => write!(
                f,
                "lower maxConcurrency, then scale out: p95 RTF {rtf_p95:.2} > {objective:.2} with all slots busy, kept with fewer: contention, not queueing"
            ),
            Self::HalveThreads {
                efficiency,
                idle_ratio,
            } => write!(
                f,
                "halve the threads, double the workers: doubling threads is {:.0} % efficient (< {:.0} %) and the promise leaves room ({idle_ratio:.2}x)",
                100.0 * efficiency,
                100.0 * WASTED
            ),
            Self::ShrinkPods { utilisation, days } => {
                write!(
                    f,
                    "smaller pods or a cheaper class: {:.0} % busy at the peak of {days} days",
                    100.0 * utilisation
                )
            }
            Self::RaiseMemory { share } => write!(
                f,
                "raise memory: pods peaked at {:.0} % of their limit",
                100.0 * share
            ),
            Self::ShareGpu { gain } => {
                write!(
                    f,
                    "raise maxConcurrency first: two requests on the GPU get {gain:.2}x as much done (> {SHARED})"
                )
            }
            Self::OneAtATime { gain } => write!(
                f,
                "capacity comes only from more pods: two requests on the GPU get {gain:.2}x as much done (< {ALONE}); share it only where the first chunk is far shorter than the request"
            ),
            Self::MoveToGpu { cost_ratio } => {
                write!(
                    f,
                    "move to the GPU class: {:.0} % of the cost on CPUs (< {:.0} %)",
                    100.0 * cost_ratio,
                    100.0 * MOVE
                )
            }
        }
    }
}

/// The decision matrix, row by row: everything that applies, most pressing first.
pub fn advise(signals: &Signals) -> Vec<Advice> {
    let mut advice = Vec::new();
    if let Some(idle_ratio) = signals.idle_ratio.filter(|&ratio| ratio < NO_ROOM) {
        advice.push(Advice::ShortenService { idle_ratio });
    }
    advice.extend(late(signals));
    advice.extend(contended(signals));
    if let Some(efficiency) = signals.doubling_efficiency.filter(|&value| value < WASTED)
        && let Some(idle_ratio) = signals.idle_ratio.filter(|&ratio| ratio > ROOM)
    {
        advice.push(Advice::HalveThreads {
            efficiency,
            idle_ratio,
        });
    }
    advice.extend(idle(signals));
    if let Some(share) = signals.memory_share.filter(|&share| share > MEMORY) {
        advice.push(Advice::RaiseMemory { share });
    }
    match signals.gpu_gain {
        Some(gain) if gain > SHARED => advice.push(Advice::ShareGpu { gain }),
        Some(gain) if gain < ALONE => advice.push(Advice::OneAtATime { gain }),
        _ => {}
    }
    if let Some(cost_ratio) = signals.gpu_cost_ratio.filter(|&ratio| ratio < MOVE) {
        advice.push(Advice::MoveToGpu { cost_ratio });
    }
    advice
}

/// Late because of the queue: more pods, or larger ones.
fn late(signals: &Signals) -> Option<Advice> {
    let objective = signals.ttfa_objective?;
    let ttfa_p95 = signals.ttfa_p95.filter(|&p95| p95 > objective)?;
    let wait_share = signals.wait_share.filter(|&share| share > QUEUE)?;
    let slack_services = signals.slack_services?;
    // A pod that fills its node can only be joined by another.
    Some(if slack_services < LOOSE && signals.pod_can_grow? {
        Advice::GrowPods {
            ttfa_p95,
            wait_share,
            slack_services,
        }
    } else {
        Advice::ScaleOut {
            ttfa_p95,
            wait_share,
            slack_services,
        }
    })
}

/// Too slow only with all slots busy: fewer at once.
fn contended(signals: &Signals) -> Option<Advice> {
    let objective = signals.rtf_objective?;
    let rtf_p95 = signals.rtf_p95_full.filter(|&full| full > objective)?;
    (signals.rtf_p95_fewer? <= objective).then_some(Advice::LowerConcurrency { rtf_p95, objective })
}

/// Idle at the peak, with no fewer pods allowed: smaller ones.
fn idle(signals: &Signals) -> Option<Advice> {
    let utilisation = signals.utilisation_at_peak.filter(|&value| value < IDLE)?;
    let days = signals.days.filter(|&days| days >= IDLE_DAYS)?;
    let replicas = signals.replicas.filter(|&replicas| replicas > 1)?;
    (replicas == signals.min_replicas?).then_some(Advice::ShrinkPods { utilisation, days })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing to say.
    fn content() -> Signals {
        Signals {
            ttfa_objective: Some(1.0),
            idle_ratio: Some(2.0),
            slack_services: Some(4.0),
            rtf_objective: Some(0.8),
            replicas: Some(3),
            min_replicas: Some(2),
            ..Signals::default()
        }
    }

    #[test]
    fn nothing_to_do() {
        assert_eq!(advise(&content()), []);
    }

    #[test]
    fn each_row_of_the_matrix() {
        let late = Signals {
            ttfa_p95: Some(1.4),
            wait_share: Some(0.7),
            ..content()
        };
        let rows: [(&str, Signals); 9] = [
            (
                "ShortenService",
                Signals {
                    idle_ratio: Some(1.05),
                    ..content()
                },
            ),
            ("ScaleOut", late),
            (
                "GrowPods",
                Signals {
                    slack_services: Some(1.0),
                    pod_can_grow: Some(true),
                    ..late
                },
            ),
            (
                "LowerConcurrency",
                Signals {
                    rtf_p95_full: Some(0.9),
                    rtf_p95_fewer: Some(0.7),
                    ..content()
                },
            ),
            (
                "HalveThreads",
                Signals {
                    doubling_efficiency: Some(0.55),
                    ..content()
                },
            ),
            (
                "ShrinkPods",
                Signals {
                    utilisation_at_peak: Some(0.2),
                    replicas: Some(2),
                    days: Some(7),
                    ..content()
                },
            ),
            (
                "RaiseMemory",
                Signals {
                    memory_share: Some(0.9),
                    ..content()
                },
            ),
            (
                "ShareGpu",
                Signals {
                    gpu_gain: Some(1.5),
                    ..content()
                },
            ),
            (
                "MoveToGpu",
                Signals {
                    gpu_cost_ratio: Some(0.5),
                    ..content()
                },
            ),
        ];
        for (code, signals) in rows {
            let advice = advise(&signals);
            let codes: Vec<&'static str> = advice.iter().map(Into::into).collect();
            assert_eq!(codes, [code]);
            assert!(advice.iter().all(|advice| advice.to_string().len() > 30));
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        let nothing = Signals::default();
        assert_eq!(advise(&nothing), []);
        let late = Signals {
            ttfa_p95: Some(1.4),
            wait_share: Some(0.7),
            ..nothing
        };
        assert_eq!(advise(&late), []);
        let contended = Signals {
            rtf_p95_full: Some(0.9),
            rtf_p95_fewer: Some(0.0),
            ..nothing
        };
        assert_eq!(advise(&contended), []);
        let idle = Signals {
            utilisation_at_peak: Some(0.1),
            days: Some(7),
            ..nothing
        };
        assert_eq!(advise(&idle), []);
        let inefficient = Signals {
            doubling_efficiency: Some(0.5),
            ..nothing
        };
        assert_eq!(advise(&inefficient), []);
    }

    #[test]
    fn a_pod_that_fills_its_node_is_joined_by_another() {
        let late = Signals {
            ttfa_p95: Some(1.4),
            wait_share: Some(0.7),
            slack_services: Some(1.0),
            pod_can_grow: Some(false),
            ..content()
        };
        assert!(matches!(advise(&late)[..], [Advice::ScaleOut { .. }]));
        assert_eq!(
            advise(&late)[0].to_string(),
            "scale out: p95 TTFA 1400 ms, 70 % of it waiting, 1.0 services of slack: the pod fills its node, add one"
        );
        let unknown = Signals {
            pod_can_grow: None,
            ..late
        };
        assert_eq!(advise(&unknown), []);
    }

    #[test]
    fn lateness_without_waiting_is_not_the_queues() {
        let slow = Signals {
            ttfa_p95: Some(1.4),
            wait_share: Some(0.2),
            ..content()
        };
        assert_eq!(advise(&slow), []);
    }
}
