//! A file server over https for voices, on this machine, with a certificate of the suite's own authority.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, extract::State, http::StatusCode, http::Uri, response::IntoResponse};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{Cluster, authority::Authority, operator};

const HANDSHAKE: Duration = Duration::from_secs(5);

/// Serves until it is dropped.
pub struct FileServer {
    /// `https://address:port`, as pods reach it.
    pub url: String,
    files: Arc<Files>,
    task: JoinHandle<()>,
}

struct Files {
    contents: Mutex<BTreeMap<String, Vec<u8>>>,
    requests: AtomicUsize,
}

impl FileServer {
    /// Serves each of `contents` under its key, a path that starts with `/`.
    pub async fn start(cluster: &Cluster, contents: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let address = cluster.host_address()?;
        let (certificate, key) = Authority::of(&operator::folder(cluster)?)?.sign(address)?;
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind((address, 0))
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let url = format!("https://{}", listener.local_addr()?);
        let files = Arc::new(Files {
            contents: Mutex::new(contents),
            requests: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(file).with_state(files.clone());
        let listener = TlsListener {
            tcp: listener,
            tls: TlsAcceptor::from(Arc::new(config)),
        };
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the file server ended: {error}");
            }
        });
        Ok(Self { url, files, task })
    }

    /// From now on `path` holds `content`.
    pub fn replace(&self, path: &str, content: Vec<u8>) {
        self.files.lock().insert(path.to_owned(), content);
    }

    /// How many requests for files came so far.
    pub fn requests(&self) -> usize {
        self.files.requests.load(Ordering::Relaxed)
    }
}

impl Files {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn file(State(files): State<Arc<Files>>, uri: Uri) -> impl IntoResponse {
    files.requests.fetch_add(1, Ordering::Relaxed);
    match files.lock().get(uri.path()) {
        Some(content) => (StatusCode::OK, content.clone()),
        None => (StatusCode::NOT_FOUND, b"not here".to_vec()),
    }
}

struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.tcp.accept().await else {
                continue;
            };
            // One client after the other will do, as long as a silent one cannot hold up the rest.
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, self.tls.accept(stream)).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
