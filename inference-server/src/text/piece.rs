//! What normalisation hands to phonemisation.

/// A piece of a normalised sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A word in lower case: letters and apostrophes only.
    Word(String),
    /// Letters (lower case) that are said by their names.
    Letters(String),
    /// `s` or `'s` of the letters before it.
    Ending(&'static str),
    Pause,
}
