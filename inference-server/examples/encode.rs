//! Encodes raw samples as the server does, for benches/encoders.py:
//! `encode FORMAT SAMPLE_RATE < samples > audio`; samples are 16 bit, little endian, one channel.

use std::{
    error::Error,
    io::{self, Read as _, Write as _},
};

use tts_server::audio::{Encoder, Format};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(format), Some(rate)) = (arguments.next(), arguments.next()) else {
        return Err("usage: encode FORMAT SAMPLE_RATE < samples > audio".into());
    };
    let format = Format::named(&format).ok_or("no such format")?;
    let rate = rate.parse()?;
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let samples: Vec<f32> = bytes
        .chunks_exact(2)
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect();
    let mut encoder = Encoder::new(format, rate, format.rate_for(rate))?;
    let mut out = io::stdout().lock();
    let mut encoded = Vec::new();
    // A second at a time.
    for piece in samples.chunks(rate.try_into()?) {
        encoder.push(piece, &mut encoded)?;
        out.write_all(&encoded)?;
        encoded.clear();
    }
    encoder.finish(&mut encoded)?;
    out.write_all(&encoded)?;
    Ok(())
}
