//! What a benchmark is made of: its voice, its Jobs and their pods; and, when one starts, the nodes.
use std::collections::BTreeMap;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Node, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
};
use tts_crds::v1alpha1::{TtsBenchmark, TtsBenchmarkSpec, TtsVoice};

use super::{Context, Error, Result, build::PROFILER, result};
use crate::{
    controllers::scope::Scope,
    inventory::{self, Occupancy},
    jobs::{self, Progress},
    labels,
};

/// A profile has tens of kilobytes; what comes before it in the log is progress.
const LOG_LINES: i64 = 1_000;
const LOG_BYTES: i64 = 8 << 20;
/// Annotation of a Job: the node that it measures.
pub const NODE: &str = "tts-operator.dev/node";

/// Objects of the benchmark, fetched but not validated yet.
#[derive(Default)]
pub struct References {
    pub voice: Option<TtsVoice>,
    pub jobs: Vec<Job>,
    pub pods: Vec<Pod>,
    /// Logs of finished Jobs that have a profile in them, by the name of the Job; an error is why it cannot be read.
    pub logs: BTreeMap<String, Result<String, String>>,
    /// How long the last measurement took (s).
    pub last_duration: Option<f64>,
}

pub async fn dereference(
    ctx: &Context,
    scope: &Scope,
    benchmark: &TtsBenchmark,
) -> Result<References> {
    let namespace = benchmark
        .namespace()
        .ok_or(Error::Incomplete("namespace"))?;
    let name = benchmark.name_any();
    let voice = scope.voices.get(&namespace, &benchmark.spec.voice.name);
    let is_ours = |labels: &BTreeMap<String, String>| {
        labels::selector(labels::BENCHMARK, &name)
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    };
    let jobs = scope
        .jobs
        .filter(|job| job.namespace().as_deref() == Some(&namespace) && is_ours(job.labels()));
    let pods = scope
        .pods
        .filter(|pod| pod.namespace().as_deref() == Some(&namespace) && is_ours(pod.labels()));
    let jobs: Vec<Job> = jobs.iter().map(|job| (**job).clone()).collect();
    let pods: Vec<Pod> = pods.iter().map(|pod| (**pod).clone()).collect();
    let mut logs = BTreeMap::new();
    for job in &jobs {
        let Progress::Ended {
            result: outcome, ..
        } = jobs::progress(job, PROFILER, &pods, None)
        else {
            continue;
        };
        let Some(pod) = jobs::pod_of(job, &pods).filter(|_| result::is_in_log(&outcome)) else {
            continue;
        };
        let log = log(ctx, &namespace, &pod.name_any()).await?;
        logs.insert(job.name_any(), log);
    }
    let last = benchmark
        .status
        .as_ref()
        .and_then(|status| scope.profiles.get(&namespace, status.profile.as_ref()?));
    let last_duration = last.and_then(|last| Some(last.0.as_ref().ok()?.spec.0.run.duration));
    Ok(References {
        voice: voice.and_then(|voice| voice.0.as_ref().ok().cloned()),
        jobs,
        pods,
        logs,
        last_duration,
    })
}

/// The log of the profiler; without the right to read it, why.
async fn log(ctx: &Context, namespace: &str, pod: &str) -> Result<Result<String, String>> {
    let params = LogParams {
        container: Some(PROFILER.to_owned()),
        tail_lines: Some(LOG_LINES),
        limit_bytes: Some(LOG_BYTES),
        ..LogParams::default()
    };
    let api = Api::<Pod>::namespaced(ctx.client.clone(), namespace);
    match api.logs(pod, &params).await {
        Ok(log) => Ok(Ok(log)),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Err(
            "the operator has no right to read the log, in which the profile is: allow it `get` on pods/log".to_owned(),
        )),
        // It was deleted meanwhile: the same as a log that was cut.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Ok(String::new())),
        Err(source) => Err(Error::Dereference {
            what: "the log of the benchmark".into(),
            source,
        }),
    }
}

/// The node of a benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// `None` where the operator may not see nodes: the scheduler chooses.
    pub node: Option<String>,
    pub class: String,
    /// Cores that pods can have there; `None` if that is not known.
    pub allocatable: Option<f64>,
    pub occupancy: Occupancy,
}

/// Why there is no node.
#[derive(Clone, Debug, PartialEq)]
pub enum NoSite {
    /// Nodes would do, but a benchmark runs on each.
    Occupied,
    /// No node is of the class, or none that is takes pods; in words.
    None(String),
    /// The nodes cannot be read, and the class cannot be found without.
    Forbidden,
}

/// Chooses a node: of the class, without a benchmark, with the fewest serving pods.
pub async fn site(ctx: &Context, benchmark: &TtsBenchmark) -> Result<Site, NoSite> {
    let running = super::running(ctx);
    let spec = &benchmark.spec;
    let selector = spec.node_selector.as_ref().map(labels::to_selector);
    let params = ListParams::default().labels(selector.as_deref().unwrap_or_default());
    let Ok(nodes) = Api::<Node>::all(ctx.client.clone()).list(&params).await else {
        // Without rights on nodes the scheduler can still follow a selector, but nobody knows the class.
        return if spec.node_class.is_some() {
            Err(NoSite::Forbidden)
        } else {
            Ok(Site {
                node: None,
                class: "unknown".to_owned(),
                allocatable: None,
                occupancy: Occupancy::default(),
            })
        };
    };
    let pods = Api::<Pod>::all(ctx.client.clone())
        .list(&ListParams::default())
        .await;
    let occupancy = pods
        .map(|pods| inventory::occupancy(&pods.items))
        .unwrap_or_default();
    let taken: Vec<&String> = running
        .iter()
        .filter_map(|job| job.annotations().get(NODE))
        .collect();
    choose(&nodes.items, spec, &occupancy, &taken)
}

fn choose(
    nodes: &[Node],
    spec: &TtsBenchmarkSpec,
    occupancy: &BTreeMap<String, Occupancy>,
    taken: &[&String],
) -> Result<Site, NoSite> {
    let class = spec.node_class.as_deref();
    let unusable = |node: &Node| inventory::unusable(node, &spec.tolerations);
    let of_class: Vec<&Node> = nodes
        .iter()
        .filter(|node| class.is_none_or(|class| inventory::class_of(node) == class))
        .collect();
    if of_class.is_empty() {
        let mut known: Vec<String> = nodes.iter().map(inventory::class_of).collect();
        known.sort();
        known.dedup();
        let wanted = class.map_or_else(
            || "no node matches spec.nodeSelector".to_owned(),
            |class| format!("no node is of the class {class:?}"),
        );
        return Err(NoSite::None(format!(
            "{wanted}; classes of this cluster: {}",
            known.join(", ")
        )));
    }
    let usable: Vec<&Node> = of_class
        .iter()
        .copied()
        .filter(|node| unusable(node).is_none())
        .collect();
    if usable.is_empty() {
        let reasons: Vec<String> = of_class
            .iter()
            .filter_map(|node| {
                Some(format!(
                    "{} is unusable: {}",
                    node.name_any(),
                    unusable(node)?
                ))
            })
            .collect();
        return Err(NoSite::None(reasons.join("; ")));
    }
    let of = |node: &Node| occupancy.get(&node.name_any()).copied().unwrap_or_default();
    let free = usable
        .into_iter()
        .filter(|node| !taken.contains(&&node.name_any()));
    let best = free.min_by(|a, b| {
        of(a)
            .serving
            .cmp(&of(b).serving)
            .then_with(|| a.name_any().cmp(&b.name_any()))
    });
    best.map(|node| Site {
        node: Some(node.name_any()),
        class: inventory::class_of(node),
        allocatable: Some(inventory::allocatable_cpu(node)),
        occupancy: of(node),
    })
    .ok_or(NoSite::Occupied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<Node> {
        serde_saphyr::from_str(
            "[{metadata: {name: ash, labels: {tts-operator.dev/node-class: strong}}, status: {allocatable: {cpu: '8'}, conditions: [{type: Ready, status: 'True'}]}},
              {metadata: {name: birch, labels: {tts-operator.dev/node-class: strong}}, status: {allocatable: {cpu: '8'}, conditions: [{type: Ready, status: 'True'}]}},
              {metadata: {name: cedar, labels: {tts-operator.dev/node-class: weak}}, spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: 'True'}]}}]",
        )
        .unwrap()
    }

    fn chosen(
        class: Option<&str>,
        serving: &[(&str, u32)],
        taken: &[&str],
    ) -> Result<String, NoSite> {
        let occupancy = serving
            .iter()
            .map(|(node, serving)| {
                let occupancy = Occupancy {
                    serving: *serving,
                    requested: 0.0,
                };
                ((*node).to_owned(), occupancy)
            })
            .collect();
        let taken: Vec<String> = taken.iter().map(|node| (*node).to_owned()).collect();
        let taken: Vec<&String> = taken.iter().collect();
        let spec: TtsBenchmarkSpec = serde_json::from_value(serde_json::json!({
            "voice": {"name": "amy"}, "nodeClass": class,
        }))
        .unwrap();
        choose(&nodes(), &spec, &occupancy, &taken).map(|site| site.node.unwrap())
    }

    #[test]
    fn a_node_without_serving_pods_is_preferred() {
        assert_eq!(chosen(Some("strong"), &[], &[]).unwrap(), "ash");
        assert_eq!(chosen(Some("strong"), &[("ash", 2)], &[]).unwrap(), "birch");
        assert_eq!(
            chosen(Some("strong"), &[("ash", 2), ("birch", 3)], &[]).unwrap(),
            "ash"
        );
    }

    #[test]
    fn one_benchmark_runs_on_a_node() {
        assert_eq!(chosen(Some("strong"), &[], &["ash"]).unwrap(), "birch");
        assert_eq!(
            chosen(Some("strong"), &[], &["ash", "birch"]),
            Err(NoSite::Occupied)
        );
    }

    #[test]
    fn a_class_without_nodes_names_those_that_there_are() {
        let Err(NoSite::None(text)) = chosen(Some("huge"), &[], &[]) else {
            panic!("there is no such class");
        };
        assert!(text.contains("strong, weak"), "{text}");
        let Err(NoSite::None(text)) = chosen(Some("weak"), &[], &[]) else {
            panic!("its node is cordoned");
        };
        assert_eq!(text, "cedar is unusable: cordoned");
    }
}
