//! The Kubernetes API of tts-operator: types and schemas only, no client.
//!
//! The doc comments of the fields are what `kubectl explain` prints.
mod generate;
pub mod quantity;
pub mod v1alpha1;

pub use generate::{all, to_yaml};
