//! The operator: `controllers` has one module per kind, the other modules are shared by them.
//!
//! A reconciliation is `dereference -> validate -> build -> apply -> status`. Only the first and
//! the last two call the API server; the steps between are pure functions.
pub mod backoff;
pub mod children;
pub mod cli;
pub mod conditions;
pub mod controllers;
mod drift;
pub mod leader;
pub mod metrics;
pub mod settings;
pub mod startup;
pub mod telemetry;
pub mod webserver;

/// Field manager of everything this operator applies, and the value of `managed-by` labels.
pub const FIELD_MANAGER: &str = "tts-operator";
