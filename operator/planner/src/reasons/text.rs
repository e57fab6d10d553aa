//! Reasons as sentences for cluster administrators.

use std::fmt;

use super::{NextClass, Reason};
use crate::profile::Accelerator;
use crate::request::{Minimise, Peak, Qos, Quota};
use crate::shapes::Position;
use crate::words::{Count, Number, Percent, Price, Time, list};

/// What would help where a pod is too late or too slow.
const FASTER: &str = "a faster node class, lower precision or fewer function evaluations";

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
            Self::Capacity { .. } => self.write_capacity(f),
            Self::TooLate {
                class,
                cpu,
                threads,
                voice,
                idle_p95,
                objective,
                possible_objective,
            } => {
                f.write_str("No pod is fast enough: ")?;
                if let Some(voice) = voice {
                    write!(f, "voice {voice} in ")?;
                }
                write!(
                    f,
                    "an idle pod on {class} ({}, {}) takes {}, the objective is {}. Allow {}, or use streaming, a shorter first chunk, {FASTER}.",
                    Count(*cpu, "core"),
                    Count(*threads, "thread"),
                    Time(*idle_p95),
                    Time(*objective),
                    Time(*possible_objective),
                )
            }
            Self::TooSlow {
                class,
                cpu,
                threads,
                rtf_p95,
                objective,
                possible_objective,
            } => write!(
                f,
                "No pod speaks fast enough: the real-time factor on {class} ({}, {}) is {rtf_p95:.2}, the objective is {objective:.2}. Allow {possible_objective:.2}, or use {FASTER}.",
                Count(*cpu, "core"),
                Count(*threads, "thread"),
            ),
            Self::TooLarge {
                class,
                cpu,
                memory,
                allocatable_cpu,
                allocatable_memory,
            } => write!(
                f,
                "No node is large enough: the smallest pod needs {} and {memory:.0} MiB, {class} has {allocatable_cpu} and {allocatable_memory:.0} MiB. Add larger nodes.",
                Count(*cpu, "core"),
            ),
            Self::AboveLimit { cpu, limit } => write!(
                f,
                "The smallest pod needs {}, the limit per pod is {limit}. Raise maxCpuPerPod to {cpu}.",
                Count(*cpu, "core")
            ),
            Self::AboveMemoryLimit { memory, limit } => write!(
                f,
                "The smallest pod needs {memory:.0} MiB, the limit per pod is {limit:.0} MiB. Raise maxMemoryPerPod to {memory:.0}."
            ),
            Self::PartOfACore { cpu } => write!(
                f,
                "Guaranteed pods have whole cores, and only {cpu} cores were measured. Measure whole cores, or let pods be Burstable."
            ),
            Self::NoGpu { class } => write!(
                f,
                "The nodes of {class} offer no GPU. Check the GPU device plugin."
            ),
            Self::GpuMemory {
                class,
                needed,
                pods,
                vram,
            } => {
                write!(
                    f,
                    "A pod needs {needed:.0} MiB of GPU memory; the GPU of {class} has {vram:.0} MiB"
                )?;
                if *pods > 1 {
                    write!(
                        f,
                        " for {pods} pods. Let fewer pods share it, or use a larger GPU."
                    )
                } else {
                    f.write_str(". Use a larger GPU, lower precision or shorter chunks.")
                }
            }
            Self::Unmeasured { classes } if classes.is_empty() => {
                f.write_str("There is no node class to plan for. Add nodes or declare a class.")
            }
            Self::Unmeasured { classes } => write!(
                f,
                "No usable profile for {}. Run a benchmark; until then defaults apply, which are guesses.",
                list(classes, "and")
            ),
            Self::NotTogether {
                class,
                voice: Some(voice),
            } => write!(
                f,
                "Voice {voice} was not measured on {class}, where other voices of the deployment were. Run a benchmark of it there."
            ),
            Self::NotTogether { class, voice: None } => write!(
                f,
                "The voices were never measured on pods of one size on {class}. Run benchmarks with the same sizes."
            ),
            Self::Excluded { classes } => {
                let named: Vec<String> = classes
                    .iter()
                    .map(|(class, exclusion)| format!("{class}: {exclusion}"))
                    .collect();
                write!(f, "No node class can be used. {}.", named.join("; "))
            }
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

    fn write_capacity(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Capacity {
            class,
            cpu,
            threads,
            needed,
            limit,
            nodes,
            pods_per_node,
            add_nodes,
            raise_max_replicas,
            raise_quota,
            affordable_peak,
            possible_objective,
        } = self
        else {
            return Ok(());
        };
        write!(
            f,
            "Closest is {class} with {} and {}: {} needed, {limit} possible ({} with {pods_per_node} each)",
            Count(*cpu, "core"),
            Count(*threads, "thread"),
            Count(*needed, "pod"),
            Count(*nodes, "node"),
        )?;
        let mut more = Vec::new();
        if *add_nodes > 0 {
            more.push(format!("add {}", Count(*add_nodes, "node")));
        }
        if let Some(replicas) = raise_max_replicas {
            more.push(format!("raise maxReplicas to {replicas}"));
        }
        if let Some(quota) = raise_quota {
            more.push(format!("raise the quota to {}", amounts(quota)));
        }
        let mut options = vec![list(&more, "and")];
        if *affordable_peak > 0.0 {
            options.push(format!(
                "lower the peak to {} requests/s",
                Number(rounded_down(*affordable_peak))
            ));
        }
        if let Some(objective) = possible_objective {
            options.push(format!("allow {}", Time(*objective)));
        }
        let text = list(&options, "or");
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        write!(
            f,
            ". {}{}.",
            first.map(String::from).unwrap_or_default(),
            letters.as_str()
        )
    }
}

/// To the two decimals that are shown, so that what is said is possible.
fn rounded_down(rate: f64) -> f64 {
    let down = (rate * 100.0).floor() / 100.0;
    if down > 0.0 { down } else { rate }
}

fn amounts(quota: &Quota) -> String {
    let amounts: Vec<String> = [
        quota.cpu.map(|cpu| Count(cpu, "core").to_string()),
        quota.memory.map(|memory| format!("{memory:.0} MiB")),
        quota.gpus.map(|gpus| Count(gpus, "GPU").to_string()),
        quota.pods.map(|pods| Count(pods, "pod").to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    list(&amounts, "and")
}
