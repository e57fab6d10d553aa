//! `tts-operator plan`: plans the `TtsDeployment` objects of files, without a cluster.
mod fields;
mod input;
mod text;
pub mod what_if;

use std::{collections::BTreeSet, io};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use serde::Serialize;
use tts_crds::v1alpha1::{OnInfeasible, PlanStatus, TtsDeploymentSpec, TtsProfile};
use tts_planner::{Condition, Outcome};

use self::{
    input::{Deployment, Objects},
    what_if::{Assignment, Change},
};
use crate::{
    cli::{PlanArgs, PlanFormat},
    documents,
    inventory::{self, Inventory, Lists, NVIDIA, Taken},
    output,
    planning::{self, Case, Goals, Shortage, Texts, Voice, goals::number},
    settings::{self, ClassSettings},
};

/// Exit status: each deployment has a plan that keeps its objectives, or asks for none.
pub const PLANNED: u8 = 0;
/// Exit status: one cannot keep its objectives.
pub const SHORT: u8 = 1;
/// Exit status: what was given cannot be used.
pub const UNUSABLE: u8 = 3;

/// Why nothing is planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Documents(#[from] documents::Error),
    #[error("cannot read the folder {path}: {error}")]
    Folder { path: String, error: io::Error },
    #[error("{0}: the file is empty")]
    Empty(String),
    #[error("{0}: no object: it has neither kind nor schema")]
    NoObject(String),
    #[error("{0}: there is no profile; give TtsProfile objects, or what tts-server profile writes")]
    NoProfile(String),
    #[error("{place}: {message}")]
    Object { place: String, message: String },
    #[error("there is no TtsDeployment in the files")]
    NoDeployment,
    #[error(
        "there are no nodes: give --nodes (kubectl get nodes,daemonsets -A -o yaml), or --settings with nodeClasses"
    )]
    NoNodes,
    #[error("--what-if {what}: {message}")]
    WhatIf { what: String, message: String },
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error("cannot write the plans: {0}")]
    Write(String),
}

/// A deployment and what is planned for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    pub name: String,
    pub namespace: String,
    #[serde(flatten)]
    pub answer: Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what_if: Option<WhatIf>,
}

/// The same with values changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhatIf {
    /// What is set, as `PATH=VALUE`.
    pub set: Vec<String>,
    #[serde(flatten)]
    pub answer: Answer,
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// Why the objectives are not kept; the plan is what comes nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
    /// Why it asks for no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_planned: Option<String>,
}

impl Planned {
    fn is_short(&self) -> bool {
        let what_if = self.what_if.as_ref();
        self.answer.shortage.is_some()
            || what_if.is_some_and(|what_if| what_if.answer.shortage.is_some())
    }
}

/// Plans, prints, and gives the exit status.
pub fn run(args: &PlanArgs) -> Result<u8, Error> {
    let mut objects = Objects::new(&args.namespace);
    for file in &args.files {
        objects.read(file)?;
    }
    for path in &args.profiles {
        objects.read_profiles(path)?;
    }
    if let Some(path) = &args.nodes {
        objects.read(path)?;
    }
    let settings = match &args.settings {
        Some(path) => ClassSettings::read(path)?,
        None => ClassSettings::default(),
    };
    for line in &objects.skipped {
        eprintln!("skipped: {line}");
    }
    let planned = plan(&objects, &settings, &args.what_if, Timestamp::now())?;
    if !objects.nodes.is_empty() && objects.daemon_sets.is_empty() {
        eprintln!(
            "note: no DaemonSets were given: what their pods request on each node is not subtracted"
        );
    }
    let text = match args.output {
        PlanFormat::Table => text::text(&planned),
        PlanFormat::Yaml => {
            serde_saphyr::to_string(&planned).map_err(|error| Error::Write(error.to_string()))?
        }
        PlanFormat::Json => {
            let json = serde_json::to_string_pretty(&planned);
            json.map_err(|error| Error::Write(error.to_string()))? + "\n"
        }
    };
    output::print(&text).map_err(|error| Error::Write(error.to_string()))?;
    Ok(if planned.iter().any(Planned::is_short) {
        SHORT
    } else {
        PLANNED
    })
}

/// A plan for each deployment, in the order of the files.
fn plan(
    objects: &Objects,
    settings: &ClassSettings,
    what_if: &[Assignment],
    now: Timestamp,
) -> Result<Vec<Planned>, Error> {
    if objects.deployments.is_empty() {
        return Err(Error::NoDeployment);
    }
    if objects.nodes.is_empty() && settings.node_classes.is_empty() {
        return Err(Error::NoNodes);
    }
    let deployments = objects.deployments.iter();
    deployments
        .map(|deployment| {
            let answer = answer(deployment, objects, settings, now)?;
            let what_if = if what_if.is_empty() {
                None
            } else {
                let changed = changed(deployment, what_if)?;
                let other = self::answer(&changed, objects, settings, now)?;
                Some(WhatIf {
                    set: what_if.iter().map(ToString::to_string).collect(),
                    changes: what_if::changes(&answer, &other),
                    answer: other,
                })
            };
            Ok(Planned {
                name: deployment.name.clone(),
                namespace: deployment.namespace.clone(),
                answer,
                what_if,
            })
        })
        .collect()
}

fn changed(deployment: &Deployment, what_if: &[Assignment]) -> Result<Deployment, Error> {
    let mut changed = deployment.clone();
    for assignment in what_if {
        let wrong = |message| Error::WhatIf {
            what: assignment.to_string(),
            message,
        };
        assignment.apply(&mut changed.spec).map_err(wrong)?;
        if let Some(problem) = fields::problem(&changed.spec) {
            return Err(wrong(problem));
        }
    }
    changed.place = format!("{} with --what-if", deployment.place);
    Ok(changed)
}

fn answer(
    deployment: &Deployment,
    objects: &Objects,
    settings: &ClassSettings,
    now: Timestamp,
) -> Result<Answer, Error> {
    let wrong = |message: String| Error::Object {
        place: deployment.place.clone(),
        message: format!("TtsDeployment {}: {message}", deployment.name),
    };
    if let Some(problem) = fields::problem(&deployment.spec) {
        return Err(wrong(problem));
    }
    let spec: TtsDeploymentSpec = serde_path_to_error::deserialize(&deployment.spec)
        .map_err(|error| wrong(format!("spec.{error}")))?;
    let Some(goals) = Goals::of(&spec).map_err(|error| wrong(error.to_string()))? else {
        return Ok(Answer {
            not_planned: Some("it has no objectives and load, or sizing.mode is Manual".to_owned()),
            ..Answer::default()
        });
    };
    let voices = voices(&spec, deployment, objects);
    let profiles: Vec<&TtsProfile> = objects.profiles.iter().collect();
    let inventory = inventory(&spec, objects, settings);
    let is_near = |namespace: Option<String>| namespace.as_ref() == Some(&deployment.namespace);
    let quotas = objects.quotas.iter().filter(|q| is_near(q.namespace()));
    let ranges = objects.ranges.iter().filter(|r| is_near(r.namespace()));
    let case = Case {
        goals: &goals,
        namespace: &deployment.namespace,
        voices: &voices,
        profiles: &profiles,
        inventory: &inventory,
        limits: inventory::namespace_limits(
            &quotas.cloned().collect::<Vec<_>>(),
            &ranges.cloned().collect::<Vec<_>>(),
            NVIDIA,
            Taken::default(),
        ),
        current: None,
        oom_killed_at: None,
        now,
    };
    let decision = case.plan().map_err(|error| wrong(error.to_string()))?;
    let (plan, shortage) = match &decision.outcome {
        Outcome::Plan(plan) => (Some(plan), None),
        Outcome::Infeasible(infeasible) => {
            let mut remarks = case.remarks();
            if infeasible.condition == Condition::NoProfile {
                remarks.push(measured(&profiles));
            }
            let best = infeasible.best_effort.as_ref();
            (
                best.filter(|_| goals.on_infeasible == OnInfeasible::BestEffort),
                Some(Shortage::of(infeasible, &remarks)),
            )
        }
    };
    let Texts {
        alternatives,
        rejected,
    } = Texts::from(&decision.alternatives);
    let inputs = case.inputs();
    Ok(Answer {
        plan: plan.map(|plan| planning::status::status(plan, &inputs, &alternatives, &rejected)),
        shortage,
        not_planned: None,
    })
}

/// The voices with their files, where a `TtsVoice` with a status tells them.
fn voices(spec: &TtsDeploymentSpec, deployment: &Deployment, objects: &Objects) -> Vec<Voice> {
    let voices = spec.voices.iter();
    voices
        .map(|voice| {
            let object = objects.voices.iter().find(|object| {
                object.name_any() == voice.name
                    && object.namespace().as_ref() == Some(&deployment.namespace)
            });
            let status = object.and_then(|object| object.status.as_ref());
            Voice {
                name: voice.name.clone(),
                weight: voice.weight.as_ref().map_or(1.0, number),
                files: status.map_or_else(Vec::new, |status| status.files.clone()),
            }
        })
        .collect()
}

fn inventory(spec: &TtsDeploymentSpec, objects: &Objects, settings: &ClassSettings) -> Inventory {
    let placement = spec.placement.clone().unwrap_or_default();
    let nodes: Vec<Node> = planning::selected(&objects.nodes, &placement.node_selector);
    let lists = Lists {
        nodes: Some(&nodes),
        daemon_sets: Some(&objects.daemon_sets),
        // What runs is not known: the plan is one for empty nodes.
        pods: Some(&[]),
        deployment: None,
    };
    inventory::inventory(lists, settings.node_classes())
}

/// What the profiles are of, for somebody who looks for others.
fn measured(profiles: &[&TtsProfile]) -> String {
    let of = |profile: &&TtsProfile| {
        let profile = &profile.spec.0;
        format!("{} on {}", profile.voice.name, profile.node.class)
    };
    let measured: BTreeSet<String> = profiles.iter().map(of).collect();
    if measured.is_empty() {
        return "no profiles were given; give --profiles".to_owned();
    }
    let measured = measured.into_iter().collect::<Vec<_>>().join(", ");
    format!("the given profiles are of {measured}")
}

#[cfg(test)]
mod tests;
