//! What of a `HorizontalPodAutoscaler` is worth a reconciliation. Its controller writes numbers into the status
//! every 15 s, which nobody here looks at.
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus};

/// Without the part of the status that changes all the time.
pub fn slim(autoscaler: &mut HorizontalPodAutoscaler) {
    let Some(status) = autoscaler.status.take() else {
        return;
    };
    autoscaler.status = Some(HorizontalPodAutoscalerStatus {
        conditions: status.conditions,
        ..HorizontalPodAutoscalerStatus::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::News;

    fn autoscaler(
        version: &str,
        most: i32,
        active: &str,
        replicas: i32,
    ) -> HorizontalPodAutoscaler {
        let mut autoscaler = serde_saphyr::from_str(&format!(
            "{{metadata: {{name: a, namespace: n, resourceVersion: '{version}'}},
               spec: {{maxReplicas: {most}, scaleTargetRef: {{kind: Deployment, name: a}}}},
               status: {{desiredReplicas: {replicas}, currentReplicas: {replicas}, conditions: [{{type: ScalingActive, status: '{active}'}}]}}}}"
        ))
        .unwrap();
        slim(&mut autoscaler);
        autoscaler
    }

    #[test]
    fn numbers_are_no_news_and_bounds_and_conditions_and_the_end_are() {
        let seen = News::default();
        assert!(seen.is_news(&autoscaler("1", 9, "False", 1), true), "new");
        assert!(!seen.is_news(&autoscaler("2", 9, "False", 4), true));
        assert!(seen.is_news(&autoscaler("3", 9, "True", 4), true));
        assert!(!seen.is_news(&autoscaler("4", 9, "True", 5), true));
        assert!(seen.is_news(&autoscaler("5", 99, "True", 5), true));
        assert!(seen.is_news(&autoscaler("5", 99, "True", 5), false));
        assert!(
            seen.is_news(&autoscaler("7", 99, "True", 5), true),
            "made again"
        );
    }
}
