use tts_planner::{Decision, Request, plan as decide};
use tts_planner_dev::samples;

use super::*;
use crate::controllers::deployment::{
    accepted::Accepted,
    fixtures::{BUILTIN, IMAGE, deployment, ready_voice, references, settings},
    plan::{PlannedDeployment, plan},
    validate::validate,
};

const SPEC: &str = "  voices: [{name: bass}]\n  objectives: {timeToFirstAudio: 1s}\n  load: {peakRequestsPerSecond: 10}";

fn request(change: impl FnOnce(&mut Request)) -> Decision {
    decide(&samples::changed(&samples::request(), change)).unwrap()
}

fn decided(inputs: &str, answer: Answer) -> Decided {
    let labels = BTreeMap::from([("tts-operator.dev/node-class".to_owned(), "cpu".to_owned())]);
    Decided {
        inputs: inputs.to_owned(),
        answer,
        node_labels: BTreeMap::from([("cpu".to_owned(), [labels].into())]),
        unmeasured: BTreeMap::new(),
        measures_nothing: false,
        remarks: Vec::new(),
    }
}

fn planned(inputs: &str) -> Decided {
    decided(inputs, Answer::Decision(Box::new(request(|_| {}))))
}

fn impossible(inputs: &str, change: impl FnOnce(&mut Request)) -> Decided {
    let decision = request(change);
    assert!(decision.infeasible().is_some(), "{decision:?}");
    decided(inputs, Answer::Decision(Box::new(decision)))
}

/// What is planned for a deployment with this addition to its spec and this approval, where `kept` runs.
fn look(
    more: &str,
    approved: Option<&str>,
    kept: Option<&Accepted>,
    decided: &Decided,
) -> PlannedDeployment {
    let mut object = deployment(&format!("{SPEC}\n{more}"));
    object.metadata.annotations = approved
        .map(|hash| BTreeMap::from([("tts-operator.dev/approve".to_owned(), hash.to_owned())]));
    let mut references = references(vec![Some(ready_voice("bass", BUILTIN))]);
    references.complete = true;
    references.accepted = kept.map(|accepted| super::super::dereference::Kept {
        accepted: accepted.clone(),
        revision: 4,
    });
    let tts = validate(&object, &references.voices, &settings(IMAGE)).unwrap();
    plan(tts, &references, Some(decided))
}

fn accepted(planned: &PlannedDeployment) -> &Accepted {
    &planned.workload.as_ref().unwrap().accepted
}

fn args(accepted: &Accepted) -> Vec<String> {
    let spec = accepted.template.spec.as_ref().unwrap();
    spec.containers[0].args.clone().unwrap()
}

fn shortage(planned: &PlannedDeployment) -> Option<&str> {
    let choice = planned.choice.as_ref().unwrap();
    choice
        .shortage
        .as_ref()
        .map(|shortage| shortage.reason.as_str())
}

#[test]
fn every_number_of_the_plan_reaches_the_pods() {
    let seen = look("", None, None, &planned("a"));
    let accepted = accepted(&seen);
    let plan = &accepted.plan.as_ref().unwrap().plan;
    assert_eq!(plan.input_hash, "a");
    let args = args(accepted);
    for expected in [
        format!("--workers={}", plan.pod.max_concurrency),
        format!("--intra-threads={}", plan.pod.threads.intra_op),
        format!("--queue={}", plan.pod.queue),
    ] {
        assert!(args.contains(&expected), "{expected}: {args:?}");
    }
    let pod = accepted.template.spec.as_ref().unwrap();
    let resources = pod.containers[0].resources.as_ref().unwrap();
    for (name, quantity) in plan.pod.resources.requests() {
        assert_eq!(resources.requests.as_ref().unwrap()[name].0, quantity);
    }
    assert_eq!(
        resources.limits.as_ref().unwrap()["memory"].0,
        plan.pod.resources.requests()[1].1
    );
    let affinity = serde_json::to_value(&pod.affinity).unwrap();
    assert_eq!(
        affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"],
        serde_json::json!([{"matchExpressions": [
            {"key": "tts-operator.dev/node-class", "operator": "In", "values": ["cpu"]}
        ]}])
    );
}

#[test]
fn default_pods_serve_until_something_is_measured() {
    let nothing = impossible("a", |request| request.measurements.clear());
    let seen = look("", None, None, &nothing);
    assert_eq!(shortage(&seen), None);
    assert!(accepted(&seen).considered.is_none());
    assert!(args(accepted(&seen)).contains(&"--workers=1".to_owned()));
    // Then the pods are planned.
    let later = look("", None, Some(accepted(&seen)), &planned("b"));
    assert!(accepted(&later).considered.is_some());
}

#[test]
fn planned_pods_stay_when_their_measurements_are_gone_or_nothing_changed() {
    let first = look("", None, None, &planned("a"));
    let first = accepted(&first);
    let nothing = impossible("b", |request| request.measurements.clear());
    for (decided, expected) in [
        (nothing, None),
        (
            impossible("b", |request| {
                for class in &mut request.classes {
                    class.excluded = Some(tts_planner::Exclusion::NotAllowed);
                }
            }),
            Some("NoNodeClass"),
        ),
        (decided("a", Answer::Unchanged), None),
        (
            decided("c", Answer::Contradiction("base above peak".to_owned())),
            Some("Contradiction"),
        ),
    ] {
        let seen = look("", None, Some(first), &decided);
        assert_eq!(accepted(&seen), first);
        assert_eq!(shortage(&seen), expected);
    }
}

#[test]
fn what_does_not_keep_the_objectives_is_rolled_out_or_refused() {
    let few = || {
        impossible("b", |request| {
            for class in &mut request.classes {
                class.max_nodes = 1;
            }
            request.load.peak = tts_planner::Peak::RequestsPerSecond(500.0);
        })
    };
    let best = look("", None, None, &few());
    assert_eq!(shortage(&best), Some("CapacityInsufficient"));
    let considered = accepted(&best).considered.as_ref().unwrap();
    assert_eq!(
        considered.shortage.as_ref().unwrap().reason,
        "CapacityInsufficient"
    );
    let refuse = "  sizing: {onInfeasible: Refuse}";
    let none = look(refuse, None, None, &few());
    assert!(none.workload.is_none());
    let pending = none.pending.as_ref().unwrap();
    assert_eq!(
        (pending.reason, pending.in_progress),
        ("ObjectivesNotKept", false)
    );
    assert!(
        pending.message.contains("CapacityInsufficient"),
        "{pending:?}"
    );
    // Where pods run, they stay.
    let first = look(refuse, None, None, &planned("a"));
    let kept = look(refuse, None, Some(accepted(&first)), &few());
    assert_eq!(accepted(&kept), accepted(&first));
    assert_eq!(shortage(&kept), Some("CapacityInsufficient"));
}

#[test]
fn a_plan_waits_for_the_approval_of_exactly_its_inputs() {
    let approve = "  sizing: {apply: Approve}";
    let proposed = |seen: &PlannedDeployment| {
        let choice = seen.choice.as_ref().unwrap();
        choice
            .proposed
            .as_ref()
            .map(|proposed| proposed.considered.inputs.clone())
    };
    let waiting = look(approve, None, None, &planned("a"));
    assert_eq!(proposed(&waiting).as_deref(), Some("a"));
    assert!(
        accepted(&waiting).considered.is_none(),
        "default pods serve"
    );
    let other = look(approve, Some("b"), None, &planned("a"));
    assert_eq!(proposed(&other).as_deref(), Some("a"));
    let approved = look(approve, Some("a"), None, &planned("a"));
    assert_eq!(proposed(&approved), None);
    let running = accepted(&approved);
    assert_eq!(running.considered.as_ref().unwrap().inputs, "a");
    // Other inputs that give the same pods need no approval.
    let same = look(approve, Some("a"), Some(running), &planned("b"));
    assert_eq!(proposed(&same), None);
    let larger = decided(
        "c",
        Answer::Decision(Box::new(request(|request| {
            request.load.peak = tts_planner::Peak::RequestsPerSecond(40.0);
        }))),
    );
    let grown = look(approve, Some("a"), Some(running), &larger);
    assert_eq!(proposed(&grown).as_deref(), Some("c"));
    assert_eq!(accepted(&grown).plan, running.plan);
}
