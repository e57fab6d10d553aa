//! `tts-operator plan` as a program: exit status, standard output and standard error.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in tests, but not in their helper functions"
)]
use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use tts_planner_dev::samples;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tts-operator");
const DEPLOYMENT: &str = "
apiVersion: tts-operator.dev/v1alpha1
kind: TtsDeployment
metadata: {name: reader}
spec:
  voices: [{name: voice}]
  objectives: {timeToFirstAudio: 1s}
  load: {peakRequestsPerSecond: 5}
---
{apiVersion: v1, kind: Service, metadata: {name: other}}
";

/// Files with a measurement and a node class.
struct Files(PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::create_dir_all(folder.join("profiles")).unwrap();
        let profile = samples::on_cpu("cpu", samples::PIPER, &[1, 2, 4]);
        let profile = serde_json::to_string(&profile).unwrap();
        fs::write(folder.join("profiles/voice.json"), profile).unwrap();
        let settings = "{nodeClasses: [{name: cpu, cpu: 8, memory: 16Gi, maxNodes: 4}]}";
        fs::write(folder.join("settings.yaml"), settings).unwrap();
        Self(folder)
    }

    /// Plans what is given on standard input.
    fn plan(&self, deployment: &str, arguments: &[&str]) -> Output {
        let mut child = Command::new(PROGRAM)
            .current_dir(&self.0)
            .args(["plan", "-f", "-"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // It may end without reading it.
        let _ = input.write_all(deployment.as_bytes());
        drop(input);
        child.wait_with_output().unwrap()
    }
}

const ALL: [&str; 4] = ["--profiles", "profiles", "--settings", "settings.yaml"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_plan_has_status_0_and_a_shortage_status_1() {
    let files = Files::new("status");
    let good = files.plan(DEPLOYMENT, &ALL);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    assert!(text(&good.stdout).starts_with("default/reader: class cpu, "));
    assert_eq!(
        text(&good.stderr),
        "skipped: -, document 2: Service is not used for planning\n"
    );
    let short = files.plan(&DEPLOYMENT.replace("Second: 5", "Second: 1e6"), &ALL);
    assert_eq!(short.status.code(), Some(1));
    assert!(text(&short.stdout).contains("CapacityInsufficient"));
}

#[test]
fn json_and_yaml_have_the_plan_as_in_the_status() {
    let files = Files::new("formats");
    let json = files.plan(DEPLOYMENT, &[&ALL[..], &["-o", "json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json[0]["plan"]["nodeClass"], "cpu");
    let yaml = files.plan(DEPLOYMENT, &[&ALL[..], &["-o", "yaml"]].concat());
    let yaml: serde_json::Value = serde_saphyr::from_str(&text(&yaml.stdout)).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn what_cannot_be_used_has_status_3() {
    let files = Files::new("unusable");
    for (deployment, arguments, message) in [
        ("", &ALL[..], "-: the file is empty"),
        (DEPLOYMENT, &ALL[..2], "there are no nodes"),
        (DEPLOYMENT, &["--nodes", "missing.yaml"], "missing.yaml"),
        (DEPLOYMENT, &["--what-if", "load"], "use PATH=VALUE"),
        (DEPLOYMENT, &["--unknown"], "--unknown"),
    ] {
        let output = files.plan(deployment, arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(message), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn called_kubectl_tts_it_is_the_plugin() {
    let plugin = Files::new("plugin").0.join("kubectl-tts");
    let _ = fs::remove_file(&plugin);
    symlink(PROGRAM, &plugin).unwrap();
    let run = |arguments: &[&str]| Command::new(&plugin).args(arguments).output().unwrap();
    let help = text(&run(&["--help"]).stdout);
    assert!(help.contains("Usage: kubectl tts "), "{help}");
    assert!(!help.contains("crds"), "{help}");
    let missing = run(&["plan", "-f", "/nowhere/a.yaml"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing.stderr).starts_with("kubectl tts: cannot read /nowhere/a.yaml"));
    assert_eq!(run(&["crds"]).status.code(), Some(2));
}
