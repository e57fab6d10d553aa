//! One encoder for all formats: any number of samples in, bytes out, in order, nothing to patch afterwards.

use super::{Format, aac::Aac, flac::Flac, mp3::Mp3, opus::Opus, resample::Resampler, wav};

/// Why audio cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("{sample_rate} Hz is not a sample rate of this format")]
    SampleRate { sample_rate: u32 },
    #[error("mp3: {0}")]
    Mp3(#[from] rusty_mp3::Error),
    #[error("opus: {0}")]
    Opus(#[from] opus_pure::Error),
    #[error("aac: {0}")]
    Aac(#[from] syom::AacError),
    #[error("flac: {0}")]
    Flac(#[from] flac_codec::Error),
}

/// Bytes per sample of `wav` and `pcm`.
const BYTES_PER_SAMPLE: usize = 2;

enum Inner {
    Mp3(Box<Mp3>),
    Opus(Box<Opus>),
    Aac(Box<Aac>),
    Flac(Box<Flac>),
    Wav { started: bool },
    Pcm,
}

/// Encodes the audio of one response.
pub struct Encoder {
    inner: Inner,
    sample_rate: u32,
    resampler: Resampler,
    /// Samples at the response's rate.
    samples: Vec<f32>,
    clipped: u64,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Encoder")
            .field("sample_rate", &self.sample_rate)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder of samples at `input` Hz to a format at `output` Hz.
    ///
    /// # Errors
    /// When the format does not have that sample rate.
    pub fn new(format: Format, input: u32, output: u32) -> Result<Self, EncodeError> {
        let inner = match format {
            Format::Mp3 => Inner::Mp3(Box::new(Mp3::new(output)?)),
            Format::Opus => Inner::Opus(Box::new(Opus::new(output)?)),
            Format::Aac => Inner::Aac(Box::new(Aac::new(output)?)),
            Format::Flac => Inner::Flac(Box::new(Flac::new(output))),
            Format::Wav => Inner::Wav { started: false },
            Format::Pcm => Inner::Pcm,
        };
        Ok(Self {
            inner,
            sample_rate: output,
            resampler: Resampler::new(input, output),
            samples: Vec::new(),
            clipped: 0,
        })
    }

    /// Samples of the input that were beyond full scale.
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// Encodes samples; what comes out may be less or nothing yet.
    ///
    /// # Errors
    /// When the encoder fails; the stream cannot go on then.
    pub fn push(&mut self, input: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.resample(input);
        self.encode(out)?;
        if let Inner::Mp3(encoder) = &mut self.inner {
            encoder.take(out)?;
        }
        Ok(())
    }

    /// Encodes what was held back.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.samples.clear();
        self.resampler.finish(&mut self.samples);
        self.clamp();
        self.encode(out)?;
        match &mut self.inner {
            Inner::Mp3(encoder) => {
                encoder.finish();
                encoder.take(out)
            }
            Inner::Opus(encoder) => encoder.finish(out),
            Inner::Aac(encoder) => encoder.finish(out),
            Inner::Flac(encoder) => encoder.finish(out),
            Inner::Wav { .. } | Inner::Pcm => Ok(()),
        }
    }

    /// Encodes a response in one piece. Its length is then known to the formats that can say it: `wav`, and `mp3`, whose
    /// decoders cut the silence at both ends.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn whole(mut self, input: &[f32]) -> Result<(Vec<u8>, u64), EncodeError> {
        let mut out = Vec::new();
        self.resample(input);
        match &mut self.inner {
            // Nothing is taken before the end.
            Inner::Mp3(encoder) => encoder.push(&self.samples)?,
            Inner::Wav { started } => {
                *started = true;
                self.resampler.finish(&mut self.samples);
                self.clamp();
                let bytes = u32::try_from(self.samples.len() * BYTES_PER_SAMPLE).ok();
                wav::header(self.sample_rate, bytes, &mut out);
                pcm(&self.samples, &mut out);
                return Ok((out, self.clipped));
            }
            _ => self.encode(&mut out)?,
        }
        self.finish(&mut out)?;
        Ok((out, self.clipped))
    }

    fn resample(&mut self, input: &[f32]) {
        self.clipped += input.iter().filter(|sample| sample.abs() > 1.0).count() as u64;
        self.samples.clear();
        self.resampler.push(input, &mut self.samples);
        self.clamp();
    }

    /// Each encoder has its own idea of 1.01: an error, noise, a clipped sample. A resampler overshoots.
    fn clamp(&mut self) {
        for sample in &mut self.samples {
            *sample = sample.clamp(-1.0, 1.0);
        }
    }

    fn encode(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let samples = &self.samples[..];
        match &mut self.inner {
            Inner::Mp3(encoder) => encoder.push(samples)?,
            Inner::Opus(encoder) => encoder.push(samples, out)?,
            Inner::Aac(encoder) => encoder.push(samples, out)?,
            Inner::Flac(encoder) => encoder.push(samples, out)?,
            Inner::Wav { started } => {
                if !std::mem::replace(started, true) {
                    wav::header(self.sample_rate, None, out);
                }
                pcm(samples, out);
            }
            Inner::Pcm => pcm(samples, out),
        }
        Ok(())
    }
}

/// The one rounding for `pcm`, `wav` and `flac`: a reader that divides by 32768 gets what was written.
pub(super) fn sample16(sample: f32) -> i16 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates"
    )]
    let value = (sample * 32_768.0).round() as i16;
    value
}

fn pcm(samples: &[f32], out: &mut Vec<u8>) {
    out.reserve(samples.len() * BYTES_PER_SAMPLE);
    for sample in samples {
        out.extend(sample16(*sample).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VOICE_HZ: u32 = 22_050;

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a short test tone"
    )]
    fn tone(samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|index| {
                let time = index as f64 / f64::from(VOICE_HZ);
                (std::f64::consts::TAU * 440.0 * time).sin() as f32 * 0.5
            })
            .collect()
    }

    fn encoder(format: Format) -> Encoder {
        Encoder::new(format, VOICE_HZ, format.rate_for(VOICE_HZ)).unwrap()
    }

    fn stream(format: Format, input: &[f32], piece: usize) -> Vec<u8> {
        let mut encoder = encoder(format);
        let mut out = Vec::new();
        for samples in input.chunks(piece) {
            encoder.push(samples, &mut out).unwrap();
        }
        encoder.finish(&mut out).unwrap();
        out
    }

    #[test]
    fn every_format_has_its_signature_and_takes_pieces_of_any_size() {
        let input = tone(30_000);
        for (format, signature) in [
            (Format::Mp3, &[0xff, 0xf3][..]),
            (Format::Opus, b"OggS"),
            (Format::Aac, &[0xff, 0xf1]),
            (Format::Flac, b"fLaC"),
            (Format::Wav, b"RIFF"),
            (Format::Pcm, b""),
        ] {
            let whole = stream(format, &input, input.len());
            assert!(
                whole.starts_with(signature),
                "{format:?} {:x?}",
                &whole[..4]
            );
            assert_eq!(stream(format, &input, 441), whole, "{format:?}");
            assert!(
                !stream(format, &[], 1).is_empty() || matches!(format, Format::Pcm | Format::Aac)
            );
        }
    }

    #[test]
    fn first_bytes_leave_within_a_frame_and_its_lookahead() {
        let input = tone(VOICE_HZ as usize);
        for (format, milliseconds) in [
            (Format::Mp3, 60),
            (Format::Opus, 30),
            (Format::Aac, 100),
            (Format::Flac, 70),
            (Format::Wav, 10),
            (Format::Pcm, 10),
        ] {
            let mut encoder = encoder(format);
            let mut out = Vec::new();
            let mut silent = 0;
            let mut header = None;
            for samples in input.chunks(VOICE_HZ as usize / 1000) {
                encoder.push(samples, &mut out).unwrap();
                // The first push may give what stands before any audio.
                let header = *header.get_or_insert(out.len());
                if out.len() > header {
                    break;
                }
                silent += 1;
            }
            assert!(silent <= milliseconds, "{format:?}: {silent} ms");
        }
    }

    #[test]
    fn a_whole_answer_says_its_length() {
        let input = tone(1000);
        let (wav, _) = encoder(Format::Wav).whole(&input).unwrap();
        assert_eq!(wav.len(), 44 + 2000);
        assert_eq!(wav[4..8], 2036_u32.to_le_bytes());
        assert_eq!(wav[40..44], 2000_u32.to_le_bytes());
        assert_eq!(wav[24..28], VOICE_HZ.to_le_bytes());
        let streamed = stream(Format::Wav, &input, 10);
        assert_eq!(streamed[4..8], [0xff; 4]);
        assert_eq!(streamed[44..], wav[44..]);
    }

    #[test]
    fn samples_beyond_full_scale_are_clipped_and_counted() {
        let encoder = Encoder::new(Format::Pcm, 16_000, 16_000).unwrap();
        let (bytes, clipped) = encoder.whole(&[0.0, 1.0, -1.0, 2.0, -3.0, 0.5]).unwrap();
        let values: Vec<_> = bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert_eq!(values, [0, 32_767, -32_768, 32_767, -32_768, 16_384]);
        assert_eq!(clipped, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Noise, silence and clipping in pieces of any size, at each voice's rate.
        #[test]
        fn no_input_breaks_an_encoder(
            samples in proptest::collection::vec(-2.0_f32..2.0, 0..6000),
            piece in 1_usize..3000,
            voice in proptest::sample::select(vec![8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]),
        ) {
            for format in Format::all() {
                let mut encoder = Encoder::new(format, voice, format.rate_for(voice)).unwrap();
                let mut out = Vec::new();
                for samples in samples.chunks(piece) {
                    encoder.push(samples, &mut out).unwrap();
                }
                encoder.finish(&mut out).unwrap();
                let encoder = Encoder::new(format, voice, format.rate_for(voice)).unwrap();
                encoder.whole(&samples).unwrap();
            }
        }
    }
}
