//! Opus in Ogg.

use opus_pure::{Application, MAX_PACKET_BYTES, OpusEncoder};

use super::EncodeError;

const BITS_PER_SECOND: i32 = 64_000;
/// From 7 on the encoder analyses the sound, which costs four times as much.
const COMPLEXITY: i32 = 6;
/// The rate in which Ogg Opus counts, whatever the rate of the input.
const CLOCK_HZ: u32 = 48_000;
/// Ticks of the clock per packet: 20 ms.
const PACKET: u64 = 960;
const PACKETS_PER_SECOND: u32 = 50;
/// A page costs 28 bytes. The first packet gets one of its own, then five share one.
const PACKETS_PER_PAGE: u64 = 5;

/// Pre-skip and the last page's position make the decoded length exact, streamed or not
/// (<https://www.rfc-editor.org/rfc/rfc7845#section-4>).
pub struct Opus {
    encoder: OpusEncoder,
    sample_rate: u32,
    pre_skip: u16,
    pending: Vec<f32>,
    /// Input samples.
    samples: u64,
    /// Ticks of the clock.
    position: u64,
    page: Page,
    started: bool,
    packet: Vec<u8>,
}

impl Opus {
    pub fn new(sample_rate: u32) -> Result<Self, EncodeError> {
        let rate = sample_rate
            .try_into()
            .map_err(|_| EncodeError::SampleRate { sample_rate })?;
        let mut encoder = OpusEncoder::new(rate, 1, Application::Audio)?;
        encoder.bitrate_bps = BITS_PER_SECOND;
        encoder.complexity = COMPLEXITY;
        let lookahead = u32::try_from(encoder.lookahead()).unwrap_or_default();
        let pre_skip = lookahead * (CLOCK_HZ / sample_rate);
        Ok(Self {
            encoder,
            sample_rate,
            pre_skip: u16::try_from(pre_skip).unwrap_or(u16::MAX),
            pending: Vec::new(),
            samples: 0,
            position: 0,
            page: Page::default(),
            started: false,
            packet: vec![0; MAX_PACKET_BYTES],
        })
    }

    fn samples_per_packet(&self) -> usize {
        (self.sample_rate / PACKETS_PER_SECOND) as usize
    }

    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.start(out);
        self.samples += samples.len() as u64;
        self.pending.extend_from_slice(samples);
        let pending = std::mem::take(&mut self.pending);
        let mut packets = pending.chunks_exact(self.samples_per_packet());
        for samples in packets.by_ref() {
            self.packet(samples)?;
            if self.position / PACKET % PACKETS_PER_PAGE == 1 {
                self.page.write(Flags::None, self.position, out);
            }
        }
        self.pending = packets.remainder().to_vec();
        Ok(())
    }

    /// There is always a last packet to write: the encoder holds back the pre-skip.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.start(out);
        let end = u64::from(self.pre_skip) + self.samples * u64::from(CLOCK_HZ / self.sample_rate);
        while self.position < end {
            let mut samples = std::mem::take(&mut self.pending);
            samples.resize(self.samples_per_packet(), 0.0);
            self.packet(&samples)?;
        }
        self.page.write(Flags::Last, end, out);
        Ok(())
    }

    fn packet(&mut self, samples: &[f32]) -> Result<(), EncodeError> {
        let length = self
            .encoder
            .encode(samples, samples.len(), &mut self.packet)?;
        self.page.add(&self.packet[..length]);
        self.position += PACKET;
        Ok(())
    }

    /// The two header pages: <https://www.rfc-editor.org/rfc/rfc7845#section-5>.
    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        // Version 1, one channel.
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend(self.pre_skip.to_le_bytes());
        head.extend(self.sample_rate.to_le_bytes());
        // No gain, channel mapping family 0.
        head.extend([0; 3]);
        self.page.add(&head);
        self.page.write(Flags::First, 0, out);
        self.page.add(b"OpusTags\x0a\0\0\0tts-server\0\0\0\0");
        self.page.write(Flags::None, 0, out);
    }
}

#[derive(Clone, Copy)]
enum Flags {
    None = 0,
    First = 2,
    Last = 4,
}

/// A page of Ogg: <https://www.rfc-editor.org/rfc/rfc3533#section-6>.
#[derive(Default)]
struct Page {
    number: u32,
    lacing: Vec<u8>,
    body: Vec<u8>,
}

impl Page {
    fn add(&mut self, packet: &[u8]) {
        let mut left = packet.len();
        while left >= 255 {
            self.lacing.push(255);
            left -= 255;
        }
        self.lacing.push(u8::try_from(left).unwrap_or_default());
        self.body.extend_from_slice(packet);
    }

    fn write(&mut self, flags: Flags, position: u64, out: &mut Vec<u8>) {
        /// Place of the checksum.
        const CHECKSUM: usize = 22;
        let start = out.len();
        out.extend(b"OggS\0");
        out.push(flags as u8);
        out.extend(position.to_le_bytes());
        // One stream.
        out.extend(1_u32.to_le_bytes());
        out.extend(self.number.to_le_bytes());
        out.extend([0; 4]);
        // At most 5 packets of at most 6 segments.
        out.push(u8::try_from(self.lacing.len()).unwrap_or(u8::MAX));
        out.append(&mut self.lacing);
        out.append(&mut self.body);
        let sum = checksum(&out[start..]);
        out[start + CHECKSUM..start + CHECKSUM + 4].copy_from_slice(&sum.to_le_bytes());
        self.number += 1;
    }
}

/// CRC-32 with the polynomial 0x04c11db7, neither reflected nor inverted.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum: u32, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << 24), |sum, _| {
            if sum >> 31 == 1 {
                (sum << 1) ^ 0x04c1_1db7
            } else {
                sum << 1
            }
        })
    })
}
