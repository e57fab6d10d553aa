//! A discrete-event simulator of pods that serve speech, to validate the planner's closed forms.
//!
//! It shares none of their assumptions: service takes `s0 + s1·audio` times noise, not an
//! exponential time; requests in service share the pod's speed, so one that joins slows the others;
//! queues may be finite. Seeds are fixed, so a run gives the same numbers every time.
//!
//! Requests come from one voice ([`Work`]), from several ([`mixed_arrivals`]) or at a rate that
//! varies in time ([`Rate`]). They are served by equal pods ([`Pods`]), by pods whose voices differ
//! or that share nodes ([`Fleet`]), or by pods that an autoscaler adds and removes ([`Autoscaled`]).

mod arrivals;
mod autoscaled;
mod autoscaler;
mod in_flight;
mod number;
mod outcome;
mod pods;
mod service;
mod work;

pub use arrivals::{Rate, mixed_arrivals};
pub use autoscaled::{Autoscaled, AutoscaledOutcome, Replicas};
pub use autoscaler::{Autoscaler, Behavior, Select};
pub use outcome::{Outcome, Served, quantile};
pub use pods::{Balancing, Fleet, Nodes, Pods};
pub use work::{Length, Request, Work};
