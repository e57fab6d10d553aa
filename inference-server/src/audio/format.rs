//! Response formats, and the sample rate that each is encoded at.

use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

/// A response format of OpenAI's API.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    EnumIter,
    IntoStaticStr,
    clap::ValueEnum,
    utoipa::ToSchema,
)]
#[schema(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Format {
    Mp3,
    Opus,
    Aac,
    Flac,
    Wav,
    /// Samples without a header: 16 bit, little endian, one channel.
    Pcm,
}

/// OpenAI's sample rate for `pcm`, whose bytes do not say it.
const OPENAI_PCM_HZ: u32 = 24_000;

impl Format {
    /// All formats, in OpenAI's order.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// The name in requests; also the ending of files.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|format| format.name() == name)
    }

    /// The media type of a response.
    pub fn content_type(self, sample_rate: u32) -> String {
        match self {
            Self::Mp3 => "audio/mpeg".to_owned(),
            Self::Opus => "audio/ogg; codecs=opus".to_owned(),
            Self::Aac => "audio/aac".to_owned(),
            Self::Flac => "audio/flac".to_owned(),
            Self::Wav => "audio/wav".to_owned(),
            Self::Pcm => format!("audio/pcm; rate={sample_rate}"),
        }
    }

    /// Whether a request may choose the sample rate: the formats without loss.
    pub fn takes_any_rate(self) -> bool {
        matches!(self, Self::Flac | Self::Wav | Self::Pcm)
    }

    /// The sample rate in Hz to encode a voice of this rate at: its own where the format has it.
    pub fn rate_for(self, voice: u32) -> u32 {
        match self {
            Self::Wav | Self::Flac => voice,
            Self::Pcm => OPENAI_PCM_HZ,
            // Opus has no 22.05 and 44.1 kHz.
            Self::Opus => match voice {
                8_000 | 16_000 | 24_000 | 48_000 => voice,
                0..16_000 => 16_000,
                16_000..24_000 => 24_000,
                _ => 48_000,
            },
            // Above 24 kHz the encoder gives nothing before the end: its bit reservoir.
            Self::Mp3 => match voice {
                8_000 | 16_000 | 22_050 | 24_000 => voice,
                _ => 24_000,
            },
            // At the highest bit rate that lower sample rates allow, the encoder's sound breaks.
            Self::Aac => 24_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_openais() {
        let names: Vec<_> = Format::all().map(Format::name).collect();
        assert_eq!(names, ["mp3", "opus", "aac", "flac", "wav", "pcm"]);
        assert!(Format::all().all(|format| Format::named(format.name()) == Some(format)));
        assert_eq!(Format::named("midi"), None);
    }
}
