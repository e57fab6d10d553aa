//! The operator as a process on this machine, for tests that stand between it and the API server or stop it.
use std::{
    env,
    fs::File,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{Namespace, cluster, process, proxy::Proxy};

/// The lease of operators on this machine, in the namespace of the test.
pub const LEASE: &str = "tts-operator-e2e";
/// The duration of that lease: how long the successor of a killed operator waits at most.
pub const LEASE_DURATION: Duration = Duration::from_secs(3);
/// For the error of a failed test.
const LOG_LINES: usize = 40;

/// Watches the namespace of one test, and is killed when this is dropped.
pub struct HostOperator {
    command: Command,
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl HostOperator {
    /// An operator that needs no lease.
    pub fn start(namespace: &Namespace, proxy: &Proxy) -> Result<Self> {
        Self::start_with(namespace, proxy, "alone", &[])
    }

    /// One of several operators, of which the holder of [`LEASE`] leads.
    pub fn start_elected(namespace: &Namespace, proxy: &Proxy, name: &str) -> Result<Self> {
        let lease = [
            "--leader-elect".to_owned(),
            format!("--lease-name={LEASE}"),
            format!("--lease-duration={}s", LEASE_DURATION.as_secs()),
        ];
        Self::start_with(namespace, proxy, name, &lease)
    }

    fn start_with(
        namespace: &Namespace,
        proxy: &Proxy,
        name: &str,
        more: &[String],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = folder.path().join("settings.yaml");
        let cluster = &namespace.cluster;
        std::fs::write(
            &settings,
            settings_of(&format!("{}/tts-server:{}", cluster.registry, cluster.tag)),
        )?;
        let log = folder.path().join("log");
        let log_file = File::create(&log)?;
        let mut command = Command::new(binary()?);
        command
            .arg("run")
            .arg("--settings")
            .arg(&settings)
            .args([
                format!("--watch-namespaces={}", namespace.name),
                format!("--pod-namespace={}", namespace.name),
                format!("--pod-name={name}"),
                // Nobody asks for its probes and metrics.
                "--listen=127.0.0.1:0".to_owned(),
                "--log-format=text".to_owned(),
            ])
            .args(more)
            // Each option has a variable: none of them comes from the environment of the tests.
            .env_clear()
            .env("KUBECONFIG", proxy.kubeconfig())
            .env("NO_COLOR", "1")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log_file.try_clone()?)
            .stderr(log_file)
            .kill_on_drop(true);
        let child = spawn(&mut command)?;
        Ok(Self {
            command,
            child,
            log,
            _folder: folder,
        })
    }

    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the operator has ended")
    }

    /// Waits until it ends by itself or by a signal, however long that takes.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    pub async fn ended_within(&mut self, within: Duration) -> Result<ExitStatus> {
        timeout(within, self.ended())
            .await
            .with_context(|| format!("the operator has not ended within {within:?}"))?
    }

    /// Does `work`, and fails as soon as the operator ends.
    pub fn during<T>(
        &mut self,
        work: impl Future<Output = Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        // A future that holds another one by value grows with every call.
        let work = Box::pin(work);
        async {
            tokio::select! {
                result = work => result,
                status = self.child.wait() => bail!("the operator has ended with {}", status?),
            }
        }
    }

    fn status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails if it has ended.
    pub fn ensure_alive(&mut self) -> Result<()> {
        let status = self.status()?;
        ensure!(status.is_none(), "the operator has ended with {status:?}");
        Ok(())
    }

    /// Starts it again after it has ended, with the same arguments.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(
            self.status()?.is_some(),
            "the operator has not ended, so it is not started again"
        );
        self.child = spawn(&mut self.command)?;
        Ok(())
    }

    /// It does not run until [`Self::resume`].
    pub fn freeze(&self) -> Result<()> {
        process::freeze(self.pid()?)
    }

    pub fn resume(&self) -> Result<()> {
        process::resume(self.pid()?)
    }

    /// The last lines that it logged, over all its restarts.
    pub fn log_tail(&self) -> String {
        let log = match std::fs::read(&self.log) {
            Ok(log) => String::from_utf8_lossy(&log).into_owned(),
            Err(error) => return format!("the operator's log cannot be read: {error}"),
        };
        format!("the operator's log:\n{}", tail(&log, LOG_LINES))
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("cannot start {}", command.as_std().get_program().display()))
}

fn binary() -> Result<PathBuf> {
    let path = env::var_os("TTS_OPERATOR_BIN").map_or_else(
        || cluster::repository().join("bin/tts-operator"),
        PathBuf::from,
    );
    ensure!(
        path.is_file(),
        "{} does not exist: build the operator with `make build`, or name a binary in TTS_OPERATOR_BIN",
        path.display()
    );
    Ok(path)
}

/// The operator's settings file.
fn settings_of(image: &str) -> String {
    format!(
        "server: {{image: \"{image}\", imagePullPolicy: IfNotPresent}}\ndownloads: {{allowHttp: false}}\n"
    )
}

fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a\n", 2), "a");
        assert_eq!(tail("", 2), "");
    }
}
