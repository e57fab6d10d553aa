//! The proxy in front of a server that is no API server: what the operator sees of it.
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{Router, routing::get};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(5);
const OBJECT: &str = "/api/v1/namespaces/speech/services/greeter";

/// A server that stores nothing, and a proxy with a client like the operator's in front of it.
struct Setup {
    proxy: Proxy,
    client: Client,
    _server: JoinSet<()>,
}

async fn setup() -> Setup {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let endless = async || {
        let first = futures::stream::once(async { Ok::<_, Closed>("event\n") });
        Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()))
    };
    let router = Router::new()
        .route("/api/v1/pods", get(endless))
        .fallback(async || "done");
    let mut server = JoinSet::new();
    server.spawn(async move {
        axum::serve(listener, router).await.unwrap();
    });
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    let proxy = Proxy::start(client).await.unwrap();
    let kubeconfig = Kubeconfig::read_from(proxy.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.default_retry = false;
    Setup {
        proxy,
        client: Client::try_from(config).unwrap(),
        _server: server,
    }
}

impl Setup {
    async fn request(&self, method: &str) -> kube::Result<String> {
        let request = Request::builder()
            .method(method)
            .uri(OBJECT)
            .body(Vec::new())
            .unwrap();
        timeout(SOON, self.client.request_text(request))
            .await
            .unwrap()
    }

    fn shown(&self) -> Vec<String> {
        self.proxy.writes().iter().map(Write::to_string).collect()
    }
}

/// Ends with the test.
struct Victim(Child);

impl Victim {
    fn start() -> Self {
        // Reads until its input ends, which it does not.
        let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        Self(child)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn requests_go_through_and_writes_are_recorded() {
    let setup = setup().await;
    assert_eq!(setup.request("GET").await.unwrap(), "done");
    assert_eq!(setup.request("PATCH").await.unwrap(), "done");
    assert_eq!(setup.shown(), [format!("#1 PATCH {OBJECT}: Answered(200)")]);
}

#[tokio::test]
async fn a_watch_shows_each_event_at_once() {
    let setup = setup().await;
    let request = Request::get("/api/v1/pods?&watch=true")
        .body(Vec::new())
        .unwrap();
    let events = setup.client.request_stream(request).await.unwrap();
    let mut lines = events.lines();
    let first = timeout(SOON, lines.try_next()).await.unwrap().unwrap();
    assert_eq!(first.as_deref(), Some("event"));
    assert_eq!(setup.proxy.open_watches(), 1);
    setup.proxy.cut_watches();
    assert_eq!(
        timeout(SOON, lines.try_next()).await.unwrap().unwrap(),
        None
    );
}

#[tokio::test]
async fn an_injected_error_is_a_status_of_the_api_server() {
    let setup = setup().await;
    for status in [429, 500] {
        setup.proxy.fail(Errors { status, one_in: 1 });
        match setup.request("DELETE").await.unwrap_err() {
            kube::Error::Api(answer) => assert_eq!(answer.code, status),
            other => panic!("{other}"),
        }
    }
    setup.proxy.recover();
    assert_eq!(setup.request("DELETE").await.unwrap(), "done");
    assert_eq!(
        setup.shown(),
        [
            format!("Object DELETE {OBJECT}: Refused(429)"),
            format!("Object DELETE {OBJECT}: Refused(500)"),
            format!("#1 DELETE {OBJECT}: Answered(200)"),
        ]
    );
}

#[tokio::test]
async fn a_server_that_is_down_answers_nothing() {
    let setup = setup().await;
    assert_eq!(setup.request("GET").await.unwrap(), "done");
    setup.proxy.go_down();
    assert!(setup.request("GET").await.is_err());
    assert!(setup.request("PATCH").await.is_err());
    setup.proxy.recover();
    assert_eq!(setup.request("GET").await.unwrap(), "done");
    assert!(setup.shown().is_empty());
}

#[tokio::test]
async fn a_kill_before_a_write_leaves_nothing_and_one_after_it_hides_the_answer() {
    for (moment, outcome) in [
        (Moment::Before, Outcome::Lost),
        (Moment::After, Outcome::Answered(200)),
    ] {
        let setup = setup().await;
        let mut victim = Victim::start();
        setup.proxy.kill_at(Kill {
            number: 2,
            moment,
            pid: victim.0.id(),
        });
        assert_eq!(setup.request("PATCH").await.unwrap(), "done");
        assert!(setup.proxy.killed_at().is_none());
        assert!(setup.request("PATCH").await.is_err(), "{moment:?}");
        assert_eq!(setup.proxy.killed_at().unwrap().number, Some(2));
        assert_eq!(setup.proxy.writes()[1].outcome, outcome);
        // By the signal.
        assert_eq!(victim.0.wait().unwrap().code(), None);
    }
}
