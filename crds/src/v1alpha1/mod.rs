//! `tts-operator.dev/v1alpha1`.
mod benchmark;
mod deployment;
mod profile;
mod toleration;
mod voice;

pub use benchmark::*;
pub use deployment::*;
pub use profile::*;
pub use toleration::*;
pub use voice::*;

/// `status.observedGeneration` of an object that the operator has not seen yet.
fn unobserved() -> i64 {
    -1
}
