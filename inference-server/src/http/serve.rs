//! The server's lifecycle: listen, load, serve, drain.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::Router;
use futures::FutureExt;
use prometheus::IntGauge;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::task::TaskTracker;

use super::{
    App, Deadlines, Limits,
    connection::{self, budget::ReceiveBudget},
    lifecycle::{Lifecycle, Stage},
    metrics::Metrics,
    router,
    speech::request::Rules,
};
use crate::{
    audio::Format,
    engine::SessionOptions,
    scheduler::{
        self, Scheduler,
        worker::{self, StartError},
    },
    voices::{Catalogue, Voice, VoiceError, VoiceLocation, catalogue::CatalogueError},
};

/// Configuration of `serve`.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// `host:port`; `:port` means all addresses.
    pub listen: String,
    pub voices: Vec<(String, VoiceLocation)>,
    pub default_voice: Option<String>,
    /// Response formats that requests may choose.
    pub formats: Vec<Format>,
    pub max_input_characters: usize,
    pub work: scheduler::Limits,
    pub session: SessionOptions,
    pub limits: Limits,
    pub drain_delay: Duration,
    pub drain_timeout: Duration,
}

/// Why the server did not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{listen:?} is not a listen address; use host:port, or :port for all addresses")]
    BadAddress { listen: String },
    #[error("cannot listen on {address}: {error}")]
    Listen {
        address: SocketAddr,
        error: io::Error,
    },
    #[error("voice {name}: {error}")]
    Voice { name: String, error: VoiceError },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Workers(#[from] StartError),
    #[error("cannot write the API's document: {0}")]
    Document(#[from] serde_json::Error),
    #[error("cannot set up the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("cannot install the signal handlers: {0}")]
    Signals(io::Error),
}

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(config: ServeConfig) -> Result<(), ServeError> {
    let scheduler = Scheduler::new(config.work);
    let result = serve_with(&scheduler, config).await;
    stop(scheduler).await;
    result
}

async fn serve_with(scheduler: &Scheduler, config: ServeConfig) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let config = Arc::new(config);
    let voices = read_voices(&config)?;
    let listener = open_listener(&config.listen)?;
    let lifecycle = Lifecycle::default();
    let metrics = Metrics::new()?;
    let budget = ReceiveBudget::new(config.limits.max_receive_bytes);
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, voices = voices.names(), workers = config.work.workers, queue = config.work.waiting, "listening");
    }
    let app = App {
        config: Arc::clone(&config),
        scheduler: scheduler.clone(),
        rules: Arc::new(Rules {
            voices: voices.clone(),
            formats: config.formats.clone(),
            max_input_characters: config.max_input_characters,
        }),
        metrics: metrics.clone(),
        lifecycle: lifecycle.clone(),
        budget: budget.clone(),
        started: SystemTime::now(),
    };

    let mut loading = tokio::task::spawn_blocking({
        let (scheduler, lifecycle, config) = (scheduler.clone(), lifecycle.clone(), config.clone());
        let metrics = metrics.clone();
        move || load(&scheduler, &voices, &config, &metrics, &lifecycle)
    });

    let connections = TaskTracker::new();
    let desk = Desk {
        router: router::router(app.clone())?,
        reserved_router: router::reserved(app),
        deadlines: config.limits.deadlines,
        places: Arc::new(Semaphore::new(config.limits.max_connections)),
        reserved_places: Arc::new(Semaphore::new(RESERVED_CONNECTIONS)),
        lifecycle: lifecycle.clone(),
        budget,
        metrics: metrics.clone(),
    };
    let accept = |accepted: io::Result<(TcpStream, SocketAddr)>| match accepted {
        Ok((socket, _)) => desk.serve(socket, &connections),
        // The client disconnected before the accept, or no file descriptors are left.
        Err(error) => tracing::warn!(%error, "cannot accept a connection"),
    };

    let mut loaded = false;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = seconds.tick() => scheduler.cancel_overdue(),
            accepted = next(&listener) => accept(accepted),
            result = &mut loading, if !loaded => {
                loaded = true;
                // If the blocking task panicked, its voices are not loaded.
                result.map_err(|_| StartError::Lost)??;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }

    tracing::info!(delay = ?config.drain_delay, timeout = ?config.drain_timeout, "draining");
    lifecycle.advance(Stage::Draining);
    let closing = tokio::time::sleep(config.drain_delay);
    tokio::pin!(closing);
    loop {
        tokio::select! {
            accepted = next(&listener) => accept(accepted),
            () = &mut closing => break,
            _ = interrupt.recv() => return Ok(()),
        }
    }
    // Connections that the kernel has already accepted: closing the listener would reset them.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        accept(Ok(accepted));
    }
    drop(listener);
    lifecycle.advance(Stage::Closing);
    connections.close();
    tokio::select! {
        () = connections.wait() => {}
        () = tokio::time::sleep(config.drain_timeout) => tracing::warn!(
            connections = connections.len(),
            "drain timeout: closing open connections"
        ),
        // A second Ctrl-C ends at once.
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopped");
    Ok(())
}

/// How long cancelled runs are waited for.
const LONGEST_CANCELLATION: Duration = Duration::from_secs(5);

async fn stop(scheduler: Scheduler) {
    let stopped = tokio::task::spawn_blocking(move || scheduler.stop(LONGEST_CANCELLATION));
    if !stopped.await.unwrap_or(false) {
        tracing::warn!("a worker does not end");
    }
}

/// Connections beyond the limit that are served all the same, for probes and metrics only: a pod whose places are all taken
/// must not be restarted for it.
const RESERVED_CONNECTIONS: usize = 64;
/// Short, so that the reserved places become free again whatever their clients do.
const RESERVED_DEADLINES: Deadlines = {
    let short = Duration::from_secs(2);
    Deadlines {
        header: short,
        body: short,
        write: short,
        request: short,
        keep_alive: short,
    }
};

/// The place of an open connection.
struct Place {
    open: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, open: &IntGauge) -> Self {
        open.inc();
        Self {
            open: open.clone(),
            _permit: permit,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Gives each connection its place.
struct Desk {
    router: Router,
    reserved_router: Router,
    deadlines: Deadlines,
    places: Arc<Semaphore>,
    reserved_places: Arc<Semaphore>,
    lifecycle: Lifecycle,
    budget: ReceiveBudget,
    metrics: Metrics,
}

impl Desk {
    fn serve(&self, socket: TcpStream, connections: &TaskTracker) {
        let (place, router, deadlines) =
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                (place, &self.router, self.deadlines)
            } else if let Ok(place) = Arc::clone(&self.reserved_places).try_acquire_owned() {
                (place, &self.reserved_router, RESERVED_DEADLINES)
            } else {
                self.metrics.rejected_connections.inc();
                return;
            };
        let connection = connection::serve(
            socket,
            router.clone(),
            deadlines,
            self.lifecycle.clone(),
            self.budget.clone(),
        );
        let place = Place::new(place, &self.metrics.connections);
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

/// Accepts the next connection. Waits after a failure: file descriptors become free when connections end.
async fn next(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let accepted = listener.accept().await;
    if accepted.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    accepted
}

/// Starts the workers; returns once every voice has produced audio.
fn load(
    scheduler: &Scheduler,
    voices: &Catalogue,
    config: &ServeConfig,
    metrics: &Metrics,
    lifecycle: &Lifecycle,
) -> Result<(), StartError> {
    for voice in voices.iter() {
        metrics.set_loaded(&voice.name, false);
    }
    worker::start(
        scheduler,
        voices.iter(),
        config.work.workers,
        &config.session,
    )?;
    for voice in voices.iter() {
        metrics.set_loaded(&voice.name, true);
    }
    lifecycle.advance(Stage::Ready);
    tracing::info!("ready: every voice produced audio");
    Ok(())
}

fn read_voices(config: &ServeConfig) -> Result<Catalogue, ServeError> {
    let voices = config.voices.iter().map(|(name, location)| {
        Voice::read(name, location).map_err(|error| ServeError::Voice {
            name: name.clone(),
            error,
        })
    });
    let voices = voices.collect::<Result<_, _>>()?;
    Ok(Catalogue::new(voices, config.default_voice.as_deref())?)
}

/// `:port` listens on IPv6 and IPv4 where IPv6 is available, else on IPv4.
fn open_listener(listen: &str) -> Result<TcpListener, ServeError> {
    let bad = || ServeError::BadAddress {
        listen: listen.to_owned(),
    };
    if let Some(port) = listen.strip_prefix(':') {
        let port = port.parse().map_err(|_| bad())?;
        return bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
            .or_else(|_| bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))));
    }
    let address = std::net::ToSocketAddrs::to_socket_addrs(listen)
        .ok()
        .and_then(|mut found| found.next());
    bind(address.ok_or_else(bad)?)
}

/// Per connection; the kernel doubles it for its own bookkeeping.
const RECEIVE_BUFFER_BYTES: usize = 32 * 1024;

fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // The system's default may be IPv6 only.
            socket.set_only_v6(false)?;
        }
        // A restart must not wait for connections of the previous process.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // What clients send before it is read lies in the kernel, which counts it against the container.
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|error| ServeError::Listen { address, error })
}
