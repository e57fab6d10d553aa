//! `tts-operator.dev/v1alpha1`.
mod deployment;
mod voice;

pub use deployment::*;
pub use voice::*;

/// `status.observedGeneration` of an object that the operator has not seen yet.
fn unobserved() -> i64 {
    -1
}
