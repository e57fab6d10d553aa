//! Each response format, as ffmpeg decodes it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::{io::Write, process::Command, time::Duration};

use serde_json::{Value, json};
use tts_server::audio::{Encoder, Format};
use tts_tests::{Server, client, metric, python, speech, workspace};

const ONE_SENTENCE: &str = "The birch canoe slid on the smooth planks.";
/// Of the built-in voice, in Hz.
const VOICE_RATE: usize = 16_000;

/// A response: its content type and body.
async fn speak(server: &Server, body: Value) -> (String, Vec<u8>) {
    let response = speech(server, &body).await;
    assert_eq!(response.status(), 200, "{body}");
    let content_type = response.headers()["content-type"].to_str().unwrap();
    let content_type = content_type.to_owned();
    (content_type, response.bytes().await.unwrap().to_vec())
}

fn numbers(bytes: &[u8]) -> Vec<i16> {
    bytes
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// The samples that ffmpeg gets out of audio, at the rate that it has.
fn decode(audio: &[u8]) -> Vec<i16> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(audio).unwrap();
    let output = Command::new(python())
        .arg(workspace().join("tests/decode.py"))
        .arg(file.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    numbers(&output.stdout)
}

/// A second and a half of a sound with the pitch and the harmonics of a voice, at a rate.
#[expect(clippy::cast_possible_truncation, reason = "a short test tone")]
fn sound(rate: u32) -> Vec<f32> {
    (0..rate + rate / 2 + 7)
        .map(|index| {
            let time = f64::from(index) / f64::from(rate);
            let harmonics: f64 = (1..=12)
                .map(|number| {
                    let pitch = 120.0 * f64::from(number);
                    (std::f64::consts::TAU * pitch * time).sin() / f64::from(number)
                })
                .sum();
            (0.3 * harmonics * (3.0 * time).sin().abs()) as f32
        })
        .collect()
}

/// Encodes in pieces, as a response is streamed.
fn stream(format: Format, rate: u32, samples: &[f32]) -> Vec<u8> {
    let mut encoder = Encoder::new(format, rate, format.rate_for(rate)).unwrap();
    let mut out = Vec::new();
    for piece in samples.chunks(4410) {
        encoder.push(piece, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

fn whole(format: Format, rate: u32, samples: &[f32]) -> Vec<u8> {
    let encoder = Encoder::new(format, rate, format.rate_for(rate)).unwrap();
    encoder.whole(samples).unwrap().0
}

/// The level of a signal above its difference from another, in dB.
fn likeness(one: &[i16], other: &[i16]) -> f64 {
    let energy =
        |samples: &mut dyn Iterator<Item = f64>| samples.map(|sample| sample * sample).sum::<f64>();
    let signal = energy(&mut one.iter().map(|sample| f64::from(*sample)));
    let difference = energy(
        &mut one
            .iter()
            .zip(other)
            .map(|(one, other)| f64::from(*one) - f64::from(*other)),
    );
    10.0 * (signal / difference.max(1.0)).log10()
}

#[test]
fn formats_without_loss_decode_to_the_samples_of_wav() {
    for rate in [16_000, 22_050, 24_000] {
        let samples = sound(rate);
        let wav = numbers(&stream(Format::Wav, rate, &samples)[44..]);
        assert_eq!(wav.len(), samples.len());
        assert!(numbers(&whole(Format::Wav, rate, &samples)[44..]) == wav);
        for flac in [
            stream(Format::Flac, rate, &samples),
            whole(Format::Flac, rate, &samples),
        ] {
            assert!(decode(&flac) == wav, "{rate}");
        }
        let mut pcm = Encoder::new(Format::Pcm, rate, rate).unwrap();
        let mut bytes = Vec::new();
        pcm.push(&samples, &mut bytes).unwrap();
        pcm.finish(&mut bytes).unwrap();
        assert!(numbers(&bytes) == wav, "{rate}");
    }
}

#[test]
fn formats_with_loss_decode_to_the_length_and_the_sound_of_wav() {
    for rate in [16_000, 22_050, 24_000] {
        let samples = sound(rate);
        let reference = |rate_to: u32| {
            let mut encoder = Encoder::new(Format::Pcm, rate, rate_to).unwrap();
            let mut bytes = Vec::new();
            encoder.push(&samples, &mut bytes).unwrap();
            encoder.finish(&mut bytes).unwrap();
            numbers(&bytes)
        };
        // Decoders of Opus give 48 kHz, whatever the encoder got.
        let opus_rate = Format::Opus.rate_for(rate) as usize;
        let opus = decode(&stream(Format::Opus, rate, &samples));
        let wanted = reference(Format::Opus.rate_for(rate)).len() * 48_000 / opus_rate;
        assert_eq!(opus.len(), wanted, "opus {rate}");
        assert!(likeness(&reference(48_000), &opus) > 10.0, "opus {rate}");

        // In one piece the delay and the padding are known; a stream ends with less than a frame of silence.
        let wanted = reference(Format::Mp3.rate_for(rate));
        let mp3 = decode(&whole(Format::Mp3, rate, &samples));
        assert_eq!(mp3.len(), wanted.len(), "mp3 {rate}");
        assert!(likeness(&wanted, &mp3) > 10.0, "mp3 {rate}");
        let mp3 = decode(&stream(Format::Mp3, rate, &samples));
        let longer = mp3.len() - wanted.len();
        assert!(longer < 576, "mp3 {rate}: {longer}");
        assert!(likeness(&wanted, &mp3) > 10.0, "mp3 {rate}");

        // ADTS has no place for the delay of 1024 samples; the last frame is full.
        let wanted = reference(Format::Aac.rate_for(rate));
        let aac = decode(&stream(Format::Aac, rate, &samples));
        let longer = aac.len() - wanted.len();
        assert!((1024..2048).contains(&longer), "aac {rate}: {longer}");
        assert!(likeness(&wanted, &aac[1024..]) > 10.0, "aac {rate}");
    }
}

/// Each answer of this voice differs a little: only lengths can be compared.
#[tokio::test]
async fn every_format_is_served_whole_and_as_a_stream() {
    let server = Server::start(&["--workers", "1"]);
    for (text, seconds) in [
        (ONE_SENTENCE.to_owned(), 2.0..3.5),
        (format!("{ONE_SENTENCE} ").repeat(4), 9.0..14.5),
    ] {
        for (format, content_type, rate) in [
            ("mp3", "audio/mpeg", 16_000),
            ("opus", "audio/ogg; codecs=opus", 48_000),
            ("aac", "audio/aac", 24_000),
            ("flac", "audio/flac", 16_000),
            ("wav", "audio/wav", 16_000),
            ("pcm", "audio/pcm; rate=24000", 24_000),
        ] {
            let order = json!({"input": text, "response_format": format});
            let (found, body) = speak(&server, order).await;
            assert_eq!(found, content_type);
            let samples = match format {
                "pcm" => body.len() / 2,
                _ => decode(&body).len(),
            };
            let spoken = Duration::from_micros(samples as u64 * 1_000_000 / rate).as_secs_f64();
            assert!(seconds.contains(&spoken), "{format}: {spoken} s");
        }
    }
    let order = json!({"input": "Hi.", "response_format": "pcm", "sample_rate": 48_000});
    assert_eq!(speak(&server, order).await.0, "audio/pcm; rate=48000");
    let metrics = client().get(server.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for format in ["mp3", "opus", "aac", "flac", "wav", "pcm"] {
        let name = format!("tts_encode_seconds_total{{format=\"{format}\"}}");
        assert!(metric(&metrics, &name) > 0.0, "{name}");
    }
}

#[tokio::test]
async fn formats_can_be_turned_off() {
    let server = Server::start(&["--formats", "wav,mp3"]);
    let response = client()
        .post(server.url("/v1/audio/speech"))
        .json(&json!({"input": "Hi.", "response_format": "aac"}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "unsupported_format");
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .ends_with("wav, mp3"),
        "{body}"
    );
    let (content_type, _) = speak(&server, json!({"input": "Hi."})).await;
    assert_eq!(content_type, "audio/mpeg");
}

#[test]
fn say_writes_the_format_that_the_ending_names() {
    let folder = tempfile::tempdir().unwrap();
    let said = |name: &str| {
        let path = folder.path().join(name);
        let output = Command::new(tts_tests::binary())
            .args(["say", ONE_SENTENCE, "--output"])
            .arg(&path)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (std::fs::read(&path).ok(), error)
    };
    let seconds = |name: &str, rate: usize| decode(&said(name).0.unwrap()).len() * 10 / rate;
    let wav = seconds("a.wav", VOICE_RATE);
    for (name, rate) in [
        ("a.mp3", VOICE_RATE),
        ("a.flac", VOICE_RATE),
        ("a.OPUS", 48_000),
        ("a.aac", 24_000),
    ] {
        let found = seconds(name, rate);
        assert!(found.abs_diff(wav) <= 1, "{name}: {found} {wav}");
    }
    let (file, error) = said("a.ogx");
    assert!(file.is_none() && error.contains(".opus"), "{error}");
}
