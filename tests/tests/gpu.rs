//! What is read of NVIDIA GPUs and measured on them, from a fake of the driver's library: there is no GPU where tests run.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::{fs, path::Path, process::Command, sync::Arc};

use serde_json::Value;

use tts_server::{
    engine::CpuSet,
    machine::{
        Machine,
        gpu::{
            Facts, Gpu, GpuError, Sample,
            sharing::{Environment, Hints},
            watch::watch,
        },
    },
    profile::{
        corpus::Corpus,
        grid::{Grid, Sweep},
        measure::{Measuring, Subject},
        state::Measurement,
    },
};
use tts_tests::{binary, nvml::FakeNvml, wait_until};

/// Exit status of `tts-server profile` without a profile.
const NOT_MEASURED: Option<i32> = Some(3);

struct Ended {
    code: Option<i32>,
    out: String,
    error: String,
}

fn open(fake: &FakeNvml, index: u32, environment: &Environment) -> Result<Gpu, GpuError> {
    Gpu::open(fake.library().as_ref(), index, environment)
}

/// The first GPU of a fake.
fn first(definitions: &[&str]) -> Result<Gpu, GpuError> {
    open(&FakeNvml::with(definitions), 0, &Environment::default())
}

fn visible(list: &str) -> Environment {
    Environment {
        cuda_visible: Some(list.to_owned()),
        ..Environment::default()
    }
}

#[track_caller]
fn assert_refused(opened: Result<Gpu, GpuError>, words: &[&str]) {
    let error = opened.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_gpu_tells_what_it_is_and_what_it_does() {
    let gpu = first(&["PROCESSES=2", "EVENTS=0x24"]).unwrap();
    assert_eq!(
        gpu.facts(),
        &Facts {
            product: "Fake GPU".to_owned(),
            uuid: "GPU-fa4e-001".to_owned(),
            mig: None,
            driver: "570.86.15".to_owned(),
            cuda: Some("12.8".to_owned()),
            memory_mib: 40_536.0,
            power_limit: Some(72.0),
        }
    );
    assert_eq!(
        gpu.sample(),
        Sample {
            clock: Some(1700.0),
            events: Some(0x24),
            utilisation: Some(0.5),
            memory_mib: Some(700.0),
        }
    );
    assert_eq!((gpu.energy(), gpu.processes()), (Some(1000), Some(2)));
    assert_eq!(gpu.hints(), Hints::default());
}

#[test]
fn the_gpu_is_the_one_that_cuda_takes() {
    let fake = FakeNvml::with(&["DEVICES=3"]);
    let uuid = |index, environment: &Environment| {
        let gpu = open(&fake, index, environment).unwrap();
        gpu.facts().uuid.clone()
    };
    assert_eq!(uuid(2, &Environment::default()), "GPU-fa4e-003");
    assert_eq!(uuid(0, &visible("1,0")), "GPU-fa4e-002");
    assert_eq!(uuid(1, &visible("1,GPU-fa4e-003")), "GPU-fa4e-003");
    assert_refused(
        open(&fake, 3, &Environment::default()),
        &["no cuda:3", "3 GPU(s)", "--device cpu"],
    );
    assert_refused(
        open(&fake, 1, &visible("2")),
        &["no cuda:1", "CUDA_VISIBLE_DEVICES is 2"],
    );
    assert_refused(open(&fake, 0, &visible("GPU-00")), &["no cuda:0"]);
}

#[test]
fn a_mig_instance_has_its_own_memory_and_the_clock_of_the_whole_gpu() {
    let gpu = first(&["MIG", "INSTANCES=2", "EVENTS=0x4"]).unwrap();
    let facts = gpu.facts();
    assert_eq!(facts.product, "Fake GPU");
    assert_eq!(facts.mig.as_deref(), Some("1g.5gb"));
    assert_eq!(facts.uuid, "MIG-fa4e-101");
    assert!((facts.memory_mib - 4864.0).abs() < 1e-9);
    assert_eq!(
        gpu.sample(),
        Sample {
            clock: Some(1700.0),
            events: Some(0x4),
            // NVML tells it of whole GPUs only.
            utilisation: None,
            memory_mib: Some(700.0),
        }
    );
    // The counter is that of all instances.
    assert_eq!(gpu.energy(), None);

    let fake = FakeNvml::with(&["DEVICES=2", "MIG", "INSTANCES=2"]);
    let gpu = open(&fake, 0, &visible("MIG-fa4e-202")).unwrap();
    assert_eq!(gpu.facts().uuid, "MIG-fa4e-202");
    assert_refused(
        first(&["MIG", "INSTANCES=0"]),
        &["MIG is on for the Fake GPU", "nvidia.com/mig"],
    );
}

#[test]
fn what_an_old_driver_lacks_is_absent() {
    let old = [
        "NO_EVENTS",
        "NO_PROCESSES",
        "NO_ENERGY",
        "NO_CUDA",
        "NO_MIG",
    ];
    let gpu = first(&old).unwrap();
    assert_eq!(gpu.sample().events, None);
    assert_eq!(gpu.sample().utilisation, Some(0.5));
    assert_eq!((gpu.energy(), gpu.processes()), (None, None));
    assert_eq!((&gpu.facts().cuda, &gpu.facts().mig), (&None, &None));
    // Without it a profile would be wrong.
    assert_refused(
        first(&["NO_MEMORY"]),
        &["does not tell the GPU's memory", "driver 510"],
    );
}

#[test]
fn a_gpu_that_answers_little_is_measured_with_little() {
    let gpu = first(&["MUTE"]).unwrap();
    let sample = Sample {
        memory_mib: Some(700.0),
        ..Sample::default()
    };
    assert_eq!(gpu.sample(), sample);
    assert_eq!(gpu.energy(), None);
    assert_eq!(gpu.facts().power_limit, None);
}

#[test]
fn sharing_is_looked_for_in_environment_and_compute_mode() {
    let fake = FakeNvml::with(&["EXCLUSIVE"]);
    let environment = Environment {
        container: Some("GPU-fa4e-001::3".to_owned()),
        mps: true,
        ..Environment::default()
    };
    let gpu = open(&fake, 0, &environment).unwrap();
    assert_eq!(
        gpu.hints(),
        Hints {
            mps: true,
            replicated: true,
            exclusive: true,
        }
    );
}

#[test]
fn without_library_driver_or_gpu_the_error_says_what_to_do() {
    let open = |library: &Path| Gpu::open(library.as_ref(), 0, &Environment::default());
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("libnvidia-ml.so.1");
    let refused = [
        "cannot load",
        "libnvidia-ml.so.1",
        "NVIDIA_DRIVER_CAPABILITIES",
        "--device cpu",
    ];
    assert_refused(open(&missing), &refused);
    std::fs::write(&missing, "no library").unwrap();
    assert_refused(open(&missing), &refused);
    assert_refused(
        first(&["NOT_LOADED"]),
        &["driver is not loaded", "nvidia-smi", "--device cpu"],
    );
    assert_refused(first(&["DEVICES=0"]), &["no cuda:0", "0 GPU(s)"]);
}

#[test]
fn a_gpu_is_watched_until_the_work_is_done() {
    let gpu = first(&["EVENTS=0x40"]).unwrap();
    let joules = || gpu.energy().unwrap() / 1000;
    let before = joules();
    let (answer, seen) = watch(&gpu, || {
        // Each look takes a joule.
        wait_until("three looks", || joules() >= before + 3);
        "done"
    });
    assert_eq!(answer, "done");
    assert!(seen.clocks.len() >= 3, "{seen:?}");
    assert_eq!(seen.clocks[..3], [1700.0, 1710.0, 1720.0]);
    assert_eq!(seen.events, Some(0x40));
    assert_eq!(seen.utilisation, Some(0.5));
    assert_eq!(seen.memory_mib, Some(700.0));
    let looks = joules();
    assert_eq!(looks, before + u64::try_from(seen.clocks.len()).unwrap());
}

/// Measures on a GPU of a fake driver. No GPU runs tests, and ONNX Runtime of `make setup` knows none.
fn on_fake_gpu(definitions: &[&str], arguments: &[&str]) -> (Ended, Value) {
    let fake = FakeNvml::with(definitions);
    let folder = tempfile::tempdir().unwrap();
    let message = folder.path().join("message");
    let output = Command::new(binary())
        .args(["profile", "--device", "cuda"])
        .arg("--termination-message")
        .arg(&message)
        .args(arguments)
        .env("LD_LIBRARY_PATH", fake.folder())
        .env_remove("CUDA_VISIBLE_DEVICES")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ended = Ended {
        code: output.status.code(),
        out: text(output.stdout),
        error: text(output.stderr),
    };
    let message = serde_json::from_slice(&fs::read(message).unwrap()).unwrap();
    (ended, message)
}

#[test]
fn a_gpu_needs_an_onnx_runtime_that_knows_it() {
    let (ended, message) = on_fake_gpu(&[], &["--level-seconds", "0.1"]);
    assert_eq!(ended.code, NOT_MEASURED, "{}", ended.error);
    assert!(ended.out.is_empty(), "{}", ended.out);
    for words in [
        "this ONNX Runtime cannot use the device cuda:0",
        "ORT_DYLIB_PATH",
        "--device cpu",
    ] {
        assert!(ended.error.contains(words), "{words}: {}", ended.error);
    }
    assert_eq!(message["reason"], "UnsuitableNode", "{message}");
    assert_eq!(message["permanent"], true, "{message}");
}

/// The CPU does the work, since no GPU can; what is looked at meanwhile is a fake GPU.
#[test]
fn a_gpu_is_looked_at_in_each_level_and_while_nothing_is_measured() {
    let fake = FakeNvml::with(&["PROCESSES=1", "EVENTS=0x20"]);
    let gpu = Gpu::open(fake.library().as_ref(), 0, &Environment::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let texts = folder.path().join("texts");
    fs::write(&texts, "Good morning.\nThe kettle is nearly ready now.\n").unwrap();
    let corpus = Corpus::read(&texts).unwrap();
    let cpus = CpuSet::of_this_thread().unwrap().cpus().to_vec();
    let grid = Grid::of_gpu(Sweep::Quick, if cpus.len() < 2 { 1.0 } else { 2.0 });
    let subject = Subject {
        program: binary(),
        voice: "rms".to_owned(),
        location: "builtin:rms".to_owned(),
        device: "cpu".to_owned(),
        gpu: Some(gpu.facts().uuid.clone()),
        cpus,
    };
    let mut measuring = Measuring {
        subject: &subject,
        machine: &Machine::default(),
        gpu: Some(&gpu),
        grid: &grid,
        sweep: Sweep::Quick,
        // Longer than between two looks.
        level_seconds: Some(0.3),
        corpus: &corpus,
        save: None,
        stop: Arc::default(),
        measurement: Measurement::default(),
    };
    measuring.run().unwrap();
    let measured = measuring.measurement;
    assert!(measured.levels.len() >= 3 * grid.points[0].levels.len());
    for level in &measured.levels {
        assert_eq!(level.samples.gpu_utilisation, Some(0.5), "{}", level.n);
    }
    assert!(measured.gpu.clocks.len() >= measured.levels.len());
    assert_eq!(measured.gpu.events, Some(0x20));
    assert_eq!(measured.gpu.others, Some(1));
    assert_eq!(measured.gpu.idle_utilisation, Some(0.5));
    assert_eq!(measured.gpu.idle_mib, Some(700.0));
    let memory = &measured.memory[0];
    assert_eq!(memory.gpu.len(), memory.points.len());
    assert!(
        memory
            .gpu
            .iter()
            .all(|point| (point.mib - 700.0).abs() < 1e-9)
    );
    assert!(measured.surroundings.idle_watts.is_some());
    assert!(!measured.energy.is_empty());
    assert!(measured.nodes.is_empty(), "the whole node is not measured");
}

#[test]
fn a_gpu_that_is_not_there_is_no_gpu_to_measure_on() {
    for (definitions, arguments, wanted, permanent) in [
        (&["DEVICES=0"][..], &[][..], "there is no cuda:0", true),
        (&["NOT_LOADED"], &[], "see what nvidia-smi says", false),
        (
            &[],
            &["--only-limit", "--save", "saved"],
            "without a GPU only: use --device cpu",
            true,
        ),
    ] {
        let (ended, message) = on_fake_gpu(definitions, arguments);
        assert_eq!(ended.code, NOT_MEASURED, "{}", ended.error);
        assert!(ended.error.contains(wanted), "{wanted}: {}", ended.error);
        assert_eq!(message["reason"], "UnsuitableNode", "{message}");
        assert_eq!(message["permanent"], permanent, "{message}");
    }
}
