//! `tts-server say`, and what it and the server touch: no telemetry, no socket, no other file.

use std::{fs, path::Path, process::Command};

use tts_tests::{Server, binary, client, medium::write_medium_voice, samples, wait_until};

/// Runs a command under strace in an empty HOME; what it did with files and sockets, a call a line.
fn strace(home: &Path, trace: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args([
            "-f",
            "-qq",
            "-e",
            "trace=network,%file,fchmod,fchown,ftruncate,memfd_create",
            "-o",
        ])
        .arg(trace)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(home);
    if let Some(library) = std::env::var_os("ORT_DYLIB_PATH") {
        command.env("ORT_DYLIB_PATH", library);
    }
    command
}

/// Calls that make, change or remove something, or open it for writing.
fn writes(trace: &str) -> Vec<&str> {
    const READS: [&str; 12] = [
        "execve(",
        "access(",
        "faccessat",
        "stat(",
        "lstat(",
        "newfstatat(",
        "statx(",
        "readlink",
        "getcwd(",
        "statfs(",
        "fstat(",
        "chdir(",
    ];
    trace
        .lines()
        .filter(|line| {
            let call = line.split_whitespace().nth(1).unwrap_or_default();
            let opens = call.starts_with("open");
            let reads = opens
                && !["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
                    .iter()
                    .any(|flag| line.contains(flag));
            let ignored = READS.iter().any(|read| call.starts_with(read))
                || !call.contains('(')
                // strace lost a thread in the middle of a call, when the process ended.
                || call.starts_with("???(")
                || is_network(call)
                // The C library tries to open the terminal of a process that has none for writing; nothing is made.
                || line.contains("\"/dev/tty\"") || line.contains("\"/dev/null\"");
            !reads && !ignored
        })
        .collect()
}

fn is_network(call: &str) -> bool {
    [
        "socket",
        "connect(",
        "bind(",
        "listen(",
        "accept",
        "send",
        "recv",
        "getsock",
        "setsock",
        "getpeer",
        "shutdown(",
    ]
    .iter()
    .any(|name| call.starts_with(name))
}

fn network(trace: &str) -> Vec<&str> {
    trace
        .lines()
        .filter(|line| is_network(line.split_whitespace().nth(1).unwrap_or_default()))
        .collect()
}

#[test]
fn say_opens_no_socket_and_writes_only_its_output() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let trace = elsewhere.path().join("trace");
    let output = elsewhere.path().join("out.wav");
    let status = strace(home.path(), &trace)
        .arg(binary())
        .args(["say", "The quick brown fox jumps over the lazy dog.", "-o"])
        .arg(&output)
        .status()
        .unwrap();
    assert!(status.success());
    let trace = fs::read_to_string(trace).unwrap();
    assert!(
        trace.contains("libonnxruntime"),
        "the trace saw nothing of the work"
    );
    assert_eq!(network(&trace), [""; 0]);
    let written = writes(&trace);
    assert_eq!(written.len(), 1, "{written:#?}");
    assert!(
        written[0].contains(output.to_str().unwrap()),
        "{written:#?}"
    );
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);

    let (samples, rate) = samples(&fs::read(output).unwrap());
    let seconds = f64::from(u32::try_from(samples.len()).unwrap()) / f64::from(rate);
    assert!((2.0..6.0).contains(&seconds), "{seconds} s");
    assert!(samples.iter().any(|sample| sample.unsigned_abs() > 3000));
}

#[tokio::test]
async fn serving_talks_to_nobody_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let trace = elsewhere.path().join("trace");
    let mut command = strace(home.path(), &trace);
    command
        .arg(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--drain-delay", "0s"]);
    let mut server = Server::spawn(command);
    for _ in 0..3 {
        let body = r#"{"input":"Hello there.","response_format":"wav"}"#;
        let request = client()
            .post(server.url("/v1/audio/speech"))
            .header("content-type", "application/json")
            .body(body);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    // strace's own child is the server: ONNX Runtime's telemetry would start seconds after its environment.
    let text = || fs::read_to_string(&trace).unwrap();
    let started = std::time::Instant::now();
    wait_until("the time in which telemetry would start", || {
        started.elapsed().as_secs() >= 5
    });
    let pid = text()
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert_eq!(server.wait(), Some(0));

    let text = text();
    let outgoing: Vec<_> = network(&text)
        .into_iter()
        .filter(|line| line.contains("connect("))
        .collect();
    assert_eq!(outgoing, [""; 0]);
    let sockets: Vec<_> = network(&text)
        .into_iter()
        .filter(|line| line.contains(" socket("))
        .collect();
    assert_eq!(sockets.len(), 1, "only the listener: {sockets:#?}");
    assert_eq!(writes(&text), [""; 0]);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn say_reads_standard_input_and_writes_standard_output() {
    use std::{io::Write, process::Stdio};
    let mut child = Command::new(binary())
        .args(["say", "-", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"One two three.")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(samples(&output.stdout).0.len() > 8000);
}

#[test]
fn say_names_what_it_skips() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(binary())
        .args(["say", "Hi 🎉", "-o"])
        .arg(folder.path().join("hi.wav"))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && error.contains("U+1F389"),
        "{error}"
    );
}

#[test]
fn say_tells_what_is_wrong() {
    for (arguments, wanted) in [
        (vec!["say", ""], "the text is empty"),
        (vec!["say", "?!"], "nothing to speak"),
        (
            vec!["say", "Hi", "--voice", "builtin:nobody"],
            "unknown built-in voice \"nobody\"",
        ),
        (vec!["say", "Hi", "--voice", "/nonexistent"], "/nonexistent"),
        (vec!["say", "Hi", "--speed", "0"], "speed"),
        (vec!["say", "Hi", "--speed", "NaN"], "speed"),
        (
            vec!["say", "Hi", "-o", "/nonexistent/out.wav"],
            "/nonexistent/out.wav",
        ),
    ] {
        let output = Command::new(binary())
            .args(&arguments)
            .current_dir(std::env::temp_dir())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains(wanted),
            "{arguments:?}: {error}"
        );
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn a_missing_library_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("tts-server");
    fs::copy(binary(), &alone).unwrap();
    let output = Command::new(&alone)
        .args(["say", "Hi", "-o", "-"])
        .env_remove("ORT_DYLIB_PATH")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && error.contains("make setup"),
        "{error}"
    );
}

#[test]
fn a_medium_voice_speaks_at_the_pace_of_speech() {
    let folder = tempfile::tempdir().unwrap();
    write_medium_voice(folder.path());
    let output = folder.path().join("out.wav");
    let text = "Please keep the window closed at night.";
    let status = Command::new(binary())
        .args(["say", text, "--voice"])
        .arg(folder.path())
        .arg("--output")
        .arg(&output)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let (samples, rate) = samples(&fs::read(output).unwrap());
    assert_eq!(rate, 22_050);
    // About 30 phonemes.
    let (shortest, longest) = (30 * 22_050 / 25, 30 * 22_050 / 8);
    assert!(
        (shortest..longest).contains(&samples.len()),
        "{}",
        samples.len()
    );
    let peak = samples.iter().map(|sample| sample.unsigned_abs()).max();
    assert!((3000..32_000).contains(&peak.unwrap()), "{peak:?}");
}
