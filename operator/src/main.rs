//! Wiring only: reads the options and starts the parts of the library.
use std::{
    error::Error, fs, io::Write as _, path::Path, process::ExitCode, sync::Arc, time::Duration,
};

use clap::Parser as _;
use futures::future;
use kube::{
    Client, Config,
    runtime::events::{Recorder, Reporter},
};
use tokio::signal::unix;
use tokio_util::sync::CancellationToken;
use tts_operator::{
    cli::{Cli, Command, RunArgs},
    controllers::{self, Context},
    leader,
    metrics::Metrics,
    startup, telemetry,
    webserver::{self, Readiness},
};

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run(*args).await,
        Command::Crds { output } => crds(output.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tts-operator: {error}");
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
    let settings = Arc::new(args.server_settings()?);
    let namespaces = args.namespaces();

    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_on_signal(shutdown.clone())?);

    let metrics = Arc::new(Metrics::new()?);
    let readiness = Readiness::awaiting("the API server");
    let listener = webserver::bind(args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    // Probes outlive the controllers, so that a draining replica still answers its liveness probe.
    let webserver_shutdown = CancellationToken::new();
    let webserver = tokio::spawn(webserver::serve(
        listener,
        readiness.clone(),
        metrics.clone(),
        webserver_shutdown.clone(),
    ));

    let client = Client::try_from(Config::infer().await?)?;
    tokio::select! {
        () = startup::wait_for_crds(&client, &namespaces, &readiness) => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    // A standby replica is ready too: it takes over as soon as it acquires the lease.
    readiness.ready();
    let reporter = Reporter {
        controller: "tts-operator".into(),
        instance: Some(args.pod_name.clone()),
    };
    let ctx = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client: client.clone(),
        metrics: metrics.clone(),
        settings,
    });
    if args.leader_elect {
        let mut elector = leader::Elector::new(client, &args.pod_namespace, args.pod_name);
        tokio::select! {
            () = elector.acquire() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        tracing::info!("holding the lease");
        metrics.leader.set(1);
        tokio::select! {
            () = run_until(&ctx, &namespaces, &shutdown) => {}
            () = elector.hold() => return Err("lost the leader lease".into()),
        }
        elector.release().await?;
    } else {
        metrics.leader.set(1);
        run_until(&ctx, &namespaces, &shutdown).await;
    }

    webserver_shutdown.cancel();
    webserver.await??;
    Ok(())
}

/// Maximum time for reconciliations in flight to finish; below the default grace period of a pod.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs all controllers until `shutdown`, then waits up to [`SHUTDOWN_TIMEOUT`] for reconciliations in flight.
async fn run_until(ctx: &Arc<Context>, namespaces: &[String], shutdown: &CancellationToken) {
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        () = run_controllers(ctx, namespaces, shutdown) => {}
        () = overdue => {
            tracing::warn!("reconciliations did not finish within {SHUTDOWN_TIMEOUT:?}; the next start repeats them");
        }
    }
}

/// Runs every controller, once per namespace or once for all namespaces.
async fn run_controllers(ctx: &Arc<Context>, namespaces: &[String], shutdown: &CancellationToken) {
    let scopes: Vec<Option<&str>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().map(|name| Some(name.as_str())).collect()
    };
    future::join_all(scopes.into_iter().map(|namespace| {
        future::join(
            controllers::voice::run(ctx.clone(), namespace, shutdown.clone()),
            controllers::deployment::run(ctx.clone(), namespace, shutdown.clone()),
        )
    }))
    .await;
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
