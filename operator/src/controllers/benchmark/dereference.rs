//! What a benchmark is made of: its voice, its Jobs and their pods; and, when one starts, the nodes.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    batch::v1::Job,
    core::v1::{Node, Pod, Toleration},
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
};
use tokio::time::timeout;
use tts_crds::v1alpha1::{TtsBenchmark, TtsVoice};

use super::{Context, Error, Result, build::PROFILER, result};
use crate::{
    controllers::scope::Scope,
    inventory::{self, Inventory, Lists, Occupancy},
    jobs::{self, Progress},
    labels,
};

/// A profile has tens of kilobytes; what comes before it in the log is progress.
const LOG_LINES: i64 = 1_000;
const LOG_BYTES: i64 = 8 << 20;
/// How long a list may take that a node can be chosen without.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
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
    let jobs = super::all_jobs(ctx);
    let spec = &benchmark.spec;
    let all = ListParams::default();
    let Ok(nodes) = Api::<Node>::all(ctx.client.clone()).list(&all).await else {
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
    let pods = Api::<Pod>::all(ctx.client.clone());
    let daemon_sets = Api::<DaemonSet>::all(ctx.client.clone());
    let (pods, daemon_sets) = tokio::join!(
        timeout(LIST_TIMEOUT, pods.list(&all)),
        timeout(LIST_TIMEOUT, daemon_sets.list(&all)),
    );
    let pods = pods.ok().and_then(Result::ok);
    let daemon_sets = daemon_sets.ok().and_then(Result::ok);
    let lists = Lists {
        nodes: Some(&nodes.items),
        daemon_sets: daemon_sets.as_ref().map(|list| list.items.as_slice()),
        pods: pods.as_ref().map(|list| list.items.as_slice()),
        deployment: None,
    };
    let settings = ctx.settings();
    let inventory = inventory::inventory(lists, settings.node_classes());
    let occupancy =
        inventory::occupancy(lists.pods.unwrap_or_default(), lists.daemon_sets.is_some());
    let tolerations: Vec<Toleration> = spec.tolerations.iter().map(Into::into).collect();
    let wanted = Wanted {
        class: spec.node_class.as_deref(),
        selector: spec.node_selector.as_ref(),
        tolerations: &tolerations,
    };
    let taken: Vec<&String> = jobs
        .iter()
        .filter(|job| jobs::is_running(job))
        .filter_map(|job| job.annotations().get(NODE))
        .collect();
    let site = choose(&nodes.items, &inventory, wanted, &occupancy, &taken)?;
    for remark in &inventory.remarks {
        tracing::info!("{remark}");
    }
    Ok(site)
}

/// Which nodes would do.
#[derive(Clone, Copy, Default)]
struct Wanted<'a> {
    class: Option<&'a str>,
    selector: Option<&'a BTreeMap<String, String>>,
    tolerations: &'a [Toleration],
}

fn choose(
    nodes: &[Node],
    inventory: &Inventory,
    wanted: Wanted<'_>,
    occupancy: &BTreeMap<String, Occupancy>,
    taken: &[&String],
) -> Result<Site, NoSite> {
    let selected: BTreeSet<String> = nodes
        .iter()
        .filter(|node| {
            let mut labels = wanted.selector.into_iter().flatten();
            labels.all(|(key, value)| node.labels().get(key) == Some(value))
        })
        .map(kube::ResourceExt::name_any)
        .collect();
    // By name, so that a node with several classes counts once.
    let mut members = BTreeMap::new();
    for class in &inventory.classes {
        if wanted.class.is_none_or(|wanted| wanted == class.name) {
            for member in &class.nodes {
                if selected.contains(&member.name) {
                    members.entry(&member.name).or_insert((class, member));
                }
            }
        }
    }
    if members.is_empty() {
        return Err(NoSite::None(nobody(inventory, wanted)));
    }
    let unusable = |member| inventory::unusable(member, wanted.tolerations);
    let usable: Vec<_> = members
        .values()
        .filter(|(_, member)| unusable(member).is_none())
        .collect();
    if usable.is_empty() {
        let reasons: Vec<String> = members
            .values()
            .filter_map(|(_, member)| {
                let reason = unusable(member)?;
                Some(format!("{} is unusable: {reason}", member.name))
            })
            .collect();
        return Err(NoSite::None(reasons.join("; ")));
    }
    let of = |name: &String| occupancy.get(name).copied().unwrap_or_default();
    let free = usable
        .into_iter()
        .filter(|(_, member)| !taken.contains(&&member.name));
    let best = free.min_by_key(|(_, member)| (of(&member.name).serving, &member.name));
    best.map(|(class, member)| Site {
        node: Some(member.name.clone()),
        class: class.name.clone(),
        allocatable: Some(member.cpu),
        occupancy: of(&member.name),
    })
    .ok_or(NoSite::Occupied)
}

/// Says that no node is wanted, and which classes there are.
fn nobody(inventory: &Inventory, wanted: Wanted<'_>) -> String {
    let declared = wanted.class.and_then(|class| inventory.class(class));
    let problem = match (wanted.class, declared) {
        (Some(class), Some(_)) => format!(
            "the class {class:?} is declared, but none of its nodes exists now: a benchmark does not make an autoscaler add one"
        ),
        (Some(class), None) => format!("no node is of the class {class:?}"),
        (None, _) => "no node matches spec.nodeSelector".to_owned(),
    };
    let known: Vec<&str> = inventory
        .classes
        .iter()
        .filter(|class| !class.nodes.is_empty())
        .map(|class| class.name.as_str())
        .collect();
    format!(
        "{problem}; classes of this cluster: {}",
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::node_classes::NodeClassSettings;

    fn nodes() -> Vec<Node> {
        serde_saphyr::from_str(
            "[{metadata: {name: ash, labels: {tts-operator.dev/node-class: strong, disk: ssd}}, status: {allocatable: {cpu: '8'}, conditions: [{type: Ready, status: 'True'}]}},
              {metadata: {name: birch, labels: {tts-operator.dev/node-class: strong}}, status: {allocatable: {cpu: '8'}, conditions: [{type: Ready, status: 'True'}]}},
              {metadata: {name: dogwood, labels: {tts-operator.dev/node-class: tainted}}, spec: {taints: [{key: speech, value: only, effect: NoSchedule}]}, status: {allocatable: {cpu: '8'}, conditions: [{type: Ready, status: 'True'}]}},
              {metadata: {name: cedar, labels: {tts-operator.dev/node-class: weak}}, spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: 'True'}]}}]",
        )
        .unwrap()
    }

    fn site(wanted: Wanted<'_>, serving: &[(&str, u32)], taken: &[&str]) -> Result<Site, NoSite> {
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
        let daemon_sets: Vec<DaemonSet> = serde_saphyr::from_str(
            "[{metadata: {name: logs}, spec: {selector: {}, template: {spec: {containers: [{name: c, resources: {requests: {cpu: 500m}}}]}}}}]",
        )
        .unwrap();
        let declared = serde_saphyr::from_str("[{name: pool, cpu: 4, memory: 8Gi, maxNodes: 5}]");
        let declared: Vec<_> = declared.unwrap();
        let nodes = nodes();
        let lists = Lists {
            nodes: Some(&nodes),
            daemon_sets: Some(&daemon_sets),
            pods: None,
            deployment: None,
        };
        let settings = NodeClassSettings {
            classes: &declared,
            prices: &BTreeMap::new(),
        };
        let inventory = inventory::inventory(lists, settings);
        let taken: Vec<String> = taken.iter().map(|node| (*node).to_owned()).collect();
        let taken: Vec<&String> = taken.iter().collect();
        choose(&nodes, &inventory, wanted, &occupancy, &taken)
    }

    fn chosen(
        class: Option<&str>,
        serving: &[(&str, u32)],
        taken: &[&str],
    ) -> Result<String, NoSite> {
        let wanted = Wanted {
            class,
            ..Wanted::default()
        };
        site(wanted, serving, taken).map(|site| site.node.unwrap())
    }

    fn complaint(wanted: Wanted<'_>) -> String {
        match site(wanted, &[], &[]) {
            Err(NoSite::None(text)) => text,
            other => panic!("a node was found: {other:?}"),
        }
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
    fn a_selector_chooses_among_nodes() {
        let selector = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        let wanted = Wanted {
            selector: Some(&selector),
            ..Wanted::default()
        };
        let found = site(wanted, &[("ash", 2)], &[]).unwrap();
        assert_eq!(found.node.as_deref(), Some("ash"));
        assert_eq!(found.class, "strong");
        let selector = BTreeMap::from([("disk".to_owned(), "tape".to_owned())]);
        let wanted = Wanted {
            selector: Some(&selector),
            ..Wanted::default()
        };
        assert_eq!(
            complaint(wanted),
            "no node matches spec.nodeSelector; classes of this cluster: strong, tainted, weak"
        );
    }

    #[test]
    fn tolerated_nodes_are_measured() {
        let with = |tolerations: &str| {
            let tolerations: Vec<Toleration> = serde_saphyr::from_str(tolerations).unwrap();
            let wanted = Wanted {
                class: Some("tainted"),
                tolerations: &tolerations,
                ..Wanted::default()
            };
            site(wanted, &[], &[]).map(|site| site.node.unwrap())
        };
        let refused = "dogwood is unusable: taint speech=only:NoSchedule".to_owned();
        assert_eq!(with("[]"), Err(NoSite::None(refused)));
        assert_eq!(
            with("[{key: speech, operator: Exists}]").unwrap(),
            "dogwood"
        );
    }

    #[test]
    fn allocatable_is_what_daemon_sets_leave() {
        let found = site(Wanted::default(), &[], &[]).unwrap();
        assert_eq!(found.allocatable, Some(7.5));
    }

    #[test]
    fn a_class_without_nodes_names_those_that_there_are() {
        let of = |class| {
            complaint(Wanted {
                class: Some(class),
                ..Wanted::default()
            })
        };
        assert_eq!(
            of("huge"),
            "no node is of the class \"huge\"; classes of this cluster: strong, tainted, weak"
        );
        assert_eq!(of("weak"), "cedar is unusable: cordoned");
        let text = of("pool");
        assert!(
            text.contains("\"pool\" is declared, but none of its nodes"),
            "{text}"
        );
    }
}
