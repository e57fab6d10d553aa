//! Prometheus metrics. Names and buckets are part of the product: dashboards and the autoscaler read them.

use axum::extract::State;
use http::{StatusCode, header};
use prometheus::{
    CounterVec, Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};

use super::App;

/// A tenth of a promised second to half a minute: first audio is promised in this range.
const FIRST_AUDIO_SECONDS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];
const WAIT_SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Below 1 is faster than real time; the builtin voice is near 0.005.
const REAL_TIME_FACTORS: [f64; 12] = [
    0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0,
];

#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    pub requests: IntCounterVec,
    inflight: IntGauge,
    delivering: IntGauge,
    unsent_audio: IntGauge,
    queue_depth: IntGauge,
    pub queue_wait: Histogram,
    pub time_to_first_audio: Histogram,
    pub real_time_factor: Histogram,
    pub audio_seconds: prometheus::Counter,
    pub cancelled: IntCounter,
    pub aborted_streams: IntCounter,
    pub encode_seconds: CounterVec,
    pub clipped_samples: IntCounter,
    pub ignored_fields: IntCounter,
    pub connections: IntGauge,
    pub rejected_connections: IntCounter,
    voice_loaded: IntGaugeVec,
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// What does not change: always 1, with a label that says it.
fn register_info(registry: &Registry) -> Result<(), prometheus::Error> {
    for (name, help, label, value) in [
        (
            "tts_build_info",
            "The server's version; always 1.",
            "version",
            env!("CARGO_PKG_VERSION"),
        ),
        (
            "tts_device_info",
            "The device that sessions run on; always 1.",
            "device",
            "cpu",
        ),
    ] {
        register(registry, IntGaugeVec::new(Opts::new(name, help), &[label])?)?
            .with_label_values(&[value])
            .set(1);
    }
    Ok(())
}

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            register(
                &registry,
                Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?,
            )
        };
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help)?);
        register_info(&registry)?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            requests: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "tts_requests_total",
                        "API requests answered, by status code; 499 if the client disconnected.",
                    ),
                    &["code"],
                )?,
            )?,
            inflight: gauge(
                "tts_inflight",
                "Speech requests that are work: waiting or in service.",
            )?,
            delivering: gauge(
                "tts_delivering",
                "Speech requests that are no work at the moment: their audio is being sent.",
            )?,
            unsent_audio: gauge(
                "tts_unsent_audio_bytes",
                "Audio that was synthesized and not sent yet.",
            )?,
            queue_depth: gauge("tts_queue_depth", "Speech requests that wait for a worker.")?,
            queue_wait: histogram(
                "tts_queue_wait_seconds",
                "Time from a request's arrival to the start of its service.",
                &WAIT_SECONDS,
            )?,
            time_to_first_audio: histogram(
                "tts_time_to_first_audio_seconds",
                "Time from a request's arrival to its first audio, the wait in the queue included.",
                &FIRST_AUDIO_SECONDS,
            )?,
            real_time_factor: histogram(
                "tts_real_time_factor",
                "Seconds of service per second of audio, per run; below 1 is faster than real time.",
                &REAL_TIME_FACTORS,
            )?,
            audio_seconds: register(
                &registry,
                prometheus::Counter::new("tts_audio_seconds_total", "Seconds of audio produced.")?,
            )?,
            cancelled: counter(
                "tts_cancelled_total",
                "Speech requests whose client disconnected before the response was complete.",
            )?,
            aborted_streams: counter(
                "tts_aborted_streams_total",
                "Responses that were aborted after they had begun, because a run failed.",
            )?,
            encode_seconds: register(
                &registry,
                CounterVec::new(
                    Opts::new(
                        "tts_encode_seconds_total",
                        "Seconds of CPU for resampling and encoding, by response format.",
                    ),
                    &["format"],
                )?,
            )?,
            clipped_samples: counter(
                "tts_clipped_samples_total",
                "Samples of voices that were beyond full scale.",
            )?,
            ignored_fields: counter(
                "tts_ignored_fields_total",
                "Unknown request fields that were ignored.",
            )?,
            connections: gauge("tts_connections", "Open connections.")?,
            rejected_connections: counter(
                "tts_rejected_connections_total",
                "Connections that were closed at once because too many were open.",
            )?,
            voice_loaded: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new(
                        "tts_voice_loaded",
                        "Whether a voice is loaded and has produced audio.",
                    ),
                    &["voice"],
                )?,
            )?,
            registry,
        })
    }

    pub fn set_loaded(&self, voice: &str, loaded: bool) {
        self.voice_loaded
            .with_label_values(&[voice])
            .set(i64::from(loaded));
    }
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "server", responses((status = 200, description = "The metrics.", content_type = "text/plain", body = String)))]
pub async fn metrics(
    State(app): State<App>,
) -> Result<([(header::HeaderName, String); 1], Vec<u8>), StatusCode> {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    app.metrics.inflight.set(number(app.scheduler.in_flight()));
    app.metrics
        .delivering
        .set(number(app.scheduler.delivering()));
    app.metrics
        .unsent_audio
        .set(number(app.scheduler.unsent_bytes()));
    app.metrics.queue_depth.set(number(app.scheduler.waiting()));
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    encoder
        .encode(&app.metrics.registry.gather(), &mut text)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok((
        [(header::CONTENT_TYPE, encoder.format_type().to_owned())],
        text,
    ))
}
