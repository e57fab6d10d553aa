//! Reads an answer as it arrives: how long the audio is, whether it is whole and whether it is audible.

use super::{
    Failure, Format,
    wav::{self, Encoding, Layout},
};

/// Speech has louder samples than this (of 1); noise of a converter or encoder does not.
const LOUDEST_SILENCE: f32 = 0.005;
/// OpenAI's sample rate for `pcm`, whose bytes do not say it.
const PCM_HZ: u32 = 24_000;
/// Characters of an unexpected answer that messages show.
const SHOWN: usize = 200;

/// The audio of one answer, so far.
#[derive(Debug)]
pub(super) struct AudioReader {
    content_type: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The bytes of a header that is incomplete.
    Header(Vec<u8>),
    Samples(Samples),
}

impl AudioReader {
    /// # Errors
    /// When the answer says that it is not what was asked for.
    pub(super) fn new(format: Format, content_type: &str) -> Result<Self, Failure> {
        let stage = match format {
            // Its first bytes say what it is.
            Format::Wav => Stage::Header(Vec::new()),
            Format::Pcm => Stage::Samples(Samples::new(Layout {
                encoding: Encoding::Signed16,
                channels: 1,
                sample_rate: pcm_rate(content_type)?,
                data_bytes: None,
            })),
        };
        Ok(Self {
            content_type: content_type.to_owned(),
            stage,
        })
    }

    /// # Errors
    /// When it is not WAV.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Samples(samples) => samples.push(bytes),
            Stage::Header(header) => {
                header.extend(bytes);
                let found = wav::read_header(header).map_err(|reason| Failure::NotAudio {
                    found: format!("{reason}; {}", describe(&self.content_type, header)),
                })?;
                if let Some((layout, start)) = found {
                    let mut samples = Samples::new(layout);
                    samples.push(&header[start..]);
                    self.stage = Stage::Samples(samples);
                }
            }
        }
        Ok(())
    }

    /// Whether a byte of a sample has arrived: headers are sent before any speech exists.
    pub(super) fn has_audio(&self) -> bool {
        matches!(&self.stage, Stage::Samples(samples) if samples.received > 0)
    }

    /// Audio-seconds of the complete answer.
    ///
    /// # Errors
    /// When it is truncated or silent.
    pub(super) fn finish(self) -> Result<f64, Failure> {
        let samples = match self.stage {
            Stage::Samples(samples) => samples,
            Stage::Header(header) if header.is_empty() => {
                return Err(Failure::NotAudio {
                    found: "it is empty".to_owned(),
                });
            }
            Stage::Header(header) => {
                return Err(Failure::Truncated {
                    cause: format!("it ended in the WAV header, after {} bytes", header.len()),
                });
            }
        };
        samples.finish()
    }
}

#[derive(Debug)]
struct Samples {
    layout: Layout,
    received: u64,
    /// The loudest sample.
    peak: f32,
    /// The first bytes of a sample whose others did not arrive yet.
    begun: Vec<u8>,
}

impl Samples {
    fn new(layout: Layout) -> Self {
        Self {
            layout,
            received: 0,
            peak: 0.0,
            begun: Vec::new(),
        }
    }

    fn push(&mut self, mut bytes: &[u8]) {
        if let Some(size) = self.layout.data_bytes {
            // Other chunks can follow the samples.
            let left = usize::try_from(size.saturating_sub(self.received)).unwrap_or(usize::MAX);
            bytes = &bytes[..bytes.len().min(left)];
        }
        self.received += bytes.len() as u64;
        let size = self.layout.encoding.bytes();
        if !self.begun.is_empty() {
            let (missing, rest) = bytes.split_at(bytes.len().min(size - self.begun.len()));
            self.begun.extend(missing);
            bytes = rest;
            if self.begun.len() < size {
                return;
            }
            let sample = std::mem::take(&mut self.begun);
            self.hear(&sample);
        }
        let samples = bytes.chunks_exact(size);
        self.begun.extend(samples.remainder());
        for sample in samples {
            self.hear(sample);
        }
    }

    fn hear(&mut self, sample: &[u8]) {
        self.peak = self.peak.max(self.layout.encoding.level(sample));
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes of one answer")]
    fn finish(self) -> Result<f64, Failure> {
        if let Some(size) = self.layout.data_bytes
            && self.received < size
        {
            return Err(Failure::Truncated {
                cause: format!(
                    "its WAV header says {size} bytes of samples, but {} were received",
                    self.received
                ),
            });
        }
        if !self
            .received
            .is_multiple_of(self.layout.frame_bytes() as u64)
        {
            return Err(Failure::Truncated {
                cause: format!(
                    "it ended within a sample, after {} bytes of samples",
                    self.received
                ),
            });
        }
        let seconds = self.received as f64 / self.layout.bytes_per_second() as f64;
        if self.peak > LOUDEST_SILENCE {
            Ok(seconds)
        } else {
            Err(Failure::Silent {
                seconds,
                peak: self.peak,
            })
        }
    }
}

/// The sample rate of `pcm`: as the content type says (`audio/pcm; rate=16000`), else OpenAI's.
fn pcm_rate(content_type: &str) -> Result<u32, Failure> {
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    // Servers send samples as audio/pcm, audio/L16, audio/raw, application/octet-stream and others.
    let other = kind.starts_with("text/") || kind == "application/json";
    let encoded = ["mpeg", "mp3", "ogg", "opus", "aac", "flac", "wav"]
        .iter()
        .any(|format| {
            kind.strip_prefix("audio/")
                .is_some_and(|kind| kind.trim_start_matches("x-") == *format)
        });
    if other || encoded {
        return Err(Failure::NotAudio {
            found: format!("pcm was asked for, but the answer is {kind}"),
        });
    }
    let rate = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("rate")
            .then(|| value.trim().trim_matches('"').parse().ok())?
    });
    Ok(rate.filter(|rate| *rate > 0).unwrap_or(PCM_HZ))
}

/// What an answer that cannot be read is, as far as its first bytes tell.
fn describe(content_type: &str, bytes: &[u8]) -> String {
    let kind = match bytes {
        [b'I', b'D', b'3', ..] => "it looks like MP3".to_owned(),
        [0xff, second, ..] if second & 0xf6 == 0xf0 => "it looks like AAC".to_owned(),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => "it looks like MP3".to_owned(),
        [b'O', b'g', b'g', b'S', ..] => "it looks like Ogg (Opus)".to_owned(),
        [b'f', b'L', b'a', b'C', ..] => "it looks like FLAC".to_owned(),
        _ => format!("it begins with {:?}", start(bytes)),
    };
    if content_type.is_empty() {
        kind
    } else {
        format!("its content type is {content_type}, and {kind}")
    }
}

/// The beginning of a body in a message, on one line.
pub(super) fn start(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|character| !character.is_control())
        .take(SHOWN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 16_000;

    /// A header, and 16-bit samples that alternate around silence.
    fn wav(data_bytes: u32, samples: usize, level: i16) -> Vec<u8> {
        let mut wav = wav::header(1, RATE, 16, data_bytes);
        wav.extend(
            [level, -level]
                .iter()
                .cycle()
                .take(samples)
                .flat_map(|sample| sample.to_le_bytes()),
        );
        wav
    }

    fn read(
        format: Format,
        content_type: &str,
        bytes: &[u8],
        chunk: usize,
    ) -> Result<f64, Failure> {
        let mut reader = AudioReader::new(format, content_type)?;
        for chunk in bytes.chunks(chunk) {
            reader.push(chunk)?;
        }
        reader.finish()
    }

    #[test]
    fn the_length_does_not_depend_on_how_the_bytes_are_split() {
        let bytes = wav(u32::MAX, 8000, 3000);
        for chunk in [1, 3, 43, 44, 45, 1000, bytes.len()] {
            assert_eq!(read(Format::Wav, "", &bytes, chunk), Ok(0.5), "{chunk}");
        }
        let float: Vec<u8> = wav::header(2, RATE, 32, u32::MAX)
            .into_iter()
            .chain(
                [0.5_f32; 3200]
                    .iter()
                    .flat_map(|sample| sample.to_le_bytes()),
            )
            .collect();
        assert_eq!(read(Format::Wav, "", &float, 5), Ok(0.1));
    }

    #[test]
    fn the_header_is_not_audio() {
        let bytes = wav(u32::MAX, 1, 3000);
        let mut reader = AudioReader::new(Format::Wav, "").unwrap();
        for byte in &bytes[..44] {
            reader.push(&[*byte]).unwrap();
            assert!(!reader.has_audio());
        }
        reader.push(&bytes[44..45]).unwrap();
        assert!(reader.has_audio());
    }

    #[test]
    fn less_than_the_header_says_is_truncated_and_more_is_not_audio() {
        let whole = wav(16_000, 8000, 3000);
        assert_eq!(read(Format::Wav, "", &whole, 999), Ok(0.5));
        let with_tags = [whole.as_slice(), b"LIST\x04\0\0\0abcd"].concat();
        assert_eq!(read(Format::Wav, "", &with_tags, 999), Ok(0.5));
        for bytes in [
            &whole[..whole.len() - 2],
            &whole[..50],
            &whole[..44],
            &whole[..20],
            &wav(u32::MAX, 8000, 3000)[..1001],
        ] {
            let failure = read(Format::Wav, "", bytes, 999).unwrap_err();
            assert!(matches!(failure, Failure::Truncated { .. }), "{failure}");
        }
    }

    #[test]
    fn silence_is_an_error() {
        for bytes in [wav(u32::MAX, 8000, 100), wav(u32::MAX, 0, 0)] {
            let failure = read(Format::Wav, "", &bytes, 999).unwrap_err();
            assert!(matches!(failure, Failure::Silent { .. }), "{failure}");
        }
        let failure = read(Format::Pcm, "audio/pcm", &[], 999).unwrap_err();
        assert!(matches!(failure, Failure::Silent { .. }), "{failure}");
    }

    #[test]
    fn what_came_instead_of_audio_is_told() {
        for (bytes, told) in [
            (&b"{\"error\":\n \"no such voice\"}"[..], "no such voice"),
            (b"ID3\x04", "MP3"),
            (b"\xff\xfb\x90", "MP3"),
            (b"\xff\xf1\x50", "AAC"),
            (b"OggS", "Ogg"),
            (b"fLaC", "FLAC"),
            (b"", "empty"),
        ] {
            let failure = read(Format::Wav, "", bytes, 999).unwrap_err();
            assert!(matches!(failure, Failure::NotAudio { .. }), "{failure}");
            assert!(failure.to_string().contains(told), "{failure}");
        }
        let failure = read(Format::Wav, "text/html", b"<html>", 999).unwrap_err();
        assert!(failure.to_string().contains("text/html"), "{failure}");
    }

    #[test]
    fn pcm_has_the_rate_of_its_content_type() {
        let samples = [0, 64].repeat(24_000);
        for (content_type, seconds) in [
            ("", 1.0),
            ("audio/pcm", 1.0),
            ("application/octet-stream", 1.0),
            ("audio/pcm; rate=48000", 0.5),
            ("audio/L16;channels=1; Rate=\"12000\"", 2.0),
            ("audio/pcm; rate=0", 1.0),
        ] {
            assert_eq!(
                read(Format::Pcm, content_type, &samples, 7),
                Ok(seconds),
                "{content_type}"
            );
        }
        for content_type in [
            "application/json",
            "text/html; charset=utf-8",
            "audio/mpeg",
            "audio/x-wav",
        ] {
            let failure = read(Format::Pcm, content_type, &samples, 7).unwrap_err();
            assert!(matches!(failure, Failure::NotAudio { .. }), "{failure}");
        }
        let failure = read(Format::Pcm, "", &samples[..47_999], 7).unwrap_err();
        assert!(matches!(failure, Failure::Truncated { .. }), "{failure}");
    }
}
