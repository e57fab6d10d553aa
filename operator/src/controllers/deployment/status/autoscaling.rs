//! Whether the number of pods follows the load.
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::AUTOSCALING_READY;
use crate::{
    conditions::{
        Status::{False, True, Unknown},
        Verdict,
    },
    controllers::deployment::{accepted::Accepted, replicas::scaling_active},
    planning::int,
};

/// `replicas` is the number of pods of the moment.
pub(super) fn verdict(
    accepted: &Accepted,
    autoscaler: Option<&HorizontalPodAutoscaler>,
    replicas: i32,
) -> Verdict {
    let new =
        |status, reason: &str, message| Verdict::new(AUTOSCALING_READY, status, reason, message);
    let Some(plan) = accepted.measured() else {
        let message =
            "the number of pods follows the load once the pods are planned from measurements";
        return new(False, "NotPlanned", message.to_owned()).as_step();
    };
    let enough = int(plan.replicas.fixed());
    let Some(percent) = plan.autoscaling.cpu_percent else {
        return new(
            False,
            "NoCpuTime",
            format!(
                "the plan has no target for the use of CPU, as none was measured or the pods use a GPU; the number of pods stays at {enough}, as planned for the peak"
            ),
        );
    };
    let Some(condition) = autoscaler.and_then(scaling_active) else {
        let message =
            "the HorizontalPodAutoscaler was not looked at by its controller yet".to_owned();
        return new(Unknown, "NotReported", message).as_step();
    };
    if condition.status == "True" {
        return new(
            True,
            "Scaling",
            format!(
                "the HorizontalPodAutoscaler keeps between {} and {} pods, so that they use {percent} % of their CPU request on average",
                plan.replicas.min, plan.replicas.max
            ),
        );
    }
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let reason = said(&condition.reason).unwrap_or_else(|| "ScalingInactive".to_owned());
    let why = said(&condition.message)
        .unwrap_or_else(|| "the HorizontalPodAutoscaler cannot scale".to_owned());
    // `FailedGetContainerResourceMetric`: of a cluster without metrics, or of pods that have none yet.
    let remedy = if reason.starts_with("FailedGet") {
        "; install metrics-server if the cluster has no metrics API"
    } else {
        ""
    };
    let message = format!(
        "{why}{remedy}; until then there are {replicas} pods, and at least the {enough} that are planned for the peak"
    );
    new(False, &reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        conditions::Status,
        controllers::deployment::fixtures::{measured, plan_of},
    };

    fn autoscaler(conditions: &str) -> HorizontalPodAutoscaler {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{}}, spec: {{maxReplicas: 2, scaleTargetRef: {{kind: Deployment, name: a}}}}, status: {{desiredReplicas: 1, conditions: {conditions}}}}}"
        ))
        .unwrap()
    }

    fn seen(accepted: &Accepted, conditions: Option<&str>) -> (Status, String, String, bool) {
        let autoscaler = conditions.map(autoscaler);
        let verdict = verdict(accepted, autoscaler.as_ref(), 7);
        (
            verdict.status,
            verdict.reason,
            verdict.message,
            verdict.step,
        )
    }

    #[test]
    fn before_a_plan_it_is_a_step() {
        let mut accepted = measured(plan_of((2, 6, 10), Some(60)));
        accepted.considered = None;
        let (status, reason, _, step) = seen(&accepted, None);
        assert_eq!((status, reason.as_str(), step), (False, "NotPlanned", true));
    }

    #[test]
    fn a_plan_without_cpu_time_says_how_many_pods_there_are() {
        let (status, reason, message, step) = seen(&measured(plan_of((2, 6, 10), None)), None);
        assert_eq!((status, reason.as_str(), step), (False, "NoCpuTime", false));
        assert!(message.contains("stays at 6"), "{message}");
    }

    #[test]
    fn the_autoscalers_word_decides() {
        let accepted = measured(plan_of((2, 6, 10), Some(60)));
        for conditions in [
            None,
            Some("[]"),
            Some("[{type: AbleToScale, status: 'True'}]"),
        ] {
            let (status, reason, _, step) = seen(&accepted, conditions);
            assert_eq!(
                (status, reason.as_str(), step),
                (Unknown, "NotReported", true)
            );
        }
        let active = "[{type: ScalingActive, status: 'True', reason: ValidMetricFound}]";
        let (status, reason, message, _) = seen(&accepted, Some(active));
        assert_eq!((status, reason.as_str()), (True, "Scaling"));
        assert!(
            message.contains("between 2 and 10 pods") && message.contains("60 %"),
            "{message}"
        );
    }

    #[test]
    fn an_autoscaler_without_metrics_says_what_to_do_and_how_many_pods_there_are() {
        let accepted = measured(plan_of((2, 6, 10), Some(60)));
        let inactive = |reason: &str| {
            let condition = format!(
                "[{{type: ScalingActive, status: 'False', reason: '{reason}', message: no such resource}}]"
            );
            seen(&accepted, Some(&condition))
        };
        let (status, reason, message, step) = inactive("FailedGetContainerResourceMetric");
        assert_eq!(
            (status, reason.as_str(), step),
            (False, "FailedGetContainerResourceMetric", false)
        );
        for part in [
            "no such resource",
            "install metrics-server",
            "7 pods",
            "the 6",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let (_, reason, message, _) = inactive("ScalingDisabled");
        assert_eq!(reason, "ScalingDisabled");
        assert!(!message.contains("metrics-server"), "{message}");
        assert_eq!(
            inactive("").1,
            "ScalingInactive",
            "a condition has a reason"
        );
    }
}
