//! The operator itself: killed, doubled, idle.
use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use kube::{ResourceExt as _, api::ListParams};
use tokio::time::Instant;
use tts_crds::v1alpha1::TtsDeployment;
use tts_e2e::{
    Cluster, Operator,
    audit::Audit,
    children::{self, Snapshot},
    cluster::repository,
    conditions::Conditioned as _,
    eventually::{always, eventually},
    namespace::{READY, contains_all},
    operator::{CRDS_RELEASE, NAMESPACE, TAKE_OVER, USER, upgrade, upgrade_from},
    with_namespace,
    yaml::{builtin_voice, deployment, deployment_of},
};

/// Small enough that twenty fit beside each other on two cores.
const SMALL: &str = "{voices: [{name: rms}], sizing: {mode: Manual, resources: {requests: {cpu: 10m, memory: 64Mi}}}}";

/// Everything of a deployment but pods.
const EMPTY: &str = "{voices: [{name: rms}], scaling: {replicas: 0}}";

fn differences(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| format!("{key}: {:?} -> {:?}", before.get(key), after.get(key)))
        .collect()
}

/// Until two looks a second apart are the same: the cluster's own controllers have written their last status.
async fn settled(namespace: &tts_e2e::Namespace) -> Result<Snapshot> {
    let mut last = children::snapshot(namespace).await?;
    let mut since = Instant::now();
    eventually("nothing changes any more", READY, async || {
        let now = children::snapshot(namespace).await?;
        if now != last {
            last = now;
            since = Instant::now();
        }
        ensure!(
            since.elapsed() > Duration::from_secs(3),
            "it changed just now"
        );
        Ok(last.clone())
    })
    .await
}

/// How many reconciliations of each controller this operator pod has finished.
async fn reconciled(operator: &Operator, pod: &str) -> Result<(f64, f64)> {
    let metrics = operator.metrics(pod).await?;
    let count = |controller: &str| -> f64 {
        metrics
            .iter()
            .filter(|(name, _)| {
                name.starts_with("tts_operator_reconcile_duration_seconds_count{")
                    && name.contains(&format!("controller=\"{controller}\""))
            })
            .map(|(_, value)| value)
            .sum()
    };
    Ok((count("ttsvoice"), count("ttsdeployment")))
}

#[tokio::test]
async fn a_killed_operator_changes_nothing_when_it_is_back() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let operator = Operator::alone_with(&cluster, &[]).await?;
    with_namespace(&cluster, "killed", async |namespace| {
        namespace
            .apply(
                &[
                    builtin_voice("rms"),
                    deployment("greeter", "rms"),
                    deployment_of("other", SMALL),
                ]
                .concat(),
            )
            .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        namespace.wait_ready("ttsd/other").await?;
        let before = settled(namespace).await?;
        ensure!(before.len() > 10, "{before:?}");
        let audit = Audit::from_now(&cluster).await?;

        let killed = eventually("somebody leads", TAKE_OVER, async || {
            operator.leader().await
        })
        .await?;
        cluster
            .kubectl
            .run([
                "delete",
                "pod",
                &killed,
                "--namespace",
                NAMESPACE,
                "--grace-period=0",
                "--force",
            ])
            .await?
            .ok()?;
        let leader = operator.next_leader(&killed).await?;
        // It has looked at everything at least once.
        eventually("every object is reconciled", READY, async || {
            let (voices, deployments) = reconciled(&operator, &leader).await?;
            ensure!(
                voices >= 1.0 && deployments >= 2.0,
                "{voices} voices and {deployments} deployments so far"
            );
            Ok(())
        })
        .await?;
        let after = settled(namespace).await?;
        let changed = differences(&before, &after);
        ensure!(changed.is_empty(), "{changed:#?}");
        if let Some(audit) = audit {
            let writes = audit.writes_by(USER, namespace).await?;
            ensure!(writes.is_empty(), "the new operator wrote: {writes:#?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_two_operators_one_leads() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let operator = Operator::alone_with(&cluster, &["replicas=2"]).await?;
    with_namespace(&cluster, "leader", async |namespace| {
        let leaders = async || -> Result<Vec<String>> {
            let pods = operator.pods().await?;
            ensure!(pods.len() == 2, "{} pods", pods.len());
            let mut leaders = Vec::new();
            for pod in pods {
                let metrics = operator.metrics(&pod.name_any()).await?;
                match metrics.get("tts_operator_leader") {
                    Some(1.0) => leaders.push(pod.name_any()),
                    Some(_) => {}
                    None => bail!("{} has no metric tts_operator_leader", pod.name_any()),
                }
            }
            Ok(leaders)
        };
        let one = async || -> Result<String> {
            let leaders = leaders().await?;
            let leader = operator.leader().await?;
            ensure!(
                leaders == [leader.clone()],
                "{leaders:?} lead, the lease says {leader}"
            );
            Ok(leader)
        };
        let first = eventually("one leader", TAKE_OVER, one).await?;
        namespace
            .apply(&[builtin_voice("rms"), deployment_of("greeter", SMALL)].concat())
            .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        always("one leader", Duration::from_secs(5), async || {
            ensure!(one().await? == first);
            Ok(())
        })
        .await?;

        // Asked to stop, the leader hands over without the wait for its lease to expire.
        let asked = Instant::now();
        cluster
            .kubectl
            .run([
                "delete",
                "pod",
                &first,
                "--namespace",
                NAMESPACE,
                "--wait=false",
            ])
            .await?
            .ok()?;
        let second = operator.next_leader(&first).await?;
        println!("handed over in {:.1} s", asked.elapsed().as_secs_f64());
        ensure!(
            asked.elapsed() < Duration::from_secs(14),
            "as if the lease had expired: {:?}",
            asked.elapsed()
        );
        namespace
            .kubectl("scale ttsd/greeter --replicas=2")
            .await?
            .ok()?;
        namespace
            .kubectl("wait ttsd/greeter --for=jsonpath={.status.readyReplicas}=2 --timeout=120s")
            .await?
            .ok()?;
        ensure!(eventually("one leader", TAKE_OVER, one).await? == second);
        Ok(())
    })
    .await
}

/// Resident memory of the operator's container in bytes, as the kubelet reports it.
async fn resident_memory(cluster: &Cluster, operator: &Operator) -> Result<u64> {
    let pod = operator.pods().await?.pop().context("no operator")?;
    let node = pod
        .spec
        .clone()
        .and_then(|spec| spec.node_name)
        .context("not scheduled")?;
    let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
    let request = axum::http::Request::get(path).body(Vec::new())?;
    let summary: serde_json::Value = cluster.client.request(request).await?;
    let pods = summary["pods"].as_array().context("no pods")?;
    pods.iter()
        .find(|stats| stats["podRef"]["name"] == pod.name_any())
        .and_then(|stats| stats["containers"][0]["memory"]["rssBytes"].as_u64())
        .context("the kubelet has no figures of the operator")
}

/// Most of them without pods, which one node could not hold. `make test-long` takes 1,000.
#[tokio::test]
async fn two_hundred_deployments_at_rest_cost_no_requests() -> Result<()> {
    at_rest(200, 64 << 20).await
}

#[tokio::test]
#[ignore = "minutes: make test-long"]
async fn a_thousand_deployments_at_rest_cost_no_requests() -> Result<()> {
    at_rest(1_000, 192 << 20).await
}

/// `memory` is the most that the operator may use, in bytes.
async fn at_rest(count: usize, memory: u64) -> Result<()> {
    const WITH_PODS: usize = 10;
    /// From the last one that was applied until the operator has nothing more to do.
    const DONE: Duration = Duration::from_mins(1);
    const WATCHED: Duration = Duration::from_mins(1);
    let cluster = Cluster::connect().await?;
    let operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "steady", async |namespace| {
        let mut yaml = builtin_voice("rms");
        for number in 0..count {
            let spec = if number < WITH_PODS { SMALL } else { EMPTY };
            yaml.push_str(&deployment_of(&format!("greeter-{number:04}"), spec));
        }
        namespace.apply(&yaml).await?;
        let applied = Instant::now();
        let deployments = namespace.api::<TtsDeployment>();
        eventually("all are ready", DONE, async || {
            let list = deployments.list(&ListParams::default()).await?;
            let ready = list.iter().filter(|d| d.expect("Ready", "True").is_ok()).count();
            ensure!(ready == count, "{ready} of {count}");
            Ok(())
        })
        .await?;
        println!("{count} deployments are ready {:.1} s after the last was applied", applied.elapsed().as_secs_f64());
        let before = settled(namespace).await?;

        let audit = Audit::from_now(&cluster).await?;
        let start = Instant::now();
        always("nothing is asked for", WATCHED, async || {
            if let Some(audit) = &audit {
                let requests = audit.requests_by(USER, namespace).await?;
                ensure!(requests.is_empty(), "after {:?}: {requests:#?}", start.elapsed());
            }
            Ok(())
        })
        .await?;
        let changed = differences(&before, &children::snapshot(namespace).await?);
        ensure!(changed.is_empty(), "{changed:#?}");
        match audit {
            Some(audit) => {
                // The log does show this user: it renewed its lease.
                let renewals = audit.renewals_by(USER).await?;
                ensure!(renewals > 0, "the audit log does not show the operator at all");
                println!("{count} deployments, {WATCHED:?}: 0 requests by the operator, {renewals} renewals of its lease");
            }
            None => println!("{count} deployments, {WATCHED:?}: no object changed; requests without effect cannot be seen without the audit log"),
        }
        let used = resident_memory(&cluster, &operator).await?;
        println!("resident memory of the operator: {} KiB", used >> 10);
        ensure!(used <= memory, "{used} bytes");
        Ok(())
    })
    .await
}

const CRD: &str = "ttsvoices.tts-operator.dev";

/// The chart of the CRDs as an older version had it: without a field of the status.
fn older_crds(folder: &Path) -> Result<()> {
    const FIELD: &str =
        "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/inspectedImages";
    let chart = repository().join("charts/tts-operator-crds");
    for part in ["", "files", "templates"] {
        std::fs::create_dir_all(folder.join(part))?;
        for entry in std::fs::read_dir(chart.join(part))? {
            let path = entry?.path();
            if let (true, Some(name)) = (path.is_file(), path.file_name()) {
                std::fs::copy(&path, folder.join(part).join(name))?;
            }
        }
    }
    let file = folder.join(format!("files/{CRD}.yaml"));
    let mut crd: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(&file)?)?;
    let (properties, field) = FIELD.rsplit_once('/').context("no parent")?;
    crd.pointer_mut(properties)
        .and_then(|properties| properties.as_object_mut()?.remove(field))
        .context("the CRD has no such field")?;
    std::fs::write(&file, serde_saphyr::to_string(&crd)?)?;
    Ok(())
}

/// A new operator on old CRDs would fail every status write that has a new field.
#[tokio::test]
async fn an_operator_with_older_crds_waits_and_says_what_to_run() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let operator = Operator::alone_with(&cluster, &[]).await?;
    let folder = tempfile::tempdir()?;
    older_crds(folder.path())?;
    cluster
        .helm()?
        .run(upgrade_from(CRDS_RELEASE, folder.path()))
        .await?
        .ok()?;
    let seen: Result<String> = async {
        let pod = operator.restart().await?;
        eventually("it says what is missing", TAKE_OVER, async || {
            let (status, text) = operator.readyz(&pod).await?;
            ensure!(status == 503, "{status}: {text}");
            contains_all(
                &text,
                &[
                    CRD,
                    "status.inspectedImages",
                    "helm upgrade",
                    "tts-operator-crds",
                ],
            )
        })
        .await?;
        Ok(pod)
    }
    .await;
    // What the message says; also after a failure, the CRDs are everybody's.
    cluster.helm()?.run(upgrade(CRDS_RELEASE)).await?.ok()?;
    let pod = seen?;
    eventually("it is ready with the new CRDs", TAKE_OVER, async || {
        let (status, text) = operator.readyz(&pod).await?;
        ensure!((status, text.as_str()) == (200, "ok"), "{status}: {text}");
        Ok(())
    })
    .await
}

/// Rights that are missing in one namespace show, and stop nothing in the others.
#[tokio::test]
async fn a_namespace_without_rights_does_not_stop_the_others() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let operator = Operator::alone(&cluster).await?;
    with_namespace(&cluster, "without-a", async |without| {
        with_namespace(&cluster, "with-b", async |with| {
            // The one without rights comes first, whatever the order.
            let list = format!("watchNamespaces={{{},{}}}", without.name, with.name);
            operator.set(&[&list]).await?;
            let yaml = [builtin_voice("rms"), deployment_of("greeter", SMALL)].concat();
            for namespace in [without, with] {
                namespace.apply(&yaml).await?;
                namespace.wait_ready("ttsd/greeter").await?;
            }
            without.kubectl("delete rolebindings --all").await?.ok()?;
            let pod = operator.restart().await?;
            let place = format!("namespace {}: cannot watch", without.name);
            eventually("it says where it lacks rights", TAKE_OVER, async || {
                let (status, text) = operator.readyz(&pod).await?;
                ensure!(status == 200, "{status}: {text}");
                contains_all(&text, &["ok", &place, "forbidden"])?;
                ensure!(!text.contains(&with.name), "{text}");
                Ok(())
            })
            .await?;
            let metrics = operator.metrics(&pod).await?;
            let failing = |namespace: &str| {
                metrics.iter().any(|(name, value)| {
                    name.starts_with("tts_operator_watch_failing{")
                        && name.contains(&format!("namespace=\"{namespace}\""))
                        && *value > 0.0
                })
            };
            ensure!(
                failing(&without.name) && !failing(&with.name),
                "{metrics:#?}"
            );
            with.apply(&deployment_of("second", SMALL)).await?;
            with.wait_ready("ttsd/second").await
        })
        .await
    })
    .await
}
