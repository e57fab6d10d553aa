//! Which pods the deployment gets: their size, their image, and whether to roll them out now or to keep the
//! last accepted template. Pure.
use tts_planner::StoredPlan;

use super::{
    accepted::{Accepted, Sized},
    choice::{self, Choice},
    decide::Decided,
    dereference::{Kept, References},
    replicas::{self, Replicas},
    resize,
    sizing::PodSize,
    template,
    validate::{Served, ValidatedDeployment, Voices},
};

/// A template is made for an image of another version of the operator only by that version: arguments that this
/// version passes may be unknown to it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A deployment with everything decided.
pub struct PlannedDeployment {
    pub tts: ValidatedDeployment,
    /// `None` until a template was accepted for the first time.
    pub workload: Option<Workload>,
    /// What is to be said about the size of the pods; `None` while voices are not ready.
    pub choice: Option<Choice>,
    /// Why the pods are not those of the current spec, voices and server image.
    pub pending: Option<Pending>,
}

/// What is rolled out or kept.
#[derive(Clone)]
pub struct Workload {
    pub accepted: Accepted,
    /// The number of its `ControllerRevision`.
    pub revision: i64,
    pub replicas: Replicas,
}

/// A deployment with the workload that was planned for it.
pub struct PlannedWorkload<'a> {
    pub deployment: &'a PlannedDeployment,
    pub accepted: &'a Accepted,
    pub revision: i64,
    pub replicas: Replicas,
}

impl PlannedDeployment {
    pub fn planned_workload(&self) -> Option<PlannedWorkload<'_>> {
        self.workload.as_ref().map(|workload| PlannedWorkload {
            deployment: self,
            accepted: &workload.accepted,
            revision: workload.revision,
            replicas: workload.replicas,
        })
    }
}

/// Why the newest template is not accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// A condition's reason.
    pub reason: &'static str,
    pub message: String,
    /// Whether it goes on without a user.
    pub in_progress: bool,
}

impl Pending {
    fn new(reason: &'static str, message: String, in_progress: bool) -> Self {
        Self {
            reason,
            message,
            in_progress,
        }
    }

    /// Whether it waits for the rollouts of others, which no watch of this deployment tells.
    pub fn waits_for_turn(&self) -> bool {
        self.reason == WAITING_FOR_TURN
    }
}

const WAITING_FOR_TURN: &str = "WaitingForTurn";

/// Whether the plan is to roll out a template as one of a few at a time.
pub fn takes_turn(planned: &PlannedDeployment, references: &References) -> bool {
    let known = references.accepted.as_ref();
    planned.workload.as_ref().is_some_and(|workload| {
        workload.accepted.takes_turn
            && known.is_some_and(|kept| !kept.accepted.same_pods(&workload.accepted))
    })
}

pub fn plan(
    tts: ValidatedDeployment,
    references: &References,
    decided: Option<&Decided>,
) -> PlannedDeployment {
    let kept = references.accepted.as_ref();
    let choice = match &tts.voices {
        Voices::Ready(served) => {
            let kept = kept.map(|kept| &kept.accepted);
            let out_of_memory = references.out_of_memory.as_ref();
            Some(choice::choose(&tts, served, decided, kept, out_of_memory))
        }
        Voices::NotReady { .. } => None,
    };
    let (accepted, pending) = match &tts.voices {
        Voices::Ready(served) => decide(&tts, served, choice.as_ref(), references),
        Voices::NotReady { reason, message } => {
            let pending = Pending::new(reason, message.clone(), true);
            (kept.map(|kept| kept.accepted.clone()), Some(pending))
        }
    };
    let workload = accepted.map(|accepted| Workload {
        revision: match kept {
            Some(kept) if kept.revision > 0 && kept.accepted == accepted => kept.revision,
            // Data of a revision cannot be changed: another template is another revision.
            _ => references.last_revision + 1,
        },
        replicas: replicas::decide(tts.scaling, accepted.measured(), references.live.as_ref()),
        accepted,
    });
    PlannedDeployment {
        tts,
        workload,
        choice,
        pending,
    }
}

/// The template to roll out or to keep, and why it is not the newest one.
fn decide(
    tts: &ValidatedDeployment,
    served: &Served,
    choice: Option<&Choice>,
    references: &References,
) -> (Option<Accepted>, Option<Pending>) {
    let kept = references.accepted.as_ref();
    let Some((choice, size)) = choice.and_then(|choice| Some((choice, choice.size.as_ref()?)))
    else {
        let refusal = choice.and_then(Choice::refusal);
        return (kept.map(|kept| kept.accepted.clone()), refusal);
    };
    let current = &tts.settings.server.image;
    let image = newest_passed(
        served,
        current,
        kept.map(|kept| kept.accepted.image.as_str()),
    );
    let inspection = (image != Some(current)).then(|| awaits_inspection(served, current));
    let Some(image) = image else {
        return (kept.map(|kept| kept.accepted.clone()), inspection);
    };
    let Some(kept) = kept else {
        return (
            Some(candidate(tts, served, choice, size, image)),
            inspection,
        );
    };
    let is_edited = is_edited(tts, kept);
    // With an image that is not the current one nothing is rolled out but what the user changed.
    if image != current && !(is_edited && kept.accepted.operator == VERSION) {
        return (Some(kept.accepted.clone()), inspection);
    }
    let mut accepted = candidate(tts, served, choice, size, image);
    accepted.out_of_memory.clone_from(&references.out_of_memory);
    if references.resize_refused.is_none() {
        accepted = resize::in_place(&kept.accepted, accepted);
    }
    if accepted.same_pods(&kept.accepted) {
        accepted.takes_turn = kept.accepted.takes_turn;
        return (Some(accepted), inspection);
    }
    // What a user asked for in this deployment is done at once, and one that does not serve has nothing to lose.
    if is_edited || !references.complete {
        return (Some(accepted), inspection);
    }
    let most = tts.settings.rollouts.max_concurrent;
    if references.rolling >= most {
        let message = format!(
            "new pods are due and wait until fewer than {most} deployments are being rolled out"
        );
        let pending = Pending::new(WAITING_FOR_TURN, message, true);
        return (Some(kept.accepted.clone()), Some(pending));
    }
    accepted.takes_turn = true;
    (Some(accepted), inspection)
}

/// Whether the user changed what the pods are made from. That is not known of a template without a record.
fn is_edited(tts: &ValidatedDeployment, kept: &Kept) -> bool {
    !kept.accepted.spec.is_empty() && kept.accepted.spec != tts.spec
}

fn candidate(
    tts: &ValidatedDeployment,
    served: &Served,
    choice: &Choice,
    size: &PodSize,
    image: &str,
) -> Accepted {
    Accepted {
        template: template::build(tts, served, size, image),
        resized: None,
        image: image.to_owned(),
        downloads: template::downloads(served),
        sized: Sized {
            mode: size.mode,
            explanation: size.explanation.clone(),
        },
        plan: size.plan.clone().map(StoredPlan::from),
        considered: choice.considered.clone(),
        out_of_memory: None,
        spec: tts.spec.clone(),
        operator: VERSION.to_owned(),
        takes_turn: false,
    }
}

/// The current image if every voice passed with it, else the newest one with which every voice passed. A voice of
/// which that is not recorded counts as passed with the image that runs.
fn newest_passed<'a>(
    served: &'a Served,
    current: &'a str,
    running: Option<&'a str>,
) -> Option<&'a str> {
    let passed = |image: &str| {
        served.voices.iter().all(|voice| {
            voice.images.iter().any(|passed| passed == image)
                || voice.images.is_empty() && running == Some(image)
        })
    };
    let recorded = served.voices.iter().flat_map(|voice| &voice.images);
    std::iter::once(current)
        .chain(recorded.map(String::as_str))
        .chain(running)
        .find(|image| passed(image))
}

fn awaits_inspection(served: &Served, image: &str) -> Pending {
    let failures: Vec<&str> = served
        .voices
        .iter()
        .filter(|voice| !voice.images.iter().any(|passed| passed == image))
        .filter_map(|voice| voice.failure.as_deref())
        .collect();
    if failures.is_empty() {
        let message = format!("the voices are being inspected with the server image {image}");
        Pending::new("Inspecting", message, true)
    } else {
        Pending::new("InspectionFailed", failures.join("; "), false)
    }
}

#[cfg(test)]
mod tests;
