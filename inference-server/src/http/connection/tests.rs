//! Connections over real sockets: clients that leave, and upgrades.

use std::io;

use axum::{
    body::Bytes,
    extract::State,
    response::IntoResponse,
    routing::{any, get},
};
use futures::FutureExt;
use hyper::upgrade::Upgraded;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use super::*;

const SOON: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_hours(1);
const DEADLINES: Deadlines = Deadlines {
    header: NEVER,
    body: NEVER,
    write: NEVER,
    request: NEVER,
    keep_alive: NEVER,
};

const RECEIVE_BUDGET: usize = 100_000;

/// A client, and the server's side of its connection.
struct Pair {
    client: BufReader<TcpStream>,
    server: JoinHandle<()>,
    lifecycle: Lifecycle,
}

impl Pair {
    async fn new(router: Router<Lifecycle>, deadlines: Deadlines) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let lifecycle = Lifecycle::default();
        let server = tokio::spawn(serve(
            accepted.unwrap().0,
            router.with_state(lifecycle.clone()),
            deadlines,
            lifecycle.clone(),
            ReceiveBudget::new(RECEIVE_BUDGET),
        ));
        Self {
            client: BufReader::new(client.unwrap()),
            server,
            lifecycle,
        }
    }

    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until this was received; everything up to there.
    async fn receive(&mut self, end: &str) -> String {
        let mut received = Vec::new();
        while !received.ends_with(end.as_bytes()) {
            let byte = timeout(SOON, self.client.read_u8()).await;
            let received_so_far = String::from_utf8_lossy(&received).into_owned();
            received.push(byte.expect(&received_so_far).expect(&received_so_far));
        }
        String::from_utf8(received).unwrap()
    }

    async fn upgrade(&mut self, and_then: &str) {
        let request = "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo";
        self.send(&format!("{request}\r\n\r\n{and_then}")).await;
        let head = self.receive("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    }
}

async fn ends(server: JoinHandle<()>) {
    timeout(SOON, server).await.expect("it goes on").unwrap();
}

/// Announces a request that was received completely, and answers it when it is told to.
fn slow(
    begun: mpsc::UnboundedSender<()>,
    answer: Lifecycle,
) -> impl Fn(Bytes) -> futures::future::BoxFuture<'static, &'static str> + Clone + Send + Sync {
    move |_| {
        let (begun, answer) = (begun.clone(), answer.clone());
        async move {
            begun.send(()).unwrap();
            answer.reached(Stage::Ready).await;
            "answer"
        }
        .boxed()
    }
}

const GET: &str = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
const POST: &str = "POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_leaves_is_noticed_whatever_it_sent_behind_its_request() {
    let junk = "x".repeat(20_000);
    for request in [GET, POST] {
        for behind in ["", "\r\n", GET, &junk] {
            for reset in [false, true] {
                let (begun, mut begins) = mpsc::unbounded_channel();
                let handler = any(slow(begun, Lifecycle::default()));
                let mut pair = Pair::new(Router::new().route("/slow", handler), DEADLINES).await;
                pair.send(&format!("{request}{behind}")).await;
                timeout(SOON, begins.recv()).await.unwrap().unwrap();
                assert!(!pair.server.is_finished());
                if reset {
                    pair.client.get_ref().set_zero_linger().unwrap();
                }
                drop(pair.client);
                ends(pair.server).await;
            }
        }
    }
}

#[tokio::test]
async fn pipelined_requests_of_a_client_that_stays_are_answered_in_order() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let answer = Lifecycle::default();
    let router = Router::new()
        .route("/slow", any(slow(begun, answer.clone())))
        .route("/next", get(async || "next"));
    let mut pair = Pair::new(router, DEADLINES).await;
    let next = "GET /next HTTP/1.1\r\nhost: x\r\n\r\n";
    pair.send(&format!("{POST}{next}{POST}{next}")).await;
    timeout(SOON, begins.recv()).await.unwrap().unwrap();
    answer.advance(Stage::Ready);
    for expected in ["answer", "next", "answer", "next"] {
        let head = pair.receive("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(pair.receive(expected).await, expected);
    }
    drop(pair.client);
    ends(pair.server).await;
}

#[tokio::test]
async fn a_client_that_ends_in_the_middle_of_a_body_is_told_so() {
    // The end arrives while the handler has not begun to read.
    let (begun, mut begins) = mpsc::unbounded_channel();
    let read = Lifecycle::default();
    let handler = {
        let read = read.clone();
        async move |body: Body| {
            begun.send(()).unwrap();
            read.reached(Stage::Ready).await;
            match axum::body::to_bytes(body, 1000).await {
                Ok(_) => StatusCode::OK,
                Err(_) => StatusCode::BAD_REQUEST,
            }
        }
    };
    let mut pair = Pair::new(Router::new().route("/slow", any(handler)), DEADLINES).await;
    pair.send(&POST[..POST.len() - 1]).await;
    pair.client.shutdown().await.unwrap();
    timeout(SOON, begins.recv()).await.unwrap().unwrap();
    let waited = timeout(Duration::from_millis(100), &mut pair.server).await;
    assert!(waited.is_err(), "the connection ended");
    read.advance(Stage::Ready);
    let head = pair.receive("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    ends(pair.server).await;
}

/// Answers an upgrade, and runs the protocol on its stream.
fn upgraded<F, Running>(run: F) -> Router<Lifecycle>
where
    F: Fn(TokioIo<Upgraded>, Lifecycle) -> Running + Clone + Send + Sync + 'static,
    Running: Future<Output = ()> + Send + 'static,
{
    let handler = async move |State(lifecycle): State<Lifecycle>, mut request: Request<Body>| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            run(TokioIo::new(upgrade.await.unwrap()), lifecycle).await;
        });
        let headers = [("connection", "upgrade"), ("upgrade", "echo")];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    };
    Router::new().route("/upgrade", get(handler))
}

/// Sends everything back, until the server closes.
async fn echo(stream: TokioIo<Upgraded>, lifecycle: Lifecycle) {
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::select! {
        result = tokio::io::copy(&mut read, &mut write) => drop(result),
        () = lifecycle.reached(Stage::Closing) => {
            let _ = write.write_all(b"bye").await;
        }
    }
}

#[tokio::test]
async fn an_upgraded_stream_carries_bytes_both_ways_from_the_first_behind_the_head() {
    let mut pair = Pair::new(upgraded(echo), DEADLINES).await;
    // More than hyper reads at once.
    let first = "first ".repeat(5000);
    pair.upgrade(&first).await;
    assert_eq!(pair.receive(&first).await, first);
    // Its bytes are not those of requests.
    for number in 0..=RECEIVE_BUDGET / 10_000 {
        let next = format!("{number:10000}");
        pair.send(&next).await;
        assert_eq!(pair.receive(&next).await, next);
    }
    assert!(!pair.server.is_finished());
    drop(pair.client);
    ends(pair.server).await;
}

#[tokio::test]
async fn a_connection_lasts_as_long_as_its_upgraded_stream() {
    let (hand_over, mut handed_over) = mpsc::unbounded_channel();
    let router = upgraded(move |stream, _| {
        hand_over.send(stream).unwrap();
        async {}
    });
    // No deadline of requests ends it.
    let deadlines = Deadlines {
        request: Duration::from_millis(1),
        keep_alive: Duration::from_millis(1),
        ..DEADLINES
    };
    let mut pair = Pair::new(router, deadlines).await;
    pair.upgrade("").await;
    let stream = timeout(SOON, handed_over.recv()).await.unwrap().unwrap();
    // Even when the client has left, or the server closes.
    drop(pair.client);
    pair.lifecycle.advance(Stage::Closing);
    let waited = timeout(Duration::from_millis(100), &mut pair.server).await;
    assert!(waited.is_err(), "the connection ended before its stream");
    drop(stream);
    ends(pair.server).await;
}

#[tokio::test]
async fn an_upgraded_stream_ends_when_the_server_closes() {
    let mut pair = Pair::new(upgraded(echo), DEADLINES).await;
    pair.upgrade("hello").await;
    assert_eq!(pair.receive("hello").await, "hello");
    pair.lifecycle.advance(Stage::Closing);
    assert_eq!(pair.receive("bye").await, "bye");
    ends(pair.server).await;
}

#[tokio::test]
async fn an_upgraded_stream_whose_client_reads_nothing_fails_after_the_write_deadline() {
    let (report, mut reports) = mpsc::unbounded_channel::<io::Result<usize>>();
    let router = upgraded(move |mut stream, _| {
        let report = report.clone();
        async move {
            let bytes = vec![0; 1 << 16];
            while stream.write(&bytes).now_or_never().is_some() {}
            // Whoever waits is woken, even if it waits for something else.
            report.send(stream.read(&mut [0]).await).unwrap();
            report.send(stream.write(&[0]).await).unwrap();
            report.send(stream.flush().await.map(|()| 0)).unwrap();
        }
    });
    let deadlines = Deadlines {
        write: Duration::from_millis(100),
        ..DEADLINES
    };
    let mut pair = Pair::new(router, deadlines).await;
    pair.upgrade("").await;
    ends(pair.server).await;
    for _ in 0..3 {
        let error = reports.recv().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn an_upgrade_that_nobody_takes_ends_the_connection() {
    let handler = async || StatusCode::SWITCHING_PROTOCOLS;
    let mut pair = Pair::new(Router::new().route("/upgrade", get(handler)), DEADLINES).await;
    pair.upgrade("").await;
    ends(pair.server).await;
}
