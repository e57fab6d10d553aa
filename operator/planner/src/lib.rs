//! Turns measurements of voices into a plan with reasons.
//!
//! [`plan`] takes what was measured ([`Profile`]), what is promised ([`Objectives`]), what is asked
//! for ([`Load`]), the nodes there are or could be ([`NodeClass`]), the [`Policy`] and what runs
//! now, and gives a [`Decision`]: an [`AcceptedPlan`] with a node class, a pod shape with threads,
//! concurrency and queue, replicas, the autoscaler's target, and a reason with its numbers for
//! each; or [`Infeasible`], with what is missing and what would help.
//!
//! Pure: no clock, no input or output, no randomness, no Kubernetes types, no panics. The same
//! request gives the same bits on every platform, whatever the order of its lists.
//!
//! | module | subject |
//! |---|---|
//! | [`profile`] | the stored measurement, its file format and rules |
//! | [`validity`] | whether a measurement may be used, and how much of it to believe |
//! | `request` | what a plan is computed from, its rules and its hash |
//! | `mix` | which measurements a pod is planned from: one per voice |
//! | `shapes`, [`fits`] | the pod sizes to consider, and the scaling laws between measured ones |
//! | [`workload`] | from measured levels to rates and times for this load, for one voice and for a mix |
//! | `neighbours` | what pods lose to others on the same node |
//! | [`first_audio`], [`queueing`] | the times to first audio; one pod as a queue, and the most it carries |
//! | [`memory`], `resources`, `capacity` | what a pod asks for, and how many of it there can be |
//! | `contenders` | one shape on one class, whatever is promised and asked for |
//! | `candidates`, `balancing` | its best admission limit, and what spreading over pods does |
//! | `field`, `choice` | all shapes on all classes, and the one that is chosen |
//! | `reaction`, `autoscaling` | how fast a new pod helps, replicas and the autoscaler's target |
//! | `decision`, `acceptance`, `plan` | from a request to a decision, and what that is |
//! | `infeasible`, `shortage`, `fill` | what is missing, and several classes together |
//! | `rejection`, [`reasons`], `explanation`, `words` | why, as data and as text |
//! | [`predict()`], `change` | what given pods do, and what it takes to get to a plan |
//! | [`defaults()`] | what runs before anything was measured |
//! | [`advice`] | scale up or scale out |

mod acceptance;
pub mod advice;
mod autoscaling;
mod balancing;
mod candidates;
mod capacity;
mod change;
mod choice;
mod contenders;
mod decision;
mod defaults;
mod explanation;
mod field;
mod fill;
pub mod first_audio;
pub mod fits;
mod infeasible;
pub mod memory;
mod mix;
mod neighbours;
mod numeric;
mod plan;
mod predict;
pub mod profile;
pub mod queueing;
mod reaction;
pub mod reasons;
mod rejection;
mod request;
mod resources;
mod shapes;
mod shortage;
pub mod validity;
mod words;
pub mod workload;

pub use autoscaling::{
    Autoscaling, Behavior, Replicas, ScalingKind, ScalingPolicy, ScalingRules, SelectPolicy,
};
pub use change::Change;
pub use decision::plan;
pub use defaults::defaults;
pub use plan::{
    AcceptedPlan, Alternative, Alternatives, Decision, Fill, Infeasible, Outcome, PLAN_SCHEMA,
    PlannedVoice, Pod, Prediction, Share, StoredPlan,
};
pub use predict::{PredictError, predict};
pub use profile::{Accelerator, Profile, ProfileError, Validity};
pub use reasons::{Reason, Written};
pub use rejection::{Because, Rejection};
pub use request::{
    CpuManager, Current, Exclusion, Load, LoadBalancing, Measurement, Minimise, NodeClass,
    Objectives, Peak, Policy, Presence, Promised, Qos, Quota, Request, RequestError, Unreadable,
    VoiceShare,
};
pub use resources::{Resources, Threads};
pub use shapes::Position;
pub use shortage::{Condition, Shortage};

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
