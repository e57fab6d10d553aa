//! The client that measures endpoints, against the server.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::time::Duration;

use tts_server::client::{
    Answer, Client, ClientError, Endpoint, Format, Limits, Plan, Progress, Texts, measure,
};
use tts_tests::{SOON, Server, metric};

fn client(server: &Server, format: Format, voice: Option<&str>) -> Client {
    let mut endpoint = Endpoint::new(&format!("http://{}", server.address), format).unwrap();
    endpoint.voice = voice.map(str::to_owned);
    Client::new(endpoint, SOON, None).unwrap()
}

fn texts() -> Texts {
    Texts::new(vec![
        "Hello.".to_owned(),
        "The server is ready. All of the tests have passed.".to_owned(),
    ])
    .unwrap()
}

fn plan() -> Plan {
    Plan {
        clients: vec![1, 3],
        rates: vec![20.0],
        limits: Limits {
            min_requests: 10,
            min_time: Duration::ZERO,
            max_time: SOON,
        },
        seed: 7,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_measured_from_outside() {
    let server = Server::start(&["--workers", "2"]);
    let client = client(&server, Format::Wav, None);
    let mut audio = 0.0;
    let external = measure(&client, &texts(), &plan(), &mut |progress| match progress {
        Progress::FirstAnswer(Answer { audio_seconds, .. }) => audio += audio_seconds,
        Progress::Level { samples, .. } | Progress::OpenLoop { samples, .. } => {
            audio += samples
                .iter()
                .map(|sample| sample.audio_seconds)
                .sum::<f64>();
        }
        Progress::LevelStarted { .. } | Progress::RateStarted { .. } => {}
    })
    .await
    .unwrap();
    assert_eq!(external.levels.len(), 2);
    for level in &external.levels {
        assert_eq!((level.requests, level.errors), (10, 0));
        assert!(level.audio_per_sec > 1.0, "{level:?}");
        // Texts of two sentences are streamed.
        assert!(level.ttfa_q.last() < level.total_q.last(), "{level:?}");
    }
    assert_eq!(external.open_loop[0].errors, 0);
    let metrics = tts_tests::client()
        .get(server.url("/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    // Between the levels' requests there are some that do not count; pauses between sentences are not synthesised.
    let spoken = metric(&metrics, "tts_audio_seconds_total");
    assert!((0.5..1.5).contains(&(spoken / audio)), "{spoken} {audio}");
}

#[tokio::test]
async fn pcm_is_as_long_as_wav() {
    let server = Server::start(&[]);
    let mut seconds = Vec::new();
    for format in [Format::Wav, Format::Pcm] {
        let answer = client(&server, format, None).speak("Hello.").await.unwrap();
        seconds.push(answer.audio_seconds);
    }
    assert!((seconds[0] - seconds[1]).abs() < 0.01, "{seconds:?}");
}

#[tokio::test]
async fn a_voice_that_the_server_does_not_have_is_told() {
    let server = Server::start(&[]);
    let client = client(&server, Format::Wav, Some("nobody"));
    let error = measure(&client, &texts(), &plan(), &mut |_| {}).await;
    let error = error.unwrap_err();
    assert!(matches!(error, ClientError::BadRequest { .. }), "{error}");
    let told = error.to_string();
    assert!(
        told.contains("--voice") && told.contains("nobody"),
        "{told}"
    );
}
