//! The operator: `controllers` holds one folder a kind, the rest is what they share.
//!
//! A reconciliation is `dereference -> validate -> build -> apply -> status`. Only the first and
//! the last two talk to the API server; what lies between is pure.
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
