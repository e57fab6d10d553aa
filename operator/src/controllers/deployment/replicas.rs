//! Who sets the number of pods, and what it is. Pure.
//!
//! A field that a field manager no longer applies falls back to its default, here one pod, unless another
//! manager has it too. So the number changes hands in two steps: [`KEEPER`] takes the live number, then the
//! operator applies the Deployment without one. The way back is one step, since the operator applies by force.
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition},
};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tts_planner::AcceptedPlan;

use super::validate::Scaling;

/// Annotation of the Deployment: who sets `spec.replicas`, a [`Setter`]. It is written together with that field,
/// so that it tells whether the operator owns it; `managedFields` are not kept in memory.
pub const SETTER: &str = "tts-operator.dev/replicas";
/// Field manager that owns the number while it changes hands.
pub const KEEPER: &str = "tts-operator/replicas";

/// Who sets the number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
pub enum Setter {
    /// The operator, as the spec or the plan says.
    Operator,
    /// The operator for an autoscaler that cannot scale at the moment: no fewer than that one left.
    Held,
    /// The `HorizontalPodAutoscaler` of the plan.
    Autoscaler,
    /// Somebody else.
    External,
}

impl Setter {
    /// Whether the operator sets the number.
    pub fn is_operator(self) -> bool {
        matches!(self, Self::Operator | Self::Held)
    }

    /// Who sets the number when the operator has to, after this one did.
    fn taken_back(self) -> Self {
        match self {
            Self::Operator => Self::Operator,
            Self::Held | Self::Autoscaler | Self::External => Self::Held,
        }
    }
}

/// The number of pods, as it is to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    pub setter: Setter,
    /// `None` where the operator does not set it.
    pub number: Option<i32>,
}

impl Replicas {
    fn set(setter: Setter, number: i32) -> Self {
        Self {
            setter,
            number: Some(number),
        }
    }

    fn left_to(setter: Setter) -> Self {
        Self {
            setter,
            number: None,
        }
    }
}

/// The live Deployment and its autoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    pub setter: Setter,
    pub replicas: i32,
    /// Whether the autoscaler can scale; `None` if it has not said so, or there is none.
    pub scaling_active: Option<bool>,
}

impl Live {
    pub fn of(deployment: &Deployment, autoscaler: Option<&HorizontalPodAutoscaler>) -> Self {
        Self {
            setter: setter(deployment),
            replicas: number(deployment),
            scaling_active: autoscaler
                .and_then(scaling_active)
                .map(|condition| condition.status == "True"),
        }
    }
}

/// The autoscaler's own word on whether it can scale; `None` before it has looked.
pub fn scaling_active(
    autoscaler: &HorizontalPodAutoscaler,
) -> Option<&HorizontalPodAutoscalerCondition> {
    let conditions = autoscaler.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == "ScalingActive")
}

/// Without the annotation the operator set the number: older versions always did.
fn setter(deployment: &Deployment) -> Setter {
    let named = deployment.annotations().get(SETTER);
    named
        .and_then(|name| name.parse().ok())
        .unwrap_or(Setter::Operator)
}

fn number(deployment: &Deployment) -> i32 {
    let spec = deployment.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

/// `plan` is one that was made from measurements; `live` is `None` while there is no Deployment.
pub fn decide(scaling: Scaling, plan: Option<&AcceptedPlan>, live: Option<&Live>) -> Replicas {
    let enough = plan.map_or(1, |plan| int(plan.replicas.fixed()));
    // A new Deployment needs a number, whoever changes it afterwards.
    let Some(live) = live else {
        return Replicas::set(
            Setter::Operator,
            match scaling {
                Scaling::Static(replicas) => replicas,
                Scaling::Auto | Scaling::External => enough,
            },
        );
    };
    match (scaling, plan) {
        (Scaling::Static(replicas), _) => Replicas::set(Setter::Operator, replicas),
        (Scaling::External, _) => Replicas::left_to(Setter::External),
        // What serves goes on until a plan says how many it takes.
        (Scaling::Auto, None) => Replicas::set(live.setter.taken_back(), live.replicas.max(1)),
        (Scaling::Auto, Some(plan)) if plan.autoscaling.cpu_percent.is_none() => {
            Replicas::set(Setter::Operator, enough)
        }
        (Scaling::Auto, Some(plan)) => match (live.scaling_active, live.setter) {
            // `None`: somebody deleted the autoscaler, and the new one reports within seconds.
            (Some(true), _) | (None, Setter::Autoscaler) => Replicas::left_to(Setter::Autoscaler),
            (_, Setter::Operator) => Replicas::set(Setter::Operator, enough),
            (_, setter) => Replicas::set(
                setter.taken_back(),
                // Within the autoscaler's bounds, or it would change the number at once.
                live.replicas.max(enough).min(int(plan.replicas.max)),
            ),
        },
    }
}

/// What [`KEEPER`] has to apply before the number is left to others; `None` if the operator keeps it or does not
/// own it any more.
pub fn hand_over(live: &Deployment, desired: &Deployment) -> Option<Value> {
    if !setter(live).is_operator() || setter(desired).is_operator() {
        return None;
    }
    // As JSON: the type would send an empty selector and an empty template along.
    Some(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        // This very object, not one of its name that somebody creates meanwhile.
        "metadata": {"name": live.name_any(), "uid": live.uid()},
        "spec": {"replicas": number(live)},
    }))
}

/// As Kubernetes has numbers.
pub fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::deployment::fixtures::plan_of;

    /// Enough for the peak: 6 pods; the autoscaler keeps to 2 to 10.
    fn planned(cpu_percent: Option<u32>) -> AcceptedPlan {
        plan_of((2, 6, 10), cpu_percent)
    }

    fn live(setter: Setter, replicas: i32, scaling_active: Option<bool>) -> Live {
        Live {
            setter,
            replicas,
            scaling_active,
        }
    }

    fn auto(setter: Setter, replicas: i32, scaling_active: Option<bool>) -> Replicas {
        let live = live(setter, replicas, scaling_active);
        decide(Scaling::Auto, Some(&planned(Some(60))), Some(&live))
    }

    const EVERYBODY: [Setter; 4] = [
        Setter::Operator,
        Setter::Held,
        Setter::Autoscaler,
        Setter::External,
    ];
    const EVERY_STATE: [Option<bool>; 3] = [None, Some(false), Some(true)];

    #[test]
    fn a_new_deployment_has_a_number_whoever_sets_it_later() {
        let plan = planned(Some(60));
        let new = |scaling, plan| decide(scaling, plan, None);
        let operator = |number| Replicas::set(Setter::Operator, number);
        assert_eq!(new(Scaling::Static(3), Some(&plan)), operator(3));
        assert_eq!(new(Scaling::Auto, Some(&plan)), operator(6));
        assert_eq!(new(Scaling::External, Some(&plan)), operator(6));
        assert_eq!(new(Scaling::Auto, None), operator(1));
        assert_eq!(new(Scaling::External, None), operator(1));
    }

    #[test]
    fn static_and_external_do_not_depend_on_what_is_live() {
        let plan = planned(Some(60));
        for setter in EVERYBODY {
            for active in EVERY_STATE {
                let live = live(setter, 7, active);
                for plan in [None, Some(&plan)] {
                    assert_eq!(
                        decide(Scaling::Static(3), plan, Some(&live)),
                        Replicas::set(Setter::Operator, 3)
                    );
                    assert_eq!(
                        decide(Scaling::External, plan, Some(&live)),
                        Replicas::left_to(Setter::External)
                    );
                }
            }
        }
    }

    #[test]
    fn an_active_autoscaler_gets_the_number_from_whoever_has_it() {
        for setter in EVERYBODY {
            assert_eq!(
                auto(setter, 4, Some(true)),
                Replicas::left_to(Setter::Autoscaler)
            );
        }
    }

    #[test]
    fn an_autoscaler_that_never_scaled_leaves_the_pods_that_the_peak_needs() {
        for active in [None, Some(false)] {
            for replicas in [1, 6, 9] {
                assert_eq!(
                    auto(Setter::Operator, replicas, active),
                    Replicas::set(Setter::Operator, 6)
                );
            }
        }
    }

    #[test]
    fn when_an_autoscaler_loses_its_metrics_there_are_enough_pods_and_none_is_taken() {
        for setter in [Setter::Autoscaler, Setter::Held, Setter::External] {
            for (replicas, held) in [(2, 6), (6, 6), (9, 9), (0, 6), (12, 10)] {
                assert_eq!(
                    auto(setter, replicas, Some(false)),
                    Replicas::set(Setter::Held, held),
                    "{setter:?} {replicas}"
                );
            }
        }
    }

    #[test]
    fn an_autoscaler_that_was_deleted_and_made_again_keeps_the_number() {
        assert_eq!(
            auto(Setter::Autoscaler, 3, None),
            Replicas::left_to(Setter::Autoscaler)
        );
        assert_eq!(
            auto(Setter::External, 9, None),
            Replicas::set(Setter::Held, 9),
            "a new one takes over from somebody else"
        );
    }

    #[test]
    fn before_there_is_a_plan_what_serves_goes_on() {
        for (setter, replicas, expected) in [
            (Setter::Operator, 5, Replicas::set(Setter::Operator, 5)),
            (Setter::Operator, 0, Replicas::set(Setter::Operator, 1)),
            (Setter::External, 5, Replicas::set(Setter::Held, 5)),
        ] {
            let live = live(setter, replicas, None);
            assert_eq!(decide(Scaling::Auto, None, Some(&live)), expected);
        }
    }

    #[test]
    fn a_plan_without_cpu_time_is_a_fixed_number() {
        for setter in EVERYBODY {
            let live = live(setter, 9, Some(true));
            assert_eq!(
                decide(Scaling::Auto, Some(&planned(None)), Some(&live)),
                Replicas::set(Setter::Operator, 6)
            );
        }
    }

    fn deployment(setter: Option<Setter>) -> Deployment {
        let annotations = setter.map(|setter| {
            let name: &str = setter.into();
            json!({SETTER: name})
        });
        serde_json::from_value(json!({
            "metadata": {"name": "narrator", "uid": "u", "annotations": annotations},
            "spec": {"replicas": 4, "selector": {}, "template": {}},
        }))
        .unwrap()
    }

    #[test]
    fn the_live_number_is_kept_when_the_operator_lets_go_of_it_and_only_then() {
        for before in [
            None,
            Some(Setter::Operator),
            Some(Setter::Held),
            Some(Setter::Autoscaler),
            Some(Setter::External),
        ] {
            for after in EVERYBODY {
                let part = hand_over(&deployment(before), &deployment(Some(after)));
                let ours = before.is_none_or(Setter::is_operator);
                assert_eq!(
                    part.is_some(),
                    ours && !after.is_operator(),
                    "{before:?} {after:?}"
                );
                if let Some(part) = part {
                    assert_eq!(part["spec"], json!({"replicas": 4}));
                    assert_eq!(part["metadata"], json!({"name": "narrator", "uid": "u"}));
                }
            }
        }
    }

    #[test]
    fn what_is_live_is_read_from_the_annotation_and_the_condition() {
        let autoscaler = |status: &str| -> HorizontalPodAutoscaler {
            serde_saphyr::from_str(&format!(
                "{{metadata: {{}}, spec: {{maxReplicas: 2, scaleTargetRef: {{kind: Deployment, name: a}}}}, status: {status}}}"
            ))
            .unwrap()
        };
        let active = |status: &str| {
            let autoscaler = autoscaler(status);
            Live::of(&deployment(Some(Setter::Held)), Some(&autoscaler))
        };
        let condition = |status: &str| {
            format!(
                "{{desiredReplicas: 1, conditions: [{{type: AbleToScale, status: 'True'}}, {{type: ScalingActive, status: '{status}'}}]}}"
            )
        };
        let expected = |scaling_active| live(Setter::Held, 4, scaling_active);
        assert_eq!(active(&condition("True")), expected(Some(true)));
        assert_eq!(active(&condition("False")), expected(Some(false)));
        assert_eq!(active(&condition("Unknown")), expected(Some(false)));
        assert_eq!(active("{desiredReplicas: 0}"), expected(None));
        assert_eq!(
            Live::of(&deployment(None), None),
            live(Setter::Operator, 4, None)
        );
    }
}
