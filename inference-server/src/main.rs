//! The command line: clap and wiring only.

use std::{os::unix::process::CommandExt, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use tts_server::{
    audio::Format,
    engine::{Device, SessionOptions},
    fetch::{self, Fetcher},
    http::{self, Deadlines, Limits, ServeConfig},
    inspect::{self, Download, InspectError, report::Report},
    memory, probe, say,
    scheduler::{self, worker::MOST_WORKERS},
    voices::{
        VoiceLocation, builtin,
        manifest::{NamedSource, Source},
    },
};

mod logging;
mod profile_command;

/// Text-to-speech over HTTP, from the command line, and for the operator's pods.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the OpenAI-compatible speech API.
    Serve(Serve),
    /// Synthesize a text to an audio file; opens no socket and writes no other file.
    Say {
        /// The text; `-` reads standard input.
        text: String,
        /// The file; its ending is the format: mp3, opus, aac, flac, wav or pcm. `-` writes WAV to standard output.
        #[arg(short, long, default_value = "out.wav")]
        output: PathBuf,
        /// `builtin:NAME`, a file NAME.onnx, or a folder with the files of a voice.
        #[arg(long, default_value = "builtin:rms")]
        voice: String,
        /// 0.25 (slow) to 4 (fast).
        #[arg(long, default_value_t = 1.0, value_parser = speed)]
        speed: f32,
    },
    /// Download the files of voices into a folder and verify them.
    Fetch(Fetch),
    /// Download, verify and load one voice, test that it produces audio, and print a JSON report.
    ///
    /// Exit status: 0 usable, 2 permanently unusable, 3 temporary failure.
    Inspect(Inspect),
    /// Measure a voice on this machine, and write what a plan is made from.
    ///
    /// Exit status: 0 measured, and no comparison failed; 1 above a ceiling or slower than before; 2 a comparison has no answer;
    /// 3 not measured, or wrong arguments.
    Profile(Box<profile_command::Arguments>),
    /// The process that `profile` measures.
    #[command(hide = true)]
    ProfileSubject,
    /// Request speech from an endpoint and verify the audio.
    #[command(hide = true)]
    Probe {
        #[arg(long)]
        url: String,
        #[arg(long, default_value = tts_server::voices::warm_up::TEST_SENTENCE)]
        text: String,
        #[arg(long)]
        voice: Option<String>,
        #[arg(long, default_value = "180s", value_parser = humantime::parse_duration)]
        timeout: Duration,
    },
    /// List the builtin voices.
    Voices,
}

/// Download options. Proxies come from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
#[derive(clap::Args)]
struct FetchOptions {
    /// Allow plain http URLs, and redirects to them.
    #[arg(long)]
    allow_http: bool,
    /// Maximum total size of the files of one voice, in bytes.
    #[arg(long, default_value_t = 4 * 1024 * 1024 * 1024)]
    max_voice_bytes: u64,
    /// CA certificates (PEM) to trust in addition to the system's.
    #[arg(long, env = "TTS_CA_PEM", hide_env_values = true, value_name = "PEM")]
    ca_pem: Option<String>,
    #[command(flatten)]
    log: logging::LogOptions,
}

#[derive(clap::Args)]
struct Fetch {
    /// The folder; the files of each voice are written to a subfolder with its name.
    #[arg(long)]
    to: PathBuf,
    /// NAME=SOURCE, where SOURCE is the JSON of `spec.source` of a `TtsVoice`; can be repeated.
    #[arg(long = "voice", value_name = "NAME=SOURCE", required = true)]
    voices: Vec<String>,
    #[command(flatten)]
    options: FetchOptions,
}

#[derive(clap::Args)]
struct Inspect {
    /// NAME=SOURCE, where SOURCE is the JSON of `spec.source` of a `TtsVoice`; builtin:NAME; or a file NAME.onnx or a
    /// folder on this machine.
    #[arg(long, value_name = "VOICE")]
    voice: String,
    /// The folder to download to; needed for voices with files to download only.
    #[arg(long)]
    work_dir: Option<PathBuf>,
    /// Show how the voice reads this text, and do not test the voice; can be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    text: Vec<String>,
    /// With --text: one JSON object per text, instead of a table.
    #[arg(long, requires = "text")]
    json: bool,
    /// File to write the report to, in addition to standard output. A report that is too long for a
    /// termination message is shortened there.
    #[arg(long)]
    report: Option<PathBuf>,
    #[command(flatten)]
    options: FetchOptions,
}

#[derive(clap::Args)]
struct Serve {
    /// Listen address: host:port, or :port for all addresses.
    #[arg(long, default_value = ":8000")]
    listen: String,
    /// NAME=builtin:rms or NAME=/folder/with/the/files; can be repeated. Default: rms=builtin:rms.
    #[arg(long = "voice", value_name = "NAME=LOCATION", value_parser = named_location)]
    voices: Vec<(String, VoiceLocation)>,
    /// The voice for requests that name no voice, or an OpenAI voice. Default: the first voice.
    #[arg(long, value_name = "NAME")]
    default_voice: Option<String>,
    /// Response formats that requests may choose, comma-separated.
    #[arg(long, value_delimiter = ',', default_values = ["mp3", "opus", "aac", "flac", "wav", "pcm"])]
    formats: Vec<Format>,
    /// Concurrent runs; each worker is a thread with its own sessions. Default: one per CPU of the container's limit, at
    /// most 8.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Threads per run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    intra_threads: u16,
    /// Where the models run: cpu, cuda, or cuda:INDEX. CUDA needs an ONNX Runtime that was built for it.
    #[arg(long, default_value_t)]
    device: Device,
    /// Requests that may wait for a worker; further requests are answered with 429.
    #[arg(long, default_value_t = DEFAULT_QUEUE, value_parser = clap::value_parser!(u16).range(0..=4096))]
    queue: u16,
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_input_characters: u32,
    #[arg(long, default_value_t = DEFAULT_AUDIO_SECONDS, value_parser = clap::value_parser!(u32).range(1..=7200))]
    max_audio_seconds: u32,
    /// How long to accept new connections after SIGTERM, until endpoints and load balancers are updated.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    drain_delay: Duration,
    /// How long requests in flight may take to finish after that.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    drain_timeout: Duration,
    /// Time limit to receive the body of a request.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    body_timeout: Duration,
    /// Time limit to receive the head of a request.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    header_timeout: Duration,
    /// Close the connection if the client reads nothing of the response for this long.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    write_timeout: Duration,
    /// Time limit for a request, from the end of its head to the end of its response.
    #[arg(long, default_value = "30m", value_parser = humantime::parse_duration)]
    request_timeout: Duration,
    /// How long an idle connection is kept open between requests.
    #[arg(long, default_value = "90s", value_parser = humantime::parse_duration)]
    keep_alive: Duration,
    /// Largest body of a request. Default: what a text of --max-input-characters may need, at least 128 KiB.
    #[arg(long, value_name = "BYTES")]
    max_body_bytes: Option<usize>,
    /// Heads and bodies of requests that are being received, of all connections together; further bytes are answered with
    /// 503. Default: a sixteenth of the container's memory limit, from 4 to 16 MiB.
    #[arg(long, value_name = "BYTES")]
    max_receive_bytes: Option<usize>,
    /// Audio that was synthesized and not sent yet, of all requests together; at the limit further requests are answered
    /// with 429. Default: an eighth of the container's memory limit, from 8 to 256 MiB.
    #[arg(long, value_name = "BYTES")]
    max_unsent_bytes: Option<usize>,
    /// Time limit for one run of a model.
    #[arg(long, default_value_t = DEFAULT_RUN_TIMEOUT.into())]
    run_timeout: humantime::Duration,
    /// While that limit is reached, cut off clients that have not read audio of this age.
    #[arg(long, default_value_t = DEFAULT_SLOW_READER.into())]
    slow_reader_timeout: humantime::Duration,
    /// Open connections; further connections can only request probes and metrics.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_connections: u32,
    #[command(flatten)]
    log: logging::LogOptions,
}

fn speed(text: &str) -> Result<f32, String> {
    let speed = text
        .parse()
        .ok()
        .filter(|speed| (0.25..=4.0).contains(speed));
    speed.ok_or_else(|| "speed must be a number from 0.25 to 4".to_owned())
}

fn named_location(text: &str) -> Result<(String, VoiceLocation), String> {
    match text.split_once('=') {
        Some((name, place)) if !name.is_empty() && !place.is_empty() => {
            Ok((name.to_owned(), VoiceLocation::parse(place)))
        }
        _ => Err("use NAME=builtin:rms or NAME=/folder".to_owned()),
    }
}

/// Unsent audio at which a request pauses. A run may add to it; the bytes matter at high sample rates only.
const REQUEST_AHEAD: Duration = Duration::from_secs(12);
const REQUEST_BUFFER_BYTES: usize = 1024 * 1024;
const DEFAULT_QUEUE: u16 = 16;
const DEFAULT_AUDIO_SECONDS: u32 = 1200;
const DEFAULT_RUN_TIMEOUT: Duration = Duration::from_mins(2);
const DEFAULT_SLOW_READER: Duration = Duration::from_mins(1);

/// The limits of `serve` at their defaults, for so many workers that all of them have a request.
fn measured_limits(workers: usize) -> scheduler::Limits {
    scheduler::Limits {
        workers,
        waiting: DEFAULT_QUEUE.into(),
        max_audio_seconds: DEFAULT_AUDIO_SECONDS.into(),
        request_buffer: REQUEST_BUFFER_BYTES,
        request_ahead: REQUEST_AHEAD,
        total_buffer: share_of_memory(8, 8, 256),
        run_timeout: DEFAULT_RUN_TIMEOUT,
        slow_reader: DEFAULT_SLOW_READER,
    }
}

fn serve(options: Serve) -> Result<(), Box<dyn std::error::Error>> {
    logging::start(&options.log)?;
    let default_voices = || {
        builtin::NAMES
            .map(|name| (name.to_owned(), VoiceLocation::Builtin(name.to_owned())))
            .to_vec()
    };
    // The CPU limit of the container, rounded down. Without a limit it is the whole node, and each worker costs memory.
    let cores = || {
        std::thread::available_parallelism()
            .map_or(1, std::num::NonZero::get)
            .min(MOST_WORKERS.into())
    };
    let max_input_characters = usize::try_from(options.max_input_characters)?;
    let max_body_bytes = options
        .max_body_bytes
        .unwrap_or_else(|| body_bytes(max_input_characters));
    let config = ServeConfig {
        listen: options.listen,
        voices: if options.voices.is_empty() {
            default_voices()
        } else {
            options.voices
        },
        default_voice: options.default_voice,
        formats: options.formats,
        max_input_characters,
        work: scheduler::Limits {
            workers: options.workers.map_or_else(cores, usize::from),
            waiting: options.queue.into(),
            max_audio_seconds: options.max_audio_seconds.into(),
            request_buffer: REQUEST_BUFFER_BYTES,
            request_ahead: REQUEST_AHEAD,
            total_buffer: options
                .max_unsent_bytes
                .unwrap_or_else(|| share_of_memory(8, 8, 256)),
            run_timeout: options.run_timeout.into(),
            slow_reader: options.slow_reader_timeout.into(),
        },
        session: SessionOptions {
            intra_threads: options.intra_threads.into(),
            device: options.device,
            cpus: None,
        },
        drain_delay: options.drain_delay,
        drain_timeout: options.drain_timeout,
        limits: Limits {
            max_body_bytes,
            max_receive_bytes: options
                .max_receive_bytes
                .unwrap_or_else(|| share_of_memory(16, 4, 16)),
            max_connections: usize::try_from(options.max_connections)?,
            deadlines: Deadlines {
                header: options.header_timeout,
                body: options.body_timeout,
                write: options.write_timeout,
                request: options.request_timeout,
                keep_alive: options.keep_alive,
            },
        },
    };
    // One thread handles the connections: a second one would be woken for each request, for nothing. Texts, synthesis and
    // encoding run on the threads of the workers.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let result = runtime.block_on(http::serve(config));
    // Do not wait for workers: no client waits for their runs any more.
    runtime.shutdown_background();
    Ok(result?)
}

/// What the JSON of a text may need: a character takes up to 12 bytes (`\\ud83c\\udf89`). There is room for other fields, and
/// for the more specific error for a text that is too long.
fn body_bytes(max_input_characters: usize) -> usize {
    (12 * max_input_characters + 16 * 1024).max(128 * 1024)
}

/// A fraction of the container's memory limit in bytes, within these MiB.
fn share_of_memory(divisor: u64, least: u64, most: u64) -> usize {
    const MIB: u64 = 1024 * 1024;
    let share = memory::limit().map_or(0, |limit| limit / divisor);
    usize::try_from(share.clamp(least * MIB, most * MIB)).unwrap_or(usize::MAX)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn fetch(arguments: &Fetch) -> Result<(), Box<dyn std::error::Error>> {
    let options = &arguments.options;
    logging::start(&options.log)?;
    let fetcher = Fetcher::new(options.ca_pem.as_deref(), options.allow_http)?;
    runtime()?.block_on(async {
        for voice in &arguments.voices {
            let NamedSource { name, source } = NamedSource::parse(voice, options.allow_http)?;
            let Source::Files(files) = source else {
                return Err(format!(
                    "voice {name} is builtin: there is nothing to download, remove it"
                )
                .into());
            };
            let folder = arguments.to.join(&name);
            fetch::fetch_voice(&fetcher, &files, &folder, options.max_voice_bytes)
                .await
                .map_err(|error| format!("voice {name}: {error}"))?;
        }
        Ok(())
    })
}

fn inspect(arguments: &Inspect) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let options = &arguments.options;
    logging::start(&options.log)?;
    let download = Download {
        work_folder: arguments.work_dir.as_deref(),
        ca_pem: options.ca_pem.as_deref(),
        allow_http: options.allow_http,
        max_bytes: options.max_voice_bytes,
    };
    if !arguments.text.is_empty() {
        let found = runtime()?.block_on(inspect::find(&arguments.voice, download));
        let (voice, _) = match found {
            Ok(found) => found,
            Err(error) => {
                eprintln!("tts-server: {error}");
                return Ok(exit_code(&error));
            }
        };
        inspect::reading::print(voice.family.as_ref(), &arguments.text, arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let result = runtime()?.block_on(inspect::inspect(&arguments.voice, download));
    let code = result
        .as_ref()
        .map_or_else(exit_code, |_| ExitCode::SUCCESS);
    let report = Report::from(result);
    println!("{}", report.to_json());
    if let Some(path) = &arguments.report {
        std::fs::write(path, report.to_short_json())
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(code)
}

fn exit_code(error: &InspectError) -> ExitCode {
    ExitCode::from(if error.may_pass() { 3 } else { 2 })
}

fn probe(
    url: &str,
    text: &str,
    voice: Option<&str>,
    timeout: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let heard = runtime()?.block_on(probe::probe(url, text, voice, timeout))?;
    println!(
        "spoke {:.2} s of audio ({} bytes, {} Hz, rms {:.2}) through {url}",
        heard.seconds, heard.bytes, heard.sample_rate, heard.rms
    );
    Ok(())
}

fn main() -> ExitCode {
    // The official builds of ONNX Runtime report to Microsoft unless this is set before they load, and setting a
    // variable in a running process is unsafe: restart once with it set.
    const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(NO_TELEMETRY).is_none_or(|value| value != "1") {
        let error = match std::env::current_exe() {
            Ok(executable) => std::process::Command::new(executable)
                .args(std::env::args_os().skip(1))
                .env(NO_TELEMETRY, "1")
                .exec(),
            Err(error) => error,
        };
        eprintln!(
            "tts-server: cannot restart with {NO_TELEMETRY}=1: {error}; set the variable before starting it"
        );
        return ExitCode::FAILURE;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Clap's own status is 2, which `profile` has another meaning for.
            let measures = std::env::args_os()
                .nth(1)
                .is_some_and(|name| name == "profile");
            let _ = error.print();
            return match error.exit_code() {
                0 => ExitCode::SUCCESS,
                _ if measures => ExitCode::from(profile_command::NOT_MEASURED),
                _ => ExitCode::from(2),
            };
        }
    };
    let result: Result<(), Box<dyn std::error::Error>> = match cli.command {
        Command::Serve(options) => serve(options),
        Command::Say {
            text,
            output,
            voice,
            speed,
        } => say::say(&text, &output, "say", &VoiceLocation::parse(&voice), speed)
            .map_err(Into::into),
        Command::Fetch(arguments) => fetch(&arguments),
        Command::Inspect(arguments) => match inspect(&arguments) {
            Ok(code) => return code,
            Err(error) => {
                eprintln!("tts-server: {error}");
                return ExitCode::from(3);
            }
        },
        Command::Profile(arguments) => return profile_command::run(&arguments),
        Command::ProfileSubject => {
            tts_server::profile::subject::run(measured_limits).map_err(Into::into)
        }
        Command::Probe {
            url,
            text,
            voice,
            timeout,
        } => probe(&url, &text, voice.as_deref(), timeout),
        Command::Voices => {
            for name in builtin::NAMES {
                println!("{name}");
            }
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tts-server: {error}");
            ExitCode::FAILURE
        }
    }
}
