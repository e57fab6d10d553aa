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
    info::ServedVoice,
    lifecycle::{Lifecycle, Stage},
    metrics::Metrics,
    router,
    speech::Rules,
};
use crate::{
    audio::Format,
    engine::session::SessionOptions,
    scheduler::{
        self, Scheduler,
        worker::{self, StartError},
    },
    voices::{Voice, VoiceError, VoiceLocation},
};

/// Unsent audio at which a request pauses: 12 s at 22,050 Hz. A run may add 14 s to it.
const REQUEST_BUFFER_BYTES: usize = 512 * 1024;

/// Configuration of `serve`.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// `host:port`; `:port` means all addresses.
    pub listen: String,
    pub voices: Vec<(String, VoiceLocation)>,
    pub default_voice: Option<String>,
    /// Response formats that requests may choose.
    pub formats: Vec<Format>,
    pub workers: usize,
    pub intra_threads: usize,
    /// Requests that may wait in addition to those in service.
    pub queue: usize,
    pub max_input_characters: usize,
    pub max_audio_seconds: u64,
    /// Bytes of audio that was not sent yet, of all requests together, at which new requests are rejected.
    pub max_unsent_bytes: usize,
    /// Age of its oldest unsent audio at which a request is cut off while that limit is reached.
    pub slow_reader_timeout: Duration,
    pub run_timeout: Duration,
    pub drain_delay: Duration,
    pub drain_timeout: Duration,
    pub limits: Limits,
}

impl ServeConfig {
    fn work_limits(&self) -> scheduler::Limits {
        scheduler::Limits {
            workers: self.workers,
            waiting: self.queue,
            max_audio_seconds: self.max_audio_seconds,
            request_buffer: REQUEST_BUFFER_BYTES,
            total_buffer: self.max_unsent_bytes,
            run_timeout: self.run_timeout,
            slow_reader: self.slow_reader_timeout,
        }
    }
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
    #[error("two voices are named {name}; give each its own name")]
    SameName { name: String },
    #[error("the default voice {name:?} is not one of the served voices: {known}")]
    NoDefault { name: String, known: String },
    #[error(transparent)]
    Workers(#[from] StartError),
    #[error("cannot set up the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("cannot install the signal handlers: {0}")]
    Signals(io::Error),
}

/// Serves until SIGTERM or SIGINT, then drains.
pub async fn serve(config: ServeConfig) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let voices = read_voices(&config)?;
    let default_voice = default_voice(&config)?;
    let listener = open_listener(&config.listen)?;
    let lifecycle = Lifecycle::default();
    let scheduler = Scheduler::new(config.work_limits());
    let metrics = Metrics::new()?;
    let budget = ReceiveBudget::new(config.limits.max_receive_bytes);
    let app = App {
        scheduler: scheduler.clone(),
        rules: Arc::new(Rules {
            voices: voices.iter().map(|voice| voice.name.clone()).collect(),
            default_voice,
            formats: config.formats.clone(),
            max_input_characters: config.max_input_characters,
        }),
        voices: Arc::new(voices.iter().map(ServedVoice::from).collect()),
        metrics: metrics.clone(),
        lifecycle: lifecycle.clone(),
        limits: config.limits,
        budget: budget.clone(),
        workers: config.workers,
        max_audio_seconds: config.max_audio_seconds,
        started: SystemTime::now(),
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, voices = ?app.rules.voices, workers = config.workers, queue = config.queue, "listening");
    }

    let mut loading = tokio::task::spawn_blocking({
        let (scheduler, lifecycle, config) = (scheduler.clone(), lifecycle.clone(), config.clone());
        let metrics = metrics.clone();
        move || load(&scheduler, &voices, &config, &metrics, &lifecycle)
    });

    let connections = TaskTracker::new();
    let desk = Desk {
        router: router::router(app.clone()),
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
    scheduler.close();
    tracing::info!("stopped");
    Ok(())
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
    voices: &[Voice],
    config: &ServeConfig,
    metrics: &Metrics,
    lifecycle: &Lifecycle,
) -> Result<(), StartError> {
    for voice in voices {
        metrics.set_loaded(&voice.name, false);
    }
    let options = SessionOptions {
        intra_threads: config.intra_threads,
    };
    worker::start(scheduler, voices, config.workers, options)?;
    for voice in voices {
        metrics.set_loaded(&voice.name, true);
    }
    lifecycle.advance(Stage::Ready);
    tracing::info!("ready: every voice produced audio");
    Ok(())
}

fn read_voices(config: &ServeConfig) -> Result<Vec<Voice>, ServeError> {
    let mut voices: Vec<Voice> = Vec::new();
    for (name, location) in &config.voices {
        if voices.iter().any(|voice| voice.name == *name) {
            return Err(ServeError::SameName { name: name.clone() });
        }
        let voice = Voice::read(name, location).map_err(|error| ServeError::Voice {
            name: name.clone(),
            error,
        })?;
        voices.push(voice);
    }
    Ok(voices)
}

/// The named default, else the first voice.
fn default_voice(config: &ServeConfig) -> Result<usize, ServeError> {
    let Some(name) = &config.default_voice else {
        return Ok(0);
    };
    config
        .voices
        .iter()
        .position(|(voice, _)| voice == name)
        .ok_or_else(|| ServeError::NoDefault {
            name: name.clone(),
            known: config
                .voices
                .iter()
                .map(|(voice, _)| voice.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })
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
