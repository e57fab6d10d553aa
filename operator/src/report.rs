//! `tts-operator report`: reads profiles and test results, writes the report.
use std::{collections::BTreeMap, fs, io, path::Path};

use kube::{Api, Client, Config, api::ListParams};
use tts_crds::v1alpha1::TtsProfile;
use tts_planner::Profile;
use tts_report::{Options, Report, ReportError, input, junit};

use crate::{
    cli::{ReportArgs, ReportFormat},
    documents, output,
};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportCommandError {
    #[error(transparent)]
    Documents(#[from] documents::Error),
    #[error(transparent)]
    Input(#[from] input::InputError),
    #[error(transparent)]
    Junit(#[from] junit::JunitError),
    #[error("cannot list TtsProfiles: {0}")]
    Cluster(#[from] kube::Error),
    #[error("cannot find a cluster: {0}")]
    NoCluster(#[from] kube::config::InferConfigError),
    #[error("there is no TtsProfile in {0}")]
    EmptyCluster(String),
    #[error("give files, or --from-cluster")]
    NoInput,
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("the report cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot write {path}: {error}")]
    Write { path: String, error: io::Error },
}

/// Reads what was asked for and writes the report.
///
/// # Errors
/// When a file cannot be used, or there is nothing to report.
pub async fn run(args: ReportArgs) -> Result<(), ReportCommandError> {
    if args.files.is_empty() && !args.from_cluster {
        return Err(ReportCommandError::NoInput);
    }
    let mut profiles = Vec::new();
    for file in &args.files {
        profiles.extend(read(file)?);
    }
    if args.from_cluster {
        profiles.extend(list(args.namespace.as_deref()).await?);
    }
    let mut suites = Vec::new();
    for file in &args.junit {
        suites.extend(junit::suites(
            &file.display().to_string(),
            &documents::text(file)?,
        )?);
    }
    let options = Options {
        objective: args.objective.as_secs_f64(),
        peak: args.peak,
        prices: args.price.iter().cloned().collect::<BTreeMap<_, _>>(),
        compare: args.compare,
    };
    let report = Report::new(&profiles, &options, suites)?;
    let text = match args.format {
        ReportFormat::Markdown => tts_report::markdown(&report),
        ReportFormat::Html => tts_report::html(&report),
        ReportFormat::Json => serde_json::to_string_pretty(&report)? + "\n",
    };
    write(args.output.as_deref(), &text)
}

fn write(output: Option<&Path>, text: &str) -> Result<(), ReportCommandError> {
    let failed = |path: String| move |error| ReportCommandError::Write { path, error };
    match output {
        Some(path) => fs::write(path, text).map_err(failed(path.display().to_string())),
        None => output::print(text).map_err(failed("standard output".to_owned())),
    }
}

fn read(path: &Path) -> Result<Vec<Profile>, ReportCommandError> {
    let documents = documents::read(path)?;
    Ok(input::profiles(&path.display().to_string(), &documents)?)
}

async fn list(namespace: Option<&str>) -> Result<Vec<Profile>, ReportCommandError> {
    // A second call finds it installed, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_from(Config::infer().await?)?;
    let api: Api<TtsProfile> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let found = api.list(&ListParams::default()).await?;
    if found.items.is_empty() {
        return Err(ReportCommandError::EmptyCluster(namespace.map_or_else(
            || "any namespace".to_owned(),
            |name| format!("namespace {name}"),
        )));
    }
    let mut profiles = Vec::new();
    for object in found.items {
        let name = object.metadata.name.unwrap_or_default();
        let namespace = object.metadata.namespace.unwrap_or_default();
        let place = format!("TtsProfile {namespace}/{name}");
        profiles.push(input::checked(&place, object.spec.0)?);
    }
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    use tts_planner_dev::samples;

    use super::*;

    fn error(text: &str, json: bool) -> String {
        let read = documents::parse("p", text, json).map_err(ReportCommandError::from);
        let profiles = read.and_then(|documents| Ok(input::profiles("p", &documents)?));
        profiles.unwrap_err().to_string()
    }

    fn yaml() -> String {
        let object = serde_json::json!({
            "apiVersion": "tts-operator.dev/v1alpha1",
            "kind": "TtsProfile",
            "spec": samples::on_cpu("cpu", samples::PIPER, &[1]),
        });
        serde_saphyr::to_string(&object).unwrap()
    }

    #[test]
    fn several_documents_of_yaml() {
        let text = format!("---\n{0}---\n{0}---\n", yaml());
        let documents = documents::parse("p", &text, false).unwrap();
        assert_eq!(input::profiles("p", &documents).unwrap().len(), 2);
    }

    #[test]
    fn wrong_files_are_named_with_the_field() {
        assert_eq!(error("", false), "p: the file is empty");
        assert_eq!(error("---\n", false), "p: the file is empty");
        assert!(error("just text", false).contains("not a profile"));
        assert!(error("{", true).starts_with("p: EOF"));
        let nan = yaml().replace("coldStartS: 4.0", "coldStartS: .nan");
        let message = error(&nan, false);
        assert!(
            message.contains("coldStartS is .nan: not a finite"),
            "{message}"
        );
        let message = error("{\n\"coldStartS\": NaN,\n\"x\": 1}", true);
        assert_eq!(message, "p, line 2: coldStartS is NaN: not a finite number");
        let schema = yaml().replace("tts.profile/v1", "tts.profile/v2");
        assert!(error(&schema, false).contains("tts.profile/v2"));
    }
}
