//! Reasons as sentences.

use std::fmt;

use super::{Because, NextClass, Position, Reason, Rejection};
use crate::request::Peak;

fn ms(seconds: f64) -> f64 {
    1000.0 * seconds
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

impl Reason {
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
            affordable_peak,
            possible_objective,
        } = self
        else {
            return Ok(());
        };
        write!(
            f,
            "closest: {class} {cpu} cpu x {threads} thread(s): needs {needed} pods, {limit} are possible ({nodes} nodes x {pods_per_node}"
        )?;
        match raise_max_replicas {
            Some(_) => f.write_str(", and no more than maxReplicas)")?,
            None => f.write_str(")")?,
        }
        let mut options = Vec::new();
        let mut more = Vec::new();
        if *add_nodes > 0 {
            more.push(format!("add {add_nodes} node(s)"));
        }
        if let Some(replicas) = raise_max_replicas {
            more.push(format!("raise maxReplicas to {replicas}"));
        }
        options.push(more.join(" and "));
        if *affordable_peak > 0.0 {
            options.push(format!("lower the peak to {affordable_peak:.2} req/s"));
        }
        if let Some(objective) = possible_objective {
            options.push(format!("promise {:.0} ms", ms(*objective)));
        }
        write!(f, "; {}", options.join(", or "))
    }
}

impl fmt::Display for Reason {
    #[expect(clippy::too_many_lines, reason = "one arm a reason: a table of texts")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accelerator {
                class,
                cost_per_audio_hour,
                next,
                ..
            } => {
                write!(
                    f,
                    "{class}: {cost_per_audio_hour:.4}/audio-hour at the SLO; "
                )?;
                match next {
                    Some(NextClass {
                        class,
                        cost_ratio: Some(ratio),
                    }) => write!(f, "next class {class} costs {ratio:.2}x"),
                    Some(NextClass { class, .. }) => write!(f, "next class {class}"),
                    None => f.write_str("only feasible class"),
                }
            }
            Self::PodShape {
                cpu,
                threads,
                precision,
                rate,
                ttfa_objective,
                utilisation,
                full_rate,
                ttfa_p95_idle,
                derate,
            } => {
                write!(
                    f,
                    "{cpu} cpu x {threads} thread(s), {precision}: holds {rate:.2} req/s with p95 TTFA <= {:.0} ms (utilisation {:.0} % of {full_rate:.2} req/s; p95 idle {:.0} ms; derated {:.0} %)",
                    ms(*ttfa_objective),
                    percent(*utilisation),
                    ms(*ttfa_p95_idle),
                    percent(*derate),
                )
            }
            Self::Concurrency {
                max_concurrency,
                rtf_p95,
                rtf_objective,
                queue,
                full_rate,
                slack,
                typical_first_audio,
                late_or_rejected,
            } => {
                write!(
                    f,
                    "maxConcurrency={max_concurrency}: p95 RTF {rtf_p95:.2} <= {rtf_objective:.2}; queue={queue} (= {full_rate:.2} req/s x {slack:.2} s left after a typical {:.0} ms first chunk): deeper would be late, so 429; late-or-rejected {:.1} % at peak",
                    ms(*typical_first_audio),
                    percent(*late_or_rejected),
                )
            }
            Self::Replicas {
                peak,
                rate,
                at_peak,
                ttfa_p95,
                min,
                max,
                limit,
            } => write!(
                f,
                "ceil({peak:.2}/{rate:.2})={at_peak} at peak (predicted p95 {:.0} ms); min {min}, max {max} (limit {limit} pods)",
                ms(*ttfa_p95),
            ),
            Self::Autoscaling {
                in_flight,
                target_rate,
                rate,
                tolerance,
                headroom,
                ramp_per_minute,
                reaction,
            } => write!(
                f,
                "in-flight target {in_flight:.3} per pod = L({target_rate:.2} req/s); {rate:.2}/{:.2} tolerance/{headroom:.2} ramp ({:.0} %/min x {reaction:.0} s)",
                1.0 + tolerance,
                percent(*ramp_per_minute),
            ),
            Self::Memory {
                memory,
                needed,
                concurrency,
                max_chunk_audio,
                margin,
            } => write!(
                f,
                "{memory:.0} MiB: {needed:.0} MiB from the length regression at {concurrency} x {max_chunk_audio:.0} audio-s, +{:.0} %",
                percent(*margin),
            ),
            Self::Cpu {
                request,
                limit,
                qos,
            } => match limit {
                Some(limit) => write!(f, "{qos}: {request} cpu requested, limit {limit}"),
                None => write!(
                    f,
                    "{qos}: {request} cpu requested, no limit: the pod has no more threads than cores, a limit would only stall it"
                ),
            },
            Self::Threads {
                threads,
                idle_ratio,
                slack_services,
                efficiency,
            } => {
                write!(
                    f,
                    "{threads} thread(s) per request: {slack_services:.1} services fit in the promise after the first audio"
                )?;
                if let Some(ratio) = idle_ratio {
                    write!(f, "; the promise is {ratio:.2}x the idle p95 of one thread")?;
                }
                match efficiency {
                    Some(efficiency) if *threads > 1 => write!(
                        f,
                        "; each thread does {:.0} % of a lone one's work",
                        percent(*efficiency)
                    ),
                    _ => Ok(()),
                }
            }
            Self::Listeners {
                peak,
                mean_audio,
                peak_rps,
            } => match peak {
                Peak::Listeners { count, duty } => write!(
                    f,
                    "{count} listeners x {duty} / {mean_audio} s = {peak_rps:.3} req/s"
                ),
                Peak::RequestsPerSecond(rate) => write!(f, "{rate:.3} req/s"),
            },
            Self::BaseAssumed { base, share } => {
                write!(
                    f,
                    "base load {base:.2} req/s assumed: {:.0} % of the peak; give baseRequestsPerSecond to set it",
                    percent(*share)
                )
            }
            Self::Bursty { burstiness } => {
                write!(f, "arrivals {burstiness:.1} times as variable as Poisson's")
            }
            Self::PricesAssumed { classes, mixed } => {
                write!(
                    f,
                    "no price for {}: a pod weighs its cores + 8 per GPU",
                    classes.join(", ")
                )?;
                if *mixed {
                    f.write_str(
                        ", which does not compare with the other classes' prices; give all or none",
                    )
                } else {
                    Ok(())
                }
            }
            Self::BreakEven {
                cpu_class,
                gpu_class,
                pods,
                rate,
            } => {
                write!(
                    f,
                    "{gpu_class} pays once more than {pods} pod(s) of {cpu_class} are needed, i.e. above {rate:.3} req/s"
                )
            }
            Self::Kept {
                class,
                cheaper,
                saving,
                threshold,
            } => write!(
                f,
                "stays on {class}: {cheaper} would save {:.0} %, less than the {:.0} % a move is worth",
                percent(*saving),
                percent(*threshold),
            ),
            Self::Switched {
                from,
                to,
                saving,
                threshold,
            } => match saving {
                Some(saving) => {
                    write!(
                        f,
                        "moves from {from} to {to}: saves {:.0} %, more than {:.0} %",
                        percent(*saving),
                        percent(*threshold)
                    )
                }
                None => write!(
                    f,
                    "moves from {from} to {to}: {from} no longer keeps the objectives"
                ),
            },
            Self::LoadBalancing {
                policy,
                at_peak_least_request,
                at_peak,
                ..
            } => {
                write!(f, "{policy} balancing: {at_peak} pod(s) at peak")?;
                if at_peak_least_request < at_peak {
                    write!(
                        f,
                        "; a least-request proxy would need {at_peak_least_request}"
                    )
                } else {
                    Ok(())
                }
            }
            Self::Interpolated {
                cpu,
                threads,
                position,
                residual,
            } => {
                let position = match position {
                    Position::Between => "lies between shapes that were",
                    Position::Above => {
                        "lies above the shapes that were, with up to twice as many requests at once"
                    }
                    Position::Below => "lies below the shapes that were",
                };
                write!(
                    f,
                    "{cpu} cpu x {threads} thread(s) was not measured but {position}"
                )?;
                // Below a tenth of a percent it is rounding.
                if *residual >= 0.001 {
                    write!(
                        f,
                        "; the scaling law misses measured throughput by up to {:.0} %, so at least that is taken off",
                        percent(*residual)
                    )?;
                }
                f.write_str("; verify it")
            }
            Self::Declared { class } => {
                write!(f, "{class} has no node now; an autoscaler must add one")
            }
            Self::Measurement {
                profile,
                validity,
                correction,
            } => {
                write!(f, "profile {profile} is {validity}")?;
                if *correction > 1.0 {
                    write!(f, "; production takes {correction:.2} times its time")
                } else {
                    Ok(())
                }
            }
            Self::Capacity { .. } => self.write_capacity(f),
            Self::TooLate {
                class,
                cpu,
                threads,
                idle_p95,
                objective,
                possible_objective,
            } => write!(
                f,
                "best service-only p95 time to first audio is {:.0} ms on {class} ({cpu} cpu, {threads} threads) > SLO {:.0} ms; options: streaming or a shorter first chunk, a faster class, lower precision, fewer NFE steps, or SLO >= {:.0} ms",
                ms(*idle_p95),
                ms(*objective),
                ms(*possible_objective),
            ),
            Self::TooSlow {
                class,
                cpu,
                threads,
                rtf_p95,
                objective,
                possible_objective,
            } => write!(
                f,
                "best p95 RTF is {rtf_p95:.2} on {class} ({cpu} cpu, {threads} threads) > SLO {objective:.2}; options: a faster class, lower precision, fewer NFE steps, or SLO >= {possible_objective:.2}",
            ),
            Self::TooLarge {
                class,
                cpu,
                memory,
                allocatable_cpu,
                allocatable_memory,
            } => write!(
                f,
                "the smallest pod needs {cpu} cpu and {memory:.0} MiB, {class} offers {allocatable_cpu} cpu and {allocatable_memory:.0} MiB; add larger nodes",
            ),
            Self::AboveLimit { cpu, limit } => write!(
                f,
                "the smallest pod needs {cpu} CPUs and may have {limit}; raise maxCpuPerPod to {cpu}"
            ),
            Self::AboveMemoryLimit { memory, limit } => write!(
                f,
                "the smallest pod needs {memory:.0} MiB and may have {limit:.0}; raise maxMemoryPerPod to {memory:.0}"
            ),
            Self::PartOfACore { cpu } => write!(
                f,
                "Guaranteed pods have whole CPUs, and only {cpu} CPUs were measured; measure whole ones, or let pods be Burstable"
            ),
            Self::NoGpu { class } => write!(
                f,
                "the nodes of {class} offer no GPU; check the GPU device plugin"
            ),
            Self::Unmeasured { classes } if classes.is_empty() => {
                f.write_str("no node class to plan for; add nodes or declare a class")
            }
            Self::Unmeasured { classes } => {
                write!(
                    f,
                    "no usable profile matches any node class ({}): defaults are guesses; run a benchmark",
                    classes.join(", ")
                )
            }
            Self::BestEffort {
                condition,
                replicas,
                needed,
                ttfa_p95,
            } => {
                write!(f, "best effort, {condition}: ")?;
                if replicas < needed {
                    write!(f, "{replicas} pod(s) where {needed} would be needed")?;
                } else {
                    write!(f, "{replicas} pod(s)")?;
                }
                match ttfa_p95 {
                    Some(time) => write!(f, "; predicted p95 {:.0} ms at peak", ms(*time)),
                    None => f.write_str("; at peak they cannot keep up and refuse requests"),
                }
            }
            Self::ConservativeDefaults { accelerator, model } => {
                write!(f, "no profile: {accelerator} defaults are guesses")?;
                model.map_or(Ok(()), |model| {
                    write!(f, "; memory from a model of {model:.0} MiB")
                })
            }
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FirstAudio {
                idle_p95,
                objective,
            } => {
                write!(
                    f,
                    "idle p95 time to first audio {:.0} ms > SLO {:.0} ms",
                    ms(idle_p95),
                    ms(objective)
                )
            }
            Self::RealTimeFactor {
                concurrency,
                rtf_p95,
                objective,
            } => {
                write!(
                    f,
                    "p95 RTF {rtf_p95:.2} at concurrency {concurrency} > SLO {objective:.2}"
                )
            }
            Self::Fit { cpu, memory } => write!(
                f,
                "pod of {cpu} cpu / {memory:.0} MiB does not fit the node"
            ),
            Self::PartOfACore { cpu } => write!(f, "{cpu} cpu: a Guaranteed pod needs whole cores"),
            Self::AboveLimit { cpu, limit } => {
                write!(f, "{cpu} cpu > the {limit} cpu allowed per pod")
            }
            Self::AboveMemoryLimit { memory, limit } => {
                write!(f, "{memory:.0} MiB > the {limit:.0} MiB allowed per pod")
            }
            Self::NoGpu => f.write_str("the nodes offer no GPU"),
            Self::Capacity {
                needed,
                limit,
                nodes,
                pods_per_node,
            } => {
                write!(
                    f,
                    "needs {needed} pods, inventory holds {limit} ({nodes} nodes x {pods_per_node})"
                )
            }
            Self::Invalid => f.write_str("the profile is invalid; measure again"),
            Self::Unmeasured => f.write_str("no profile; run a benchmark"),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.class)?;
        if let Some((cpu, threads)) = self.shape {
            write!(f, " {cpu} cpu x {threads} thread(s)")?;
        }
        write!(f, ": {}", self.because)
    }
}
