//! `tts-server profile`: what it measures on this machine, how it is interrupted and resumed, and its exit status.
//!
//! What is measured here is short, and other programs may be running: no test depends on a measured value, except that a
//! voice that takes many times as long is slower.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tts_planner::{
    Outcome, Profile, Request, Validity,
    profile::details::Details,
    validity::{Standing, assess},
};
use tts_tests::{
    binary,
    graph::{Graph, Node, Tensor},
    medium::write_medium_voice,
    voices::{sha256, write_voice},
    wait_at_most, wait_until, workspace,
};

/// How long a whole measurement may take here.
const LONG: Duration = Duration::from_mins(4);
/// As short as it can be.
const SHORT: [&str; 2] = ["--level-seconds", "0.1"];
const TEXTS: &str = "Good morning.\nThe kettle is nearly ready now.\n";
/// Measured, not measured.
const DONE: Option<i32> = Some(0);
const REGRESSED: Option<i32> = Some(1);
const INCONCLUSIVE: Option<i32> = Some(2);
const NOT_MEASURED: Option<i32> = Some(3);

/// Keeps the other tests of this process from measuring at the same time.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running `tts-server profile`; killed when dropped.
struct Run {
    child: Child,
    output: TempDir,
}

struct Ended {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Run {
    fn start(arguments: &[&str]) -> Self {
        let output = tempfile::tempdir().unwrap();
        let child = Command::new(binary())
            .arg("profile")
            .args(arguments)
            .stdout(File::create(output.path().join("out")).unwrap())
            .stderr(File::create(output.path().join("error")).unwrap())
            .spawn()
            .unwrap();
        Self { child, output }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.output.path().join(name)).unwrap()
    }

    /// Waits until it has printed this on standard error.
    #[track_caller]
    fn prints(&mut self, text: &str) {
        wait_until(text, || {
            let error = self.read("error");
            assert!(self.child.try_wait().unwrap().is_none(), "ended: {error}");
            error.contains(text)
        });
    }

    /// Sends SIGINT, as Ctrl-C does.
    fn interrupt(&self) {
        let kill = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    #[track_caller]
    fn ended(mut self) -> Ended {
        let mut status: Option<ExitStatus> = None;
        wait_at_most(LONG, "the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        Ended {
            code: status.and_then(|status| status.code()),
            out: self.read("out"),
            error: self.read("error"),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn profile(arguments: &[&str]) -> Ended {
    Run::start(arguments).ended()
}

/// Files of a test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn json_of(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

/// What tells a measured level from the others.
fn levels(saved: &Value) -> Vec<(String, u64, u64)> {
    list(saved, "levels")
        .iter()
        .map(|level| {
            let number = |name: &str| level[name].as_u64().unwrap();
            (level["shape"].to_string(), number("n"), number("pass"))
        })
        .collect()
}

/// Pod shapes as cores and threads, with the requests in service, that `--sweep quick` measures on so many cores.
fn quick_sweep(cores: usize) -> Vec<(f64, u32, Vec<u32>)> {
    match cores {
        1 => vec![(1.0, 1, vec![1])],
        2 | 3 => vec![(1.0, 1, vec![1]), (2.0, 1, vec![1, 2]), (2.0, 2, vec![1])],
        _ => vec![(1.0, 1, vec![1]), (4.0, 1, vec![1, 4]), (4.0, 4, vec![1])],
    }
}

fn cores() -> usize {
    thread::available_parallelism().unwrap().get()
}

#[test]
fn a_measurement_is_resumed_and_its_profile_is_complete_judged_and_planned_from() {
    let _alone = alone();
    let folder = Folder::new();
    let corpus = folder.file("texts", TEXTS);
    let saved = folder.path("saved");
    let mut measured = SHORT.to_vec();
    measured.extend(["--corpus", &corpus]);
    is_interrupted(&[&measured[..], &["--save", &saved]].concat(), &saved);
    is_refused_for_other_measurements(&folder, &measured, &saved);
    let profile = is_resumed(&folder, &measured, &saved);
    is_complete(&profile);
    is_planned_from(&profile);
    // The measurement is complete: nothing is measured again from here on.
    let resumed = [&measured[..], &["--resume", &saved]].concat();
    is_judged(&resumed, &profile, &folder);
    is_written_to_the_log(&resumed, &profile, &folder);
    assert_eq!(
        levels(&json_of(&saved)).len(),
        Details::of(&profile).passes.len()
    );
}

fn is_interrupted(arguments: &[&str], saved: &str) {
    let mut run = Run::start(arguments);
    run.prints("pass 1: 1 cpu x 1 thread(s), 1 in service: ");
    run.interrupt();
    let ended = run.ended();
    assert_eq!(ended.code, NOT_MEASURED, "{}", ended.error);
    let resume = format!("--resume {saved}");
    assert!(ended.error.contains(&resume), "{}", ended.error);
    assert!(ended.error.contains("interrupted"), "{}", ended.error);
}

fn is_refused_for_other_measurements(folder: &Folder, measured: &[&str], saved: &str) {
    let before = fs::read(saved).unwrap();
    let voice = folder.path("voice");
    write_voice(Path::new(&voice), &constant_voice().model(), 16_000);
    let corpus = folder.file("other texts", "Good evening.\n");
    let same = [measured, &["--resume", saved]].concat();
    // Without --level-seconds, levels have their usual length.
    let levels = [&measured[SHORT.len()..], &["--resume", saved]].concat();
    for arguments in [
        levels,
        [&same[..], &["--allocatable", "1.5"]].concat(),
        [&same[..], &["--voice", &voice]].concat(),
        [&same[..], &["--sweep", "full"]].concat(),
        [&same[..], &["--max-audio-seconds", "60"]].concat(),
        [&SHORT[..], &["--resume", saved, "--corpus", &corpus]].concat(),
    ] {
        let ended = profile(&arguments);
        assert_eq!(ended.code, NOT_MEASURED, "{}", ended.error);
        assert!(ended.error.contains("was measured with"), "{}", ended.error);
        assert!(ended.error.contains("without --resume"), "{}", ended.error);
    }
    assert_eq!(fs::read(saved).unwrap(), before);
}

/// A voice that says the same for every text.
fn constant_voice() -> Graph {
    Graph::piper()
        .constant("shape", &Tensor::ints(&[4], &[1, 1, 1, 8000]))
        .node(
            &Node::new("ConstantOfShape", &["shape"], &["output"])
                .tensor("value", &Tensor::floats(&[1], &[0.5])),
        )
}

fn is_resumed(folder: &Folder, measured: &[&str], saved: &str) -> Profile {
    let before = json_of(saved);
    let output = folder.path("profile.yaml");
    let ended = profile(&[measured, &["--resume", saved, "--output", &output]].concat());
    assert_eq!(ended.code, DONE, "{}", ended.error);
    assert!(ended.out.is_empty(), "{}", ended.out);
    // Standard error is no terminal: there is no bar that is drawn again and again.
    assert!(!ended.error.contains(['\r', '\u{1b}']), "{}", ended.error);
    let progress = |line: &&str| line.starts_with("pass ") && line.ends_with(" left)");
    let lines = ended.error.lines().filter(progress).count();
    let after = json_of(saved);
    for name in ["levels", "anchors", "memory", "codecs", "verified"] {
        let (before, after) = (list(&before, name), list(&after, name));
        assert!(!before.is_empty(), "{name}");
        assert_eq!(&after[..before.len()], before, "{name}");
    }
    let (before, after) = (levels(&before), levels(&after));
    assert!(before.len() < after.len(), "{before:?}");
    let new = after.len() - before.len();
    assert!((new..).contains(&lines), "{new}: {}", ended.error);
    let once: BTreeSet<_> = after.iter().collect();
    assert_eq!(once.len(), after.len(), "{after:?}");
    let of_first = before.first().unwrap();
    let again = format!("pass {}: 1 cpu x 1 thread(s), 1 in", of_first.2 + 1);
    assert!(!ended.error.contains(&again), "{}", ended.error);
    let written = fs::read_to_string(&output).unwrap();
    let object: Value = serde_saphyr::from_str(&written).unwrap();
    assert_eq!(object["apiVersion"], "tts-operator.dev/v1alpha1");
    assert_eq!(object["kind"], "TtsProfile");
    Profile::from_json(&object["spec"].to_string()).unwrap()
}

fn is_complete(profile: &Profile) {
    let shapes: Vec<(f64, u32, Vec<u32>)> = profile
        .configs
        .iter()
        .map(|config| {
            let levels = config.levels.iter().map(|level| level.n).collect();
            (config.cpu, config.threads, levels)
        })
        .collect();
    assert_eq!(shapes, quick_sweep(cores()));
    for config in &profile.configs {
        let process = config.mem.process.unwrap();
        assert!(
            process > 10.0 && config.mem.base > process,
            "{:?}",
            config.mem
        );
        for level in &config.levels {
            assert!(
                level.requests >= 20 && level.audio_per_sec > 0.0,
                "{level:?}"
            );
            let portions: f64 = level.stages.iter().map(|stage| stage.share).sum();
            assert!(portions > 0.99 && portions <= 1.0, "{:?}", level.stages);
            let names: Vec<&str> = level
                .stages
                .iter()
                .map(|stage| stage.name.as_str())
                .collect();
            assert!(names.contains(&"model"), "{names:?}");
        }
    }
    let formats: BTreeSet<&str> = profile
        .encoding
        .iter()
        .map(|encoding| encoding.format.as_str())
        .collect();
    let all = ["aac", "flac", "mp3", "opus", "pcm", "wav"];
    assert_eq!(formats, all.into_iter().collect());
    let details = Details::of(profile);
    assert!(details.anchors.len() >= 4, "{:?}", details.anchors);
    // One process per shape and pass, at least.
    let starts = 3 * profile.configs.len();
    assert!(
        details.cold_starts.len() >= starts,
        "{:?}",
        details.cold_starts
    );
    assert!(profile.cold_start > 0.0);
    assert!(
        details.memory.len() >= 2 * profile.configs.len(),
        "{:?}",
        details.memory
    );
    assert_eq!(details.cores.cpus.len(), cores());
    assert_eq!(profile.voice.name, "rms");
    let model = workspace().join("inference-server/voices/rms/voice.onnx");
    let digest = format!("sha256:{}", sha256(&fs::read(model).unwrap()));
    assert_eq!(profile.voice.model_digest, digest);
}

/// A machine that does something else as well makes a measurement that no plan is made from: then the plan says why.
fn is_planned_from(profile: &Profile) {
    let request = json!({
        "measurements": [{"profile": profile}],
        "objectives": {"ttfaP95": 5.0},
        "load": {"peak": {"requestsPerSecond": 0.1}},
        "classes": [{"name": "local", "allocatableCpu": cores(), "allocatableMemory": 65536.0, "maxNodes": 4}],
    });
    let request: Request = serde_json::from_value(request).unwrap();
    let decision = tts_planner::plan(&request).unwrap();
    let assessment = assess(profile, None);
    assert_eq!(assessment.standing, Standing::as_recorded(profile));
    match (decision.outcome, assessment.standing.validity) {
        (Outcome::Plan(plan), validity) => {
            assert_ne!(validity, Validity::Invalid);
            assert!(plan.replicas.max >= 1, "{plan:?}");
        }
        (Outcome::Infeasible(infeasible), Validity::Invalid) => {
            for finding in assessment.findings {
                println!("not planned from: {finding}");
            }
            assert!(!infeasible.message.is_empty());
            assert!(!decision.alternatives.rejected.is_empty());
        }
        (Outcome::Infeasible(infeasible), validity) => panic!("{validity}: {infeasible:?}"),
    }
}

/// What `--ceiling` and `--against` say; an invalid measurement has no verdict.
fn is_judged(resumed: &[&str], measured: &Profile, folder: &Folder) {
    let valid = measured.run.validity != Validity::Invalid;
    let json = folder.path("earlier.json");
    let ended = profile(
        &[
            resumed,
            &["--ceiling", "rtf=1000,ttfa=1h", "--output", &json],
        ]
        .concat(),
    );
    let wanted = if valid { DONE } else { NOT_MEASURED };
    assert_eq!(ended.code, wanted, "{}", ended.error);
    assert!(ended.error.contains("p95 RTF is "), "{}", ended.error);

    let ended = profile(&[resumed, &["--ceiling", "rtf=0.0000001"]].concat());
    let wanted = if valid { REGRESSED } else { NOT_MEASURED };
    assert_eq!(ended.code, wanted, "{}", ended.error);
    // A slow voice is not a failure to measure: the profile is there.
    assert!(ended.out.contains("kind: TtsProfile"), "{}", ended.out);

    let ended = profile(&[resumed, &["--against", &json]].concat());
    let wanted: &[Option<i32>] = if valid {
        &[DONE, INCONCLUSIVE]
    } else {
        &[NOT_MEASURED]
    };
    assert!(
        wanted.contains(&ended.code),
        "{:?}: {}",
        ended.code,
        ended.error
    );
    assert!(
        ended.error.contains(&format!(
            "against {}",
            json_of(&json)["spec"]["id"].as_str().unwrap()
        )),
        "{}",
        ended.error
    );
}

/// A container's log and its termination message are all that an operator gets.
fn is_written_to_the_log(resumed: &[&str], measured: &Profile, folder: &Folder) {
    let message = folder.path("message");
    let arguments = ["--report-to-log", "--termination-message", &message];
    let ended = profile(&[resumed, &arguments].concat());
    assert_eq!(ended.code, DONE, "{}", ended.error);
    let lines: Vec<&str> = ended.out.lines().collect();
    let (first, last) = (lines.first().unwrap(), lines.last().unwrap());
    assert_eq!(*last, "tts-profile-end");
    let text: String = lines[1..lines.len() - 1]
        .iter()
        .map(|line| line.strip_prefix("tts-profile-data ").unwrap())
        .collect();
    let digest = sha256(text.as_bytes());
    assert_eq!(*first, format!("tts-profile-begin {} {digest}", text.len()));
    let message = json_of(message);
    assert_eq!(
        message["profile"],
        json!({"bytes": text.len(), "sha256": digest})
    );
    let written = Profile::from_json(&text).unwrap();
    assert_eq!(message["validity"], written.run.validity.to_string());
    assert_eq!(written.configs, measured.configs);
}

/// Asserts that nothing is measured, and that the message has this text.
#[track_caller]
fn assert_refused(arguments: &[&str], wanted: &str) {
    let ended = profile(arguments);
    assert_eq!(ended.code, NOT_MEASURED, "{arguments:?}: {}", ended.error);
    assert!(
        ended.error.contains(wanted),
        "{arguments:?}: {}",
        ended.error
    );
    assert!(ended.out.is_empty(), "{arguments:?}: {}", ended.out);
}

#[test]
fn wrong_arguments_are_refused_with_what_to_write_instead() {
    let folder = Folder::new();
    let missing = folder.path("missing");
    let missing_model = folder.path("missing.onnx");
    for (arguments, wanted) in [
        (["--voice", "builtin:nobody"], "nobody"),
        (["--voice", &missing_model], &missing_model),
        (["--voice", "nonsense"], "NAME=SOURCE"),
        (["--corpus", &missing], "one text per line"),
        (["--resume", &missing], &missing),
        (["--against", &missing], &missing),
        (["--sweep", "complete"], "quick, full"),
        (["--ceiling", "rtf"], "write rtf=0.36, ttfa=400ms"),
        (["--ceiling", "rtf=NaN"], "rtf must be above zero"),
        (["--ceiling", "wer=1"], "use rtf or ttfa"),
        (["--level-seconds", "NaN"], "from 0.1 to 600"),
        (["--level-seconds=-1", "--sweep=quick"], "from 0.1 to 600"),
        (["--allocatable", "0.5"], "at least 1 is needed"),
        (["--output", "profile.txt"], ".json, .yaml or .yml"),
        (["--max-audio-seconds", "601"], "30..=600"),
        (["--max-audio-seconds", "29"], "30..=600"),
        (["--runs", "0"], "1..=20"),
        (["--device", "tpu"], "use cpu, cuda, or cuda:INDEX"),
        (["--only-limit", "--sweep=quick"], "--save"),
        (["--bogus", ""], "--bogus"),
    ] {
        assert_refused(&arguments, wanted);
    }
}

#[test]
fn a_part_of_a_core_is_measured_in_a_container_with_a_limit_only() {
    let folder = Folder::new();
    let saved = folder.path("saved");
    assert_refused(
        &["--only-limit", "--save", &saved],
        "CPU limit of 250m or 500m",
    );
}

#[test]
fn texts_that_cannot_be_spoken_are_a_permanent_error() {
    let folder = Folder::new();
    let message = folder.path("message");
    let long = "word ".repeat(1000);
    for (text, wanted) in [
        ("", "write one text per line"),
        ("\n \n", "write one text per line"),
        (
            "Hello.\n!!! ???\n",
            "text 2 of the corpus: the text has nothing to speak",
        ),
        ("a\0b", "NUL character at character 2"),
        (&long, "at most 4096"),
    ] {
        let corpus = folder.file("texts", text);
        let arguments = ["--corpus", &corpus, "--termination-message", &message];
        assert_refused(&arguments, wanted);
        let message = json_of(&message);
        assert!(
            message["error"].as_str().unwrap().contains(wanted),
            "{message}"
        );
        assert_eq!(message["permanent"], true);
    }
}

#[test]
fn a_download_that_fails_may_succeed_later() {
    let folder = Folder::new();
    let message = folder.path("message");
    // Nothing listens on port 1.
    let source = json!({"files": [{"path": "a.onnx", "url": "http://127.0.0.1:1/a.onnx", "sha256": "0".repeat(64)}]});
    let voice = format!("anna={source}");
    let ended = profile(&[
        "--voice",
        &voice,
        "--allow-http",
        "--work-dir",
        &folder.path("work"),
        "--termination-message",
        &message,
    ]);
    assert_eq!(ended.code, NOT_MEASURED, "{}", ended.error);
    let message = json_of(message);
    assert_eq!(message["permanent"], false, "{message}");
    assert!(message["error"].is_string(), "{message}");
}

#[test]
fn an_earlier_profile_that_breaks_a_rule_is_refused_before_anything_is_measured() {
    let folder = Folder::new();
    let golden = workspace().join("operator/planner/tests/goldens/profile.json");
    let golden = json_of(golden);
    let changed = |pointer: &str, value: Value| {
        let mut profile = golden.clone();
        *profile.pointer_mut(pointer).unwrap() = value;
        profile.to_string()
    };
    let not_a_number = changed("/coldStartS", json!("NaN")).replace("\"NaN\"", "NaN");
    let not_a_number_yaml = not_a_number.replace("NaN", ".nan");
    for (name, text, wanted) in [
        ("p.json", not_a_number, "expected value"),
        ("p.yaml", not_a_number_yaml, "coldStartS"),
        (
            "p.json",
            changed("/coldStartS", json!(-1.0)),
            "coldStartS: -1 is negative",
        ),
        (
            "p.json",
            changed("/configs/0/levels/0/n", json!(2)),
            "the level n=1 is needed; measure it",
        ),
        (
            "p.json",
            changed("/schema", json!("tts.profile/v9")),
            "tts.profile/v9",
        ),
        ("p.txt", golden.to_string(), ".json, .yaml or .yml"),
        ("p.json", "{}".to_owned(), "schema: missing"),
    ] {
        let path = folder.file(name, &text);
        assert_refused(&["--against", &path], wanted);
    }
}

#[test]
fn usage_errors_have_the_status_of_their_command() {
    let status = |arguments: &[&str]| {
        let output = Command::new(binary()).args(arguments).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, help) = status(&["profile", "--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("--baseline-server"), "{help}");
    assert_eq!(status(&["profile", "--bogus"]).0, Some(3));
    assert_eq!(status(&["serve", "--bogus"]).0, Some(2));
}

/// Compares with a baseline, which is all that is measured; the exit code, the ratio and why there is no answer.
#[track_caller]
fn compared(arguments: &[&str]) -> (Option<i32>, f64, Value) {
    let folder = Folder::new();
    let corpus = folder.file("texts", TEXTS);
    let ended = profile(&[arguments, &["--corpus", &corpus]].concat());
    let record: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}", ended.error));
    assert_eq!(record["schema"], "tts.regression/v1");
    assert_eq!(record["metric"], "serviceSecondsPerAudioSecond");
    let pairs = ended.error.matches("pair ").count();
    assert_eq!(record["n"], pairs, "{record}");
    let ratio = record["ratio"].as_f64().unwrap();
    (ended.code, ratio, record["cause"].clone())
}

#[test]
fn the_same_server_is_no_regression() {
    let _alone = alone();
    let program = binary();
    let (code, ratio, _) = compared(&["--baseline-server", program.to_str().unwrap()]);
    assert!([DONE, INCONCLUSIVE].contains(&code), "{code:?}");
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
}

#[test]
fn a_comparison_is_interrupted_although_its_rounds_are_short() {
    let _alone = alone();
    let folder = Folder::new();
    let text = "Every morning the baker opens the shop, sweeps the step, and lights the oven.\n";
    let corpus = folder.file("texts", text);
    let program = binary();
    let program = program.to_str().unwrap();
    let mut run = Run::start(&["--baseline-server", program, "--corpus", &corpus]);
    run.prints("pair 1: ");
    run.interrupt();
    let ended = run.ended();
    assert_eq!(ended.code, NOT_MEASURED, "{}", ended.error);
    assert!(ended.error.contains("interrupted"), "{}", ended.error);
    assert!(ended.out.is_empty(), "{}", ended.out);
}

#[test]
fn a_voice_that_takes_longer_is_a_regression_and_one_that_takes_less_is_none() {
    let _alone = alone();
    let folder = Folder::new();
    let medium = folder.path("medium");
    write_medium_voice(Path::new(&medium));
    let (code, ratio, _) = compared(&["--voice", &medium, "--baseline-voice", "builtin:rms"]);
    assert_eq!(code, REGRESSED, "{ratio}");
    assert!(ratio > 2.0, "{ratio}");
    let (code, ratio, cause) = compared(&["--voice", "builtin:rms", "--baseline-voice", &medium]);
    assert!(ratio < 0.5, "{ratio}");
    // Where other programs run, nothing passes.
    if cause == "NoisyEnvironment" {
        assert_eq!(code, INCONCLUSIVE);
    } else {
        assert_eq!(code, DONE, "{cause}");
    }
}

/// The CPUs of each thread, as the kernel has them, of each process that `profiler` measures.
fn affinities(profiler: u32) -> Vec<Vec<String>> {
    let field = |status: &str, name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.map(|value| value.trim().to_owned())
    };
    let is_subject = |process: &Path| {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let arguments = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        field(&status, "PPid:") == Some(profiler.to_string())
            && arguments.contains("profile-subject")
    };
    // Processes and threads may end in between.
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|process| is_subject(process))
        .map(|process| {
            let threads = fs::read_dir(process.join("task")).into_iter().flatten();
            threads
                .flatten()
                .filter_map(|thread| {
                    let status = fs::read_to_string(thread.path().join("status")).ok()?;
                    field(&status, "Cpus_allowed_list:")
                })
                .collect()
        })
        .collect()
}

#[test]
fn a_pod_of_one_core_is_measured_on_one_cpu() {
    if cores() < 2 {
        println!("this machine has one CPU: there is nothing to see");
        return;
    }
    let _alone = alone();
    let folder = Folder::new();
    let corpus = folder.file("texts", TEXTS);
    let mut arguments = SHORT.to_vec();
    arguments.extend(["--corpus", &corpus]);
    let mut run = Run::start(&arguments);
    let mut seen = BTreeSet::new();
    // Until the first level is measured, all processes are of one core.
    wait_until("the first level", || {
        let now = affinities(run.child.id());
        let error = run.read("error");
        if error.contains("1 in service") {
            return true;
        }
        assert!(run.child.try_wait().unwrap().is_none(), "{error}");
        // A process with one thread is only being started.
        seen.extend(now.into_iter().filter(|threads| threads.len() > 1));
        false
    });
    assert!(!seen.is_empty());
    for threads in seen {
        let cpus: BTreeSet<_> = threads.iter().collect();
        assert_eq!(cpus.len(), 1, "{threads:?}");
        assert!(threads[0].parse::<usize>().is_ok(), "{threads:?}");
    }
}
