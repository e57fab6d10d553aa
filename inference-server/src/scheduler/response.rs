//! A request's audio from samples to bytes.

use super::JobError;
use crate::audio::{Boundary, EncodeError, Encoder, Format, Joiner};

/// The first piece that is encoded has a quarter of a second, and each one twice the length of the last: its bytes leave
/// before the rest is encoded.
const FIRST_PIECES_PER_SECOND: u32 = 4;

/// What becomes of a request's samples.
#[derive(Debug)]
pub struct Response {
    format: Format,
    voice_rate: u32,
    sample_rate: u32,
    /// Made when the service begins.
    encoder: Option<Encoder>,
    joiner: Joiner,
    /// The samples so far, if the audio comes in one piece.
    whole: Option<Vec<f32>>,
    /// Samples at the voice's rate so far, gaps included.
    samples: u64,
    /// Those that were beyond full scale, of an encoder that is no more.
    clipped: u64,
}

/// Encoded audio.
#[derive(Debug)]
pub struct Encoded {
    pub bytes: Vec<u8>,
    /// Duration of the samples that went in.
    pub microseconds: u64,
}

impl Response {
    /// Of a voice at `voice_rate` Hz, encoded at `sample_rate` Hz.
    pub fn new(format: Format, voice_rate: u32, sample_rate: u32) -> Self {
        Self {
            format,
            voice_rate,
            sample_rate,
            encoder: None,
            joiner: Joiner::new(voice_rate),
            whole: None,
            samples: 0,
            clipped: 0,
        }
    }

    /// The audio comes in one piece.
    pub fn set_whole(&mut self) {
        self.whole = Some(Vec::new());
    }

    fn take_encoder(&mut self) -> Result<Encoder, EncodeError> {
        match self.encoder.take() {
            Some(encoder) => Ok(encoder),
            None => Encoder::new(self.format, self.voice_rate, self.sample_rate),
        }
    }

    /// Begins a chunk: encodes the silence before it.
    pub fn begin(
        &mut self,
        boundary: Boundary,
        limit_seconds: u64,
        send: impl FnMut(Encoded) -> bool,
    ) -> Result<(), JobError> {
        let gap = self.joiner.next(boundary);
        self.push(&vec![0.0; gap], limit_seconds, send)
    }

    /// Encodes samples piece by piece, until `send` says that nobody wants more.
    pub fn push(
        &mut self,
        samples: &[f32],
        limit_seconds: u64,
        mut send: impl FnMut(Encoded) -> bool,
    ) -> Result<(), JobError> {
        self.samples += samples.len() as u64;
        if self.samples > limit_seconds * u64::from(self.voice_rate) {
            return Err(JobError::TooLong {
                limit: limit_seconds,
            });
        }
        if let Some(whole) = &mut self.whole {
            whole.extend_from_slice(samples);
            return Ok(());
        }
        let rate = self.voice_rate;
        let encoder = self.take_encoder()?;
        let encoder = self.encoder.insert(encoder);
        let mut piece = (rate / FIRST_PIECES_PER_SECOND).max(1) as usize;
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            let mut bytes = Vec::new();
            encoder.push(now, &mut bytes)?;
            if !bytes.is_empty() && !send(Encoded::new(bytes, now.len(), rate)) {
                return Ok(());
            }
            rest = later;
            piece *= 2;
        }
        Ok(())
    }

    /// Encodes what was held back. Nothing can follow.
    pub fn finish(&mut self) -> Result<Encoded, JobError> {
        let mut encoder = self.take_encoder()?;
        let mut bytes = Vec::new();
        let whole = self.whole.take();
        let samples = whole.as_ref().map_or(0, Vec::len);
        if let Some(whole) = whole {
            (bytes, self.clipped) = encoder.whole(&whole)?;
        } else {
            encoder.finish(&mut bytes)?;
            self.clipped = encoder.clipped();
        }
        Ok(Encoded::new(bytes, samples, self.voice_rate))
    }

    /// Samples so far that were beyond full scale.
    pub fn clipped(&self) -> u64 {
        self.encoder.as_ref().map_or(self.clipped, Encoder::clipped)
    }
}

impl Encoded {
    fn new(bytes: Vec<u8>, samples: usize, rate: u32) -> Self {
        Self {
            bytes,
            microseconds: samples as u64 * 1_000_000 / u64::from(rate.max(1)),
        }
    }
}
