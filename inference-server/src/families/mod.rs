//! Model families: how the family of a graph is detected, and how its tensors are built.

pub mod alphabet;
pub mod detect;
pub mod vits;

/// A family of models that the server can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
pub enum Family {
    /// VITS as Piper exports it.
    Piper,
}
