//! The status of the deployment. Pure: the controller writes it.
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Resource as _;
use tts_crds::v1alpha1::{APPROVE, PlanStatus, TtsDeployment, TtsDeploymentStatus};
use tts_planner::AcceptedPlan;

use super::{
    accepted::Considered,
    apply::Applied,
    build,
    measure::Measuring,
    plan::{PlannedDeployment, Workload},
    resize::Resizes,
    rollout::Rollout,
    validate::{Scaling, Voices},
};
use crate::{
    conditions::{
        self, PROFILED, READY, RECONCILING, SIZED, STALLED,
        Status::{False, True, Unknown},
        UP_TO_DATE, Verdict,
    },
    labels, planning,
};

const VOICES_READY: &str = "VoicesReady";
const AVAILABLE: &str = "Available";
const AUTOSCALING_READY: &str = "AutoscalingReady";
/// Every condition of a deployment: others are left to whoever sets them.
const OURS: [&str; 9] = [
    READY,
    VOICES_READY,
    PROFILED,
    SIZED,
    UP_TO_DATE,
    AVAILABLE,
    AUTOSCALING_READY,
    RECONCILING,
    STALLED,
];

/// What was seen while the plan was carried out.
#[derive(Debug, Default)]
pub struct Seen {
    pub measuring: Measuring,
    pub resizes: Resizes,
}

/// The status, and the verdicts that its conditions were made of.
pub fn status(
    object: &TtsDeployment,
    planned: &PlannedDeployment,
    applied: &Applied,
    seen: &Seen,
    now: Timestamp,
) -> (TtsDeploymentStatus, Vec<Verdict>) {
    let generation = object.meta().generation;
    let previous = object.status.clone().unwrap_or_default();
    let view = View {
        planned,
        seen,
        autoscaler: applied.autoscaler(),
        rollout: Rollout::of(applied.deployment(), applied.pods()),
        rolled_out: previous.rolled_out_revision,
        now,
    };
    let verdicts = view.verdicts();
    let status = TtsDeploymentStatus {
        observed_generation: generation.unwrap_or_default(),
        conditions: conditions::merge(
            &previous.conditions,
            &OURS,
            verdicts.clone(),
            generation,
            now,
        ),
        replicas: view.rollout.replicas,
        ready_replicas: view.rollout.ready,
        selector: Some(labels::to_selector(&build::selector(planned))),
        endpoint: applied.endpoint(),
        server_image: planned
            .workload
            .as_ref()
            .map(|workload| workload.accepted.image.clone()),
        rolled_out_revision: view.rolled_out_revision(),
        voices: planned.tts.voice_states.clone(),
        plan: planned.workload.as_ref().and_then(accepted_plan),
        proposed_plan: planned
            .choice
            .as_ref()
            .and_then(|choice| choice.proposed.as_ref())
            .map(|proposed| plan_status(&proposed.plan, &proposed.considered)),
    };
    (status, verdicts)
}

/// The plan of the accepted pods; `None` where they were not planned.
fn accepted_plan(workload: &Workload) -> Option<PlanStatus> {
    let accepted = &workload.accepted;
    let plan = &accepted.plan.as_ref()?.plan;
    Some(plan_status(plan, accepted.considered.as_ref()?))
}

fn plan_status(plan: &AcceptedPlan, considered: &Considered) -> PlanStatus {
    planning::status::status(
        plan,
        &considered.inputs,
        &considered.alternatives,
        &considered.rejected,
    )
}

/// What the verdicts are made from.
struct View<'a> {
    planned: &'a PlannedDeployment,
    seen: &'a Seen,
    autoscaler: Option<&'a HorizontalPodAutoscaler>,
    rollout: Rollout,
    /// The revision that was completely rolled out according to the status.
    rolled_out: Option<i64>,
    now: Timestamp,
}

impl View<'_> {
    fn revision(&self) -> Option<i64> {
        self.planned.workload.as_ref().map(|w| w.revision)
    }

    fn rolled_out_revision(&self) -> Option<i64> {
        if self.rollout.complete() && !self.planned.tts.paused {
            self.revision()
        } else {
            self.rolled_out
        }
    }

    /// Whether the accepted template was completely rolled out once: from then on the number of pods that are
    /// wanted or available at the moment does not matter.
    fn is_rolled_out(&self) -> bool {
        self.revision().is_some() && self.rolled_out_revision() == self.revision()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let voices = match &self.planned.tts.voices {
            Voices::Ready(_) => {
                Verdict::new(VOICES_READY, True, "Inspected", "all voices are ready")
            }
            Voices::NotReady { reason, message } => {
                let verdict = Verdict::new(VOICES_READY, False, *reason, message);
                // A voice that is not there needs somebody to create it.
                if *reason == "VoiceMissing" {
                    verdict
                } else {
                    verdict.as_step()
                }
            }
        };
        let mut verdicts = self.ready(&voices);
        verdicts.extend([self.sized(), self.up_to_date(), self.available(), voices]);
        verdicts.extend(self.seen.measuring.verdict());
        verdicts.extend(self.autoscaling());
        verdicts
    }

    fn sized(&self) -> Verdict {
        let choice = self.planned.choice.as_ref();
        let shortage = choice.and_then(|choice| choice.shortage.as_ref());
        let proposed = choice.and_then(|choice| choice.proposed.as_ref());
        if shortage.is_some() || proposed.is_some() {
            let reason = shortage.map_or("ApprovalNeeded", |shortage| &shortage.reason);
            let approval = proposed.map(|proposed| {
                let inputs = &proposed.considered.inputs;
                format!(
                    "status.proposedPlan waits: annotate this object with {APPROVE}={inputs}; until then the pods stay as they are"
                )
            });
            let workload = self.planned.workload.as_ref();
            let pods = workload
                .map(|workload| format!("the pods now: {}", workload.accepted.sized.explanation));
            let parts = shortage.map(|shortage| shortage.message.clone());
            let message = parts
                .into_iter()
                .chain(approval)
                .chain(pods)
                .map(|part| part.trim_end_matches('.').to_owned())
                .collect::<Vec<_>>()
                .join("; ");
            return Verdict::new(SIZED, False, reason, message);
        }
        match &self.planned.workload {
            Some(Workload { accepted, .. }) => {
                let mode: &str = accepted.sized.mode.into();
                Verdict::new(SIZED, True, mode, &accepted.sized.explanation)
            }
            None => Verdict::new(
                SIZED,
                Unknown,
                "VoicesNotReady",
                "the pod size depends on the voices, and not all of them are ready",
            ),
        }
    }

    fn up_to_date(&self) -> Verdict {
        let Some(pending) = &self.planned.pending else {
            let resizes = &self.seen.resizes;
            let left: Vec<&str> = resizes
                .waiting
                .iter()
                .chain(&resizes.refused)
                .map(String::as_str)
                .collect();
            if !left.is_empty() {
                let message = format!(
                    "CPU and memory are being changed in place, no pod is replaced: {}",
                    left.join("; ")
                );
                return Verdict::new(UP_TO_DATE, False, "Resizing", message).as_step();
            }
            return Verdict::new(
                UP_TO_DATE,
                True,
                "Accepted",
                "the pods are those of the current spec, voices and server image",
            );
        };
        let kept = if self.planned.workload.is_some() {
            "; the pods stay as they were last accepted"
        } else {
            ""
        };
        let message = format!("{}{kept}", pending.message);
        let verdict = Verdict::new(UP_TO_DATE, False, pending.reason, message);
        if pending.in_progress {
            verdict.as_step()
        } else {
            verdict
        }
    }

    fn available(&self) -> Verdict {
        let rollout = &self.rollout;
        if !rollout.exists {
            Verdict::new(
                AVAILABLE,
                False,
                "NotStarted",
                "no pods yet; they are created once all voices are ready",
            )
        } else if rollout.scaled_to_zero() {
            Verdict::new(AVAILABLE, True, "ScaledToZero", self.zero())
        } else if rollout.serves() {
            Verdict::new(AVAILABLE, True, "Serving", rollout.in_words())
        } else {
            Verdict::new(AVAILABLE, False, "NoPods", rollout.in_words())
        }
    }

    fn zero(&self) -> &'static str {
        match self.planned.tts.scaling {
            Scaling::Static(_) => {
                "spec.scaling.replicas is 0: nothing is served; raise it to serve"
            }
            Scaling::Auto | Scaling::External => {
                "the Deployment was scaled to 0 pods: nothing is served"
            }
        }
    }

    fn autoscaling(&self) -> Option<Verdict> {
        let workload = self.planned.workload.as_ref()?;
        (self.planned.tts.scaling == Scaling::Auto)
            .then(|| autoscaling::verdict(&workload.accepted, self.autoscaler, self.rollout.wanted))
    }

    /// `Ready`, and `Reconciling` or `Stalled` where they apply.
    fn ready(&self, voices: &Verdict) -> Vec<Verdict> {
        let (tts, rollout) = (&self.planned.tts, &self.rollout);
        if tts.paused {
            let status = if rollout.serves() { True } else { False };
            let message = format!(
                "spec.paused is true: no changes are made; {}",
                rollout.in_words()
            );
            return vec![Verdict::new(READY, status, "Paused", message).as_step()];
        }
        if voices.status != True {
            let waiting = voices.as_type(READY, False);
            return vec![waiting.as_type(RECONCILING, True), waiting];
        }
        if let (None, Some(pending)) = (&self.planned.workload, &self.planned.pending) {
            let waiting = Verdict::new(READY, False, pending.reason, &pending.message);
            return if pending.in_progress {
                let waiting = waiting.as_step();
                vec![waiting.as_type(RECONCILING, True), waiting]
            } else {
                vec![waiting.as_type(STALLED, True), waiting]
            };
        }
        let ready = if rollout.scaled_to_zero() {
            Verdict::new(READY, True, "ScaledToZero", self.zero())
        } else if self.is_rolled_out() && rollout.serves() {
            Verdict::new(READY, True, "Serving", rollout.in_words())
        } else {
            Verdict::new(READY, False, "RollingOut", rollout.in_words()).as_step()
        };
        match self.outlook(&ready) {
            Some(stuck) if stuck.type_ == STALLED && ready.status != True => {
                vec![stuck.as_type(READY, False), stuck]
            }
            outlook => outlook.into_iter().chain([ready]).collect(),
        }
    }

    /// `Stalled` or `Reconciling`, unless everything is as it should be.
    fn outlook(&self, ready: &Verdict) -> Option<Verdict> {
        let patience = self.planned.tts.settings.stalled_after;
        if let Some(why) = self.rollout.stuck(patience, self.now) {
            let message = format!("{}; {why}", self.rollout.counts());
            return Some(Verdict::new(STALLED, True, "RolloutStuck", message));
        }
        if !self.rollout.complete() {
            let reason = if ready.status == True {
                "Scaling"
            } else {
                "RollingOut"
            };
            let message = self.rollout.in_words();
            return Some(Verdict::new(RECONCILING, True, reason, message).as_step());
        }
        let pending = self.planned.pending.as_ref().filter(|p| p.in_progress)?;
        let verdict = Verdict::new(RECONCILING, True, pending.reason, &pending.message);
        Some(verdict.as_step())
    }
}

mod autoscaling;
#[cfg(test)]
mod tests;
