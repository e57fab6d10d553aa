//! `cargo bench -p tts-planner`: a plan of 50 node classes with 20 profiles in all, the same with
//! four voices (80 profiles), the tail alone, 1,000 plans.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tts_planner::queueing::FlowServer;
use tts_planner::workload::{PodCurve, ServiceCurve};
use tts_planner::{Load, Measurement, Objectives, Peak, Request, plan};
use tts_planner_dev::samples::{PIPER, Speed, node, on_cpu, on_gpu, request};

/// 50 classes; 15 CPU profiles of 17 shapes and 5 GPU profiles.
fn large() -> Request {
    let name = |index: u32| format!("class-{index:02}");
    let cpu = |index: u32| {
        let speed = Speed {
            s1: 0.05 + 0.01 * f64::from(index),
            ..PIPER
        };
        on_cpu(&name(index), speed, &[1, 2, 3, 4, 7, 8])
    };
    let gpu = |index: u32| {
        let speed = Speed {
            s0: 0.03,
            s1: 0.01,
            threads: (0.0, 0.0),
            requests: (0.285, 0.0123),
        };
        on_gpu(&name(index), speed)
    };
    let profiles = (0..15).map(cpu).chain((15..20).map(gpu));
    Request {
        measurements: profiles.map(Measurement::as_recorded).collect(),
        objectives: Objectives {
            ttfa_p95: 1.0,
            rtf_p95: 0.8,
        },
        load: Load::new(Peak::RequestsPerSecond(20.0)),
        classes: (0..50)
            .map(|index| node(&name(index), 7.5, 50, 0.3, u32::from(index >= 15)))
            .collect(),
        ..request()
    }
}

/// The same for four voices, of which each is measured wherever the first is.
fn four_voices(request: &Request) -> Request {
    let mut request = request.clone();
    let first = std::mem::take(&mut request.measurements);
    for voice in 0..4_u32 {
        for measurement in &first {
            let mut measurement = measurement.clone();
            let profile = &mut measurement.profile;
            profile.id = format!("{voice}.{}", profile.id);
            profile.voice.name = format!("voice-{voice}");
            for config in &mut profile.configs {
                let slower = 1.0 + 0.2 * f64::from(voice);
                for level in &mut config.levels {
                    level.audio_per_sec /= slower;
                    level.ttfa_q.iter_mut().for_each(|time| *time *= slower);
                }
            }
            request.measurements.push(measurement);
        }
    }
    request
}

fn plans(criterion: &mut Criterion) {
    let large = large();
    assert!(plan(&large).is_ok_and(|decision| decision.plan().is_some()));
    criterion.bench_function("plan, 50 classes, 20 profiles", |bencher| {
        bencher.iter(|| plan(black_box(&large)));
    });

    let mixed = four_voices(&large);
    assert!(plan(&mixed).is_ok_and(|decision| decision.plan().is_some()));
    criterion.bench_function(
        "plan, 50 classes, 20 profiles of each of 4 voices",
        |bencher| {
            bencher.iter(|| plan(black_box(&mixed)));
        },
    );

    let profile = on_cpu("cpu", PIPER, &[4]);
    let curve = ServiceCurve::new(&profile.configs[0], &profile, &large.load);
    let curve = PodCurve::mixed(&[(1.0, curve)]);
    let server = FlowServer::new(&curve.rates, &curve.first_audio, 1.0, curve.service_cv2);
    let rate = 0.7 * server.full_rate();
    criterion.bench_function("tail, 4 slots", |bencher| {
        bencher.iter(|| server.late(black_box(0.5), black_box(rate)));
    });

    let batch: Vec<Request> = (1..=1000)
        .map(|index| Request {
            load: Load::new(Peak::RequestsPerSecond(0.03 * f64::from(index))),
            ..request()
        })
        .collect();
    let mut group = criterion.benchmark_group("batch");
    group.sample_size(10);
    group.bench_function("1,000 plans", |bencher| {
        bencher.iter(|| batch.iter().filter(|request| plan(request).is_ok()).count());
    });
    group.finish();
}

criterion_group!(benches, plans);
criterion_main!(benches);
