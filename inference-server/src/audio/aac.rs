//! AAC-LC in ADTS.

use syom::{EncodeOptions, Encoder};

use super::EncodeError;

const BITS_PER_SECOND: u32 = 96_000;

/// ADTS cannot say the encoder's delay: what a decoder gives begins with 1024 samples of silence.
pub struct Aac {
    encoder: Encoder,
    is_empty: bool,
}

impl Aac {
    pub fn new(sample_rate: u32) -> Result<Self, EncodeError> {
        let options = EncodeOptions::adts()
            .with_bitrate_bps(BITS_PER_SECOND)
            .with_lookahead(true);
        Ok(Self {
            encoder: Encoder::new(sample_rate, 1, &options)?,
            is_empty: true,
        })
    }

    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.is_empty &= samples.is_empty();
        self.encoder.feed(&[samples], |frame| {
            out.extend_from_slice(frame.au);
            Ok(())
        })?;
        Ok(())
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        // The encoder takes no samples at all for an error.
        if self.is_empty {
            return Ok(());
        }
        self.encoder.finish(|frame| {
            out.extend_from_slice(frame.au);
            Ok(())
        })?;
        Ok(())
    }
}
