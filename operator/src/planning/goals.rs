//! What a `TtsDeployment` asks of its plan.
use k8s_openapi::api::core::v1::Toleration;
use tts_crds::{
    quantity::Quantity,
    v1alpha1::{
        Apply, BenchmarkPolicy, LoadBalancing, Minimise, OnInfeasible, QualityOfService,
        ScalingType, SizingMode, TtsDeploymentSpec,
    },
};
use tts_planner::{
    Load, LoadBalancing as Balancing, Minimise as Least, Objectives, Peak, Policy, Qos,
};

/// Objectives, load and rules of one deployment, every default applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Goals {
    pub objectives: Objectives,
    pub load: Load,
    pub policy: Policy,
    /// Names of the classes that pods may run on; empty for all.
    pub classes: Vec<String>,
    pub tolerations: Vec<Toleration>,
    pub apply: Apply,
    pub benchmark: BenchmarkPolicy,
    pub on_infeasible: OnInfeasible,
}

/// Why goals cannot be planned for. Admission refuses each of them; a file has not been there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("objectives and load belong together: set both, or none of them")]
    Half,
    #[error("objectives.timeToFirstAudio: {0:?} is no duration; write 500ms or 2s")]
    Duration(String),
    #[error("exactly one of load.peakRequestsPerSecond and load.listeners must be set")]
    Peak,
}

impl Goals {
    /// `None` where nothing is planned.
    ///
    /// # Errors
    /// When what admission demands is not there.
    pub fn of(spec: &TtsDeploymentSpec) -> Result<Option<Self>, Error> {
        let (objectives, load) = match (&spec.objectives, &spec.load) {
            (Some(objectives), Some(load)) => (objectives, load),
            (None, None) => return Ok(None),
            _ => return Err(Error::Half),
        };
        let sizing = spec.sizing.clone().unwrap_or_default();
        if sizing.mode == SizingMode::Manual {
            return Ok(None);
        }
        let time = &objectives.time_to_first_audio;
        let peak = match (&load.peak_requests_per_second, load.listeners) {
            (Some(rate), None) => Peak::RequestsPerSecond(number(rate)),
            (None, Some(count)) => Peak::Listeners {
                count: f64::from(count),
                duty: 1.0,
            },
            _ => return Err(Error::Peak),
        };
        let usual = Load::new(peak);
        let load = Load {
            mean_audio: load
                .mean_audio_seconds
                .as_ref()
                .map_or(usual.mean_audio, number),
            audio_cv: load.audio_variation.as_ref().map_or(usual.audio_cv, number),
            max_chunk_audio: load
                .max_chunk_seconds
                .map_or(usual.max_chunk_audio, f64::from),
            base_rps: load.base_requests_per_second.as_ref().map(number),
            ramp_per_minute: load
                .ramp_percent_per_minute
                .map_or(usual.ramp_per_minute, |percent| f64::from(percent) / 100.0),
            ..usual
        };
        let placement = spec.placement.clone().unwrap_or_default();
        Ok(Some(Self {
            objectives: Objectives {
                ttfa_p95: seconds(time).ok_or_else(|| Error::Duration(time.clone()))?,
                rtf_p95: objectives.real_time_factor.as_ref().map_or(0.8, number),
            },
            load,
            policy: policy(spec),
            classes: placement.node_classes,
            tolerations: placement.tolerations.iter().map(Into::into).collect(),
            apply: sizing.apply.unwrap_or_default(),
            benchmark: sizing.benchmark.unwrap_or_default(),
            on_infeasible: sizing.on_infeasible.unwrap_or_default(),
        }))
    }
}

fn policy(spec: &TtsDeploymentSpec) -> Policy {
    let sizing = spec.sizing.clone().unwrap_or_default();
    let usual = Policy::default();
    // Pods that somebody else counts are not bounded by a plan.
    let scaled = matches!(spec.scaling.r#type, None | Some(ScalingType::Auto));
    let bound = |bound: Option<i32>| bound.filter(|_| scaled).and_then(|n| u32::try_from(n).ok());
    let balancing = spec
        .expose
        .as_ref()
        .and_then(|expose| expose.load_balancing);
    Policy {
        min_replicas: bound(spec.scaling.min_replicas).unwrap_or(usual.min_replicas),
        max_replicas: bound(spec.scaling.max_replicas),
        qos: match sizing.qos.unwrap_or_default() {
            QualityOfService::Burstable => Qos::Burstable,
            QualityOfService::Guaranteed => Qos::Guaranteed,
        },
        minimise: match sizing.minimise.unwrap_or_default() {
            Minimise::Cost => Least::Cost,
            Minimise::Energy => Least::Energy,
        },
        max_cpu_per_pod: sizing.max_cpu_per_pod.as_ref().map(number),
        load_balancing: match balancing.unwrap_or_default() {
            LoadBalancing::Random => Balancing::Random,
            LoadBalancing::RoundRobin => Balancing::RoundRobin,
            LoadBalancing::LeastRequest => Balancing::LeastRequest,
        },
        ..usual
    }
}

/// The quantity as a number, exact to a thousandth.
pub fn number(quantity: &Quantity) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "admission keeps these quantities far below 2^53 thousandths"
    )]
    let milli = quantity.milli() as f64;
    milli / 1_000.0
}

/// Seconds of `500ms`, `1.5s` or `2m`.
fn seconds(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    (seconds > 0.0).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goals(spec: &str) -> Result<Option<Goals>, Error> {
        let spec: TtsDeploymentSpec =
            serde_saphyr::from_str(&format!("{{voices: [{{name: rms}}], {spec}}}")).unwrap();
        Goals::of(&spec)
    }

    #[test]
    fn two_fields_are_enough() {
        let goals =
            goals("objectives: {timeToFirstAudio: 500ms}, load: {peakRequestsPerSecond: 5}")
                .unwrap()
                .unwrap();
        assert!((goals.objectives.ttfa_p95 - 0.5).abs() < 1e-12);
        assert!((goals.objectives.rtf_p95 - 0.8).abs() < 1e-12);
        assert_eq!(goals.load, Load::new(Peak::RequestsPerSecond(5.0)));
        assert_eq!(goals.policy, Policy::default());
    }

    #[test]
    fn everything_reaches_the_planner() {
        let goals = goals(
            "objectives: {timeToFirstAudio: 1.5s, realTimeFactor: '0.5'},
             load: {listeners: 10, meanAudioSeconds: '27.8', audioVariation: '0.3', baseRequestsPerSecond: 100m, rampPercentPerMinute: 30, maxChunkSeconds: 20},
             sizing: {qos: Guaranteed, minimise: Energy, maxCpuPerPod: '4', apply: Approve, benchmark: Never, onInfeasible: Refuse},
             scaling: {type: Auto, minReplicas: 2, maxReplicas: 7}, expose: {loadBalancing: RoundRobin},
             placement: {nodeClasses: [strong], tolerations: [{key: speech, operator: Exists}]}",
        )
        .unwrap()
        .unwrap();
        assert!((goals.load.peak_rps() - 10.0 / 27.8).abs() < 1e-9);
        assert!((goals.load.ramp_per_minute - 0.3).abs() < 1e-12);
        assert_eq!(goals.load.base_rps, Some(0.1));
        assert!((goals.load.max_chunk_audio - 20.0).abs() < 1e-12);
        let policy = &goals.policy;
        assert_eq!(
            (policy.qos, policy.minimise),
            (Qos::Guaranteed, Least::Energy)
        );
        assert_eq!((policy.min_replicas, policy.max_replicas), (2, Some(7)));
        assert_eq!(policy.max_cpu_per_pod, Some(4.0));
        assert_eq!(policy.load_balancing, Balancing::RoundRobin);
        assert_eq!(goals.classes, ["strong"]);
        assert_eq!(goals.tolerations[0].key.as_deref(), Some("speech"));
        assert_eq!(
            (goals.apply, goals.benchmark, goals.on_infeasible),
            (Apply::Approve, BenchmarkPolicy::Never, OnInfeasible::Refuse)
        );
    }

    #[test]
    fn without_goals_and_with_written_resources_nothing_is_planned() {
        assert_eq!(goals("paused: false"), Ok(None));
        let manual = goals(
            "objectives: {timeToFirstAudio: 500ms}, load: {listeners: 1}, sizing: {mode: Manual, resources: {requests: {cpu: 1, memory: 1Gi}}}",
        );
        assert_eq!(manual, Ok(None));
    }

    #[test]
    fn what_admission_refuses_is_an_error_in_a_file() {
        assert_eq!(
            goals("objectives: {timeToFirstAudio: 500ms}"),
            Err(Error::Half)
        );
        assert_eq!(
            goals("objectives: {timeToFirstAudio: soon}, load: {listeners: 1}"),
            Err(Error::Duration("soon".to_owned()))
        );
        assert_eq!(
            goals(
                "objectives: {timeToFirstAudio: 500ms}, load: {listeners: 1, peakRequestsPerSecond: 1}"
            ),
            Err(Error::Peak)
        );
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, expected) in [
            ("500ms", Some(0.5)),
            ("1.5s", Some(1.5)),
            ("2m", Some(120.0)),
            ("0s", None),
            ("5", None),
            ("1h", None),
            ("1.2.3s", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
