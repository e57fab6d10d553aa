//! Clients that mean harm: what they hold in memory, how long, and whether others are served meanwhile.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tts_tests::{SOON, Server, client, metric};

/// Resident memory of the server, in bytes.
fn resident(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kibibytes * 1024
}

async fn get(server: &Server, path: &str) -> (StatusCode, String) {
    let response = client().get(server.url(path)).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

/// Waits until the server has this many connections besides the one that asks.
async fn connections_become(server: &Server, wanted: impl Fn(f64) -> bool) {
    let deadline = Instant::now() + SOON;
    loop {
        let (_, text) = get(server, "/metrics").await;
        let open = metric(&text, "tts_connections") - 1.0;
        if wanted(open) {
            return;
        }
        assert!(Instant::now() < deadline, "{open} connections are open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Opens a connection and sends as much of `bytes` as the server takes.
async fn send(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    // The server stops reading, or closes: both are what is tested.
    let _ = tokio::time::timeout(Duration::from_millis(200), stream.write_all(bytes)).await;
    stream
}

/// What the server sends first.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 4096];
    let count = tokio::time::timeout(SOON, stream.read(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

/// Waits until the server's metrics are as wanted.
async fn metrics_become(server: &Server, wanted: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + SOON;
    loop {
        let (_, metrics) = get(server, "/metrics").await;
        if wanted(&metrics) {
            return;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A request of a client that means well.
async fn speak(server: &Server) -> reqwest::Response {
    client()
        .post(server.url("/v1/audio/speech"))
        .json(&json!({"input": "All is well.", "response_format": "wav"}))
        .send()
        .await
        .unwrap()
}

fn head(path: &str, content_length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {content_length}\r\n\r\n"
    )
}

/// Half a body, half a head, requests without reading, and nothing.
fn hostile_requests() -> Vec<Vec<u8>> {
    let mut body = head("/v1/audio/speech", 120_000).into_bytes();
    body.resize(body.len() + 100_000, b' ');
    let mut endless = b"GET /livez HTTP/1.1\r\nhost: x\r\n".to_vec();
    for number in 0..60 {
        endless.extend(format!("x-{number}: {}\r\n", "a".repeat(1000)).bytes());
    }
    let unread = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(5000);
    vec![body, endless, unread, Vec::new()]
}

#[tokio::test]
async fn a_thousand_hostile_connections_hold_little_memory_and_probes_are_answered() {
    const CONNECTIONS: usize = 1024;
    let server = Server::start(&["--workers", "1"]);
    // What the first requests of a process allocate is not theirs.
    for _ in 0..20 {
        get(&server, "/metrics").await;
    }
    let idle = resident(&server);
    let requests = hostile_requests();
    let mut held = Vec::new();
    for batch in 0..CONNECTIONS / 64 {
        let opened =
            (0..64).map(|number| send(&server, &requests[(batch * 64 + number) % requests.len()]));
        held.extend(futures::future::join_all(opened).await);
    }
    let (status, _) = get(&server, "/livez").await;
    assert_eq!(status, StatusCode::OK, "a probe is answered beside them");
    let grown = resident(&server).saturating_sub(idle);
    println!(
        "{CONNECTIONS} hostile connections hold {} KiB",
        grown / 1024
    );
    assert!(grown <= 40 * 1024 * 1024, "{} MiB", grown / 1024 / 1024);
    drop(held);
    connections_become(&server, |open| open <= 0.0).await;
    let response = speak(&server).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_pipelines_and_reads_nothing_is_cut_after_the_write_timeout() {
    let server = Server::start(&["--write-timeout", "1s"]);
    let requests = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(5000);
    let begun = Instant::now();
    let stuck = send(&server, &requests).await;
    connections_become(&server, |open| open >= 1.0).await;
    connections_become(&server, |open| open <= 0.0).await;
    let lived = begun.elapsed();
    println!("it lived for {lived:?}");
    assert!(lived < Duration::from_secs(6), "{lived:?}");
    drop(stuck);
}

#[tokio::test]
async fn a_client_that_sends_requests_slowly_and_reads_nothing_does_not_hold_a_drain() {
    let mut server = Server::start(&["--write-timeout", "1s", "--drain-delay", "0s"]);
    let stuck = send(
        &server,
        &b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(5000),
    )
    .await;
    connections_become(&server, |open| open >= 1.0).await;
    server.terminate();
    let begun = Instant::now();
    assert_eq!(server.wait(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    drop(stuck);
}

#[tokio::test]
async fn a_body_far_above_the_limit_gets_its_413() {
    let server = Server::start(&[]);
    for length in [128 * 1024 + 1, 20_000_000] {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        stream
            .write_all(head("/v1/audio/speech", length).as_bytes())
            .await
            .unwrap();
        // The whole of it, as most clients do, before anything is read.
        let chunk = vec![b' '; 1 << 16];
        let mut left = length;
        while left > 0 {
            let size = left.min(chunk.len());
            stream.write_all(&chunk[..size]).await.unwrap();
            left -= size;
        }
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    // A client that asks first is told before it sends.
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let asking = head("/v1/audio/speech", 20_000_000)
        .replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    stream.write_all(asking.as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn bytes_beyond_the_budget_get_503_and_bytes_within_it_are_served() {
    let server = Server::start(&["--max-receive-bytes", "100000", "--body-timeout", "2s"]);
    let mut first = head("/v1/audio/speech", 120_000).into_bytes();
    first.resize(first.len() + 90_000, b' ');
    let held = send(&server, &first).await;
    connections_become(&server, |open| open >= 1.0).await;
    let refused = client()
        .post(server.url("/v1/audio/speech"))
        .header("content-type", "application/json")
        .body(vec![b' '; 60_000])
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(refused.text().await.unwrap().contains("receiving_too_much"));
    // A head that does not fit is refused too.
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let long = format!(
        "GET /livez HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n",
        "a".repeat(30_000)
    );
    stream.write_all(long.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("receiving_too_much"),
        "{answer}"
    );
    let small = speak(&server).await;
    assert_eq!(small.status(), StatusCode::OK);
    assert!(small.bytes().await.unwrap().len() > 10_000);
    drop(held);
    connections_become(&server, |open| open <= 0.0).await;
}

#[tokio::test]
async fn beyond_the_connection_limit_only_probes_are_answered() {
    let server = Server::start(&["--max-connections", "3"]);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(send(&server, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await);
    }
    for stream in &mut held {
        assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
    }
    for path in ["/livez", "/readyz", "/startupz", "/metrics"] {
        let response = client().get(server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["connection"], "close");
    }
    let (status, body) = get(&server, "/v1/models").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("too_many_connections"), "{body}");
    // The reserved places have an end too, and become free soon.
    for _ in 0..70 {
        held.push(send(&server, b"").await);
    }
    let mut last = held.pop().unwrap();
    assert_eq!(
        tokio::time::timeout(SOON, last.read(&mut [0; 16]))
            .await
            .unwrap()
            .unwrap_or(0),
        0
    );
    held.truncate(3);
    let deadline = Instant::now() + SOON;
    while client().get(server.url("/livez")).send().await.is_err() {
        assert!(Instant::now() < deadline, "no probe is answered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, text) = get(&server, "/metrics").await;
    assert!(metric(&text, "tts_rejected_connections_total") >= 1.0);
}

#[tokio::test]
async fn a_slow_reader_that_reads_on_is_served_to_the_end() {
    // As slow in terms of the timeout as 13 kB/s are for the default of 30 s. The kernel would hold megabytes of the answer
    // and accept no write for seconds.
    const BYTES_PER_SECOND: u64 = 400_000;
    let server = Server::start(&["--write-timeout", "1s"]);
    let text = "The birch canoe slid on the smooth planks. ".repeat(90);
    let body = json!({"input": text, "response_format": "pcm"}).to_string();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket
        .connect(server.address.parse().unwrap())
        .await
        .unwrap();
    let head =
        head("/v1/audio/speech", body.len()).replace("host: x", "host: x\r\nconnection: close");
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    let begun = Instant::now();
    let mut received = Vec::new();
    let mut buffer = vec![0; 4096];
    loop {
        let count = stream
            .read(&mut buffer)
            .await
            .expect("the connection was cut");
        if count == 0 {
            break;
        }
        received.extend_from_slice(&buffer[..count]);
        let due = Duration::from_micros(received.len() as u64 * 1_000_000 / BYTES_PER_SECOND);
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
    assert!(received.len() > 8_000_000, "{} bytes", received.len());
    assert!(
        received.ends_with(b"\r\n0\r\n\r\n"),
        "the answer is not complete"
    );
}

#[tokio::test]
async fn clients_that_leave_are_out_of_the_queue_whatever_they_sent_behind_their_request() {
    const CLIENTS: u32 = 16;
    let server = Server::start(&["--workers", "1", "--queue", "16"]);
    let body = json!({"input": "one two three four five six seven eight ".repeat(90)}).to_string();
    let request = format!("{}{body}", head("/v1/audio/speech", body.len()));
    let behind = ["\r\n", &request, &"x".repeat(20_000)];
    let mut waiting = Vec::new();
    for number in 0..CLIENTS {
        let more = behind[number as usize % behind.len()];
        let stream = send(&server, format!("{request}{more}").as_bytes()).await;
        if number % 2 == 0 {
            // It is reset when it is dropped.
            stream.set_zero_linger().unwrap();
        }
        waiting.push(stream);
    }
    metrics_become(&server, |text| {
        metric(text, "tts_queue_depth") + 2.0 >= f64::from(CLIENTS)
    })
    .await;
    let left = Instant::now();
    drop(waiting);
    metrics_become(&server, |text| metric(text, "tts_inflight") < 1.0).await;
    println!("no request {:?} after the clients left", left.elapsed());
    // The worker may have been about to answer the first ones. To the others nothing was said.
    let (_, text) = get(&server, "/metrics").await;
    let unanswered = metric(&text, "tts_requests_total{code=\"499\"}");
    assert!(unanswered + 4.0 >= f64::from(CLIENTS), "{unanswered}");
}
