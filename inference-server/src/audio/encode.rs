//! WAV and PCM: 16 bit, little endian, one channel.

use std::fmt;

/// A response format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Wav,
    /// Samples without a header.
    Pcm,
}

impl Format {
    /// Supported formats, for messages.
    pub const NAMES: &str = "wav, pcm";

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "wav" => Some(Self::Wav),
            "pcm" => Some(Self::Pcm),
            _ => None,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Wav => "wav",
            Self::Pcm => "pcm",
        })
    }
}

const BYTES_PER_SAMPLE: u32 = 2;

/// A WAV header for this many bytes of samples; `None` for a stream, whose length is not known yet.
///
/// Sizes of a stream are `0xffff_ffff`, which players and libraries take as "until the data ends" (`FFmpeg` writes and
/// reads it so).
pub fn wav_header(sample_rate: u32, data_bytes: Option<u32>) -> [u8; 44] {
    let mut header = [0; 44];
    let mut place = 0;
    let mut put = |bytes: &[u8]| {
        header[place..place + bytes.len()].copy_from_slice(bytes);
        place += bytes.len();
    };
    put(b"RIFF");
    put(&data_bytes
        .map_or(u32::MAX, |bytes| bytes.saturating_add(36))
        .to_le_bytes());
    put(b"WAVEfmt ");
    put(&16_u32.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&sample_rate.to_le_bytes());
    put(&(sample_rate * BYTES_PER_SAMPLE).to_le_bytes());
    put(&2_u16.to_le_bytes());
    put(&16_u16.to_le_bytes());
    put(b"data");
    put(&data_bytes.unwrap_or(u32::MAX).to_le_bytes());
    header
}

/// Samples as 16-bit integers, clipped to full scale.
pub fn pcm16(samples: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(samples.len() * 2);
    for sample in samples {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "clamped to the range of i16"
        )]
        let value = (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16;
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// A complete WAV file with these sample bytes.
pub fn wav(sample_rate: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).ok();
    let mut file = wav_header(sample_rate, length).to_vec();
    file.extend_from_slice(data);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_what_follows() {
        let file = wav(16_000, &pcm16(&[0.0, 1.0, -1.0, 2.0]));
        assert_eq!(file.len(), 52);
        assert_eq!(file[4..8], 44_u32.to_le_bytes());
        assert_eq!(file[24..28], 16_000_u32.to_le_bytes());
        assert_eq!(file[28..32], 32_000_u32.to_le_bytes());
        assert_eq!(file[40..44], 8_u32.to_le_bytes());
        assert_eq!(file[44..], [0, 0, 0xff, 0x7f, 0x01, 0x80, 0xff, 0x7f]);
    }

    #[test]
    fn a_stream_of_unknown_length_says_so() {
        let header = wav_header(22_050, None);
        assert_eq!(
            (&header[4..8], &header[40..44]),
            (&[0xff; 4][..], &[0xff; 4][..])
        );
    }
}
