//! FLAC: 16 bit, one channel.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use flac_codec::encode::{FlacStreamWriter, Options};

use super::{EncodeError, encoder::sample16};

/// Samples per block; the last one may be shorter.
const BLOCK: u16 = 1024;
const BITS_PER_SAMPLE: u8 = 16;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The writer gives frames only; a STREAMINFO of unknown length and checksum before them makes it a stream that decoders
/// accept.
pub struct Flac {
    writer: FlacStreamWriter<Sink>,
    sink: Sink,
    sample_rate: u32,
    pending: Vec<i32>,
    started: bool,
}

impl Flac {
    pub fn new(sample_rate: u32) -> Self {
        let sink = Sink::default();
        Self {
            writer: FlacStreamWriter::new(sink.clone(), Options::default()),
            sink,
            sample_rate,
            pending: Vec::new(),
            started: false,
        }
    }

    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.start(out);
        self.pending
            .extend(samples.iter().map(|sample| i32::from(sample16(*sample))));
        let block = usize::from(BLOCK);
        let whole = self.pending.len() / block * block;
        let blocks: Vec<i32> = self.pending.drain(..whole).collect();
        for samples in blocks.chunks(block) {
            self.write(samples)?;
        }
        self.take(out);
        Ok(())
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.start(out);
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.write(&rest)?;
        }
        self.take(out);
        Ok(())
    }

    fn write(&mut self, samples: &[i32]) -> Result<(), EncodeError> {
        self.writer
            .write(self.sample_rate, 1, BITS_PER_SAMPLE.into(), samples)?;
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.sink.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The stream marker and STREAMINFO: <https://www.rfc-editor.org/rfc/rfc9639#section-8.2>.
    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        out.extend(b"fLaC\x80\0\0\x22");
        out.extend(BLOCK.to_be_bytes());
        out.extend(BLOCK.to_be_bytes());
        // Smallest and largest frame: unknown.
        out.extend([0; 6]);
        // 20 bits sample rate, 3 bits channels - 1, 5 bits bits per sample - 1, 36 bits samples (0: unknown).
        let rate = u64::from(self.sample_rate) << 44;
        let bits = u64::from(BITS_PER_SAMPLE - 1) << 36;
        out.extend((rate | bits).to_be_bytes());
        // No MD5 of the samples.
        out.extend([0; 16]);
    }
}
