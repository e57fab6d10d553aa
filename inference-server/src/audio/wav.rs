//! WAV: 16 bit, little endian, one channel.

const BYTES_PER_SAMPLE: u32 = 2;

/// A header for this many bytes of samples; `None` for a stream, whose length is not known yet.
///
/// Sizes of a stream are `0xffff_ffff`, which players and libraries take as "until the data ends" (`FFmpeg` writes and
/// reads it so).
pub fn header(sample_rate: u32, data_bytes: Option<u32>, out: &mut Vec<u8>) {
    out.extend(b"RIFF");
    out.extend(
        data_bytes
            .map_or(u32::MAX, |bytes| bytes.saturating_add(36))
            .to_le_bytes(),
    );
    out.extend(b"WAVEfmt ");
    out.extend(16_u32.to_le_bytes());
    out.extend(1_u16.to_le_bytes());
    out.extend(1_u16.to_le_bytes());
    out.extend(sample_rate.to_le_bytes());
    out.extend((sample_rate * BYTES_PER_SAMPLE).to_le_bytes());
    out.extend(2_u16.to_le_bytes());
    out.extend(16_u16.to_le_bytes());
    out.extend(b"data");
    out.extend(data_bytes.unwrap_or(u32::MAX).to_le_bytes());
}
