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
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input)?;
    let samples: Vec<f32> = input
        .chunks_exact(2)
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect();
    let mut encoder = Encoder::new(format, rate, format.rate_for(rate))?;
    let mut out = io::stdout().lock();
    let mut bytes = Vec::new();
    // A second at a time.
    for piece in samples.chunks(rate.try_into()?) {
        encoder.push(piece, &mut bytes)?;
        out.write_all(&bytes)?;
        bytes.clear();
    }
    encoder.finish(&mut bytes)?;
    out.write_all(&bytes)?;
    Ok(())
}
