//! Logs on standard error, as text or as JSON lines.

use tracing_subscriber::{EnvFilter, filter::ParseError};

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(clap::Args)]
pub struct LogOptions {
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// A level, or levels by target, such as `info` or `tts_server=debug,ort=warn`.
    #[arg(long, default_value = "info")]
    log_filter: String,
}

pub fn start(options: &LogOptions) -> Result<(), ParseError> {
    // ONNX Runtime logs every node placement at `info`: it gets a level of its own, unless the filter names it.
    let filter = if names_ort(&options.log_filter) {
        options.log_filter.clone()
    } else {
        format!("{},ort=warn", options.log_filter)
    };
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Whether one of a filter's directives is for ONNX Runtime's target.
fn names_ort(filter: &str) -> bool {
    filter
        .split(',')
        .any(|directive| directive.trim().split(['=', ':', '[']).next() == Some("ort"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directive_for_ort_names_it() {
        for filter in ["ort=info", "info,ort=debug", "info, ort::logging=debug"] {
            assert!(names_ort(filter), "{filter}");
        }
        for filter in ["info", "info,transport=debug", "tts_server::support=debug"] {
            assert!(!names_ort(filter), "{filter}");
        }
    }
}
