//! A proxy in front of the API server, for an operator that runs on this machine. It records what the operator writes
//! and injects faults: errors, an API server that is down, watches that are cut or late, a kill at a given write.
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{
        HeaderMap, Request, Response, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING},
        request::Parts,
    },
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

mod faults;
mod record;
mod requests;
mod watches;

pub use faults::{Errors, Kill, Moment};
pub use record::{Outcome, Write};
pub use requests::Effect;
pub use watches::Held;

use crate::process;
use faults::Faults;
use record::Record;
use watches::Watches;

/// Serves until it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    folder: TempDir,
    task: JoinHandle<()>,
}

struct Shared {
    client: Client,
    record: Mutex<Record>,
    faults: Mutex<Faults>,
    watches: Watches,
    down: watch::Sender<bool>,
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for Closed {}

impl Proxy {
    /// Passes every request on with the credentials of `client`.
    pub async fn start(client: Client) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(
            kubeconfig_in(folder.path()),
            kubeconfig(listener.local_addr()?).to_string(),
        )?;
        let shared = Arc::new(Shared {
            client,
            record: Mutex::default(),
            faults: Mutex::default(),
            watches: Watches::default(),
            down: watch::Sender::new(false),
        });
        let task = tokio::spawn(serve(listener, shared.clone()));
        Ok(Self {
            shared,
            folder,
            task,
        })
    }

    /// A kubeconfig without credentials that names this proxy as the API server.
    pub fn kubeconfig(&self) -> PathBuf {
        kubeconfig_in(self.folder.path())
    }

    /// What was written so far.
    pub fn writes(&self) -> Vec<Write> {
        self.shared.record().writes().to_vec()
    }

    /// Kills a process at a write that is still to come.
    pub fn kill_at(&self, kill: Kill) {
        self.shared.faults().set_kill(kill);
    }

    /// The write at which a process was killed.
    pub fn killed_at(&self) -> Option<Write> {
        self.shared.faults().killed_at().cloned()
    }

    /// From now on answers requests with errors.
    pub fn fail(&self, errors: Errors) {
        self.shared.faults().set_errors(Some(errors));
    }

    /// From now on closes all connections, as if the API server were down.
    pub fn go_down(&self) {
        self.shared.down.send_replace(true);
    }

    /// Ends [`Self::fail`] and [`Self::go_down`].
    pub fn recover(&self) {
        self.shared.faults().set_errors(None);
        self.shared.down.send_replace(false);
    }

    /// How many watch streams are open.
    pub fn open_watches(&self) -> usize {
        self.shared.watches.open()
    }

    /// How many watch streams were opened so far.
    pub fn opened_watches(&self) -> usize {
        self.shared.watches.opened()
    }

    /// Ends all watch streams; new ones are served.
    pub fn cut_watches(&self) {
        self.shared.watches.cut();
    }

    /// Holds the events of watch streams back while requests go through; [`Held::Nothing`] lets go of them.
    pub fn hold_watches(&self, held: Held) {
        self.shared.watches.hold(held);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its connections go with it.
        self.task.abort();
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_down(&self) -> bool {
        *self.down.borrow()
    }
}

fn kubeconfig_in(folder: &Path) -> PathBuf {
    folder.join("kubeconfig")
}

fn kubeconfig(address: SocketAddr) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
        "current-context": "proxy",
    })
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if !shared.is_down() => {
                    connections.spawn(connection(stream, shared.clone()));
                }
                // Dropped, which closes it.
                Ok(_) => {}
                Err(error) => eprintln!("the proxy accepts no connection: {error}"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let mut down = shared.down.subscribe();
    let service = service_fn(|request| answer(shared.clone(), request));
    tokio::select! {
        // An error is what a fault looks like from here, or the operator has closed the connection.
        _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service) => {}
        _ = down.wait_for(|down| *down) => {}
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX)
        .await
        .map_err(|_| Closed)?;
    let effect = requests::effect(&parts.method, &parts.uri);
    let error = shared.faults().error();
    if let Some(status) = error {
        if effect != Effect::Nothing {
            shared
                .record()
                .refuse(effect, &parts.method, parts.uri.path(), status);
        }
        return error_response(status);
    }
    if effect != Effect::Nothing {
        return write(shared, effect, parts, body).await;
    }
    let watched = requests::is_watch(&parts.uri)
        .then(|| requests::resource(parts.uri.path()).map(str::to_owned))
        .flatten();
    let response = send(&shared.client, parts, body).await?;
    match watched {
        Some(resource) if response.status().is_success() => {
            let (parts, events) = response.into_parts();
            let events = shared.watches.pass(&resource, events.into_data_stream());
            Ok(Response::from_parts(parts, events))
        }
        _ => whole(response).await,
    }
}

/// Passes a write on, unless it is the one at which the operator is killed.
async fn write(
    shared: Arc<Shared>,
    effect: Effect,
    parts: Parts,
    body: Bytes,
) -> Result<Response<Body>, Closed> {
    let (index, number) = shared
        .record()
        .begin(effect, &parts.method, parts.uri.path());
    if shared.kill_if_due(number, Moment::Before) {
        shared.record().finish(index, Outcome::Lost);
        return Err(Closed);
    }
    // To the end, even if the operator does not live to see the answer: the request is on its way.
    let task = tokio::spawn({
        let shared = shared.clone();
        async move {
            let response = match send(&shared.client, parts, body).await {
                Ok(response) => whole(response).await,
                Err(closed) => Err(closed),
            };
            let outcome = match &response {
                Ok(response) => Outcome::Answered(response.status().as_u16()),
                Err(Closed) => Outcome::Lost,
            };
            shared.record().finish(index, outcome);
            response
        }
    });
    let response = task.await.map_err(|_| Closed)??;
    if shared.kill_if_due(number, Moment::After) {
        return Err(Closed);
    }
    Ok(response)
}

impl Shared {
    /// Kills the operator if this is the moment for that.
    fn kill_if_due(&self, number: Option<usize>, moment: Moment) -> bool {
        let mut faults = self.faults();
        let Some(pid) = faults.due(number, moment) else {
            return false;
        };
        match process::kill(pid) {
            Ok(()) => {
                let record = self.record();
                if let Some(write) = record.writes().iter().find(|write| write.number == number) {
                    faults.set_killed_at(write.clone());
                }
            }
            Err(error) => eprintln!("the operator is not killed: {error:#}"),
        }
        true
    }
}

/// The API server's response, whose body is still to come.
async fn send(client: &Client, parts: Parts, body: Bytes) -> Result<Response<Body>, Closed> {
    let mut request = Request::from_parts(parts, kube::client::Body::from(body));
    remove_headers_of_the_connection(request.headers_mut());
    let mut response = client.send(request).await.map_err(|error| {
        eprintln!("the proxy does not reach the API server: {error}");
        Closed
    })?;
    remove_headers_of_the_connection(response.headers_mut());
    Ok(response.map(Body::new))
}

async fn whole(response: Response<Body>) -> Result<Response<Body>, Closed> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Closed)?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn remove_headers_of_the_connection(headers: &mut HeaderMap) {
    for name in [CONNECTION, HOST, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

/// As the API server answers: with a `Status`, and with the time after which the next attempt makes sense.
fn error_response(status: u16) -> Result<Response<Body>, Closed> {
    let code = StatusCode::from_u16(status).map_err(|_| Closed)?;
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""),
        "message": "injected by a test",
        "code": status,
    });
    let mut response = Response::builder()
        .status(code)
        .header(CONTENT_TYPE, "application/json");
    if code == StatusCode::TOO_MANY_REQUESTS {
        response = response.header(RETRY_AFTER, "1");
    }
    response
        .body(Body::from(body.to_string()))
        .map_err(|_| Closed)
}

#[cfg(test)]
mod tests;
