//! Tests of the built binaries that need no cluster: what they start and where they find their tools.
//!
//! The binary is `TTS_SERVER_BIN`, else `bin/tts-server` of the workspace, as `make build` leaves it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

pub mod graph;
pub mod medium;
pub mod nvml;
pub mod voices;
pub mod web;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take that should happen soon.
pub const SOON: Duration = Duration::from_secs(30);

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The server's binary.
///
/// # Panics
/// When it is not there: nothing can be tested then.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("TTS_SERVER_BIN")
        .map_or_else(|| workspace().join("bin/tts-server"), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: run `make build`, or set TTS_SERVER_BIN",
        path.display()
    );
    path
}

/// The folder in which what is slow to make outlives the clone, as `scripts/lib.sh` names it; the second form is for
/// tests that are run by hand. Empty where no home folder is known.
pub fn cache() -> PathBuf {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = named("TTS_CACHE") {
        return PathBuf::from(cache);
    }
    named("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache")))
        .unwrap_or_default()
        .join("tts-operator")
}

/// The first folder below `parent` whose name begins so and that holds `file`.
fn in_cache(parent: &Path, prefix: &str, file: &str) -> Option<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(parent)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(file))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

/// A Python that has pocketsphinx and openai.
///
/// # Panics
/// When there is none.
pub fn python() -> PathBuf {
    std::env::var_os("TTS_E2E_PYTHON")
        .map(PathBuf::from)
        .or_else(|| in_cache(&cache(), "venv-", "bin/python"))
        .unwrap_or_else(|| {
            panic!(
                "no Python with pocketsphinx and openai: run `make setup`, or set TTS_E2E_PYTHON"
            )
        })
}

/// Prometheus' `promtool`.
///
/// # Panics
/// When there is none.
pub fn promtool() -> PathBuf {
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("promtool"))
            .find(|file| file.is_file())
    });
    on_path
        .or_else(|| in_cache(&cache().join("tools"), "promtool", "promtool"))
        .unwrap_or_else(|| panic!("no promtool: run `make setup`"))
}

/// The response to a speech request with this body.
///
/// # Panics
/// When there is none.
pub async fn speech(server: &Server, body: &serde_json::Value) -> reqwest::Response {
    client()
        .post(server.url("/v1/audio/speech"))
        .json(body)
        .send()
        .await
        .unwrap()
}

/// Waits for a condition.
///
/// # Panics
/// When it does not come true soon.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_at_most(SOON, what, condition);
}

/// Waits for a condition that may take longer than [`SOON`].
///
/// # Panics
/// When it does not come true within the limit.
#[track_caller]
pub fn wait_at_most(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// A running server on a port of its own; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
    /// `127.0.0.1:port`.
    pub address: String,
}

impl Server {
    /// Starts `tts-server serve` with these arguments and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments);
        Self::spawn(command)
    }

    /// Starts a command that runs the server in its foreground.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = writer.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut server = Self {
            child,
            log,
            address: String::new(),
        };
        wait_until("the server to be ready", || {
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "the server ended:\n{}",
                server.log()
            );
            server.log().contains("every voice produced audio")
        });
        let log = server.log();
        let (_, rest) = log.split_once("address=").unwrap();
        rest.split_whitespace()
            .next()
            .unwrap()
            .clone_into(&mut server.address);
        server
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The process; of the command that was spawned.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM, as Kubernetes does.
    ///
    /// # Panics
    /// When there is no `kill`.
    pub fn terminate(&self) {
        let status = Command::new("kill")
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end; its exit code.
    ///
    /// # Panics
    /// When it does not end soon.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the server to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One value of a metric (with its labels, as it is written) out of `/metrics`.
///
/// # Panics
/// When it is not there.
#[track_caller]
pub fn metric(metrics: &str, name: &str) -> f64 {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("there is no {name} in\n{metrics}"))
}

/// A client that does not keep connections, so that each request is told apart.
///
/// # Panics
/// When TLS can't be set up.
pub fn client() -> reqwest::Client {
    install_tls();
    reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .no_proxy()
        .timeout(SOON)
        .build()
        .unwrap()
}

/// Makes `ring` the process's TLS provider; once is enough, twice does no harm.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The samples of a WAV file, and its sample rate.
///
/// # Panics
/// When it is no WAV whose header tells its length.
#[track_caller]
pub fn samples(wav: &[u8]) -> (Vec<i16>, u32) {
    assert_eq!(
        (&wav[..4], &wav[8..16], &wav[36..40]),
        (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..])
    );
    let number = |at: usize| u32::from_le_bytes(wav[at..at + 4].try_into().unwrap());
    assert_eq!(number(4) as usize, wav.len() - 8, "RIFF size");
    assert_eq!(number(40) as usize, wav.len() - 44, "data size");
    let samples = wav[44..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    (samples, number(24))
}
