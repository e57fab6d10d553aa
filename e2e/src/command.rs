//! Programs that people run too (kubectl, helm), with what they print.
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

/// No command of the tests needs longer; each waits less by its own `--timeout`.
const LIMIT: Duration = Duration::from_mins(6);

/// What a command that has ended printed.
#[derive(Debug)]
pub struct Output {
    pub command: String,
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The standard output of a command that must have worked.
    pub fn ok(self) -> Result<String> {
        if self.success {
            Ok(self.stdout)
        } else {
            bail!("{} failed:\n{}{}", self.command, self.stdout, self.stderr)
        }
    }

    /// The standard error of a command that must have failed.
    pub fn refused(self) -> Result<String> {
        if self.success {
            bail!(
                "{} was expected to fail and did not:\n{}",
                self.command,
                self.stdout
            )
        }
        Ok(self.stderr)
    }
}

/// A program with fixed leading arguments and environment.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    removed: Vec<OsString>,
}

impl Program {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            removed: Vec::new(),
        }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Without this variable of the environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.removed.push(name.into());
        self
    }

    /// The folder that the program lies in.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// A command that is not started yet; it dies with the test.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .kill_on_drop(true);
        for name in &self.removed {
            command.env_remove(name);
        }
        command
    }

    /// Runs to the end.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Output> {
        self.run_with("", arguments).await
    }

    /// Runs to the end with `input` on its standard input.
    pub async fn run_with<A: AsRef<OsStr>>(
        &self,
        input: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Output> {
        let mut command = self.command(arguments);
        let shown = shown(&command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {shown}"))?;
        let mut stdin = child.stdin.take().context("the child has no stdin")?;
        let feed = async {
            // A program that does not read all of it says why in its own words.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let ((), output) = timeout(LIMIT, async {
            tokio::join!(feed, child.wait_with_output())
        })
        .await
        .with_context(|| format!("{shown} did not end within {LIMIT:?}"))?;
        let output = output.with_context(|| format!("cannot read from {shown}"))?;
        Ok(Output {
            command: shown,
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The first of these that is a file.
pub(crate) fn first_file(candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|path| path.is_file())
}

/// Where `PATH` has `name`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    first_file(std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_shows_the_command_and_what_it_printed() {
        let sh = Program::new("/bin/sh").arg("-c");
        let error = sh
            .run(["echo seen; echo why >&2; exit 3"])
            .await
            .unwrap()
            .ok()
            .unwrap_err()
            .to_string();
        assert!(error.contains("seen\nwhy\n"), "{error}");
        assert!(error.starts_with("sh -c echo seen"), "{error}");
    }

    #[tokio::test]
    async fn input_arrives() {
        let cat = Program::new("/bin/cat");
        let arguments: [&str; 0] = [];
        assert_eq!(
            cat.run_with("a: 1\n", arguments)
                .await
                .unwrap()
                .ok()
                .unwrap(),
            "a: 1\n"
        );
    }
}
