//! Model families: which one a graph belongs to, and how its tensors are built.

pub mod detect;
pub mod vits;

/// A family of models that this server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
pub enum Family {
    /// VITS as Piper exports it.
    Piper,
}
