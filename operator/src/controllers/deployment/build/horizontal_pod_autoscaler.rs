//! How many pods there are, where a plan says when to add and to remove one.
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules,
    HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec,
    MetricSpec, MetricTarget,
};
use tts_planner::{ScalingKind, ScalingRules, SelectPolicy};

use super::{PlannedWorkload, metadata};
use crate::{
    controllers::deployment::{template::SERVER_CONTAINER, validate::Scaling},
    planning::int,
};

/// `None` where the number of pods does not follow the load.
pub(super) fn build(planned: &PlannedWorkload<'_>) -> Option<HorizontalPodAutoscaler> {
    let tts = &planned.deployment.tts;
    let plan = planned
        .accepted
        .measured()
        .filter(|_| tts.scaling == Scaling::Auto)?;
    let percent = plan.autoscaling.cpu_percent?;
    let behavior = &plan.autoscaling.behavior;
    Some(HorizontalPodAutoscaler {
        metadata: metadata(planned.deployment),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: tts.name.clone(),
            },
            min_replicas: Some(int(plan.replicas.min)),
            max_replicas: int(plan.replicas.max),
            // Of the server alone: an injected sidecar has a request of its own, or none, which would stop the
            // metric of the whole pod.
            metrics: Some(vec![MetricSpec {
                type_: "ContainerResource".to_owned(),
                container_resource: Some(ContainerResourceMetricSource {
                    container: SERVER_CONTAINER.to_owned(),
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(int(percent)),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_up: Some(rules(&behavior.scale_up)),
                scale_down: Some(rules(&behavior.scale_down)),
            }),
        }),
        status: None,
    })
}

fn rules(rules: &ScalingRules) -> HPAScalingRules {
    let policies = rules.policies.iter();
    HPAScalingRules {
        stabilization_window_seconds: Some(int(rules.stabilization_window_seconds)),
        select_policy: Some(
            match rules.select_policy {
                SelectPolicy::Max => "Max",
                SelectPolicy::Min => "Min",
                SelectPolicy::Disabled => "Disabled",
            }
            .to_owned(),
        ),
        policies: Some(
            policies
                .map(|policy| HPAScalingPolicy {
                    type_: match policy.kind {
                        ScalingKind::Pods => "Pods",
                        ScalingKind::Percent => "Percent",
                    }
                    .to_owned(),
                    value: int(policy.value),
                    period_seconds: int(policy.period_seconds),
                })
                .collect(),
        ),
        // The cluster's tolerance.
        tolerance: None,
    }
}
