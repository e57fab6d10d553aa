//! Wiring only: reads the options and starts the parts of the library.
use std::{
    error::Error, ffi::OsString, fs, io::Write as _, path::Path, process::ExitCode, sync::Arc,
    time::Duration,
};

use kube::{
    Client, Config,
    runtime::events::{Recorder, Reporter},
};
use tokio::{signal::unix, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tts_operator::{
    cli::{Cli, Command, PluginCommand, RunArgs, is_plugin},
    controllers::{self, Context},
    fence::Fence,
    health::Health,
    leader::{Elector, Terms},
    metrics::Metrics,
    plan_command, report,
    settings::{self, Settings},
    startup, telemetry, webserver, why,
};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program = if is_plugin(&arguments) {
        "kubectl tts"
    } else {
        "tts-operator"
    };
    let command = match Cli::of(&arguments) {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            // Clap's own status is 2. For `plan`, wrong arguments are as a file that cannot be used.
            let plans = arguments.get(1).is_some_and(|name| name == "plan");
            return match error.exit_code() {
                0 => ExitCode::SUCCESS,
                _ if plans => ExitCode::from(plan_command::UNUSABLE),
                _ => ExitCode::from(2),
            };
        }
    };
    let result = match command {
        Command::Run(args) => run(*args).await,
        Command::Crds { output } => crds(output.as_deref()),
        Command::Plugin(PluginCommand::Report(args)) => {
            report::run(*args).await.map_err(Into::into)
        }
        Command::Plugin(PluginCommand::Why(args)) => why::run(args).await.map_err(Into::into),
        Command::Plugin(PluginCommand::Plan(args)) => match plan_command::run(&args) {
            Ok(status) => return ExitCode::from(status),
            Err(error) => {
                eprintln!("{program}: {error}");
                return ExitCode::from(plan_command::UNUSABLE);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn crds(folder: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let mut stdout = std::io::stdout().lock();
    for crd in tts_crds::all() {
        let yaml = tts_crds::to_yaml(&crd)?;
        match (folder, &crd.metadata.name) {
            (Some(folder), Some(name)) => fs::write(folder.join(format!("{name}.yaml")), yaml)?,
            _ => write!(stdout, "---\n{yaml}")?,
        }
    }
    Ok(())
}

async fn run(args: RunArgs) -> Result<(), Box<dyn Error>> {
    telemetry::init(&args.log_filter, args.log_format)?;
    // Explicit: if a dependency enables a second provider, rustls does not choose one.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a rustls crypto provider is already installed")?;
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_on_signal(shutdown.clone())?);
    let services = Services::start(&args).await?;
    let fence = Fence::default();
    let client = fence.client(Config::infer().await?)?;
    tokio::select! {
        () = startup::wait_for_crds(&client, &services.health) => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    // A standby replica is ready too: it takes over as soon as it acquires the lease.
    services.health.ready();
    lead(&args, &services, client, fence, &shutdown).await?;
    services.stop().await
}

/// What every replica does, whether it leads or not: probes, metrics, settings.
struct Services {
    health: Health,
    metrics: Arc<Metrics>,
    settings: watch::Receiver<Arc<Settings>>,
    webserver: JoinHandle<std::io::Result<()>>,
    reload: JoinHandle<()>,
    /// Probes outlive the controllers, so that a draining replica still answers its liveness probe.
    webserver_shutdown: CancellationToken,
}

impl Services {
    async fn start(args: &RunArgs) -> Result<Self, Box<dyn Error>> {
        let (sender, settings) = watch::channel(Arc::new(Settings::read(&args.settings)?));
        let metrics = Arc::new(Metrics::new()?);
        let health = Health::awaiting("the API server");
        let listener = webserver::bind(args.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
        let webserver_shutdown = CancellationToken::new();
        Ok(Self {
            webserver: tokio::spawn(webserver::serve(
                listener,
                health.clone(),
                metrics.clone(),
                webserver_shutdown.clone(),
            )),
            reload: tokio::spawn(settings::reload(
                args.settings.clone(),
                sender,
                health.clone(),
                metrics.clone(),
            )),
            health,
            metrics,
            settings,
            webserver_shutdown,
        })
    }

    async fn stop(self) -> Result<(), Box<dyn Error>> {
        self.reload.abort();
        self.webserver_shutdown.cancel();
        Ok(self.webserver.await??)
    }
}

/// Runs the controllers, as long as this replica holds the lease if there is one.
async fn lead(
    args: &RunArgs,
    services: &Services,
    client: Client,
    fence: Fence,
    shutdown: &CancellationToken,
) -> Result<(), Box<dyn Error>> {
    let reporter = Reporter {
        controller: "tts-operator".into(),
        instance: Some(args.pod_name.clone()),
    };
    let ctx = Arc::new(Context::new(
        client.clone(),
        Recorder::new(client.clone(), reporter),
        services.metrics.clone(),
        services.health.clone(),
        services.settings.clone(),
        args.pod_namespace.clone(),
        args.namespaces(),
    ));
    if !args.leader_elect {
        fence.open_forever();
        services.metrics.leader.set(1);
        run_until(&ctx, shutdown).await;
        return Ok(());
    }
    let terms = Terms {
        namespace: args.pod_namespace.clone(),
        name: args.lease_name.clone(),
        duration: args.lease_duration,
        identity: args.pod_name.clone(),
    };
    let mut elector = Elector::new(client, terms, fence);
    tokio::select! {
        () = elector.acquire() => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    tracing::info!("holding the lease");
    services.metrics.leader.set(1);
    tokio::select! {
        () = run_until(&ctx, shutdown) => {}
        () = elector.hold() => return Err("lost the leader lease".into()),
    }
    Ok(elector.release().await?)
}

/// Maximum time for reconciliations in flight to finish; below the default grace period of a pod.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs all controllers until `shutdown`, then waits up to [`SHUTDOWN_TIMEOUT`] for reconciliations in flight.
async fn run_until(ctx: &Arc<Context>, shutdown: &CancellationToken) {
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        () = controllers::run(ctx.clone(), shutdown) => {}
        () = overdue => {
            tracing::warn!("reconciliations did not finish within {SHUTDOWN_TIMEOUT:?}; the next start repeats them");
        }
    }
}

fn cancel_on_signal(
    shutdown: CancellationToken,
) -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut term = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = term.recv() => {}
        }
        tracing::info!("shutting down");
        shutdown.cancel();
    })
}
