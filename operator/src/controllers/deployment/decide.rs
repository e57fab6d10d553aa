//! What the planner says about a deployment. Other pods and quotas are read only when the plan is made anew.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{LimitRange, Pod, ResourceQuota},
};
use kube::{Api, Resource, api::ListParams};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tts_crds::v1alpha1::TtsProfile;
use tts_planner::{Decision, Presence, Validity};

use super::{
    dereference::References,
    validate::{Served, ValidatedDeployment, Voices},
};
use crate::{
    controllers::{Context, nodes::Known, now},
    inventory::{self, Inventory, Lists, NVIDIA, NamespaceLimits},
    labels,
    planning::{self, Case, Goals, Voice, measurements},
};

/// How long a list may take that can be planned without.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer counts from the same inputs, whatever other pods and the namespace's quotas do meanwhile.
const RECENT: Duration = Duration::from_mins(5);

/// The planner's answer.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Identifies what the answer depends on.
    pub inputs: String,
    pub answer: Answer,
    /// Labels of the nodes of each class.
    pub node_labels: BTreeMap<String, BTreeSet<BTreeMap<String, String>>>,
    /// Voices and the classes on which they were not measured although pods may run there, by the voice's name.
    pub unmeasured: BTreeMap<String, Vec<String>>,
    /// Whether there is no class that could be measured.
    pub measures_nothing: bool,
    /// What a reader has to know about the nodes.
    pub remarks: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Answer {
    /// The accepted plan was made from the same.
    Unchanged,
    Decision(Box<Decision>),
    /// The numbers of the deployment contradict each other.
    Contradiction(String),
}

/// The last answers, by namespace and name of the deployment: as long as no plan that keeps the objectives is accepted, each
/// reconciliation would make one anew, and what other pods take at that moment would come and go in it.
#[derive(Default)]
pub struct Decisions(Mutex<HashMap<(String, String), Answered>>);

struct Answered {
    inputs: String,
    at: Instant,
    answer: Answer,
}

impl Decisions {
    fn recent(&self, key: &(String, String), inputs: &str) -> Option<Answer> {
        let known = self.lock();
        let kept = known.get(key)?;
        (kept.inputs == inputs && kept.at.elapsed() < RECENT).then(|| kept.answer.clone())
    }

    fn keep(&self, key: (String, String), inputs: &str, answer: &Answer) {
        let answered = Answered {
            inputs: inputs.to_owned(),
            at: Instant::now(),
            answer: answer.clone(),
        };
        self.lock().insert(key, answered);
    }

    pub fn forget(&self, namespace: &str, name: &str) {
        self.lock().remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Answered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` where nothing is planned, or not all voices are ready.
pub async fn decide(
    ctx: &Context,
    tts: &ValidatedDeployment,
    references: &References,
) -> Option<Decided> {
    let (Some(goals), Voices::Ready(served)) = (&tts.goals, &tts.voices) else {
        return None;
    };
    let known = ctx.nodes.known().await;
    let profiles = ctx.profiles_for(&tts.namespace);
    let profiles: Vec<&TtsProfile> = profiles.iter().filter_map(|p| p.0.as_ref().ok()).collect();
    let voices = voices(served);
    let inventory = self::inventory(&known, None, tts);
    let accepted = references.accepted.as_ref().map(|kept| &kept.accepted);
    let mut case = Case {
        goals,
        namespace: &tts.namespace,
        voices: &voices,
        profiles: &profiles,
        inventory: &inventory,
        limits: NamespaceLimits::default(),
        current: accepted
            .and_then(|accepted| accepted.plan.as_ref())
            .and_then(|stored| stored.plan.as_current()),
        oom_killed_at: references
            .out_of_memory
            .as_ref()
            .and_then(|killed| u32::try_from(killed.killed_at).ok())
            .map(f64::from),
        now: now(),
    };
    let inputs = case.inputs();
    let considered = accepted.and_then(|accepted| accepted.considered.as_ref());
    let unchanged = considered
        .is_some_and(|considered| considered.inputs == inputs && considered.shortage.is_none());
    let key = (tts.namespace.clone(), tts.name.clone());
    let (full, answer);
    if unchanged {
        answer = Answer::Unchanged;
    } else if let Some(recent) = ctx.decisions.recent(&key, &inputs) {
        answer = recent;
    } else {
        let (pods, limits) = surroundings(ctx, tts).await;
        full = self::inventory(&known, pods.as_deref(), tts);
        case.inventory = &full;
        case.limits = limits;
        answer = match case.plan() {
            Ok(decision) => Answer::Decision(Box::new(decision)),
            Err(error) => Answer::Contradiction(error.to_string()),
        };
        ctx.decisions.keep(key, &inputs, &answer);
    }
    let remarks = case.remarks();
    let measurable = measurable(&case, &inventory);
    Some(Decided {
        inputs,
        answer,
        measures_nothing: measurable.is_empty(),
        unmeasured: unmeasured(&case, &measurable),
        node_labels: inventory
            .classes
            .iter()
            .map(|class| (class.name.clone(), class.node_labels()))
            .collect(),
        remarks,
    })
}

fn voices(served: &Served) -> Vec<Voice> {
    let voices = served.voices.iter();
    voices
        .map(|voice| Voice {
            name: voice.name.clone(),
            weight: voice.weight,
            files: voice.files.clone(),
        })
        .collect()
}

/// Of the nodes that the deployment's pods may run on.
fn inventory(known: &Known, pods: Option<&[Pod]>, tts: &ValidatedDeployment) -> Inventory {
    let selector = &tts.placement.node_selector;
    let nodes = known
        .nodes
        .as_ref()
        .map(|nodes| planning::selected(nodes, selector));
    let lists = Lists {
        nodes: nodes.as_deref(),
        daemon_sets: known.daemon_sets.as_deref(),
        // Before the plan is made they are not counted, which is no remark.
        pods: Some(pods.unwrap_or_default()),
        deployment: Some((&tts.namespace, &tts.name)),
    };
    inventory::inventory(lists, tts.settings.node_classes())
}

/// The classes with nodes that pods may run on.
fn measurable<'a>(case: &Case<'_>, inventory: &'a Inventory) -> Vec<&'a str> {
    let Goals {
        classes,
        tolerations,
        ..
    } = case.goals;
    inventory
        .classes
        .iter()
        .filter(|class| class.presence == Presence::Present)
        .filter(|class| {
            // The image has no code for GPUs yet: those nodes are measured only where they are asked for.
            classes.contains(&class.name) || classes.is_empty() && class.gpu.is_none()
        })
        .filter(|class| {
            let planned = class.for_planner(tolerations);
            planned.excluded.is_none() && planned.max_nodes > 0
        })
        .map(|class| class.name.as_str())
        .collect()
}

/// The voices without a measurement that could be used, and on which of these classes.
fn unmeasured(case: &Case<'_>, classes: &[&str]) -> BTreeMap<String, Vec<String>> {
    let found = measurements::of_voices(case.voices, case.namespace, case.profiles, None, case.now);
    let measured = |voice: &str, class: &str| {
        found.iter().any(|measurement| {
            let standing = measurement.standing;
            measurement.profile.voice.name == voice
                && measurement.profile.node.class == class
                && standing.is_some_and(|standing| standing.validity != Validity::Invalid)
        })
    };
    case.voices
        .iter()
        .filter_map(|voice| {
            let missing: Vec<String> = classes
                .iter()
                .filter(|class| !measured(&voice.name, class))
                .map(|class| (*class).to_owned())
                .collect();
            (!missing.is_empty()).then(|| (voice.name.clone(), missing))
        })
        .collect()
}

/// All pods of the cluster, where they can be read; and what the namespace leaves to this deployment.
async fn surroundings(
    ctx: &Context,
    tts: &ValidatedDeployment,
) -> (Option<Vec<Pod>>, NamespaceLimits) {
    let all = Api::<Pod>::all(ctx.client.clone());
    let own = labels::to_selector(&labels::selector(labels::SERVER, &tts.name));
    let own = ListParams::default().labels(&own);
    let everything = ListParams::default();
    let (pods, own, quotas, ranges) = tokio::join!(
        listed(all, &everything),
        listed(namespaced::<Pod>(ctx, tts), &own),
        listed(namespaced::<ResourceQuota>(ctx, tts), &everything),
        listed(namespaced::<LimitRange>(ctx, tts), &everything),
    );
    let taken = inventory::taken(&own.unwrap_or_default(), NVIDIA);
    let limits = inventory::namespace_limits(
        &quotas.unwrap_or_default(),
        &ranges.unwrap_or_default(),
        NVIDIA,
        taken,
    );
    (pods, limits)
}

fn namespaced<K>(ctx: &Context, tts: &ValidatedDeployment) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(ctx.client.clone(), &tts.namespace)
}

/// `None` where there is no right, or no answer in time: it is planned without.
async fn listed<K>(api: Api<K>, params: &ListParams) -> Option<Vec<K>>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    // What the API server has in memory is new enough.
    let params = params.clone().match_any();
    match timeout(LIST_TIMEOUT, api.list(&params)).await {
        Ok(Ok(list)) => Some(list.items),
        Ok(Err(error)) => {
            tracing::debug!(%error, "planning without a list");
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_its_inputs_until_the_deployment_is_gone() {
        let decisions = Decisions::default();
        let key = ("stage".to_owned(), "narrator".to_owned());
        assert!(decisions.recent(&key, "a").is_none());
        decisions.keep(key.clone(), "a", &Answer::Contradiction("no".to_owned()));
        assert!(matches!(
            decisions.recent(&key, "a"),
            Some(Answer::Contradiction(text)) if text == "no"
        ));
        assert!(decisions.recent(&key, "b").is_none());
        decisions.forget("stage", "narrator");
        assert!(decisions.recent(&key, "a").is_none());
    }
}
