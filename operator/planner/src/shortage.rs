//! Why there is no plan, and what would help: a code and its numbers, from which the text is made.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rejection::Because;
use crate::request::{Exclusion, Quota};
use crate::words::{Count, Number, Time, list};

/// What would help where a pod is too late or too slow.
const FASTER: &str = "a faster node class, lower precision or fewer function evaluations";

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Condition {
    /// Nothing measured answers fast enough, even idle.
    SloInfeasible,
    /// Something would, but not with as many pods as are possible.
    CapacityInsufficient,
    /// Nothing speaks fast enough.
    RtfInfeasible,
    /// The nodes are too small, or pods may not be large enough.
    PodDoesNotFit,
    /// No usable measurement for any class: see [`defaults`](crate::defaults()).
    NoProfile,
    /// Every class is excluded.
    NoNodeClass,
}

/// What is missing. Times in seconds, rates in requests per second, memory in MiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Shortage {
    /// The peak does not fit: what comes nearest and what would help.
    Capacity {
        class: String,
        cpu: f64,
        threads: u32,
        needed: u32,
        /// Pods that the nodes, the quota and the user allow.
        limit: u32,
        nodes: u32,
        pods_per_node: u32,
        /// 0 where the nodes suffice.
        add_nodes: u32,
        /// What `maxReplicas` has to be, where it is too low.
        raise_max_replicas: Option<u32>,
        /// What the quota has to be, where it is too low.
        raise_quota: Option<Quota>,
        /// The largest peak that can be served as things are (requests per second); 0: none.
        affordable_peak: f64,
        /// The smallest time to first audio that can be promised as things are (s).
        possible_objective: Option<f64>,
    },
    TooLate {
        class: String,
        cpu: f64,
        threads: u32,
        voice: Option<String>,
        idle_p95: f64,
        objective: f64,
        possible_objective: f64,
    },
    TooSlow {
        class: String,
        cpu: f64,
        threads: u32,
        rtf_p95: f64,
        objective: f64,
        possible_objective: f64,
    },
    /// The pod that comes nearest is of a size or kind that cannot be had there.
    Unfit {
        class: String,
        because: Because,
        allocatable_cpu: f64,
        allocatable_memory: f64,
    },
    Unmeasured {
        classes: Vec<String>,
    },
    /// Some voices of the mix were not measured where others were, or never on pods of one size.
    NotTogether {
        class: String,
        voice: Option<String>,
    },
    Excluded {
        classes: Vec<(String, Exclusion)>,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
            Self::Unfit { .. } => self.write_unfit(f),
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
        }
    }
}

impl Shortage {
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

    fn write_unfit(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Unfit {
            class,
            because,
            allocatable_cpu,
            allocatable_memory,
        } = self
        else {
            return Ok(());
        };
        match because {
            Because::Fit { cpu, memory } => write!(
                f,
                "No node is large enough: the smallest pod needs {} and {memory:.0} MiB, {class} has {allocatable_cpu} and {allocatable_memory:.0} MiB. Add larger nodes.",
                Count(*cpu, "core"),
            ),
            Because::AboveLimit { cpu, limit } => write!(
                f,
                "The smallest pod needs {}, the limit per pod is {limit}. Raise maxCpuPerPod to {cpu}.",
                Count(*cpu, "core")
            ),
            Because::AboveMemoryLimit { memory, limit } => write!(
                f,
                "The smallest pod needs {memory:.0} MiB, the limit per pod is {limit:.0} MiB. Raise maxMemoryPerPod to {memory:.0}."
            ),
            Because::PartOfACore { cpu } => write!(
                f,
                "Guaranteed pods have whole cores, and only {cpu} cores were measured. Measure whole cores, or let pods be Burstable."
            ),
            Because::NoGpu => write!(
                f,
                "The nodes of {class} offer no GPU. Check the GPU device plugin."
            ),
            Because::GpuMemory { needed, pods, vram } => {
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
            other => write!(f, "On {class}: {other}."),
        }
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
