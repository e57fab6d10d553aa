//! The operator: `controllers` has one module per kind, the other modules are shared by them.
//!
//! A reconciliation is `dereference -> validate -> plan -> build -> apply -> status`. It reads what is
//! watched from memory ([`cache`]), so that an unchanged object costs no request. Only `apply` and the
//! status write call the API server; the steps between are pure functions.
pub mod backoff;
pub mod cache;
pub mod children;
pub mod cli;
pub mod conditions;
pub mod controllers;
mod corrections;
mod documents;
mod drift;
pub mod fence;
pub mod health;
pub mod inventory;
mod jobs;
mod labels;
pub mod leader;
pub mod metrics;
mod output;
pub mod plan_command;
pub mod planning;
mod pods;
pub mod report;
mod schema;
pub mod settings;
pub mod startup;
pub mod telemetry;
pub mod webserver;
pub mod why;

/// Field manager of everything this operator applies, and the value of `managed-by` labels.
pub const FIELD_MANAGER: &str = "tts-operator";
