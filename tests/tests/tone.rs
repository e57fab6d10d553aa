//! A voice that says a tone: what comes out has its pitch, at every sample rate and over the ends of runs.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::f64::consts::TAU;

use serde_json::{Value, json};
use tts_tests::{
    Server,
    graph::{Graph, Node, Tensor},
    speech,
    voices::write_voice,
};

const PITCH: f64 = 440.0;
const LEVEL: f64 = 0.8;
const SAMPLES_PER_SYMBOL: i64 = 1024;
/// A streamed answer of a run per sentence.
const SENTENCES: usize = 4;

/// A voice of this sample rate whose every run is a sine from its beginning, whatever the symbols are.
fn tone(rate: u32) -> Graph {
    Graph::piper()
        .constant("first", &Tensor::int(0))
        .constant("one", &Tensor::int(1))
        .constant("per_symbol", &Tensor::int(SAMPLES_PER_SYMBOL))
        .constant("step", &Tensor::double(TAU * PITCH / f64::from(rate)))
        .constant("level", &Tensor::double(LEVEL))
        .constant("shape", &Tensor::ints(&[4], &[1, 1, 1, -1]))
        .apply("Shape", &["input"], "size")
        .apply("Gather", &["size", "one"], "symbols")
        .apply("Mul", &["symbols", "per_symbol"], "samples")
        .apply("Range", &["first", "samples", "one"], "numbers")
        .node(&Node::new("Cast", &["numbers"], &["times"]).int("to", 11))
        .apply("Mul", &["times", "step"], "phases")
        .apply("Sin", &["phases"], "sine")
        .apply("Mul", &["sine", "level"], "levelled")
        .node(&Node::new("Cast", &["levelled"], &["rounded"]).int("to", 1))
        .apply("Reshape", &["rounded", "shape"], "output")
}

/// The samples of an answer, and their rate as the answer tells it.
async fn speak(server: &Server, format: &str, rate: Option<u32>) -> (Vec<f64>, f64) {
    let sentence = "The birch canoe slid on the smooth planks. ";
    let mut body = json!({"input": sentence.repeat(SENTENCES), "response_format": format});
    if let Some(rate) = rate {
        body["sample_rate"] = Value::from(rate);
    }
    let response = speech(server, &body).await;
    assert_eq!(response.status(), 200);
    assert!(
        !response.headers().contains_key("content-length"),
        "the answer does not stream"
    );
    let bytes = response.bytes().await.unwrap();
    let (rate, bytes) = if format == "wav" {
        let rate = u32::from_le_bytes(bytes[24..28].try_into().unwrap());
        (rate, &bytes[44..])
    } else {
        // OpenAI's.
        (rate.unwrap_or(24_000), &bytes[..])
    };
    let samples = bytes
        .chunks_exact(2)
        .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])) / f64::from(i16::MAX))
        .collect();
    (samples, f64::from(rate))
}

/// The stretches of sound between those of silence, without their first and last fiftieth of a second.
fn sounds(samples: &[f64], rate: f64) -> Vec<&[f64]> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hundred samples"
    )]
    let edge = (rate / 50.0) as usize;
    let loud: Vec<usize> = (0..samples.len())
        .filter(|place| samples[*place].abs() > LEVEL / 20.0)
        .collect();
    loud.chunk_by(|one, next| next - one < edge)
        .map(|sound| &samples[sound[0] + edge..sound[sound.len() - 1] - edge])
        .collect()
}

/// The times at which a sound rises through zero, in samples.
fn rises(sound: &[f64]) -> Vec<f64> {
    let mut times = Vec::new();
    let mut time = 0.0;
    for pair in sound.windows(2) {
        if pair[0] < 0.0 && pair[1] >= 0.0 {
            times.push(time - pair[0] / (pair[1] - pair[0]));
        }
        time += 1.0;
    }
    times
}

/// Every sentence is heard with the tone's pitch, without a gap or a jump; the seconds of the whole.
#[track_caller]
fn check(samples: &[f64], rate: f64) -> f64 {
    let sounds = sounds(samples, rate);
    assert_eq!(sounds.len(), SENTENCES);
    for sound in sounds {
        let rises = rises(sound);
        let periods = f64::from(u32::try_from(rises.len()).unwrap()) - 1.0;
        let seconds = (rises[rises.len() - 1] - rises[0]) / rate;
        assert!(seconds > 1.0, "{seconds} s");
        let pitch = periods / seconds;
        println!("{pitch:.4} Hz in {seconds:.2} s at {rate} Hz");
        assert!((pitch - PITCH).abs() < 1.0, "{pitch} Hz");
        for pair in rises.windows(2) {
            let pitch = rate / (pair[1] - pair[0]);
            assert!((pitch / PITCH - 1.0).abs() < 0.01, "a period of {pitch} Hz");
        }
        let loudest = sound.iter().copied().fold(0.0, f64::max);
        assert!((loudest / LEVEL - 1.0).abs() < 0.02, "{loudest}");
    }
    let count = u32::try_from(samples.len()).unwrap();
    f64::from(count) / rate
}

async fn check_voice(voice_rate: u32) {
    let folder = tempfile::tempdir().unwrap();
    write_voice(folder.path(), &tone(voice_rate).model(), voice_rate);
    let server = Server::start(&["--voice", &format!("tone={}", folder.path().display())]);
    let mut lengths = Vec::new();
    for (format, asked, wanted) in [
        ("wav", None, voice_rate),
        ("pcm", None, 24_000),
        ("wav", Some(48_000), 48_000),
        ("pcm", Some(8_000), 8_000),
    ] {
        let (samples, rate) = speak(&server, format, asked).await;
        assert!((rate - f64::from(wanted)).abs() < 0.5, "{rate}");
        lengths.push(check(&samples, rate));
    }
    let longest = lengths.iter().copied().fold(0.0, f64::max);
    let shortest = lengths.iter().copied().fold(longest, f64::min);
    assert!(longest - shortest < 0.001, "{lengths:?}");
}

#[tokio::test]
async fn a_voice_of_16_khz_keeps_its_pitch_at_every_rate() {
    check_voice(16_000).await;
}

#[tokio::test]
async fn a_voice_of_22_khz_keeps_its_pitch_at_every_rate() {
    check_voice(22_050).await;
}
