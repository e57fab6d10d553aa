//! Turns measurements of voices into a plan with reasons.
//!
//! [`plan`] takes what was measured ([`Profile`]), what is promised ([`Objectives`]), what is asked
//! for ([`Load`]), the nodes there are or could be ([`NodeClass`]), the [`Policy`] and what runs
//! now, and gives a [`Plan`]: a node class, a pod shape with threads, concurrency and queue,
//! replicas, the autoscaler's target, and a [`Reason`] with its numbers for each; or
//! [`Infeasible`], with what is missing and what would help.
//!
//! Pure: no clock, no input or output, no randomness, no Kubernetes types, no panics. The same
//! request gives the same bits on every platform, whatever the order of its lists.
//!
//! | module | subject |
//! |---|---|
//! | [`profile`] | the stored measurement, its file format and rules |
//! | [`validity`] | whether a measurement may be used, and how much of it to believe |
//! | [`workload`] | from measured levels to rates and times for this load |
//! | [`queueing`] | one pod as a queue: waiting, first audio, the most it carries |
//! | [`fits`] | scaling laws in closed form |
//! | `shapes` | the pod sizes to consider |
//! | `candidates` | one shape on one class: the cheapest admission limit |
//! | `choice` | from all candidates to the one |
//! | `autoscaling` | replicas and the autoscaler's target |
//! | [`memory`], `resources` | what the container asks for |
//! | [`batching`] | executors that take several requests at once |
//! | `infeasible`, `fill` | what is missing, and several classes together |
//! | [`defaults()`] | what runs before anything was measured |
//! | [`reasons`], `explanation` | why, as data and as text |
//! | [`advice`] | scale up or scale out |
//! | `identity` | the hash by which a request is known again |

pub mod advice;
mod autoscaling;
pub mod batching;
mod candidates;
mod choice;
mod defaults;
mod explanation;
mod fill;
pub mod fits;
mod identity;
mod infeasible;
pub mod memory;
mod numeric;
mod plan;
pub mod profile;
pub mod queueing;
pub mod reasons;
mod request;
mod resources;
mod sequence;
mod shapes;
pub mod validity;
pub mod workload;

pub use autoscaling::{Autoscaling, Replicas, ScaleDown, ScaleUp};
pub use choice::plan;
pub use defaults::{Defaults, defaults};
pub use plan::{Alternative, Condition, Decision, Fill, Infeasible, Plan, Pod, Prediction, Share};
pub use profile::{Accelerator, Profile, ProfileError, Validity};
pub use reasons::Reason;
pub use request::{
    CpuManager, Current, Load, LoadBalancing, Measurement, NodeClass, Objectives, Peak, Policy,
    Presence, Qos, Request, RequestError,
};
pub use resources::{Resources, Threads};

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
