//! Several voices in one pod.

use tts_planner::{AcceptedPlan, Condition, Measurement, Request, VoiceShare, plan};
use tts_planner_dev::samples::{PIPER, Speed, changed, decide, on_cpu};

use crate::{only_cpu, planned};

/// A fast and a slow voice, measured on the same pods.
fn mix(weights: [f64; 2]) -> Request {
    changed(&only_cpu(), |r| {
        let slow = Speed { s1: 0.2, ..PIPER };
        let mut second = on_cpu("cpu", slow, &[1, 2, 4]);
        "slow.cpu".clone_into(&mut second.id);
        "slow".clone_into(&mut second.voice.name);
        r.measurements.push(Measurement::as_recorded(second));
        r.voices = ["voice", "slow"]
            .iter()
            .zip(weights)
            .map(|(name, weight)| VoiceShare {
                name: (*name).to_owned(),
                weight,
            })
            .collect();
    })
}

#[test]
fn voices_are_planned_together() {
    let alone = planned(&only_cpu());
    let (mostly_fast, mostly_slow) = (planned(&mix([9.0, 1.0])), planned(&mix([1.0, 9.0])));
    let cost = |plan: &AcceptedPlan| plan.predicted.unwrap().cost_per_hour;
    assert!(cost(&alone) <= cost(&mostly_fast) && cost(&mostly_fast) < cost(&mostly_slow));
    assert_eq!(mostly_fast.voices.len(), 2);
    assert!(mostly_fast.pod.resources.memory > alone.pod.resources.memory);
    assert_eq!(
        mostly_fast.reason("Voices").unwrap().text,
        "Each pod serves slow (10 % of the requests) and voice (90 % of the requests). Each voice is in time in an idle pod."
    );
    // Equal shares unless said otherwise.
    let equal = planned(&changed(&mix([1.0, 1.0]), |r| r.voices.clear()));
    assert_eq!(equal.pod, planned(&mix([5.0, 5.0])).pod);
    assert_eq!(equal.input_hash.len(), 64);
}

#[test]
fn a_rare_voice_that_is_always_late_is_not_hidden_by_the_others() {
    let decision = decide(&changed(&mix([99.0, 1.0]), |r| {
        r.objectives.ttfa_p95 = 0.35;
        r.policy.interpolate_sizes = false;
        // Beyond what more threads do for the slow voice.
        for config in &mut r.measurements[1].profile.configs {
            config
                .levels
                .iter_mut()
                .for_each(|level| level.ttfa_q.iter_mut().for_each(|time| *time *= 3.0));
        }
    }));
    let infeasible = decision.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::SloInfeasible);
    assert!(
        infeasible.message.contains("voice slow"),
        "{}",
        infeasible.message
    );
}

#[test]
fn a_class_counts_only_where_every_voice_was_measured() {
    let decision = decide(&changed(&mix([1.0, 1.0]), |r| {
        r.measurements[1].profile.node.class = "elsewhere".to_owned();
    }));
    let infeasible = decision.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::NoProfile);
    assert!(
        infeasible
            .message
            .starts_with("Voice slow was not measured on cpu"),
        "{}",
        infeasible.message
    );
    let too_many = changed(&only_cpu(), |r| {
        r.voices = (0..33)
            .map(|index| VoiceShare {
                name: index.to_string(),
                weight: 1.0,
            })
            .collect();
    });
    assert!(
        plan(&too_many)
            .unwrap_err()
            .to_string()
            .starts_with("voices: 33 voices")
    );
}
