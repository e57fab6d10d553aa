//! Reads the header of a WAV file or stream.

/// Bytes before the samples that are searched for their beginning; files of editors can have long comments there.
const MAX_HEADER: usize = 64 * 1024;

/// From here on, a size is a placeholder of a stream, whose length was not known: `0xffff_ffff`, or a little less where
/// the header's own size was subtracted.
const UNKNOWN_SIZE: u32 = 0x7fff_0000;

const INTEGER: u16 = 1;
const FLOAT: u16 = 3;
/// The format is in the first two bytes of the sub-format.
const EXTENSIBLE: u16 = 0xfffe;
const SUB_FORMAT: usize = 24;

/// How samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
}

impl Encoding {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Unsigned8 => 1,
            Self::Signed16 => 2,
            Self::Signed24 => 3,
            Self::Signed32 | Self::Float32 => 4,
        }
    }

    /// The distance of a sample from silence, 0 to 1.
    pub(super) fn level(self, sample: &[u8]) -> f32 {
        match (self, sample) {
            (Self::Unsigned8, &[a]) => (f32::from(a) - 128.0).abs() / 128.0,
            (Self::Signed16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])).abs() / 32_768.0,
            // The lower bytes are below what counts as silence.
            (Self::Signed24, &[_, a, b]) | (Self::Signed32, &[_, _, a, b]) => {
                f32::from(i16::from_le_bytes([a, b])).abs() / 32_768.0
            }
            (Self::Float32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).abs(),
            _ => 0.0,
        }
    }
}

/// What a header says of the samples after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) encoding: Encoding,
    pub(super) channels: u16,
    pub(super) sample_rate: u32,
    /// `None` for a stream: the samples go on to the end of the answer.
    pub(super) data_bytes: Option<u64>,
}

impl Layout {
    pub(super) fn bytes_per_second(self) -> u64 {
        self.frame_bytes() as u64 * u64::from(self.sample_rate)
    }

    /// One sample of each channel.
    pub(super) fn frame_bytes(self) -> usize {
        self.encoding.bytes() * usize::from(self.channels)
    }
}

/// The layout and where the samples begin; `None` while the header is incomplete.
///
/// # Errors
/// What was found instead of a header that can be read.
pub(super) fn read_header(bytes: &[u8]) -> Result<Option<(Layout, usize)>, String> {
    let magic = |at: usize, expected: &[u8; 4]| {
        let found = bytes.get(at..).unwrap_or_default();
        let length = found.len().min(4);
        found[..length] == expected[..length]
    };
    if !magic(0, b"RIFF") || !magic(8, b"WAVE") {
        return Err("it does not begin with a WAV header".to_owned());
    }
    let mut format = None;
    let mut at: usize = 12;
    while at <= MAX_HEADER {
        let Some(size) = number(bytes, at + 4) else {
            return Ok(None);
        };
        let content = at + 8;
        if magic(at, b"data") {
            let (encoding, channels, sample_rate) =
                format.ok_or("its WAV header has no format before the samples")?;
            let known = (1..UNKNOWN_SIZE).contains(&size);
            let layout = Layout {
                encoding,
                channels,
                sample_rate,
                data_bytes: known.then_some(u64::from(size)),
            };
            return Ok(Some((layout, content)));
        }
        // Chunks are padded to an even size.
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let end = content.saturating_add(size).saturating_add(size % 2);
        if magic(at, b"fmt ") && end <= MAX_HEADER {
            let Some(chunk) = bytes.get(content..content + size) else {
                return Ok(None);
            };
            format = Some(read_format(chunk)?);
        }
        at = end;
    }
    Err(format!(
        "its WAV header has no samples in the first {MAX_HEADER} bytes"
    ))
}

fn read_format(chunk: &[u8]) -> Result<(Encoding, u16, u32), String> {
    let short = |at: usize| {
        let bytes = chunk.get(at..at + 2)?;
        bytes.try_into().ok().map(u16::from_le_bytes)
    };
    let (Some(tag), Some(channels), Some(sample_rate), Some(bits)) =
        (short(0), short(2), number(chunk, 4), short(14))
    else {
        return Err("its WAV header is too short".to_owned());
    };
    let tag = if tag == EXTENSIBLE {
        short(SUB_FORMAT).unwrap_or(tag)
    } else {
        tag
    };
    let encoding = match (tag, bits) {
        (INTEGER, 8) => Encoding::Unsigned8,
        (INTEGER, 16) => Encoding::Signed16,
        (INTEGER, 24) => Encoding::Signed24,
        (INTEGER, 32) => Encoding::Signed32,
        (FLOAT, 32) => Encoding::Float32,
        _ => {
            return Err(format!(
                "WAV of format {tag} with {bits} bits is not supported, only PCM and 32-bit float"
            ));
        }
    };
    if channels == 0 || sample_rate == 0 {
        return Err(format!(
            "its WAV header says {channels} channels at {sample_rate} Hz"
        ));
    }
    Ok((encoding, channels, sample_rate))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// A header, for tests: integers, or floats at 32 bits.
#[cfg(test)]
pub(super) fn header(channels: u16, rate: u32, bits: u16, data_bytes: u32) -> Vec<u8> {
    let mut header = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0".to_vec();
    header.extend(if bits == 32 { FLOAT } else { INTEGER }.to_le_bytes());
    header.extend(channels.to_le_bytes());
    header.extend(rate.to_le_bytes());
    let frame = channels * bits / 8;
    header.extend((rate * u32::from(frame)).to_le_bytes());
    header.extend(frame.to_le_bytes());
    header.extend(bits.to_le_bytes());
    header.extend(b"data");
    header.extend(data_bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_list(content: &[u8]) -> Vec<u8> {
        let mut bytes = header(1, 22_050, 16, 4);
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let mut chunk = [b"LIST", size.as_slice(), content].concat();
        chunk.resize(chunk.len() + content.len() % 2, 0);
        bytes.splice(36..36, chunk);
        bytes
    }

    #[test]
    fn a_header_is_read_as_soon_as_it_is_complete() {
        let bytes = header(2, 24_000, 24, 600);
        for length in 0..bytes.len() {
            assert_eq!(read_header(&bytes[..length]), Ok(None), "{length}");
        }
        let (layout, start) = read_header(&bytes).unwrap().unwrap();
        assert_eq!(start, 44);
        assert_eq!(layout.encoding, Encoding::Signed24);
        assert_eq!((layout.channels, layout.sample_rate), (2, 24_000));
        assert_eq!(layout.data_bytes, Some(600));
        assert_eq!(layout.bytes_per_second(), 144_000);
    }

    #[test]
    fn our_own_headers_are_read() {
        let encoder = || crate::audio::Encoder::new(crate::audio::Format::Wav, 22_050, 22_050);
        let whole = encoder().unwrap().whole(&[0.5; 10]).unwrap().0;
        let mut stream = Vec::new();
        encoder().unwrap().push(&[0.5; 10], &mut stream).unwrap();
        for (bytes, size) in [(whole, Some(20)), (stream, None)] {
            let (layout, start) = read_header(&bytes).unwrap().unwrap();
            assert_eq!((start, layout.data_bytes), (44, size));
            assert_eq!(layout.sample_rate, 22_050);
        }
    }

    #[test]
    fn sizes_of_streams_are_unknown() {
        for size in [u32::MAX, u32::MAX - 44, 0x7fff_ffff, 0x7fff_ffff - 36, 0] {
            let (layout, _) = read_header(&header(1, 24_000, 16, size)).unwrap().unwrap();
            assert_eq!(layout.data_bytes, None, "{size:x}");
        }
    }

    #[test]
    fn other_chunks_are_skipped() {
        for length in [0, 1, 2, 26] {
            let bytes = with_list(&vec![7; length]);
            let (_, start) = read_header(&bytes).unwrap().unwrap();
            assert_eq!(start, bytes.len(), "{length}");
        }
        let long = with_list(&vec![7; MAX_HEADER]);
        assert!(read_header(&long).is_err());
    }

    #[test]
    fn extensible_headers_name_the_format_elsewhere() {
        let mut format = EXTENSIBLE.to_le_bytes().to_vec();
        format.extend(&header(1, 48_000, 32, 0)[22..36]);
        format.extend([22, 0, 32, 0, 0, 0, 0, 0]);
        format.extend(FLOAT.to_le_bytes());
        format.resize(40, 0);
        assert_eq!(read_format(&format), Ok((Encoding::Float32, 1, 48_000)));
    }

    #[test]
    fn what_is_not_wav_is_told_from_its_first_bytes() {
        assert!(read_header(b"{").is_err());
        assert!(read_header(b"RIFFxxxxAVI ").is_err());
        let mut alaw = header(1, 8000, 8, 4);
        alaw[20] = 6;
        assert!(read_header(&alaw).unwrap_err().contains("format 6"));
        assert!(read_header(&header(0, 8000, 16, 4)).is_err());
        let mut without_format = header(1, 8000, 16, 4);
        without_format.drain(12..36);
        assert!(read_header(&without_format).is_err());
    }

    #[test]
    fn levels_of_all_encodings() {
        for (encoding, half) in [
            (Encoding::Unsigned8, vec![64]),
            (Encoding::Signed16, (-16_384_i16).to_le_bytes().to_vec()),
            (Encoding::Signed24, vec![0, 0, 0x40]),
            (Encoding::Signed32, i32::to_le_bytes(1 << 30).to_vec()),
            (Encoding::Float32, (-0.5_f32).to_le_bytes().to_vec()),
        ] {
            assert_eq!(half.len(), encoding.bytes());
            assert!((encoding.level(&half) - 0.5).abs() < 1e-6, "{encoding:?}");
        }
    }
}
