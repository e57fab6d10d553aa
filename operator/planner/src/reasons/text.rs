//! Reasons as sentences for cluster administrators.

use std::fmt;

use super::{NextClass, Reason};
use crate::profile::Accelerator;
use crate::request::{Minimise, Peak, Qos};
use crate::shapes::Position;
use crate::words::{Count, Number, Percent, Price, Time, list};

impl fmt::Display for Reason {
    #[expect(
        clippy::too_many_lines,
        reason = "one arm per reason: a table of texts"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accelerator { .. } => self.write_class(f),
            Self::Voices { voices } => {
                let named: Vec<String> = voices
                    .iter()
                    .map(|(name, share)| format!("{name} ({} of the requests)", Percent(*share)))
                    .collect();
                write!(
                    f,
                    "Each pod serves {}. Each voice is in time in an idle pod.",
                    list(&named, "and")
                )
            }
            Self::PodShape {
                cpu,
                threads,
                rate,
                ttfa_objective,
                utilisation,
                ttfa_p95_idle,
                derate,
                ..
            } => write!(
                f,
                "Each pod: {}, {} per request. Up to {} requests/s ({} busy) 95 % of listeners hear audio within {}; an idle pod takes {}. {} safety included.",
                Count(*cpu, "core"),
                Count(*threads, "thread"),
                Number(*rate),
                Percent(*utilisation),
                Time(*ttfa_objective),
                Time(*ttfa_p95_idle),
                Percent(*derate),
            ),
            Self::Threads {
                threads,
                idle_with_one,
                ttfa_objective,
            } => {
                write!(f, "{}: with one, an idle pod ", Count(*threads, "thread"))?;
                if idle_with_one > ttfa_objective {
                    write!(
                        f,
                        "needs {}, more than {}.",
                        Time(*idle_with_one),
                        Time(*ttfa_objective)
                    )
                } else {
                    write!(
                        f,
                        "already needs {} of the {}.",
                        Time(*idle_with_one),
                        Time(*ttfa_objective)
                    )
                }
            }
            Self::Concurrency {
                max_concurrency,
                queue,
                full_is_late,
                late_or_rejected,
            } => write!(
                f,
                "{} at once, {queue} wait; a further one {}gets 429. At the peak {} are late or refused.",
                Count(*max_concurrency, "request"),
                if *full_is_late {
                    "would be late and "
                } else {
                    ""
                },
                Percent(*late_or_rejected),
            ),
            Self::Replicas { .. } => self.write_replicas(f),
            Self::Autoscaling {
                in_flight,
                ramp_per_minute,
                reaction,
                noise,
            } => {
                write!(
                    f,
                    "Scales out above {} requests in flight per pod",
                    Number(*in_flight)
                )?;
                if *ramp_per_minute > 0.0 {
                    write!(
                        f,
                        ": early enough for a load that grows {} per minute while a new pod takes {reaction:.0} s",
                        Percent(*ramp_per_minute)
                    )?;
                }
                if let Some(noise) = noise {
                    write!(
                        f,
                        ". With so few requests that number varies by {} by chance, so pods come and go",
                        Percent(*noise)
                    )?;
                }
                f.write_str(".")
            }
            Self::Neighbours {
                pods,
                speed,
                measured: true,
                ..
            } => write!(
                f,
                "{} share a node, where each has {} of its speed alone, as measured.",
                Count(*pods, "pod"),
                Percent(*speed)
            ),
            Self::Neighbours {
                pods, unmeasured, ..
            } => write!(
                f,
                "{} share a node. How much they slow each other was not measured, so at least {} is taken off.",
                Count(*pods, "pod"),
                Percent(*unmeasured)
            ),
            Self::Memory {
                memory,
                needed,
                concurrency,
                max_chunk_audio,
                margin,
                raised,
            } => {
                write!(
                    f,
                    "{memory:.0} MiB of memory: {} of up to {} s of audio at once and what waits: {needed:.0} MiB, plus {}",
                    Count(*concurrency, "request"),
                    Number(*max_chunk_audio),
                    Percent(*margin),
                )?;
                f.write_str(if *raised {
                    "; raised, because a pod was killed for its memory or runs with more."
                } else {
                    "."
                })
            }
            Self::Cpu {
                request,
                limit,
                qos,
            } => match (qos, limit) {
                (Qos::Guaranteed, _) => write!(
                    f,
                    "Requests and limits {}: the pod has them for itself.",
                    Count(*request, "whole core")
                ),
                (Qos::Burstable, Some(limit)) => write!(
                    f,
                    "Requests {}, limited to {}.",
                    Count(*request, "core"),
                    Number(*limit)
                ),
                (Qos::Burstable, None) if *request < 1.0 => write!(
                    f,
                    "Requests {} without a limit: it was measured with no more, and is faster while the node has room.",
                    Count(*request, "core")
                ),
                (Qos::Burstable, None) => write!(
                    f,
                    "Requests {} without a limit: the pod has no more busy threads than cores, so a limit would only stall it.",
                    Count(*request, "core")
                ),
            },
            Self::Listeners {
                peak,
                mean_audio,
                peak_rps,
            } => match peak {
                Peak::Listeners { count, duty } => write!(
                    f,
                    "{} who listen {} of the time to texts of {} s ask for {} requests/s.",
                    Count(*count, "listener"),
                    Percent(*duty),
                    Number(*mean_audio),
                    Number(*peak_rps)
                ),
                Peak::RequestsPerSecond(rate) => write!(f, "{} requests/s.", Number(*rate)),
            },
            Self::BaseAssumed { base, share } => write!(
                f,
                "Quiet times are assumed to have {} of the peak, {} requests/s; set baseRequestsPerSecond to change that.",
                Percent(*share),
                Number(*base)
            ),
            Self::Bursty { burstiness } if *burstiness > 1.0 => write!(
                f,
                "Requests come in bursts: their gaps vary {} times as much as those of independent requests.",
                Number(*burstiness)
            ),
            Self::Bursty { burstiness } => write!(
                f,
                "Requests come steadily: their gaps vary {} times as much as those of independent requests.",
                Number(*burstiness)
            ),
            Self::PricesAssumed { classes, mixed } => {
                write!(
                    f,
                    "No price is known for {}: a pod counts as its cores, plus a weight for its GPU",
                    list(classes, "and")
                )?;
                f.write_str(if *mixed { ", which does not compare with the prices of the other classes. Give all prices or none." } else { "." })
            }
            Self::BreakEven {
                cpu_class,
                gpu_class,
                pods,
                rate,
            } => write!(
                f,
                "{gpu_class} is cheaper once more than {} of {cpu_class} are needed, above {} requests/s.",
                Count(*pods, "pod"),
                Number(*rate)
            ),
            Self::Kept {
                class,
                better,
                saving,
                threshold,
            } => write!(
                f,
                "Stays on {class}: {better} would save {}, less than the {} that a move is worth.",
                Percent(*saving),
                Percent(*threshold),
            ),
            Self::KeptShape {
                cpu,
                threads,
                saving,
                threshold,
            } => write!(
                f,
                "Keeps the running pods of {} and {} per request: other pods would save {}, less than the {} that a rollout is worth.",
                Count(*cpu, "core"),
                Count(*threads, "thread"),
                Percent(*saving),
                Percent(*threshold),
            ),
            Self::Switched {
                from,
                to,
                saving,
                threshold,
            } => match saving {
                Some(saving) => write!(
                    f,
                    "Moves from {from} to {to}: saves {}, more than the {} that a move is worth.",
                    Percent(*saving),
                    Percent(*threshold)
                ),
                None => write!(
                    f,
                    "Moves from {from} to {to}: {from} no longer keeps the objectives."
                ),
            },
            Self::LeastRequest { pods, with_proxy } => write!(
                f,
                "A proxy that sends each request to the pod with the fewest would need {} instead of {pods}.",
                Count(*with_proxy, "pod")
            ),
            Self::Interpolated {
                cpu,
                threads,
                position,
                residual,
            } => {
                let position = match position {
                    Position::Between => "between measured sizes",
                    Position::Above => {
                        "above the measured sizes, with up to twice as many requests at once"
                    }
                    Position::Below => "below the measured sizes",
                };
                write!(
                    f,
                    "{} with {} per request were not measured; the size lies {position}.",
                    Count(*cpu, "core"),
                    Count(*threads, "thread")
                )?;
                // Below a tenth of a percent it is rounding.
                if *residual >= 0.001 {
                    write!(
                        f,
                        " The scaling law misses measured throughput by up to {}, so at least that is taken off.",
                        Percent(*residual)
                    )?;
                }
                f.write_str(" Verify it.")
            }
            Self::Declared {
                class,
                provisioning,
            } => {
                write!(
                    f,
                    "{class} has no node now; an autoscaler has to create one"
                )?;
                if *provisioning > 0.0 {
                    write!(f, ", which takes {provisioning:.0} s.")
                } else {
                    f.write_str(".")
                }
            }
            Self::Measurement {
                profile,
                validity,
                correction,
            } => {
                write!(f, "Profile {profile} is {validity}")?;
                if *correction > 1.0 {
                    write!(
                        f,
                        "; production takes {} times as long as measured.",
                        Number(*correction)
                    )
                } else {
                    f.write_str(".")
                }
            }
            Self::Newest { profile, older } => write!(
                f,
                "Profile {profile} is used: it is the newest of {} of the same voice on this class.",
                Count(older + 1, "measurement")
            ),
            Self::BestEffort {
                replicas,
                needed,
                late_or_rejected,
                ttfa_p95,
                ..
            } => {
                write!(f, "Best effort: {}", Count(*replicas, "pod"))?;
                if replicas < needed {
                    write!(f, " where {needed} would be needed")?;
                }
                match ttfa_p95 {
                    Some(time) => write!(
                        f,
                        ". At peak 95 % of listeners hear audio within {}, and {} are late or refused.",
                        Time(*time),
                        Percent(*late_or_rejected)
                    ),
                    None => f.write_str(". At peak they cannot keep up and refuse requests."),
                }
            }
            Self::ConservativeDefaults { accelerator, model } => {
                let accelerator = match accelerator {
                    Accelerator::Cpu => "CPU",
                    Accelerator::Gpu => "GPU",
                };
                write!(
                    f,
                    "Nothing was measured: these {accelerator} defaults are guesses"
                )?;
                match model {
                    Some(model) => write!(f, ", with memory for a model of {model:.0} MiB."),
                    None => f.write_str("."),
                }
            }
        }
    }
}

impl Reason {
    fn write_class(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Accelerator {
            class,
            minimise,
            cost_per_hour,
            currency,
            watts,
            pods,
            peak,
            ttfa_objective,
            next,
            ..
        } = self
        else {
            return Ok(());
        };
        write!(f, "Runs on {class}: ")?;
        if let Some(cost) = cost_per_hour.filter(|cost| *cost > 0.0) {
            write!(f, "{}", Price(cost))?;
            if let Some(currency) = currency {
                write!(f, " {currency}")?;
            }
            f.write_str(" an hour")?;
            if let Some(watts) = watts {
                write!(f, " and {watts:.0} W")?;
            }
            f.write_str(" for ")?;
        } else if let Some(watts) = watts {
            write!(f, "{watts:.0} W for ")?;
        }
        write!(
            f,
            "{} at the peak of {} requests/s",
            Count(*pods, "pod"),
            Number(*peak)
        )?;
        let (best, more) = match minimise {
            Minimise::Cost => ("cheapest", "cost"),
            Minimise::Energy => ("thriftiest", "draw"),
        };
        match next {
            None => write!(f, ", the only class that keeps {}.", Time(*ttfa_objective)),
            Some(NextClass {
                class,
                ratio: Some(ratio),
            }) if *ratio >= 1.0 => {
                write!(
                    f,
                    ", the {best} class that keeps {}; {class} would {more} ",
                    Time(*ttfa_objective)
                )?;
                if *ratio < 1.05 {
                    f.write_str("about the same.")
                } else {
                    write!(f, "{ratio:.1} times as much.")
                }
            }
            Some(_) => f.write_str("."),
        }
    }

    fn write_replicas(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Replicas {
            peak,
            ttfa_objective,
            at_peak,
            ttfa_p95,
            steady,
            steady_wanted,
            max_wanted,
            min,
            max,
            ..
        } = self
        else {
            return Ok(());
        };
        let keep = if *at_peak == 1 { "keeps" } else { "keep" };
        write!(
            f,
            "{} {keep} {} at {} requests/s",
            Count(*at_peak, "pod"),
            Time(*ttfa_objective),
            Number(*peak)
        )?;
        if let Some(time) = ttfa_p95 {
            write!(f, " (95 % within {})", Time(*time))?;
        }
        write!(
            f,
            ". The autoscaler runs {min} to {max} and settles at {steady} there, with room for the load to grow"
        )?;
        if steady_wanted > steady {
            write!(
                f,
                "; {steady_wanted} would be right, but no more than {steady} are possible"
            )?;
        } else if max_wanted > max {
            write!(
                f,
                "; no more than {max} are possible, {max_wanted} would leave more room"
            )?;
        }
        f.write_str(".")
    }
}
