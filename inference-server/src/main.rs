//! The command line: clap and wiring only.

use std::{os::unix::process::CommandExt, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tts_server::{
    say,
    voices::{VoiceLocation, builtin},
};

/// Text-to-speech over HTTP, from the command line, and for the operator's pods.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say a text into a WAV file; opens no socket and writes no other file.
    Say {
        /// The text; `-` reads standard input.
        text: String,
        /// The WAV file; `-` writes to standard output.
        #[arg(short, long, default_value = "out.wav")]
        output: PathBuf,
        /// `builtin:NAME`, or a folder with a voice's files.
        #[arg(long, default_value = "builtin:rms")]
        voice: String,
        /// 0.25 (slow) to 4 (fast).
        #[arg(long, default_value_t = 1.0)]
        speed: f32,
    },
    /// List the builtin voices.
    Voices,
}

fn location(text: &str) -> VoiceLocation {
    match text.strip_prefix("builtin:") {
        Some(name) => VoiceLocation::Builtin(name.to_owned()),
        None => VoiceLocation::Folder(text.into()),
    }
}

fn main() -> ExitCode {
    // The official builds of ONNX Runtime report to Microsoft unless this is set before they load, and setting a
    // variable in a running process is unsafe: start once more with it set.
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
            "tts-server: can't start itself again with {NO_TELEMETRY}=1: {error}; set the variable yourself"
        );
        return ExitCode::FAILURE;
    }
    match Cli::parse().command {
        Command::Say {
            text,
            output,
            voice,
            speed,
        } => match say::say(&text, &output, "say", &location(&voice), speed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("tts-server: {error}");
                ExitCode::FAILURE
            }
        },
        Command::Voices => {
            for name in builtin::NAMES {
                println!("{name}");
            }
            ExitCode::SUCCESS
        }
    }
}
