//! Which pods are to run, of what the spec says, what was accepted and what the planner says now. Pure.
use std::collections::BTreeMap;

use tts_crds::v1alpha1::{Apply, OnInfeasible};
use tts_planner::{AcceptedPlan, Alternatives, Condition, Outcome, StoredPlan};

use super::{
    accepted::{Accepted, Considered},
    decide::{Answer, Decided},
    oom::OutOfMemory,
    plan::Pending,
    sizing::{self, PodSize},
    validate::{Served, ValidatedDeployment},
};
use crate::planning::{Goals, Shortage, Texts};

/// The pods to run, and what is to be said about them.
#[derive(Clone, Debug)]
pub struct Choice {
    /// `None`: none, as the deployment refuses pods that do not keep the objectives.
    pub size: Option<PodSize>,
    /// Where the size comes from a plan.
    pub considered: Option<Considered>,
    /// Why these pods are not what was asked for.
    pub shortage: Option<Shortage>,
    /// A plan that waits for its approval.
    pub proposed: Option<Proposed>,
}

/// A plan that somebody has to approve.
#[derive(Clone, Debug)]
pub struct Proposed {
    pub plan: AcceptedPlan,
    pub considered: Considered,
}

pub fn choose(
    tts: &ValidatedDeployment,
    served: &Served,
    decided: Option<&Decided>,
    kept: Option<&Accepted>,
    out_of_memory: Option<&OutOfMemory>,
) -> Choice {
    let plan = kept.and_then(|kept| kept.plan.as_ref());
    let default = || Choice {
        size: Some(sizing::size(
            &tts.sizing,
            &served.voices,
            plan.map(|stored| &stored.plan),
            out_of_memory,
        )),
        considered: None,
        shortage: None,
        proposed: None,
    };
    let (Some(goals), Some(decided)) = (&tts.goals, decided) else {
        return default();
    };
    // What runs stays, where a plan says nothing better; before the first plan, default pods do.
    let stay = |shortage: Option<Shortage>| {
        let planned = kept.and_then(|kept| Some((kept.plan.as_ref()?, kept.considered.as_ref()?)));
        let stays = planned.map(|(stored, considered)| Choice {
            size: Some(of_plan(stored, considered)),
            considered: Some(considered.clone()),
            shortage: None,
            proposed: None,
        });
        Choice {
            shortage,
            ..stays.unwrap_or_else(default)
        }
    };
    let decision = match &decided.answer {
        Answer::Unchanged => return stay(None),
        Answer::Contradiction(message) => {
            return stay(Some(Shortage::contradiction(message)));
        }
        Answer::Decision(decision) => decision,
    };
    let (new, shortage) = match &decision.outcome {
        Outcome::Plan(plan) => (Some(plan), None),
        Outcome::Infeasible(infeasible) => {
            let shortage = Shortage::of(infeasible, &decided.remarks);
            match infeasible.condition {
                // The condition Profiled tells what is done about it.
                Condition::NoProfile => return stay(None),
                Condition::NoNodeClass => return stay(Some(shortage)),
                _ => {}
            }
            let best = infeasible.best_effort.as_ref();
            let best = best.filter(|_| goals.on_infeasible == OnInfeasible::BestEffort);
            (best, Some(shortage))
        }
    };
    let Some(new) = new else {
        let stays = stay(shortage);
        let runs = kept.is_some();
        return Choice {
            size: stays.size.filter(|_| runs),
            ..stays
        };
    };
    let mut plan = (**new).clone();
    plan.input_hash.clone_from(&decided.inputs);
    let considered = considered(decided, &plan, &decision.alternatives, shortage.clone());
    if waits(tts, goals, kept, &plan, &decided.inputs) {
        return Choice {
            proposed: Some(Proposed { plan, considered }),
            ..stay(shortage)
        };
    }
    Choice {
        size: Some(of_plan(&StoredPlan::from(plan), &considered)),
        considered: Some(considered),
        shortage,
        proposed: None,
    }
}

impl Choice {
    /// Why no template can be accepted although every voice is ready.
    pub fn refusal(&self) -> Option<Pending> {
        let shortage = self.shortage.as_ref().filter(|_| self.size.is_none())?;
        Some(Pending {
            reason: "ObjectivesNotKept",
            message: format!(
                "{}: {}; sizing.onInfeasible is Refuse, so nothing is rolled out",
                shortage.reason, shortage.message
            ),
            in_progress: false,
        })
    }
}

fn of_plan(stored: &StoredPlan, considered: &Considered) -> PodSize {
    PodSize {
        node_labels: considered.node_labels.clone(),
        ..sizing::planned(&stored.plan)
    }
}

/// Whether somebody has to approve this plan first.
fn waits(
    tts: &ValidatedDeployment,
    goals: &Goals,
    kept: Option<&Accepted>,
    plan: &AcceptedPlan,
    inputs: &str,
) -> bool {
    let accepted = kept.and_then(|kept| Some((kept.plan.as_ref()?, kept.considered.as_ref()?)));
    let same = accepted.is_some_and(|(stored, _)| {
        let running = &stored.plan;
        (&running.pod, &running.node_class, running.replicas)
            == (&plan.pod, &plan.node_class, plan.replicas)
            && running.autoscaling == plan.autoscaling
    });
    goals.apply == Apply::Approve && !same && tts.approved.as_deref() != Some(inputs)
}

fn considered(
    decided: &Decided,
    plan: &AcceptedPlan,
    alternatives: &Alternatives,
    shortage: Option<Shortage>,
) -> Considered {
    let Texts {
        alternatives,
        rejected,
    } = alternatives.into();
    let class = plan.node_class.as_deref().unwrap_or_default();
    let labels = decided.node_labels.get(class).cloned().unwrap_or_default();
    Considered {
        inputs: decided.inputs.clone(),
        node_labels: labels.into_iter().collect::<Vec<BTreeMap<_, _>>>(),
        alternatives,
        rejected,
        shortage,
    }
}

#[cfg(test)]
mod tests;
