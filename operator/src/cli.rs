//! The command line.
use std::{
    collections::BTreeSet,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{plan_command::what_if::Assignment, telemetry::LogFormat};

/// Kubernetes operator for text-to-speech deployments.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controllers.
    Run(Box<RunArgs>),
    /// Print the CRDs as YAML.
    Crds {
        /// Write one file per CRD to this folder instead of standard output.
        #[arg(long)]
        output: Option<PathBuf>,
    },
    #[command(flatten)]
    Plugin(PluginCommand),
}

/// Commands for those who write deployments.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Report what profiles say, and what is planned from them.
    Report(Box<ReportArgs>),
    /// Plan the `TtsDeployment` objects of files, without a cluster. Exit status: 0 planned, 1 an objective cannot be kept, 3
    /// the input cannot be used.
    Plan(Box<PlanArgs>),
    /// Explain the plan of a `TtsDeployment` of the cluster that kubectl talks to.
    Why(WhyArgs),
}

/// Text-to-speech deployments: plans, and what they rest on.
#[derive(Debug, Parser)]
#[command(name = "kubectl-tts", bin_name = "kubectl tts", version)]
pub struct PluginCli {
    #[command(subcommand)]
    pub command: PluginCommand,
}

impl Cli {
    /// What is asked for. Called `kubectl-tts`, the program is a plugin of kubectl with a part of the commands.
    ///
    /// # Errors
    /// When the arguments are not understood, or help is asked for.
    pub fn of(arguments: &[OsString]) -> Result<Command, clap::Error> {
        if is_plugin(arguments) {
            PluginCli::try_parse_from(arguments).map(|cli| Command::Plugin(cli.command))
        } else {
            Self::try_parse_from(arguments).map(|cli| cli.command)
        }
    }
}

/// Whether the program is called as a plugin of kubectl.
pub fn is_plugin(arguments: &[OsString]) -> bool {
    let program = arguments.first().map(Path::new);
    program
        .and_then(Path::file_stem)
        .is_some_and(|name| name == "kubectl-tts")
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// YAML or JSON with `TtsDeployment` objects; `-` is standard input. `TtsVoice`, `TtsProfile`, `Node`, `DaemonSet`,
    /// `ResourceQuota` and `LimitRange` objects in it are used, too.
    #[arg(short, long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,

    /// Measurements of the voices: files, or folders of files, with `TtsProfile` objects or with profiles.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub profiles: Vec<PathBuf>,

    /// Nodes and `DaemonSets`, as `kubectl get nodes,daemonsets -A -o yaml` writes them.
    #[arg(long, value_name = "FILE")]
    pub nodes: Option<PathBuf>,

    /// The operator's settings, of which only `nodeClasses` and `prices` matter.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// Namespace of objects that have none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,

    /// Format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: PlanFormat,

    /// Plan again with this value under `spec`, such as `load.peakRequestsPerSecond=50`, and show what changes. Several are set
    /// together; null removes a field.
    #[arg(long, value_name = "PATH=VALUE", num_args = 1..)]
    pub what_if: Vec<Assignment>,
}

/// What plans are written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    #[default]
    Table,
    Yaml,
    Json,
}

/// Options of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// Name of the `TtsDeployment`.
    pub name: String,

    /// Its namespace; that of the kubeconfig's context when absent.
    #[arg(short, long)]
    pub namespace: Option<String>,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Profiles as JSON, or `TtsProfile` objects as YAML or JSON; several documents and lists are read,
    /// too.
    pub files: Vec<PathBuf>,

    /// Read the `TtsProfile` objects of the cluster that kubectl talks to.
    #[arg(long)]
    pub from_cluster: bool,

    /// Only those of this namespace.
    #[arg(long, requires = "from_cluster")]
    pub namespace: Option<String>,

    /// Format of the report.
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,

    /// Write to this file instead of standard output.
    #[arg(short, long)]
    pub output: Option<PathBuf>,

    /// Put the profiles side by side, with ratios to the first.
    #[arg(long)]
    pub compare: bool,

    /// The 95th percentile of the time to first audio that is promised.
    #[arg(long, default_value = "500ms", value_parser = objective)]
    pub objective: Duration,

    /// Requests per second at the peak.
    #[arg(long, default_value = "5", value_parser = peak)]
    pub peak: f64,

    /// Price of a node of a class per hour, such as `cpu-strong=0.34`; once per class. Without prices
    /// cores are counted.
    #[arg(long, value_name = "CLASS=PRICE", value_parser = price)]
    pub price: Vec<(String, f64)>,

    /// Test results to show, in the format of `JUnit`.
    #[arg(long, num_args = 1..)]
    pub junit: Vec<PathBuf>,
}

/// What a report is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    #[default]
    Markdown,
    Html,
    Json,
}

/// Options of `run`; each can also be set by the environment variable named with it.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Settings file (YAML): the image of the inference server, downloads, budgets. It is read again
    /// when it changes.
    #[arg(long, env = "TTS_SETTINGS")]
    pub settings: PathBuf,

    /// Namespaces to watch, comma-separated; empty means all.
    #[arg(long, env = "TTS_WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,

    /// Listen address of probes and metrics; `:8080` is port 8080 on all addresses.
    #[arg(long, env = "TTS_LISTEN", default_value = ":8080", value_parser = listen_address)]
    pub listen: SocketAddr,

    /// Run the controllers only while holding the lease; required for several replicas.
    #[arg(long, env = "TTS_LEADER_ELECT")]
    pub leader_elect: bool,

    /// Name of the lease. Operators that watch different namespaces must not share one.
    #[arg(long, env = "TTS_LEASE_NAME", default_value = "tts-operator")]
    pub lease_name: String,

    /// How long the lease lasts without being renewed, in whole seconds, 3s to 300s: the longest time
    /// without a leader after one was killed.
    #[arg(long, env = "TTS_LEASE_DURATION", default_value = "15s", value_parser = lease_duration)]
    pub lease_duration: Duration,

    /// The operator's own namespace: it has the lease, and profiles in it serve all namespaces.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub pod_namespace: String,

    /// Identity in the lease and in events.
    #[arg(long, env = "POD_NAME", default_value = "tts-operator")]
    pub pod_name: String,

    /// Format of the log on standard error.
    #[arg(long, env = "TTS_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Log filter: a level, or a comma-separated list such as `info,kube=debug`.
    #[arg(long, env = "TTS_LOG_FILTER", default_value = "info")]
    pub log_filter: String,
}

impl RunArgs {
    /// The namespaces to watch, each once; a single `None` for all.
    pub fn namespaces(&self) -> Vec<Option<String>> {
        let names: BTreeSet<&str> = self
            .watch_namespaces
            .iter()
            .map(|name| name.trim())
            .filter(|name| !name.is_empty())
            .collect();
        if names.is_empty() {
            return vec![None];
        }
        names
            .into_iter()
            .map(|name| Some(name.to_owned()))
            .collect()
    }
}

fn objective(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("use a time above zero, such as 500ms".into());
    }
    Ok(duration)
}

fn peak(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|peak: &f64| peak.is_finite() && *peak > 0.0)
        .ok_or_else(|| "use requests per second above zero, such as 5".into())
}

fn price(text: &str) -> Result<(String, f64), String> {
    let parsed = text.rsplit_once('=').and_then(|(class, price)| {
        let price = price.parse().ok()?;
        Some((class.to_owned(), price))
    });
    parsed
        .filter(|(class, price): &(_, f64)| !class.is_empty() && price.is_finite() && *price > 0.0)
        .ok_or_else(|| "use CLASS=PRICE with a price above zero, such as cpu-strong=0.34".into())
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.subsec_nanos() == 0 && (3..=300).contains(&duration.as_secs()) {
        Ok(duration)
    } else {
        Err("use whole seconds from 3s to 300s".into())
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') {
        format!("[::]{text}")
    } else {
        text.to_owned()
    };
    full.parse()
        .map_err(|_| "use address:port, such as 127.0.0.1:8080, or :8080 for all addresses".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<RunArgs, clap::Error> {
        let args = ["tts-operator", "run", "--settings=settings.yaml"]
            .iter()
            .chain(args);
        Cli::try_parse_from(args).map(|cli| match cli.command {
            Command::Run(run) => *run,
            Command::Crds { .. } | Command::Plugin(_) => unreachable!("run was asked for"),
        })
    }

    #[test]
    fn namespaces_are_comma_separated_and_counted_once() {
        let namespaces = |list| {
            parse(&[&format!("--watch-namespaces={list}")])
                .unwrap()
                .namespaces()
        };
        let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
        assert_eq!(namespaces("b, a,,b"), [a, b]);
        assert_eq!(namespaces(""), [None], "all of them");
    }

    #[test]
    fn a_report_takes_prices_and_refuses_what_is_no_number() {
        let report = |args: &[&str]| {
            let args = ["tts-operator", "report", "a.yaml"].iter().chain(args);
            Cli::try_parse_from(args).map(|cli| match cli.command {
                Command::Plugin(PluginCommand::Report(report)) => *report,
                _ => unreachable!("report was asked for"),
            })
        };
        let found = report(&["--price=a=b=0.5", "--objective=200ms"]).unwrap();
        assert_eq!(found.price, [("a=b".to_owned(), 0.5)]);
        assert_eq!(found.objective.as_millis(), 200);
        for wrong in [
            "--price=a",
            "--price=a=NaN",
            "--price==1",
            "--peak=0",
            "--peak=inf",
            "--objective=0s",
            "--namespace=a",
        ] {
            assert!(report(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_plugin_has_a_part_of_the_commands_and_its_own_name() {
        let of = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
            Cli::of(&arguments)
        };
        let why = of(&["/a/kubectl-tts", "why", "reader", "-n", "speech"]).unwrap();
        assert!(matches!(why, Command::Plugin(PluginCommand::Why(_))));
        let plan = of(&[
            "tts-operator",
            "plan",
            "-f",
            "a",
            "b",
            "--what-if",
            "a=1",
            "b=2",
        ]);
        let Ok(Command::Plugin(PluginCommand::Plan(plan))) = plan else {
            panic!("{plan:?}")
        };
        assert_eq!((plan.files.len(), plan.what_if.len()), (2, 2));
        assert!(of(&["kubectl-tts", "run"]).is_err());
        let help = of(&["kubectl-tts", "--help"]).unwrap_err().to_string();
        assert!(help.contains("kubectl tts"), "{help}");
        assert!(!help.contains("crds"), "{help}");
        let error = of(&["kubectl-tts", "plan"]).unwrap_err().to_string();
        assert!(error.contains("kubectl tts plan"), "{error}");
    }

    #[test]
    fn a_port_alone_is_all_addresses() {
        let listen = parse(&["--listen=:9"]).unwrap().listen;
        assert_eq!(listen.to_string(), "[::]:9");
        let error = parse(&["--listen=9"]).unwrap_err();
        assert!(error.to_string().contains("address:port"), "{error}");
    }

    #[test]
    fn a_lease_lasts_3_to_300_whole_seconds() {
        let lasts = |text: &str| parse(&[&format!("--lease-duration={text}")]);
        assert_eq!(lasts("3s").unwrap().lease_duration.as_secs(), 3);
        assert_eq!(lasts("5m").unwrap().lease_duration.as_secs(), 300);
        for text in ["2s", "301s", "3500ms", "soon"] {
            assert!(lasts(text).is_err(), "{text}");
        }
    }
}
