//! Silence between the audio of consecutive chunks of a text.

/// What ends with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    Sentence,
    /// A part of a sentence that was too long for one chunk.
    Part,
}

impl Boundary {
    /// The silence after it; that at the beginning and end of each chunk adds to it.
    fn gap_milliseconds(self) -> u32 {
        match self {
            Self::Sentence => 200,
            Self::Part => 60,
        }
    }
}

/// Joins the chunks of one text.
#[derive(Debug)]
pub struct Joiner {
    sample_rate: u32,
    last: Option<Boundary>,
}

impl Joiner {
    /// For audio at this rate, in Hz.
    pub fn new(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            last: None,
        }
    }

    /// Samples of silence before the next chunk, which ends with this boundary; none before the first.
    pub fn next(&mut self, boundary: Boundary) -> usize {
        let gap = self.last.map_or(0, Boundary::gap_milliseconds);
        self.last = Some(boundary);
        usize::try_from(self.sample_rate * gap / 1000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stand_between_chunks_only() {
        let mut joiner = Joiner::new(16_000);
        let gaps =
            [Boundary::Part, Boundary::Sentence, Boundary::Sentence].map(|end| joiner.next(end));
        assert_eq!(gaps, [0, 960, 3200]);
    }
}
