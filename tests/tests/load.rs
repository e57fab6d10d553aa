//! Under load, when clients leave, and when the server is told to stop.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures::StreamExt;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tts_tests::{
    SOON, Server, client,
    graph::{Graph, Node, Tensor},
    metric,
    voices::write_voice,
    wait_until,
};

/// About four minutes of speech; its client need not take it.
fn long_text() -> String {
    "The birch canoe slid on the smooth planks. ".repeat(90)
}

async fn metrics(server: &Server) -> String {
    client()
        .get(server.url("/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

/// Waits until a metric has a value.
async fn metric_becomes(server: &Server, name: &str, wanted: impl Fn(f64) -> bool) {
    let deadline = Instant::now() + SOON;
    loop {
        let metrics = metrics(server).await;
        if wanted(metric(&metrics, name)) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{name} is not as wanted in\n{metrics}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn speak(client: &Client, server: &Server, text: &str) -> reqwest::RequestBuilder {
    client
        .post(server.url("/v1/audio/speech"))
        .json(&json!({"input": text, "response_format": "wav"}))
}

/// Sends a request over a connection, which is closed when it is dropped.
async fn ask(mut stream: TcpStream, body: &serde_json::Value) -> TcpStream {
    let body = body.to_string();
    let request = format!(
        "POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_full_queue_answers_429_at_once_and_says_when_to_come_back() {
    let server = Server::start(&["--workers", "1", "--queue", "8"]);
    let client = client();
    // Each has two runs of work before it is ahead of a client that reads nothing: the first is done after ten turns.
    let mut holders = Vec::new();
    for _ in 0..9 {
        holders.push(reader(&server).await);
    }
    metric_becomes(&server, "tts_inflight", |inflight| inflight >= 9.0).await;
    // A request that waited for a place would be answered with 200. While the server is full, no text is read.
    let refused = speak(&client, &server, "?!").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let milliseconds: u64 = refused.headers()["retry-after-ms"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        seconds >= 1 && milliseconds >= 100 && milliseconds <= seconds * 1000,
        "{seconds} {milliseconds}"
    );
    assert!(!refused.headers().contains_key("x-should-retry"));
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(
        (
            body["error"]["code"].as_str(),
            body["error"]["type"].as_str()
        ),
        (Some("queue_full"), Some("rate_limit_error"))
    );
    drop(holders);
    metric_becomes(&server, "tts_inflight", |inflight| inflight == 0.0).await;
    assert_eq!(
        speak(&client, &server, "Hello.")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn every_request_of_a_burst_is_spoken_or_refused() {
    let server = Server::start(&["--workers", "1", "--queue", "4"]);
    let client = client();
    let answers = futures::future::join_all((0..24).map(|_| async {
        let response = speak(
            &client,
            &server,
            "The server is ready and all of the tests have passed.",
        )
        .send()
        .await
        .unwrap();
        let status = response.status();
        let retry_after = response.headers().get("retry-after").cloned();
        (status, retry_after, response.bytes().await.unwrap().len())
    }))
    .await;
    let (spoken, refused): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(status, ..)| *status == StatusCode::OK);
    assert!(spoken.len() >= 5, "{spoken:?}");
    assert!(!refused.is_empty(), "24 requests fit into 5 places");
    for (status, retry_after, _) in &refused {
        let seconds = retry_after.as_ref().map(|value| value.to_str().unwrap());
        let seconds: Option<u64> = seconds.map(|seconds| seconds.parse().unwrap());
        assert_eq!(*status, StatusCode::TOO_MANY_REQUESTS);
        assert!(
            seconds.is_some_and(|seconds| seconds >= 1),
            "{retry_after:?}"
        );
    }
    assert!(
        spoken.iter().all(|(.., bytes)| *bytes > 50_000),
        "{spoken:?}"
    );
    metric_becomes(&server, "tts_inflight", |inflight| inflight == 0.0).await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_and_the_rest_of_its_text_is_not_spoken() {
    let server = Server::start(&["--workers", "1", "--queue", "0"]);
    let client = client();
    let response = speak(&client, &server, &long_text()).send().await.unwrap();
    let mut body = response.bytes_stream();
    assert!(body.next().await.unwrap().is_ok());
    let left = Instant::now();
    drop(body);
    requests_end(&server).await;
    metric_becomes(&server, "tts_unsent_audio_bytes", |bytes| bytes == 0.0).await;
    println!("place free {:?} after the client left", left.elapsed());
    let text = metrics(&server).await;
    assert!((metric(&text, "tts_cancelled_total") - 1.0).abs() < f64::EPSILON);
    // The text is four minutes: it was not spoken to its end.
    assert!(metric(&text, "tts_audio_seconds_total") < 120.0);
}

/// A voice whose runs are a chain of products of square matrices. Slow speech makes the matrices larger: a run takes some
/// milliseconds when the voice is tested, and seconds at a quarter of the speed.
fn slow_when_spoken_slowly() -> Graph {
    // At a quarter of the speed, a product takes some milliseconds: a run can stop after each.
    const ROWS: f32 = 128.0;
    const PRODUCTS: usize = 800;
    let mut graph = Graph::piper()
        .constant("second", &Tensor::ints(&[1], &[1]))
        .constant("rows_per_length", &Tensor::float(ROWS))
        .constant("level", &Tensor::float(0.5))
        .constant("shape", &Tensor::ints(&[4], &[1, 1, 1, -1]))
        .apply("Gather", &["scales", "second"], "length")
        .apply("Mul", &["length", "rows_per_length"], "rows")
        .node(&Node::new("Cast", &["rows"], &["size"]).int("to", 7))
        .node(&Node::new("Concat", &["size", "size"], &["square"]).int("axis", 0))
        // A product with this matrix is the mean of a row: the level stays.
        .apply("Reciprocal", &["rows"], "weight")
        .apply("Expand", &["weight", "square"], "weights")
        .apply("Expand", &["level", "square"], "product 0");
    for number in 0..PRODUCTS {
        let (before, after) = (
            format!("product {number}"),
            format!("product {}", number + 1),
        );
        graph = graph.apply("MatMul", &[&before, "weights"], &after);
    }
    graph.apply(
        "Reshape",
        &[&format!("product {PRODUCTS}"), "shape"],
        "output",
    )
}

/// A server of that voice, whose files it writes to a folder, with one worker and so many places to wait.
fn slow_server(folder: &Path, places: &str) -> Server {
    write_voice(folder, &slow_when_spoken_slowly().model(), 16_000);
    let voice = format!("slow={}", folder.display());
    Server::start(&["--workers", "1", "--queue", places, "--voice", &voice])
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_run_frees_the_worker_at_once() {
    /// Other work of this machine may take the time of an attempt.
    const ATTEMPTS: usize = 5;
    const AT_ONCE: Duration = Duration::from_millis(50);
    const MIDDLE: Duration = Duration::from_millis(300);
    let folder = tempfile::tempdir().unwrap();
    let server = slow_server(folder.path(), "0");
    let client = client();
    let slow = json!({"input": "Hello.", "response_format": "pcm", "speed": 0.25});
    let request = client.post(server.url("/v1/audio/speech")).json(&slow);
    let request = request.timeout(4 * SOON);
    let begun = Instant::now();
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.unwrap();
    let whole = begun.elapsed();
    println!("a run takes {whole:?}");
    // So much is left of it when the client leaves that its end is not taken for its cancellation.
    assert!(whole > MIDDLE + 4 * AT_ONCE, "{whole:?}");

    let inflight = async || {
        let answer = client.get(server.url("/metrics")).send().await.unwrap();
        metric(&answer.text().await.unwrap(), "tts_inflight")
    };
    let mut fastest = SOON;
    for _ in 0..ATTEMPTS {
        let stream = ask(TcpStream::connect(&server.address).await.unwrap(), &slow).await;
        metric_becomes(&server, "tts_inflight", |inflight| inflight > 0.0).await;
        let running = Instant::now();
        while running.elapsed() < MIDDLE {
            assert!(inflight().await > 0.0, "the run has ended");
        }
        let left = Instant::now();
        drop(stream);
        while inflight().await > 0.0 {
            assert!(left.elapsed() < SOON, "the run goes on");
        }
        println!("worker free {:?} after the client left", left.elapsed());
        fastest = fastest.min(left.elapsed());
    }
    assert!(fastest <= AT_ONCE, "{fastest:?}");
    let text = metrics(&server).await;
    let cancelled = metric(&text, "tts_cancelled_total");
    assert!((cancelled - 5.0).abs() < f64::EPSILON, "{cancelled}");
    // The session is as good as before.
    let spoken = speak(&client, &server, "Hello.").send().await.unwrap();
    assert_eq!(spoken.status(), StatusCode::OK);
}

#[tokio::test]
async fn clients_that_leave_before_their_turn_are_out_of_the_queue() {
    const WAITING: u8 = 5;
    let folder = tempfile::tempdir().unwrap();
    let server = slow_server(folder.path(), "8");
    let connect = || TcpStream::connect(&server.address);
    let slow = json!({"input": "Hello.", "speed": 0.25});
    let first = ask(connect().await.unwrap(), &slow).await;
    metric_becomes(&server, "tts_inflight", |inflight| inflight > 0.0).await;
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        waiting.push(ask(connect().await.unwrap(), &json!({"input": "Hello."})).await);
    }
    let all_wait = |depth| depth >= f64::from(WAITING);
    metric_becomes(&server, "tts_queue_depth", all_wait).await;
    drop(waiting);
    metric_becomes(&server, "tts_queue_depth", |depth| depth < 1.0).await;
    // Its run goes on: the others did not leave the queue because they were served.
    let answer = first.try_read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(answer, Err(std::io::ErrorKind::WouldBlock));
    drop(first);
    let spoken = speak(&client(), &server, "Hello.").send().await.unwrap();
    assert_eq!(spoken.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_reader_who_stops_reading_is_cut_off_and_a_short_text_does_not_wait_for_it() {
    let server = Server::start(&["--workers", "1", "--queue", "4", "--write-timeout", "3s"]);
    let client = client();
    let stuck = speak(&client, &server, &long_text()).send().await.unwrap();
    let started = Instant::now();
    let short = speak(&client, &server, "Hello.").send().await.unwrap();
    assert_eq!(short.status(), 200);
    assert!(short.bytes().await.unwrap().len() > 10_000);
    println!(
        "a short text took {:?} beside a stuck reader",
        started.elapsed()
    );
    let text = metrics(&server).await;
    let requests = metric(&text, "tts_inflight") + metric(&text, "tts_delivering");
    assert!(
        requests >= 1.0,
        "the short text waited for the stuck reader"
    );
    requests_end(&server).await;
    // What it gets is broken off, not silently short.
    assert!(stuck.bytes().await.is_err());
}

/// Waits until the server has no request at all.
async fn requests_end(server: &Server) {
    let deadline = Instant::now() + SOON;
    loop {
        let metrics = metrics(server).await;
        if metric(&metrics, "tts_inflight") + metric(&metrics, "tts_delivering") < 1.0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "there are requests in\n{metrics}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Opens a connection with a small buffer, asks for a long text and reads nothing.
async fn reader(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let stream = socket
        .connect(server.address.parse().unwrap())
        .await
        .unwrap();
    let body = json!({"input": long_text(), "response_format": "wav"});
    ask(stream, &body).await
}

#[tokio::test]
async fn beside_nine_slow_readers_a_tenth_client_is_served_at_once() {
    let server = Server::start(&["--workers", "1", "--queue", "8"]);
    let mut readers = Vec::new();
    for _ in 0..9 {
        let mut stream = reader(&server).await;
        readers.push(tokio::spawn(async move {
            let mut buffer = [0; 4000];
            while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                // 40 kB/s.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }));
    }
    // All are ahead of their readers: the worker has nothing to do.
    metric_becomes(&server, "tts_delivering", |delivering| delivering >= 9.0).await;
    let begun = Instant::now();
    let tenth = speak(&client(), &server, "Hello.").send().await.unwrap();
    assert_eq!(tenth.status(), 200);
    assert!(tenth.bytes().await.unwrap().len() > 10_000);
    println!("the tenth client took {:?}", begun.elapsed());
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    for reader in readers {
        reader.abort();
    }
}

#[tokio::test]
async fn when_too_much_audio_is_unsent_new_requests_wait_and_the_slowest_readers_are_cut() {
    let server = Server::start(&[
        "--workers",
        "1",
        "--max-unsent-bytes",
        "600000",
        "--slow-reader-timeout",
        "1s",
    ]);
    let mut stuck = [reader(&server).await, reader(&server).await];
    metric_becomes(&server, "tts_unsent_audio_bytes", |bytes| bytes >= 6e5).await;
    let refused = speak(&client(), &server, "Hello.").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "audio_buffer_full");
    let deadline = Instant::now() + SOON;
    while speak(&client(), &server, "Hello.")
        .send()
        .await
        .unwrap()
        .status()
        != StatusCode::OK
    {
        assert!(
            Instant::now() < deadline,
            "the slow readers are not cut off"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The first to be cut is reset, or its answer ends before the last chunk.
    let mut answer = Vec::new();
    let _ = stuck[0].read_to_end(&mut answer).await;
    assert!(!answer.ends_with(b"\r\n0\r\n\r\n"));
    metric_becomes(&server, "tts_cancelled_total", |cancelled| cancelled >= 1.0).await;
}

#[tokio::test]
async fn drain_finishes_what_runs_and_loses_no_request() {
    let mut server = Server::start(&[
        "--drain-delay",
        "4s",
        "--drain-timeout",
        "60s",
        "--workers",
        "2",
    ]);
    tts_tests::install_tls();
    let keep_alive = Client::builder().no_proxy().timeout(SOON).build().unwrap();
    // A connection that is kept and has been used, one that was only opened, and a long answer that is on its way.
    assert_eq!(
        keep_alive
            .get(server.url("/livez"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let long = speak(&client(), &server, &long_text())
        .send()
        .await
        .unwrap();
    server.terminate();
    let deadline = Instant::now() + SOON;
    while client()
        .get(server.url("/readyz"))
        .send()
        .await
        .unwrap()
        .status()
        != StatusCode::SERVICE_UNAVAILABLE
    {
        assert!(Instant::now() < deadline, "still ready after SIGTERM");
    }
    assert_eq!(
        client()
            .get(server.url("/livez"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    // New and kept connections are still served, and asked to go.
    for client in [&client(), &keep_alive] {
        let response = speak(client, &server, "Still here.").send().await.unwrap();
        assert_eq!(
            (
                response.status(),
                response.headers()["connection"].as_bytes()
            ),
            (StatusCode::OK, &b"close"[..])
        );
        assert!(response.bytes().await.unwrap().len() > 10_000);
    }
    let mut late = TcpStream::connect(&server.address).await.unwrap();
    // The long answer is taken slowly over the end of the delay: it comes whole all the same.
    let mut body = long.bytes_stream();
    let mut bytes = 0;
    while let Some(chunk) = body.next().await {
        bytes += chunk.expect("the answer was broken off").len();
        if bytes < 2_000_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(bytes > 7_000_000, "{bytes}");
    // The connection without a request is closed without a word.
    assert_eq!(
        tokio::time::timeout(SOON, late.read(&mut [0; 16]))
            .await
            .unwrap()
            .unwrap_or(0),
        0
    );
    assert_eq!(server.wait(), Some(0));
    wait_until("the end in the log", || server.log().contains("stopped"));
}

#[tokio::test]
async fn drain_ends_at_its_timeout() {
    // Nothing but the drain's timeout ends an answer that nobody reads.
    let mut server = Server::start(&[
        "--drain-delay",
        "0s",
        "--drain-timeout",
        "1s",
        "--write-timeout",
        "10m",
    ]);
    let stuck = speak(&client(), &server, &long_text())
        .send()
        .await
        .unwrap();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(stuck.bytes().await.is_err(), "a cut answer looked whole");
}
