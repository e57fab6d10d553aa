//! The server's lifecycle: listen, load, serve, drain.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};
use tokio_util::task::TaskTracker;

use super::{
    App, Limits, connection,
    info::ServedVoice,
    lifecycle::{Lifecycle, Stage},
    metrics::Metrics,
    router::router,
    speech::Rules,
};
use crate::{
    engine::session::SessionOptions,
    scheduler::{
        Scheduler,
        worker::{self, StartError},
    },
    voices::{Voice, VoiceError, VoiceLocation},
};

/// Configuration of `serve`.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// `host:port`; `:port` means all addresses.
    pub listen: String,
    pub voices: Vec<(String, VoiceLocation)>,
    pub default_voice: Option<String>,
    pub workers: usize,
    pub intra_threads: usize,
    /// Requests that may wait in addition to those in service.
    pub queue: usize,
    pub max_input_characters: usize,
    pub max_audio_seconds: u64,
    pub drain_delay: Duration,
    pub drain_timeout: Duration,
    pub limits: Limits,
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
    let scheduler = Scheduler::new(config.workers, config.queue);
    let metrics = Metrics::new()?;
    let app = App {
        scheduler: scheduler.clone(),
        rules: Arc::new(Rules {
            voices: voices.iter().map(|voice| voice.name.clone()).collect(),
            default_voice,
            max_input_characters: config.max_input_characters,
            max_audio_seconds: config.max_audio_seconds,
        }),
        voices: Arc::new(voices.iter().map(ServedVoice::from).collect()),
        metrics: metrics.clone(),
        lifecycle: lifecycle.clone(),
        limits: config.limits,
        workers: config.workers,
        started: SystemTime::now(),
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, voices = ?app.rules.voices, workers = config.workers, queue = config.queue, "listening");
    }

    let mut loading = tokio::task::spawn_blocking({
        let (scheduler, lifecycle, config) = (scheduler.clone(), lifecycle.clone(), config.clone());
        move || load(&scheduler, &voices, &config, &metrics, &lifecycle)
    });

    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(config.limits.max_connections));
    let router = router(app);
    let accept = |accepted: io::Result<(TcpStream, SocketAddr)>| {
        let socket = match accepted {
            Ok((socket, _)) => socket,
            // The client disconnected before the accept, or no file descriptors are left.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                return;
            }
        };
        let room = Arc::clone(&room);
        let (router, limits, lifecycle) = (router.clone(), config.limits, lifecycle.clone());
        connections.spawn(async move {
            let Ok(_room) = room.try_acquire() else {
                tracing::warn!(
                    limit = limits.max_connections,
                    "too many connections: rejected one"
                );
                return;
            };
            connection::serve(socket, router, limits, lifecycle).await;
        });
    };

    let mut loaded = false;
    loop {
        tokio::select! {
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
        }
    }
    // Connections that the kernel has already accepted: closing the listener would reset them.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        accept(Ok(accepted));
    }
    drop(listener);
    lifecycle.advance(Stage::Closing);
    connections.close();
    if tokio::time::timeout(config.drain_timeout, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "drain timeout: closing open connections"
        );
    }
    scheduler.close();
    tracing::info!("stopped");
    Ok(())
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
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|error| ServeError::Listen { address, error })
}
