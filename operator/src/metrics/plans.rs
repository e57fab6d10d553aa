//! Plans of deployments as metrics, by namespace and name.
use prometheus::{GaugeVec, Registry, opts};
use tts_planner::AcceptedPlan;

/// What a planned deployment is expected to do and to cost.
pub struct PlanMetrics {
    replicas: GaugeVec,
    in_flight: GaugeVec,
    first_audio: GaugeVec,
    cost: GaugeVec,
    watts: GaugeVec,
}

impl PlanMetrics {
    /// # Errors
    /// Only if two metrics have the same name.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| -> prometheus::Result<GaugeVec> {
            let gauge = GaugeVec::new(opts!(name, help), &["namespace", "name"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        Ok(Self {
            replicas: gauge(
                "planned_replicas",
                "Pods that keep the objectives at the peak",
            )?,
            in_flight: gauge(
                "planned_in_flight_per_pod",
                "Requests in flight per pod above which pods are added",
            )?,
            first_audio: gauge(
                "predicted_first_audio_seconds",
                "Predicted 95th percentile of the time to first audio at the peak",
            )?,
            cost: gauge(
                "planned_cost_per_hour",
                "Price of the pods at the peak, where prices are set",
            )?,
            watts: gauge(
                "planned_watts",
                "Power of the pods at the peak, where it was measured",
            )?,
        })
    }

    /// `None` where nothing is planned, or where the deployment is gone.
    pub fn set(&self, namespace: &str, name: &str, plan: Option<&AcceptedPlan>) {
        let set = |gauge: &GaugeVec, value: Option<f64>| {
            let labels = [namespace, name];
            match value {
                Some(value) => gauge.with_label_values(&labels).set(value),
                // It is no error if there is none.
                None => drop(gauge.remove_label_values(&labels)),
            }
        };
        let predicted = plan.and_then(|plan| plan.predicted.as_ref());
        set(
            &self.replicas,
            plan.map(|plan| plan.replicas.fixed().into()),
        );
        set(&self.in_flight, plan.map(|plan| plan.autoscaling.in_flight));
        set(&self.first_audio, predicted.and_then(|p| p.ttfa_p95));
        let priced = predicted.filter(|predicted| !predicted.prices_assumed);
        set(&self.cost, priced.map(|predicted| predicted.cost_per_hour));
        set(&self.watts, predicted.and_then(|predicted| predicted.watts));
    }
}

#[cfg(test)]
mod tests {
    use tts_planner_dev::samples;

    use crate::metrics::Metrics;

    #[test]
    fn a_plan_is_there_until_its_deployment_is_gone() {
        let metrics = Metrics::new().unwrap();
        let decision = samples::decide(&samples::request());
        let plan = decision.plan().unwrap();
        metrics.plans.set("stage", "narrator", Some(plan));
        let text = metrics.encode().unwrap();
        let line = format!(
            "tts_operator_planned_replicas{{name=\"narrator\",namespace=\"stage\"}} {}",
            plan.replicas.fixed()
        );
        assert!(text.contains(&line), "{text}");
        for name in [
            "planned_in_flight_per_pod",
            "predicted_first_audio_seconds",
            "planned_cost_per_hour",
        ] {
            assert!(text.contains(&format!("tts_operator_{name}{{")), "{name}");
        }
        assert!(!text.contains("planned_watts{"), "not measured");
        metrics.plans.set("stage", "narrator", None);
        assert!(!metrics.encode().unwrap().contains("narrator"));
    }
}
