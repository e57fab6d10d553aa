//! Models that are no voices, or do harm: what `inspect` says of them, that `serve` does not start with them, and what is
//! left of a server when one run of them fails.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::{
    fs,
    path::Path,
    process::{ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};
use tts_tests::{
    SOON, Server, binary, client,
    graph::{Element, Graph, Node, Tensor},
    speech,
    voices::write_voice,
};

/// Virtual memory that the program gets here, in KiB: several times what a good voice takes.
const MEMORY_KIB: u32 = 3 * 1024 * 1024;
/// A tensor of this many floats fits into no machine.
const TOO_MANY: i64 = 1_000_000_000_000;
const SAMPLES: i64 = 8000;

/// The program with these arguments and little memory.
fn limited(arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new("sh");
    command
        .args([
            "-c",
            &format!("ulimit -v {MEMORY_KIB} && exec \"$@\""),
            "sh",
        ])
        .arg(binary())
        .args(arguments);
    command
}

/// What a command printed, and its exit code; it has to end soon.
async fn ends(command: std::process::Command) -> (Option<i32>, String, String) {
    let mut command = Command::from(command);
    let output = tokio::time::timeout(SOON, command.kill_on_drop(true).output()).await;
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("it does not end").unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

/// Inspects a voice that is a folder of this machine.
async fn inspect(folder: &Path) -> (Option<i32>, Value) {
    let (code, out, error) = ends(limited(&["inspect", "--voice", folder.to_str().unwrap()])).await;
    assert!(out.trim_end().len() <= 4000, "{out}");
    let report = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    (code, report)
}

struct Case {
    model: Vec<u8>,
    code: i32,
    reason: &'static str,
    /// In the message.
    wanted: &'static str,
}

/// A model that `inspect` finds permanently unusable.
fn unusable(graph: &Graph, reason: &'static str, wanted: &'static str) -> Case {
    Case {
        model: graph.model(),
        code: 2,
        reason,
        wanted,
    }
}

/// A model that may be usable elsewhere.
fn elsewhere(graph: &Graph, wanted: &'static str) -> Case {
    Case {
        model: graph.model(),
        code: 3,
        reason: "Failed",
        wanted,
    }
}

/// `inspect` says why, and `serve` does not start.
async fn check(cases: Vec<Case>) {
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        write_voice(folder.path(), &case.model, 16_000);
        let (code, report) = inspect(folder.path()).await;
        assert_eq!(
            (code, report["ok"].as_bool(), report["reason"].as_str()),
            (Some(case.code), Some(false), Some(case.reason)),
            "{report}"
        );
        let message = report["message"].as_str().unwrap();
        assert!(message.contains(case.wanted), "{message}");
        let voice = format!("harmful={}", folder.path().display());
        let (code, _, error) = ends(limited(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--voice",
            &voice,
        ]))
        .await;
        assert_eq!(code, Some(1), "{error}");
        let last = error.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("tts-server: voice harmful: ") && last.contains(case.wanted),
            "{error}"
        );
    }
}

/// A voice whose samples all have this level.
fn level(level: f32) -> Graph {
    Graph::piper()
        .constant("shape", &Tensor::ints(&[4], &[1, 1, 1, SAMPLES]))
        .node(
            &Node::new("ConstantOfShape", &["shape"], &["output"])
                .tensor("value", &Tensor::floats(&[1], &[level])),
        )
}

/// `slow`: whether a request speaks with less than two thirds of the speed. A voice is tested with its own speed.
fn knows_slow() -> Graph {
    Graph::piper()
        .constant("second", &Tensor::int(1))
        .constant("limit", &Tensor::float(1.5))
        .apply("Gather", &["scales", "second"], "length")
        .apply("Greater", &["length", "limit"], "slow")
}

/// A voice that runs a loop without an end while `condition` is true.
fn loops_while(graph: Graph, condition: &str) -> Graph {
    let body = Graph::new("body")
        .input("iteration", Element::Int64, &[])
        .input("going", Element::Bool, &[])
        .input("level", Element::Float, &[])
        .apply("Identity", &["going"], "goes_on")
        .apply("Cos", &["level"], "next_level")
        .output("goes_on", Element::Bool, &[])
        .output("next_level", Element::Float, &[]);
    graph
        .constant("shape", &Tensor::ints(&[4], &[1, 1, 1, SAMPLES]))
        .node(&Node::new("Loop", &["", condition, "length"], &["last_level"]).graph("body", &body))
        .apply("Expand", &["last_level", "shape"], "output")
}

/// A voice of `count` samples, which is a tensor of one number.
fn has_samples(graph: Graph, count: &str) -> Graph {
    graph
        .constant("ones", &Tensor::ints(&[3], &[1, 1, 1]))
        .node(&Node::new("Concat", &["ones", count], &["shape"]).int("axis", 0))
        .node(
            &Node::new("ConstantOfShape", &["shape"], &["output"])
                .tensor("value", &Tensor::floats(&[1], &[0.5])),
        )
}

/// A voice whose output comes from within this many branches.
fn nested(depth: usize) -> Graph {
    let shape = ["1", "1", "1", "samples"];
    let leaf = |name: &str| {
        Graph::new("leaf")
            .constant(name, &Tensor::floats(&[1, 1, 1, 2], &[0.5, 0.5]))
            .apply("Identity", &[name], "spoken")
            .output("spoken", Element::Float, &shape)
    };
    let branch = |inner: &Graph, output: &str| {
        Node::new("If", &["slow"], &[output])
            .graph("then_branch", inner)
            .graph("else_branch", &leaf("other"))
    };
    let inner = (0..depth).fold(leaf("deepest"), |inner, _| {
        Graph::new("inner")
            .node(&branch(&inner, "spoken"))
            .output("spoken", Element::Float, &shape)
    });
    knows_slow().node(&branch(&inner, "output"))
}

#[tokio::test]
async fn a_model_that_is_no_piper_voice_is_permanently_unusable() {
    let other_family = Graph::new("other")
        .input("tokens", Element::Int64, &["1", "symbols"])
        .output("audio", Element::Float, &["1", "symbols"])
        .node(&Node::new("Cast", &["tokens"], &["audio"]).int("to", 1));
    let other_types = Graph::new("other")
        .input("input", Element::Int32, &["1", "symbols"])
        .input("input_lengths", Element::Int64, &["1"])
        .input("scales", Element::Float, &["3"])
        .output("output", Element::Float, &["1", "symbols"])
        .node(&Node::new("Cast", &["input"], &["output"]).int("to", 1));
    let unknown_domain =
        Graph::piper().node(&Node::new("Speak", &["input"], &["output"]).domain("com.example"));
    check(vec![
        unusable(
            &other_family,
            "UnsupportedVoice",
            "no tensor named input, only tokens",
        ),
        unusable(&other_types, "UnsupportedVoice", "input holds"),
        unusable(&unknown_domain, "CorruptModel", "com.example"),
        unusable(
            &Graph::piper().apply("Speak", &["input"], "output"),
            "CorruptModel",
            "Speak",
        ),
        // What is read of a file must not use up the stack.
        unusable(&nested(5000), "CorruptModel", "complete"),
    ])
    .await;
}

#[tokio::test]
async fn a_model_without_audible_finite_samples_is_permanently_unusable() {
    check(vec![
        unusable(&level(f32::NAN), "CorruptModel", "not finite"),
        unusable(&level(f32::INFINITY), "CorruptModel", "not finite"),
        unusable(&level(0.0), "CorruptModel", "silent"),
        unusable(
            &has_samples(
                Graph::piper().constant("none", &Tensor::ints(&[1], &[0])),
                "none",
            ),
            "CorruptModel",
            "no samples",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_model_that_needs_more_memory_than_there_is_may_be_usable_elsewhere() {
    let many = || Graph::piper().constant("many", &Tensor::ints(&[1], &[TOO_MANY]));
    let of_the_run = many()
        .constant("zero", &Tensor::int(0))
        .apply("Mul", &["input_lengths", "zero"], "nothing")
        .apply("Add", &["many", "nothing"], "count");
    let body = Graph::new("body")
        .input("iteration", Element::Int64, &[])
        .input("going", Element::Bool, &[])
        .input("sound", Element::Float, &["samples"])
        .apply("Identity", &["going"], "goes_on")
        .node(&Node::new("Concat", &["sound", "sound"], &["longer"]).int("axis", 0))
        .output("goes_on", Element::Bool, &[])
        .output("longer", Element::Float, &["longer_samples"]);
    let grows = Graph::piper()
        .constant("always", &Tensor::bool(true))
        .node(&Node::new("Loop", &["", "always", "scales"], &["longest"]).graph("body", &body))
        .constant("shape", &Tensor::ints(&[4], &[1, 1, 1, -1]))
        .apply("Reshape", &["longest", "shape"], "output");
    check(vec![
        // Computed when the model is loaded, and when it runs.
        elsewhere(&has_samples(many(), "many"), "out of memory"),
        elsewhere(&has_samples(of_the_run, "count"), "out of memory"),
        elsewhere(&grows, "out of memory"),
    ])
    .await;
}

#[tokio::test]
async fn a_large_and_a_nested_model_are_usable() {
    let mut large = Graph::piper().apply("Abs", &["scales"], "0");
    for number in 0..20_000 {
        large = large.apply("Sin", &[&number.to_string()], &(number + 1).to_string());
    }
    let large = large
        .constant("shape", &Tensor::ints(&[4], &[1, 1, 1, -1]))
        .apply("Reshape", &["20000", "shape"], "output");
    for graph in [large, nested(20)] {
        let folder = tempfile::tempdir().unwrap();
        write_voice(folder.path(), &graph.model(), 16_000);
        let (code, report) = inspect(folder.path()).await;
        assert_eq!(code, Some(0), "{report}");
    }
}

/// The status and the body of a request at a speed.
async fn speak(server: &Server, speed: f64) -> (StatusCode, Vec<u8>) {
    let body = json!({"input": "Hello.", "response_format": "pcm", "speed": speed});
    let response = speech(server, &body).await;
    (response.status(), response.bytes().await.unwrap().to_vec())
}

/// It is half a second of audio: of 16 kHz in the model, of 24 kHz in the answer.
#[track_caller]
fn assert_spoken((status, body): (StatusCode, Vec<u8>)) {
    let samples = body.len() / 2;
    assert_eq!((status, samples), (StatusCode::OK, 12_000));
}

/// A server of one voice with one worker.
fn serve(folder: &Path, graph: &Graph, arguments: &[&str]) -> Server {
    write_voice(folder, &graph.model(), 16_000);
    let voice = format!("harmful={}", folder.display());
    let mut all = vec![
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--workers",
        "1",
        "--voice",
        &voice,
    ];
    all.extend(arguments);
    Server::spawn(limited(&all))
}

#[tokio::test]
async fn a_run_without_an_end_is_stopped_at_its_time_limit_and_the_next_one_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let graph = loops_while(knows_slow(), "slow");
    let server = serve(folder.path(), &graph, &["--run-timeout", "1s"]);
    let begun = Instant::now();
    let (status, body) = speak(&server, 0.5).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{body}");
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        body["error"]["message"],
        "the run did not end within 1 seconds"
    );
    assert_spoken(speak(&server, 1.0).await);
}

#[tokio::test]
async fn a_run_that_needs_too_much_memory_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let graph = knows_slow()
        .constant("many", &Tensor::ints(&[1], &[TOO_MANY]))
        .constant("few", &Tensor::ints(&[1], &[SAMPLES]))
        .apply("Where", &["slow", "many", "few"], "count");
    let server = serve(folder.path(), &has_samples(graph, "count"), &[]);
    let (status, body) = speak(&server, 0.5).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("out of memory"), "{message}");
    assert_spoken(speak(&server, 1.0).await);
}

/// Stops a server while its only voice is being tested, which takes for ever; its exit status.
async fn stop_in_a_run() -> ExitStatus {
    let folder = tempfile::tempdir().unwrap();
    let graph = knows_slow().constant("always", &Tensor::bool(true));
    let model = loops_while(graph, "always").model();
    write_voice(folder.path(), &model, 16_000);
    let voice = format!("harmful={}", folder.path().display());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--drain-delay", "0s"];
    let mut command = Command::from(limited(&arguments));
    let mut child = command
        .args(["--workers", "1", "--voice", &voice])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let listening = tokio::time::timeout(SOON, log.next_line()).await.unwrap();
    let listening = listening.unwrap().unwrap();
    let (_, rest) = listening.split_once("address=").unwrap();
    let address = rest.split_whitespace().next().unwrap();
    let ready = client().get(format!("http://{address}/readyz"));
    let ready = ready.send().await.unwrap().status();
    assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE);
    let pid = child.id().unwrap().to_string();
    let killed = Command::new("kill").arg(pid).status().await.unwrap();
    assert!(killed.success());
    let status = tokio::time::timeout(SOON, child.wait()).await;
    status.expect("it does not end").unwrap()
}

/// Nothing in `serve` limits the time of a voice's test: the startup probe of its pod does.
#[tokio::test]
async fn a_voice_whose_test_does_not_end_is_never_ready_and_its_server_still_stops() {
    stop_in_a_run().await;
}

#[tokio::test]
async fn a_server_that_is_stopped_in_a_run_does_not_crash() {
    for _ in 0..20 {
        let status = stop_in_a_run().await;
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

#[tokio::test]
async fn values_outside_of_a_voices_folder_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let voice = folder.path().join("voice");
    let outside = folder.path().join("outside.bin");
    let values: Vec<u8> = [0.5_f32; 16]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(&outside, &values).unwrap();
    let write = |location: &str| {
        let weights = Tensor::external(Element::Float, &[1, 1, 1, 16], location);
        let graph =
            Graph::piper()
                .constant("weights", &weights)
                .apply("Identity", &["weights"], "output");
        write_voice(&voice, &graph.model(), 16_000);
    };
    // Beside the model, the same values are a voice.
    write("inside.bin");
    fs::write(voice.join("inside.bin"), &values).unwrap();
    let (code, report) = inspect(&voice).await;
    assert_eq!(code, Some(0), "{report}");

    for location in ["../outside.bin", outside.to_str().unwrap()] {
        write(location);
        let trace = folder.path().join("trace");
        let mut command = std::process::Command::new("strace");
        command
            .args(["-f", "-qq", "-e", "trace=%file", "-o"])
            .arg(&trace)
            .arg(binary())
            .args(["inspect", "--voice"])
            .arg(&voice);
        let (code, out, error) = ends(command).await;
        assert_ne!(code, Some(0), "{out}");
        assert!(out.contains("External data path"), "{out}{error}");
        let trace = fs::read_to_string(trace).unwrap();
        let opened = |name: &str| {
            let mut calls = trace.lines().filter(|line| line.contains("open"));
            calls.any(|line| line.contains(name))
        };
        assert!(opened("voice.onnx"), "the trace saw nothing of the work");
        assert!(!opened("outside.bin"), "{trace}");
    }
}

#[tokio::test]
async fn a_model_that_onnx_runtime_rejects_is_permanently_unusable() {
    let outside = Tensor::external(Element::Float, &[1, 1, 1, 16], "../../etc/passwd");
    let outside =
        Graph::piper()
            .constant("weights", &outside)
            .apply("Identity", &["weights"], "output");
    let of_the_future = Case {
        model: level(0.5).model_of_opset(99),
        ..unusable(&outside, "CorruptModel", "official released onnx ops")
    };
    check(vec![
        of_the_future,
        unusable(&outside, "CorruptModel", "External data path"),
        unusable(&Graph::piper(), "CorruptModel", "Graph output (output)"),
        unusable(
            &Graph::piper().apply("Identity", &["input"], "output"),
            "CorruptModel",
            "Type Error",
        ),
    ])
    .await;
}
