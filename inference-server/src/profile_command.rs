//! The command line of `profile`.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tts_planner::{Profile, Validity, validity::assess};
use tts_regression::Record;
use tts_server::{
    client::{API_KEY_VARIABLE, Endpoint, Limits, Plan},
    engine::Device,
    inspect::Download,
    machine::gpu::GpuError,
    profile::{
        Options, ProfileError, Profiler, agreement,
        corpus::{Corpus, LONGEST_SECONDS},
        external,
        grid::Sweep,
        measure::MeasureError,
        output::{self, OutputError},
        pairs,
        state::Measurement,
        verdict::{self, Ceilings},
    },
};

use crate::{FetchOptions, logging};

/// It could not be measured; usage errors have this status too.
pub const NOT_MEASURED: u8 = 3;
const DEFAULT_VOICE: &str = "builtin:rms";

#[derive(clap::Args)]
pub struct Arguments {
    /// The voice: builtin:NAME, a file NAME.onnx, a folder with the files of a voice, or NAME=SOURCE, where SOURCE is the JSON of
    /// `spec.source` of a `TtsVoice`. With --url: `voice` of the requests.
    #[arg(long, default_value = DEFAULT_VOICE, value_name = "VOICE")]
    voice: String,
    /// The folder to download to; needed for voices with files to download only.
    #[arg(long)]
    work_dir: Option<PathBuf>,
    /// Name of the voice in the profile. Default: that of its source.
    #[arg(long)]
    name: Option<String>,
    /// Name of this machine's node class in the profile.
    #[arg(long, default_value = "local")]
    class: String,
    /// How much is measured: quick takes 3 to 5 minutes, full 15 to 40.
    #[arg(long, value_enum, default_value = "quick")]
    sweep: Sweep,
    /// How long each level is measured per pass, at least; with few requests the profile is Degraded. Default: 7 for quick,
    /// 20 for full.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = level_seconds)]
    level_seconds: Option<f64>,
    /// Texts to speak, one per line. Default: twelve English texts.
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Also measure texts of up to this length.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(30..=i64::from(LONGEST_SECONDS)))]
    max_audio_seconds: u32,
    /// Where the profile is written, as a `TtsProfile`: a file NAME.yaml or NAME.json. Default: YAML to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep what is measured in this file as it goes; after an interruption, --resume goes on with it.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Go on with what an earlier run has saved.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Where the model runs: cpu, cuda, or cuda:INDEX. CUDA needs an ONNX Runtime that was built for it, and the NVIDIA driver.
    #[arg(long, default_value_t)]
    device: Device,
    /// Cores that pods can have on this node. Default: the CPUs of this process.
    #[arg(long, value_name = "CORES", allow_negative_numbers = true, value_parser = cores)]
    allocatable: Option<f64>,
    /// Cores that were requested for this measurement; for the record.
    #[arg(long, value_name = "CORES", allow_negative_numbers = true, value_parser = cores)]
    requested: Option<f64>,
    /// Pods that serve on this node meanwhile; for the record.
    #[arg(long, default_value_t = 0, value_name = "PODS")]
    co_tenants: u32,
    /// The server's image; for the record.
    #[arg(long, default_value = "")]
    image: String,
    /// This node's name; for the record.
    #[arg(long, env = "NODE_NAME", default_value = "")]
    node: String,
    /// Measure only a pod of this container's own CPU limit, which is below one core, and save it.
    #[arg(long, requires = "save")]
    only_limit: bool,
    /// Write the profile to standard output in parts that a log keeps whole.
    #[arg(long, conflicts_with = "output")]
    report_to_log: bool,
    /// File to write the result's digest to, or the error.
    #[arg(long, value_name = "FILE")]
    termination_message: Option<PathBuf>,
    /// Measure an OpenAI-compatible endpoint from outside instead, such as <http://127.0.0.1:8000>. Its key is read from
    /// `OPENAI_API_KEY`.
    #[arg(long, value_name = "URL", conflicts_with_all = ["resume", "only_limit", "save", "device", "against", "ceiling", "baseline_voice", "baseline_server"])]
    url: Option<String>,
    /// With --url: `model` of the requests.
    #[arg(long, requires = "url")]
    model: Option<String>,
    /// With --url: `response_format` of the requests.
    #[arg(long, default_value = "wav")]
    format: tts_server::client::Format,
    /// With --url: numbers of clients that each wait for their answer, comma-separated.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4], value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: Vec<u32>,
    /// With --url: requests per second that are sent whether or not earlier ones are answered, comma-separated.
    #[arg(long, requires = "url", value_delimiter = ',', value_parser = rate)]
    rates: Vec<f64>,
    /// With --url: time limit for one request.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// The most that may be measured, such as rtf=0.36,ttfa=400ms: 95th percentiles of one request at a time.
    #[arg(long)]
    ceiling: Option<Ceilings>,
    /// Compare with an earlier profile of the same voice, corpus and machine.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Compare with another voice in turn, and measure nothing else.
    #[arg(long, value_name = "VOICE")]
    baseline_voice: Option<String>,
    /// Compare with another build of the server in turn, and measure nothing else.
    #[arg(long, value_name = "PROGRAM")]
    baseline_server: Option<PathBuf>,
    /// Measure several times, and print how far the runs agree; the first of the most valid ones is the profile.
    #[arg(long, default_value_t = 1, conflicts_with_all = ["resume", "only_limit"], value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    #[command(flatten)]
    options: FetchOptions,
}

fn cores(text: &str) -> Result<f64, String> {
    let cores: Option<f64> = text.parse().ok();
    cores
        .filter(|cores| (0.01..=4096.0).contains(cores))
        .ok_or_else(|| "write a number of cores, such as 3.92".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| (0.001..=1000.0).contains(rate))
        .ok_or_else(|| "write requests per second, from 0.001 to 1000".to_owned())
}

fn level_seconds(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .filter(|seconds| (0.1..=600.0).contains(seconds))
        .ok_or_else(|| "write a number of seconds from 0.1 to 600".to_owned())
}

/// Measures and writes the profile.
pub fn run(arguments: &Arguments) -> ExitCode {
    match measure(arguments) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("tts-server: {error}");
            if let Some(path) = &arguments.termination_message {
                let known = error.downcast_ref::<ProfileError>();
                let message = failure(
                    &error.to_string(),
                    known.map_or("Failed", ProfileError::reason),
                    !known.is_some_and(is_temporary),
                );
                if let Err(error) = std::fs::write(path, message.to_string()) {
                    eprintln!("tts-server: cannot write {}: {error}", path.display());
                }
            }
            ExitCode::from(NOT_MEASURED)
        }
    }
}

/// What the termination message says of a failure, within the 4096 bytes that Kubernetes keeps of it.
fn failure(error: &str, reason: &str, permanent: bool) -> serde_json::Value {
    // JSON may write a character with 6 bytes.
    let error: String = error.chars().take(600).collect();
    json!({"error": error, "reason": reason, "permanent": permanent})
}

/// Whether the same command may succeed later.
fn is_temporary(error: &ProfileError) -> bool {
    match error {
        ProfileError::Voice(error) => error.may_pass(),
        ProfileError::Measure(error) => !error.is_of_device(),
        // A driver that is being installed, or a GPU that fell off the bus.
        ProfileError::Gpu(error) => matches!(error, GpuError::Driver { .. }),
        ProfileError::Output(OutputError::Write { .. }) => true,
        _ => false,
    }
}

fn measure(arguments: &Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    logging::start(&arguments.options.log)?;
    if let Some(path) = &arguments.output {
        output::check_name(path).map_err(ProfileError::from)?;
    }
    // Before minutes are spent on a comparison with nothing.
    let earlier = arguments.against.as_deref().map(output::read);
    let earlier = earlier.transpose().map_err(ProfileError::from)?;
    let fetch = &arguments.options;
    let download = Download {
        work_folder: arguments.work_dir.as_deref(),
        ca_pem: fetch.ca_pem.as_deref(),
        allow_http: fetch.allow_http,
        max_bytes: fetch.max_voice_bytes,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    if let Some(url) = &arguments.url {
        let profile = runtime.block_on(external(arguments, url))?;
        deliver(arguments, &profile)?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = options(arguments);
    let profiler = runtime.block_on(Profiler::prepare(options.clone(), download))?;
    let stop = Arc::new(AtomicBool::new(false));
    runtime.spawn(interrupted(Arc::clone(&stop)));
    if arguments.baseline_voice.is_some() || arguments.baseline_server.is_some() {
        let voice = arguments.baseline_voice.clone();
        let baseline = Options {
            name: Some("baseline".to_owned()),
            voice: voice.unwrap_or_else(|| options.voice.clone()),
            ..options
        };
        let baseline = runtime.block_on(Profiler::prepare(baseline, download))?;
        return compare(arguments, &baseline, &profiler, &stop);
    }
    if arguments.only_limit {
        measured(&profiler, &options, &stop)?;
        return Ok(ExitCode::SUCCESS);
    }
    let profile = most_valid(arguments.runs, || {
        let measurement = measured(&profiler, &options, &stop)?;
        profiler.profile(&measurement)
    })?;
    deliver(arguments, &profile)?;
    Ok(judge(arguments, earlier.as_ref(), &profile))
}

/// Measures an endpoint.
async fn external(arguments: &Arguments, url: &str) -> Result<Profile, Box<dyn std::error::Error>> {
    let key = std::env::var(API_KEY_VARIABLE).ok();
    let mut endpoint = Endpoint::new(url, arguments.format)?.with_api_key(key.as_deref())?;
    endpoint.model.clone_from(&arguments.model);
    // The default is a voice of ours, which other servers do not have.
    let named = arguments.voice != DEFAULT_VOICE;
    endpoint.voice = named.then(|| arguments.voice.clone());
    let name = arguments.name.clone();
    let name = name.unwrap_or_else(|| arguments.voice.replace(':', "-"));
    let corpus = match &arguments.corpus {
        Some(path) => Corpus::read(path).map_err(ProfileError::from)?,
        None => Corpus::standard(0, 0),
    };
    let seconds = arguments.level_seconds.unwrap_or(20.0);
    let plan = Plan {
        clients: arguments.clients.clone(),
        rates: arguments.rates.clone(),
        limits: Limits {
            min_requests: 60,
            min_time: Duration::from_secs_f64(seconds),
            max_time: Duration::from_secs_f64(6.0 * seconds),
        },
        seed: 1,
    };
    let ca_pem = arguments.options.ca_pem.as_deref();
    let profile =
        external::profile(endpoint, &name, &corpus, &plan, arguments.timeout, ca_pem).await?;
    profile.check().map_err(ProfileError::from)?;
    Ok(profile)
}

fn options(arguments: &Arguments) -> Options {
    Options {
        voice: arguments.voice.clone(),
        name: arguments.name.clone(),
        class: arguments.class.clone(),
        image: arguments.image.clone(),
        node: arguments.node.clone(),
        sweep: arguments.sweep,
        level_seconds: arguments.level_seconds,
        corpus: arguments.corpus.clone(),
        max_audio_seconds: arguments.max_audio_seconds,
        device: arguments.device,
        allocatable: arguments.allocatable,
        requested: arguments.requested,
        co_tenants: arguments.co_tenants,
        only_limit: arguments.only_limit,
        // Containers of one pod that each measure a part of a core go on with one file; the first has none.
        resume: arguments
            .resume
            .clone()
            .filter(|path| path.exists() || !arguments.only_limit),
        save: arguments
            .save
            .clone()
            .or_else(|| arguments.resume.clone())
            .or_else(|| partial(arguments)),
    }
}

/// Where a measurement is kept until it is complete, if nothing else was said.
fn partial(arguments: &Arguments) -> Option<PathBuf> {
    let output = arguments.output.as_ref()?;
    Some(output.with_extension("partial"))
}

fn measured(
    profiler: &Profiler,
    options: &Options,
    stop: &Arc<AtomicBool>,
) -> Result<Measurement, ProfileError> {
    profiler.measure(stop).inspect_err(|error| {
        if let (ProfileError::Measure(MeasureError::Interrupted), Some(path)) =
            (error, &options.save)
        {
            eprintln!(
                "tts-server: what was measured is in {0}; go on with --resume {0}",
                path.display()
            );
        }
    })
}

/// Measures so many times, and tells how far the runs agree; the first of the most valid profiles.
fn most_valid(
    runs: u32,
    mut measure: impl FnMut() -> Result<Profile, ProfileError>,
) -> Result<Profile, Box<dyn std::error::Error>> {
    let mut found = Vec::new();
    for run in 1..=runs {
        if runs > 1 {
            eprintln!("run {run} of {runs}");
        }
        let profile = measure()?;
        tell(&profile);
        found.push(profile);
    }
    for pair in found.windows(2) {
        eprintln!("{}", agreement::text(&pair[0], &pair[1]));
    }
    let rank = |profile: &Profile| match profile.run.validity {
        Validity::Valid => 0,
        Validity::Invalid => 2,
        _ => 1,
    };
    Ok(found
        .into_iter()
        .min_by_key(rank)
        .ok_or("nothing was measured")?)
}

/// Writes the profile where it was asked for.
fn deliver(arguments: &Arguments, profile: &Profile) -> Result<(), Box<dyn std::error::Error>> {
    if arguments.report_to_log {
        let (lines, message) = output::log_lines(profile).map_err(ProfileError::from)?;
        for line in lines {
            println!("{line}");
        }
        if let Some(path) = &arguments.termination_message {
            std::fs::write(path, message.to_string())
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    } else {
        output::write(profile, arguments.output.as_deref()).map_err(ProfileError::from)?;
    }
    if let Some(path) = partial(arguments) {
        // It is in the profile now. Where it cannot be removed, it only lies there.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// The verdict on a profile, as the exit status.
fn judge(arguments: &Arguments, earlier: Option<&Profile>, profile: &Profile) -> ExitCode {
    let mut judgements = Vec::new();
    if let Some(ceilings) = &arguments.ceiling {
        judgements.extend(ceilings.judge(profile));
    }
    judgements.extend(earlier.map(|earlier| verdict::against(earlier, profile)));
    for judgement in &judgements {
        eprintln!("{}", judgement.text);
    }
    if !judgements.is_empty() && profile.run.validity == Validity::Invalid {
        eprintln!("the measurement is not valid: there is no verdict");
        return ExitCode::from(NOT_MEASURED);
    }
    ExitCode::from(verdict::overall(&judgements).exit_code())
}

/// Baseline and candidate in turn; one line of JSON on standard output says what came out.
fn compare(
    arguments: &Arguments,
    baseline: &Profiler,
    candidate: &Profiler,
    stop: &Arc<AtomicBool>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (mut base, corpus) = (baseline.subject().0.clone(), candidate.subject().1);
    if let Some(program) = &arguments.baseline_server {
        base.program.clone_from(program);
    }
    let subject = candidate.subject().0;
    let found = pairs::compare(
        &base,
        subject,
        corpus,
        stop,
        &mut |number, base, candidate| {
            eprintln!(
                "pair {number}: RTF {base:.5} and {candidate:.5}, ratio {:.3}",
                candidate / base
            );
        },
    )
    .map_err(ProfileError::from)?;
    let comparison = found.comparison;
    let record = Record {
        schema: Record::SCHEMA,
        metric: "serviceSecondsPerAudioSecond".to_owned(),
        fingerprint: candidate.machine_name(),
        baseline: format!("{} {}", base.program.display(), base.location),
        candidate: format!("{} {}", subject.program.display(), subject.location),
        comparison,
    };
    println!("{}", serde_json::to_string(&record)?);
    let cause = comparison
        .cause
        .map_or_else(String::new, |cause| format!(" ({cause})"));
    eprintln!(
        "candidate takes {:.3} times the time of the baseline (95 % interval {:.3} to {:.3}, {} pairs): {}{cause}",
        comparison.ratio,
        comparison.interval.0,
        comparison.interval.1,
        comparison.n,
        comparison.verdict,
    );
    Ok(ExitCode::from(comparison.verdict.exit_code()))
}

/// Sets the flag at the first SIGINT or SIGTERM.
async fn interrupted(stop: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    stop.store(true, Ordering::Relaxed);
}

/// The verdict, on standard error.
fn tell(profile: &Profile) {
    eprintln!("{}: {}", profile.id, profile.run.validity);
    let mut unjudged = profile.clone();
    unjudged.run.validity = Validity::Valid;
    for finding in assess(&unjudged, None).findings {
        eprintln!("  {finding}");
    }
    if profile.run.validity == Validity::Valid {
        eprintln!("  nothing speaks against it");
    }
    for dropped in &profile.run.dropped {
        eprintln!("  not measured: {dropped}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_and_its_message_stays_json() {
        for character in ['x', '"', '\u{1}', '\u{1f600}'] {
            let message = failure(&character.to_string().repeat(5000), "Failed", true).to_string();
            assert!(message.len() <= 4096, "{}", message.len());
            let message: serde_json::Value = serde_json::from_str(&message).unwrap();
            assert_eq!(message["permanent"], true);
        }
    }
}
