//! Prometheus metrics of the operator.
mod plans;

use std::time::Duration;

use prometheus::{
    HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder, histogram_opts, opts,
};

pub use plans::PlanMetrics;

/// Metrics of the controllers, in a registry of their own so that tests do not share state.
pub struct Metrics {
    registry: Registry,
    /// Seconds, by controller and result (`ok`, `error`).
    pub reconcile_seconds: HistogramVec,
    /// By controller and error reason.
    pub reconcile_errors: IntCounterVec,
    /// Writes to the API server, by kind and operation (`apply`, `update`, `create`, `delete`, `status`).
    pub writes: IntCounterVec,
    /// Verdicts on profiles of benchmarks, by result.
    pub benchmark_verdicts: IntCounterVec,
    /// 1 while this replica holds the lease.
    pub leader: IntGauge,
    /// 1 while the settings file is valid; else the previous settings are in use.
    pub settings_valid: IntGauge,
    /// 1 while the watch fails, by namespace (empty for all) and kind.
    pub watch_failing: IntGaugeVec,
    pub plans: PlanMetrics,
}

impl Metrics {
    /// # Errors
    /// Only if two metrics have the same name.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("tts_operator".into()), None)?;
        let reconcile_seconds = HistogramVec::new(
            histogram_opts!(
                "reconcile_duration_seconds",
                "Time spent in one reconciliation",
                vec![0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0]
            ),
            &["controller", "result"],
        )?;
        let reconcile_errors = IntCounterVec::new(
            opts!(
                "reconcile_errors_total",
                "Failed reconciliations, by error reason"
            ),
            &["controller", "reason"],
        )?;
        let writes = IntCounterVec::new(
            opts!(
                "writes_total",
                "Writes to the API server, by kind and operation"
            ),
            &["kind", "operation"],
        )?;
        let benchmark_verdicts = IntCounterVec::new(
            opts!(
                "benchmark_verdicts_total",
                "Profiles of benchmarks that were compared with the accepted one, by result"
            ),
            &["result"],
        )?;
        let leader = IntGauge::new("leader", "1 while this replica holds the lease")?;
        let settings_valid = IntGauge::new(
            "settings_valid",
            "1 while the settings file is valid; else the previous settings are in use",
        )?;
        settings_valid.set(1);
        let watch_failing = IntGaugeVec::new(
            opts!(
                "watch_failing",
                "1 while the watch fails, by namespace (empty for all) and kind"
            ),
            &["namespace", "kind"],
        )?;
        let build_info = IntGaugeVec::new(
            opts!("build_info", "1, with the version of the operator"),
            &["version"],
        )?;
        build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);

        registry.register(Box::new(reconcile_seconds.clone()))?;
        registry.register(Box::new(reconcile_errors.clone()))?;
        registry.register(Box::new(writes.clone()))?;
        registry.register(Box::new(benchmark_verdicts.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(settings_valid.clone()))?;
        registry.register(Box::new(watch_failing.clone()))?;
        registry.register(Box::new(build_info))?;
        let plans = PlanMetrics::new(&registry)?;
        Ok(Self {
            registry,
            reconcile_seconds,
            reconcile_errors,
            writes,
            benchmark_verdicts,
            leader,
            settings_valid,
            watch_failing,
            plans,
        })
    }

    /// Records one reconciliation.
    pub fn observe_reconciliation(&self, controller: &str, ok: bool, elapsed: Duration) {
        self.reconcile_seconds
            .with_label_values(&[controller, if ok { "ok" } else { "error" }])
            .observe(elapsed.as_secs_f64());
    }

    /// Counts one write to the API server.
    pub fn count_write(&self, kind: &str, operation: &str) {
        self.writes.with_label_values(&[kind, operation]).inc();
    }

    /// The text that Prometheus scrapes.
    pub fn encode(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
