//! The texts that voices are measured with.

use std::{fs, path::Path};

use sha2::{Digest as _, Sha256};

use crate::{fetch::download::hex, text::TextError, voices::Voice};

/// The identity of [`Corpus::standard`]; another text is another version.
const STANDARD: &str = "std-12/v1";

/// Lengths stand at the quantiles (i + 0.5) / 12 of a log-normal law with a mean of 6 seconds and a coefficient of
/// variation of 0.6, at 15 characters per second: 60 requests of a stratified corpus predict a 95th percentile as well as
/// several hundred random ones.
const TEXTS: [&str; 12] = [
    "The kettle is nearly ready now.",
    "Please keep the window closed at night.",
    "Seven ducks crossed the road before lunch today.",
    "A light rain began to fall as we reached the old mill.",
    "She folded the letter twice and put it in her green coat.",
    "The last train leaves at half past nine from the second platform.",
    "Did you remember to bring the map, or shall we follow the river again?",
    "Every morning the baker opens the shop, sweeps the step, and lights the oven.",
    "The museum is closed on Monday, but the garden behind it stays open until the evening.",
    "We measured the height of the tree twice. The second number was larger, so we measured again.",
    "Turn left at the white house and walk up the hill. From the top you can see the harbour, the bridge, and the islands.",
    "My neighbour repairs clocks. People bring them from far away, because nobody else in the valley still knows how the \
     small brass wheels are cut, and because he never asks for more than the work is worth.",
];

/// Sentences for texts of a given length.
const SENTENCES: [&str; 14] = [
    "The road was long.",
    "A cold wind came down from the hills and moved the tall grass.",
    "Nobody spoke for a while.",
    "Then the guide pointed to a thin line of smoke above the trees, and we walked on.",
    "The first house was empty.",
    "In the second house an old man was mending a chair, and he did not look up when we came in.",
    "He asked what we wanted.",
    "We told him about the storm, the broken bridge, and the two days without warm food.",
    "Bread and soup stood on the table before we had finished.",
    "Later that evening the rain returned, louder than before.",
    "We slept near the fire.",
    "By sunrise the river had fallen, and the stones in the shallow part were dry enough to cross.",
    "The old man gave us apples for the way.",
    "Before noon we could see the sea.",
];

/// Characters per second of audio that the texts were made for.
const PACE: f64 = 15.0;
/// Texts of a file, and characters of one: the server's own default limit.
const MOST_TEXTS: usize = 200;
const MOST_CHARACTERS: usize = 4096;
/// Longest text that can be asked for (s).
pub const LONGEST_SECONDS: u32 = 600;

/// What is spoken, in texts of different lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    pub id: String,
    /// Spoken in every level, in whole rounds.
    pub load: Vec<String>,
    /// Of the sweep of lengths.
    pub lengths: Vec<String>,
}

/// Why texts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    #[error(
        "cannot read the corpus {path}: {error}; it is a UTF-8 text file with one text per line"
    )]
    Unreadable { path: String, error: std::io::Error },
    #[error("the corpus {path} has no text; write one text per line")]
    Empty { path: String },
    #[error("the corpus {path} has {found} texts; at most {MOST_TEXTS} are measured")]
    TooMany { path: String, found: usize },
    #[error(
        "the corpus {path}, line {line}: {found} characters; a text has at most {MOST_CHARACTERS}"
    )]
    TooLong {
        path: String,
        line: usize,
        found: usize,
    },
    #[error("text {number} of the corpus: {error}")]
    Unspeakable { number: usize, error: TextError },
}

impl Corpus {
    /// The built-in texts, in English; the sweep of lengths has `lengths` texts from 1 to 30 seconds, and more up to
    /// `longest` seconds.
    pub fn standard(lengths: usize, longest: u32) -> Self {
        let geometric = |index: usize| {
            let share =
                crate::statistics::float(index) / crate::statistics::float(lengths.max(2) - 1);
            30.0_f64.powf(share)
        };
        let mut seconds: Vec<f64> = (0..lengths).map(geometric).collect();
        let mut long = 60.0;
        while long <= f64::from(longest.min(LONGEST_SECONDS)) {
            seconds.push(long);
            long *= 2.0;
        }
        if f64::from(longest) > 30.0 {
            seconds.push(f64::from(longest.min(LONGEST_SECONDS)));
        }
        seconds.dedup();
        Self {
            id: STANDARD.to_owned(),
            load: TEXTS.map(str::to_owned).to_vec(),
            lengths: seconds.into_iter().map(text_of).collect(),
        }
    }

    /// Texts of a file, one per line; empty lines are skipped.
    ///
    /// # Errors
    /// When it cannot be read, or has no texts or too much of them.
    pub fn read(path: &Path) -> Result<Self, CorpusError> {
        let name = || path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| CorpusError::Unreadable {
            path: name(),
            error,
        })?;
        let mut load = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let found = line.chars().count();
            if found > MOST_CHARACTERS {
                return Err(CorpusError::TooLong {
                    path: name(),
                    line: index + 1,
                    found,
                });
            }
            if !line.trim().is_empty() {
                load.push(line.trim().to_owned());
            }
        }
        match load.len() {
            0 => return Err(CorpusError::Empty { path: name() }),
            found if found > MOST_TEXTS => {
                return Err(CorpusError::TooMany {
                    path: name(),
                    found,
                });
            }
            _ => {}
        }
        let digest = hex(&Sha256::digest(load.join("\n")));
        Ok(Self {
            id: format!("file-{}/{}", load.len(), &digest[..8]),
            load,
            lengths: Vec::new(),
        })
    }

    /// Whether a voice can speak all texts.
    ///
    /// # Errors
    /// When there is one that it cannot.
    pub fn check(&self, voice: &Voice) -> Result<(), CorpusError> {
        for (index, text) in self.all().iter().enumerate() {
            let read = voice.family.read(text, 1.0, voice.costs.pace());
            read.map_err(|error| CorpusError::Unspeakable {
                number: index + 1,
                error,
            })?;
        }
        Ok(())
    }

    /// All texts: those of the load, then those of the lengths.
    pub fn all(&self) -> Vec<String> {
        self.load.iter().chain(&self.lengths).cloned().collect()
    }
}

/// A text that takes about so long to speak.
fn text_of(seconds: f64) -> String {
    let wanted = seconds * PACE;
    let mut text = String::new();
    for sentence in SENTENCES.iter().cycle() {
        let length = crate::statistics::float(text.chars().count());
        let rest = wanted - length;
        // At least one word, and no more than half a sentence too long.
        if !text.is_empty() && rest < crate::statistics::float(sentence.len()) / 2.0 {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(sentence);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{float, mean_and_sd};

    #[test]
    fn the_standard_texts_follow_their_law() {
        let corpus = Corpus::standard(5, 30);
        let seconds: Vec<f64> = corpus
            .load
            .iter()
            .map(|text| float(text.chars().count()) / PACE)
            .collect();
        assert!(seconds.is_sorted(), "{seconds:?}");
        let (mean, sd) = mean_and_sd(&seconds);
        assert!((5.0..7.0).contains(&mean), "{mean}");
        assert!((0.5..0.7).contains(&(sd / mean)), "{}", sd / mean);
        assert_eq!(corpus.lengths.len(), 5);
        let longest = float(corpus.lengths[4].chars().count()) / PACE;
        assert!((27.0..33.0).contains(&longest), "{longest}");
    }

    #[test]
    fn long_form_reaches_what_was_asked_for() {
        let corpus = Corpus::standard(5, 600);
        let longest = float(corpus.lengths.last().unwrap().chars().count()) / PACE;
        assert!((590.0..610.0).contains(&longest), "{longest}");
        assert_eq!(Corpus::standard(5, 601), corpus);
        assert_eq!(corpus.all().len(), 12 + corpus.lengths.len());
    }

    #[test]
    fn a_text_that_cannot_be_spoken_is_named() {
        let location = crate::voices::VoiceLocation::Builtin("rms".to_owned());
        let voice = Voice::read("rms", &location).unwrap();
        let mut corpus = Corpus::standard(5, 600);
        corpus.check(&voice).unwrap();
        for text in ["!!! ???", "a\0b", "Добрый день"] {
            corpus.load[1] = text.to_owned();
            let error = corpus.check(&voice).unwrap_err().to_string();
            assert!(error.starts_with("text 2 of the corpus: "), "{error}");
        }
    }

    #[test]
    fn a_file_has_one_text_per_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("texts");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            Corpus::read(&path)
        };
        assert_eq!(read("one\n\n  two \n").unwrap().load, ["one", "two"]);
        assert!(matches!(read("\n \n"), Err(CorpusError::Empty { .. })));
        assert!(read(&"x\n".repeat(200)).is_ok());
        assert!(matches!(
            read(&"x\n".repeat(201)),
            Err(CorpusError::TooMany { found: 201, .. })
        ));
        assert!(read(&"x".repeat(4096)).is_ok());
        assert!(matches!(
            read(&format!("a\n{}", "x".repeat(4097))),
            Err(CorpusError::TooLong { line: 2, .. })
        ));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(
            Corpus::read(&path),
            Err(CorpusError::Unreadable { .. })
        ));
        assert_ne!(read("a").unwrap().id, read("b").unwrap().id);
    }
}
