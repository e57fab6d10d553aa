//! Silence between what a model said one run after the other.

/// Between sentences, as a reader breathes; the model's own lead-in and tail add to it.
const SENTENCE_GAP_MS: u32 = 200;
/// Between parts of one sentence that was too long for one run.
const PART_GAP_MS: u32 = 60;

/// Samples of silence behind a run that another run follows.
pub fn gap(sample_rate: u32, ends_sentence: bool) -> usize {
    let milliseconds = if ends_sentence {
        SENTENCE_GAP_MS
    } else {
        PART_GAP_MS
    };
    usize::try_from(sample_rate * milliseconds / 1000).unwrap_or(0)
}
