//! The client against an endpoint of its own, over real connections.

use std::{future::Future, sync::Mutex, time::Duration};

use axum::response::Response;
use http::header;
use tokio::{net::TcpListener, sync::mpsc, time::Instant};

use super::{
    fake_endpoint::{Chunk, FakeEndpoint, chunks, status, stream_header, tone, wav, with_type},
    *,
};

/// How long anything may take that should happen soon.
const SOON: Duration = Duration::from_secs(30);

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.unwrap()
}

fn client_of(endpoint: Endpoint, timeout: Duration) -> Client {
    let tls = crate::fetch::client::tls(None).unwrap();
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy();
    Client::with(builder, endpoint, timeout).unwrap()
}

fn client(url: &str) -> Client {
    client_of(Endpoint::new(url, Format::Wav).unwrap(), SOON)
}

fn texts() -> Texts {
    Texts::new(["One.", "Two.", "Three."].map(str::to_owned).to_vec()).unwrap()
}

fn limits(min_requests: u32) -> Limits {
    Limits {
        min_requests,
        min_time: Duration::ZERO,
        max_time: SOON,
    }
}

/// Answers with a quarter of a second.
fn speak(sender: mpsc::Sender<Chunk>) {
    tokio::spawn(async move {
        // A client may be gone.
        let _ = sender.send(Ok(stream_header().into())).await;
        let _ = sender.send(Ok(tone(0.25).into())).await;
    });
}

async fn failure_of(answer: impl Fn() -> Response + Send + Sync + 'static) -> Failure {
    let endpoint = FakeEndpoint::start(move |_, _| answer()).await;
    soon(client(&endpoint.url).speak("Hello."))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_request_says_what_was_chosen_and_audio_is_measured() {
    let server = FakeEndpoint::start(|_, _| wav(&tone(0.75))).await;
    let mut endpoint = Endpoint::new(&server.url, Format::Wav)
        .unwrap()
        .with_api_key(Some("sk-1"))
        .unwrap();
    endpoint.voice = Some("af_sky".to_owned());
    let answer = soon(client_of(endpoint, SOON).speak("Hello."))
        .await
        .unwrap();
    assert!((answer.audio_seconds - 0.75).abs() < 1e-9);
    assert!(0.0 < answer.first_audio && answer.first_audio <= answer.total);
    let [request] = &server.received()[..] else {
        panic!("{:?}", server.received());
    };
    assert_eq!(request.path, "/v1/audio/speech");
    assert_eq!(request.headers[header::AUTHORIZATION], "Bearer sk-1");
    assert_eq!(request.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(
        request.body,
        serde_json::json!({"input": "Hello.", "model": "tts-1", "response_format": "wav", "voice": "af_sky"})
    );
}

#[tokio::test]
async fn the_password_of_a_url_is_sent_when_there_is_no_key() {
    let server = FakeEndpoint::start(|_, _| wav(&tone(0.1))).await;
    let url = server.url.replace("http://", "http://user:pass@");
    soon(client(&url).speak("Hello.")).await.unwrap();
    let with_key = Endpoint::new(&url, Format::Wav)
        .unwrap()
        .with_api_key(Some("sk-1"))
        .unwrap();
    soon(client_of(with_key, SOON).speak("Hello."))
        .await
        .unwrap();
    let sent: Vec<Vec<_>> = server
        .received()
        .iter()
        .map(|request| {
            let values = request.headers.get_all(header::AUTHORIZATION);
            values
                .iter()
                .map(|value| value.to_str().unwrap().to_owned())
                .collect()
        })
        .collect();
    assert_eq!(sent, [["Basic dXNlcjpwYXNz"], ["Bearer sk-1"]]);
}

#[tokio::test]
async fn first_audio_is_the_first_sample_not_the_header() {
    let (handed, mut bodies) = mpsc::unbounded_channel();
    let server = FakeEndpoint::start(move |_, _| {
        let (sender, body) = chunks();
        handed.send((Instant::now(), sender)).unwrap();
        with_type("audio/wav", body)
    })
    .await;
    let client = client(&server.url);
    let started = Instant::now();
    let speaking = tokio::spawn(async move { client.speak("Hello.").await });
    let (arrived, sender) = soon(bodies.recv()).await.unwrap();
    soon(sender.send(Ok(stream_header().into()))).await.unwrap();
    // The second is taken only when the first was written.
    soon(sender.send(Ok(Vec::new().into()))).await.unwrap();
    let header_sent = Instant::now();
    // More than the buffers between the two hold: most of it was read when the last of it is taken.
    let (mut first_sent, mut seconds) = (None, 0.0);
    for _ in 0..64 {
        soon(sender.send(Ok(tone(16.0).into()))).await.unwrap();
        first_sent.get_or_insert_with(Instant::now);
        seconds += 16.0;
    }
    let nearly_all_sent = Instant::now();
    drop(sender);
    let answer = soon(speaking).await.unwrap().unwrap();
    assert!((answer.audio_seconds - seconds).abs() < 1e-6);
    let since = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64();
    assert!(answer.first_audio >= since(arrived, header_sent));
    assert!(answer.first_audio < since(started, nearly_all_sent));
    assert!(answer.total >= since(arrived, nearly_all_sent));
    assert!(answer.first_audio < answer.total);
}

#[tokio::test]
async fn errors_are_told_apart() {
    let full = failure_of(|| status(429, "queue full")).await;
    assert!(matches!(full, Failure::Rejected { status: 429, body } if body == "queue full"));
    let starting = failure_of(|| status(503, "")).await;
    assert!(matches!(starting, Failure::Rejected { status: 503, .. }));
    let broken = failure_of(|| status(500, &"long\nand broken ".repeat(10_000))).await;
    let Failure::Status { status: 500, body } = broken else {
        panic!("{broken}");
    };
    assert!(
        body.starts_with("long and broken") && body.len() == 200,
        "{body}"
    );
    let silent = failure_of(|| wav(&[0; 3200])).await;
    assert!(matches!(silent, Failure::Silent { seconds, .. } if (seconds - 0.1).abs() < 1e-9));
    let json = failure_of(|| with_type("application/json", "{\"error\": \"busy\"}".into())).await;
    assert!(
        matches!(&json, Failure::NotAudio { found } if found.contains("busy")),
        "{json}"
    );
    let redirect = failure_of(|| {
        let mut response = status(308, "");
        let target = http::HeaderValue::from_static("https://host/v1/audio/speech");
        response.headers_mut().insert(header::LOCATION, target);
        response
    })
    .await;
    assert!(
        redirect.to_string().contains("redirect to https://host/v1"),
        "{redirect}"
    );
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_truncated() {
    for known_length in [false, true] {
        let failure = failure_of(move || {
            let (sender, body) = chunks();
            tokio::spawn(async move {
                let _ = sender.send(Ok(stream_header().into())).await;
                let _ = sender.send(Ok(tone(0.5).into())).await;
                let _ = sender.send(Err("the worker was lost")).await;
            });
            let mut response = with_type("audio/wav", body);
            if known_length {
                let length = http::HeaderValue::from_static("1000000");
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length);
            }
            response
        })
        .await;
        assert!(matches!(failure, Failure::Truncated { .. }), "{failure}");
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_a_timeout_and_one_that_is_not_there_is_not() {
    let (handed, mut bodies) = mpsc::unbounded_channel();
    let server = FakeEndpoint::start(move |_, _| {
        let (sender, body) = chunks();
        handed.send(sender).unwrap();
        with_type("audio/wav", body)
    })
    .await;
    let endpoint = Endpoint::new(&server.url, Format::Wav).unwrap();
    let short = Duration::from_millis(50);
    let failure = soon(client_of(endpoint, short).speak("Hello."))
        .await
        .unwrap_err();
    assert_eq!(failure, Failure::Timeout { seconds: 0.05 });
    bodies.close();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failure = soon(client(&gone).speak("Hello.")).await.unwrap_err();
    assert!(matches!(failure, Failure::Connection { .. }), "{failure}");
}

#[tokio::test]
async fn keys_that_an_endpoint_repeats_are_not_shown() {
    let server = FakeEndpoint::start(|_, _| status(401, "wrong key sk-hunter2")).await;
    let endpoint = Endpoint::new(&server.url, Format::Wav)
        .unwrap()
        .with_api_key(Some("sk-hunter2"))
        .unwrap();
    let client = client_of(endpoint, SOON);
    let failure = soon(client.speak("Hello.")).await.unwrap_err();
    assert!(!format!("{failure} {failure:?} {client:?}").contains("hunter2"));
}

#[tokio::test]
async fn pcm_is_measured_at_the_rate_of_its_content_type() {
    let server = FakeEndpoint::start(|_, request| {
        assert_eq!(request.body["response_format"], "pcm");
        with_type("audio/pcm; rate=16000", tone(0.5).into())
    })
    .await;
    let endpoint = Endpoint::new(&server.url, Format::Pcm).unwrap();
    let answer = soon(client_of(endpoint, SOON).speak("Hello."))
        .await
        .unwrap();
    assert!((answer.audio_seconds - 0.5).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_as_many_as_asked_for_and_errors_are_counted() {
    let waiting = Mutex::new(Vec::new());
    let server = FakeEndpoint::start(move |number, _| {
        if number == 5 {
            return status(500, "broken");
        }
        if number > 3 {
            return wav(&tone(0.25));
        }
        // The first answers come when four requests are there.
        let (sender, body) = chunks();
        let mut waiting = waiting.lock().unwrap();
        waiting.push(sender);
        if waiting.len() == 4 {
            waiting.drain(..).for_each(speak);
        }
        with_type("audio/wav", body)
    })
    .await;
    let client = client(&server.url);
    let (level, samples) = soon(closed_loop(&client, &texts(), 4, &limits(24), 7)).await;
    assert_eq!((level.clients, level.requests, level.errors), (4, 24, 1));
    assert!(level.seconds > 0.0 && level.audio_per_sec > 0.0);
    let kinds: Vec<_> = failures_by_kind(&samples).into_iter().collect();
    assert_eq!(kinds, [(FailureKind::Status, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_sends_all_requests_though_none_is_answered() {
    let waiting = Mutex::new(Vec::new());
    let server = FakeEndpoint::start(move |_, _| {
        let (sender, body) = chunks();
        let mut waiting = waiting.lock().unwrap();
        waiting.push(sender);
        // The first answer comes when the last request is there.
        if waiting.len() == 30 {
            waiting.drain(..).for_each(speak);
        }
        with_type("audio/wav", body)
    })
    .await;
    let client = client(&server.url);
    let trace = (0..30_u32)
        .map(|number| Arrival {
            due: f64::from(number) / 1000.0,
            text_index: 1,
        })
        .collect();
    let arrivals = Arrivals::Trace(trace);
    let (run, samples) = soon(open_loop(&client, &texts(), &arrivals, &limits(1))).await;
    assert_eq!((run.requests, run.errors, run.rejected), (30, 0, 0));
    // The first waited for the last.
    assert!(samples[0].first_audio.unwrap() >= 0.029, "{:?}", samples[0]);
    let spoken = server.received();
    assert!(spoken.iter().all(|request| request.body["input"] == "Two."));
}

fn plan() -> Plan {
    Plan {
        clients: vec![4, 1, 4],
        rates: vec![500.0, 200.0],
        limits: limits(9),
        seed: 7,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_measurement_is_a_profile_of_the_endpoint() {
    let server = FakeEndpoint::start(|_, _| wav(&tone(0.25))).await;
    let url = server.url.replace("http://", "http://user:hunter2@");
    let mut steps = Vec::new();
    let external = soon(measure(&client(&url), &texts(), &plan(), &mut |step| {
        steps.push(match step {
            Progress::FirstAnswer(_) => "first".to_owned(),
            Progress::LevelStarted { clients } => format!("{clients} clients"),
            Progress::RateStarted { rate } => format!("{rate} per second"),
            Progress::Level { samples, .. } | Progress::OpenLoop { samples, .. } => {
                format!("{} requests", samples.len())
            }
        });
    }))
    .await
    .unwrap();
    assert_eq!(
        steps,
        [
            "first",
            "1 clients",
            "9 requests",
            "4 clients",
            "9 requests",
            "200 per second",
            "9 requests",
            "500 per second",
            "9 requests"
        ]
    );
    assert_eq!(external.url, format!("{}/v1/audio/speech", server.url));
    assert_eq!(external.format, "wav");
    let clients: Vec<_> = external.levels.iter().map(|level| level.clients).collect();
    assert_eq!(clients, [1, 4]);
    for level in &external.levels {
        assert_eq!((level.ttfa_q.len(), level.total_q.len()), (23, 23));
        assert!(level.ttfa_q.is_sorted() && level.ttfa_q[0] > 0.0);
    }
    assert_eq!(external.open_loop.len(), 2);
}

#[tokio::test]
async fn a_measurement_ends_at_the_first_request_when_the_endpoint_does_not_speak() {
    for (answer, told) in [
        (401, "set OPENAI_API_KEY"),
        (404, "check the path"),
        (503, "rejected with status 503"),
    ] {
        let server = FakeEndpoint::start(move |_, _| status(answer, "no")).await;
        let client = client(&server.url);
        let error = soon(measure(&client, &texts(), &plan(), &mut |_| {})).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_without_a_whole_answer_are_reported_but_not_part_of_the_profile() {
    // The first request and the first level of nine are answered.
    let server = FakeEndpoint::start(|number, _| {
        if number < 10 {
            wav(&tone(0.25))
        } else {
            status(429, "full")
        }
    })
    .await;
    let client = client(&server.url);
    let mut rejected = 0;
    let plan = Plan {
        rates: Vec::new(),
        ..plan()
    };
    let external = soon(measure(&client, &texts(), &plan, &mut |step| {
        if let Progress::Level { level, .. } = step {
            rejected += level.errors;
        }
    }))
    .await
    .unwrap();
    assert_eq!(external.levels.len(), 1);
    assert_eq!(rejected, 9);

    let never = FakeEndpoint::start(|number, _| {
        if number == 0 {
            wav(&tone(0.25))
        } else {
            status(429, "full")
        }
    })
    .await;
    let client = self::client(&never.url);
    let error = soon(measure(&client, &texts(), &plan, &mut |_| {})).await;
    assert!(
        matches!(error, Err(ClientError::NoAnswers { .. })),
        "{error:?}"
    );
}
