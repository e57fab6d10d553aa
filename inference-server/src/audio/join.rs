//! Silence between the audio of consecutive runs.

/// Between sentences; the silence at the beginning and end of each run adds to it.
const SENTENCE_GAP_MS: u32 = 200;
/// Between parts of one sentence that was too long for one run.
const PART_GAP_MS: u32 = 60;

/// Samples of silence after a run that another run follows.
pub fn gap(sample_rate: u32, ends_sentence: bool) -> usize {
    let milliseconds = if ends_sentence {
        SENTENCE_GAP_MS
    } else {
        PART_GAP_MS
    };
    usize::try_from(sample_rate * milliseconds / 1000).unwrap_or(0)
}
