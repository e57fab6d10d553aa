//! MP3 at a constant bit rate.

use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};

use super::EncodeError;

const KILOBITS_PER_SECOND: u32 = 128;
/// The most that 8 kHz allows.
const KILOBITS_PER_SECOND_AT_8_KHZ: u32 = 64;

/// The first packet is an Info frame that says the encoder's delay, so that players drop it. Its counts are only known at the
/// end: audio that is finished before anything is taken gets them, a stream ends with less than a frame of silence.
pub struct Mp3 {
    encoder: Mp3Encoder,
    sample_rate: u32,
}

impl Mp3 {
    pub fn new(sample_rate: u32) -> Result<Self, EncodeError> {
        let bitrate_kbps = match sample_rate {
            8_000 => KILOBITS_PER_SECOND_AT_8_KHZ,
            _ => KILOBITS_PER_SECOND,
        };
        let mut encoder = Mp3Encoder::new(Mp3EncoderConfig {
            bitrate_kbps,
            vbr_quality: None,
        });
        encoder.push_pcm_f32(&[], 1, sample_rate)?;
        Ok(Self {
            encoder,
            sample_rate,
        })
    }

    pub fn push(&mut self, samples: &[f32]) -> Result<(), EncodeError> {
        self.encoder.push_pcm_f32(samples, 1, self.sample_rate)?;
        Ok(())
    }

    pub fn finish(&mut self) {
        self.encoder.finish();
    }

    /// Takes the packets that are ready.
    pub fn take(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        loop {
            match self.encoder.next_packet() {
                Ok(packet) => out.extend(packet),
                Err(rusty_mp3::Error::Again | rusty_mp3::Error::Eof) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
