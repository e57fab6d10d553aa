//! Benchmarks: from a `TtsBenchmark` to a `TtsProfile` that another cluster would take.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use tts_crds::v1alpha1::{TtsBenchmark, TtsProfile, TtsVoice};
use tts_e2e::{
    Cluster, Namespace, Operator,
    conditions::Conditioned as _,
    eventually,
    namespace::{SOON, contains_all},
    operator::NAMESPACE,
    with_namespace,
    yaml::builtin_voice,
};

/// A sweep of short levels; the voice is inspected and the operator restarted meanwhile.
const MEASURED: Duration = Duration::from_mins(8);

fn benchmark(spec: &str) -> String {
    format!(
        "---\napiVersion: tts-operator.dev/v1alpha1\nkind: TtsBenchmark\nmetadata: {{name: nightly}}\nspec: {spec}\n"
    )
}

/// The message of a benchmark that is not ready for this reason.
async fn not_ready(namespace: &Namespace, reason: &str) -> Result<String> {
    let api = namespace.api::<TtsBenchmark>();
    eventually(&format!("not ready: {reason}"), SOON, async || {
        let object = api.get("nightly").await?;
        let condition = object.expect("Ready", "False")?;
        ensure!(condition.reason == reason, "{condition:?}");
        Ok(condition.message.clone())
    })
    .await
}

async fn jobs(namespace: &Namespace) -> Result<Vec<String>> {
    let params = ListParams::default().labels("app.kubernetes.io/name=tts-profile");
    let jobs = namespace.api::<Job>().list(&params).await?;
    Ok(jobs.items.iter().map(ResourceExt::name_any).collect())
}

#[tokio::test]
async fn a_benchmark_becomes_a_profile_that_another_namespace_takes() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let operator = Operator::alone_with(&cluster, &[]).await?;
    let exported = std::cell::RefCell::new(String::new());
    with_namespace(&cluster, "benchmark", async |namespace| {
        let spec = "{voice: {name: rms}, levelSeconds: 1}";
        namespace
            .apply(&[builtin_voice("rms"), benchmark(spec)].concat())
            .await?;
        let running = eventually("a Job", MEASURED, async || {
            let jobs = jobs(namespace).await?;
            ensure!(jobs.len() == 1, "{jobs:?}");
            Ok(jobs)
        })
        .await?;
        // A restart in the middle loses nothing and starts no second Job.
        operator.restart().await?;
        let profile = eventually("it has measured", MEASURED, async || {
            ensure!(jobs(namespace).await?.iter().all(|job| *job == running[0]));
            let object = namespace.api::<TtsBenchmark>().get("nightly").await?;
            object.expect("Ready", "True")?;
            object.expect("Succeeded", "True")?;
            let status = object.status.context("no status")?;
            // A machine whose speed changes gives no valid measurement; then there is nothing to compare with.
            let accepted = &status.accepted_profile;
            ensure!(
                accepted.is_none() || *accepted == status.profile,
                "{accepted:?}"
            );
            status.profile.context("no profile")
        })
        .await?;
        eventually("the Job is gone", SOON, async || {
            ensure!(jobs(namespace).await?.is_empty());
            Ok(())
        })
        .await?;
        let profiles = namespace.api::<TtsProfile>();
        eventually("the profile is judged", SOON, async || {
            let object = profiles.get(&profile).await?;
            object.spec.0.check()?;
            let status = object.status.context("no status")?;
            // On a machine that runs other tests: Valid or Degraded, each with its reasons.
            let validity = status.validity.context("no validity")?;
            ensure!(
                validity == "Valid" || !status.reasons.is_empty(),
                "{validity} without a reason"
            );
            ensure!(status.real_time_factor.is_some());
            Ok(())
        })
        .await?;
        let object = profiles.get(&profile).await?;
        let parts: Vec<f64> = object
            .spec
            .0
            .configs
            .iter()
            .map(|config| config.cpu)
            .collect();
        ensure!(parts.contains(&1.0), "{parts:?}");
        // The node of the throwaway cluster is small: parts of a core were measured under a limit.
        if parts.iter().all(|cpu| *cpu < 3.0) {
            ensure!(parts.contains(&0.25) && parts.contains(&0.5), "{parts:?}");
        }

        let refused = namespace
            .kubectl(&format!(
                "patch ttsp {profile} --type=merge --patch={{\"spec\":{{\"coldStartS\":9}}}}"
            ))
            .await?;
        contains_all(&refused.refused()?, &["a measurement cannot be changed"])?;
        *exported.borrow_mut() = namespace
            .kubectl(&format!("get ttsp {profile} --output=yaml"))
            .await?
            .ok()?;
        Ok(())
    })
    .await?;
    // In the operator's namespace it serves all others.
    let exported = exported.into_inner();
    let mut shared: serde_json::Value = serde_saphyr::from_str(&exported)?;
    shared["metadata"] = serde_json::json!({"name": "shared", "namespace": NAMESPACE});
    let shared: TtsProfile = serde_json::from_value(shared)?;
    let of_operator = Api::<TtsProfile>::namespaced(cluster.client.clone(), NAMESPACE);
    of_operator.create(&PostParams::default(), &shared).await?;
    let result = is_taken(&cluster, &exported).await;
    of_operator
        .delete("shared", &DeleteParams::default())
        .await?;
    result
}

/// Another namespace takes a profile of the operator's namespace, and one that is applied there.
async fn is_taken(cluster: &Cluster, exported: &str) -> Result<()> {
    with_namespace(cluster, "imported", async |namespace| {
        let voices = namespace.api::<TtsVoice>();
        let measured = async || {
            let status = voices.get("rms").await?.status.context("no status")?;
            let profiles = status.profiles.into_iter();
            let names = profiles.map(|found| format!("{}/{}", found.namespace, found.name));
            Ok::<_, anyhow::Error>(names.collect::<Vec<_>>())
        };
        namespace.apply(&builtin_voice("rms")).await?;
        eventually(
            "the shared profile is that of the voice",
            SOON,
            async || {
                let profiles = measured().await?;
                ensure!(profiles == [format!("{NAMESPACE}/shared")], "{profiles:?}");
                Ok(())
            },
        )
        .await?;
        let mut object: serde_json::Value = serde_saphyr::from_str(exported)?;
        object["metadata"] = serde_json::json!({"name": "imported"});
        namespace.apply(&object.to_string()).await?;
        eventually("the own profile is preferred", SOON, async || {
            let profiles = measured().await?;
            let own = format!("{}/imported", namespace.name);
            ensure!(profiles == [own], "{profiles:?}");
            Ok(())
        })
        .await?;
        let profiles = namespace.api::<TtsProfile>();
        eventually("it is judged there too", SOON, async || {
            let object = profiles.get("imported").await?;
            object
                .expect("Ready", "True")
                .or_else(|_| object.expect("Ready", "False"))?;
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_measurement_whose_pod_is_lost_is_tried_again() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "lost", async |namespace| {
        namespace
            .apply(&[builtin_voice("rms"), benchmark("{voice: {name: rms}}")].concat())
            .await?;
        let api = namespace.api::<TtsBenchmark>();
        let first = eventually("a pod measures", MEASURED, async || {
            let params = ListParams::default().labels("app.kubernetes.io/name=tts-profile");
            let pods = namespace.api::<Pod>().list(&params).await?;
            let pod = pods.items.first().context("no pod")?;
            let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
            ensure!(phase.as_deref() != Some("Failed"), "{phase:?}");
            Ok(pod.name_any())
        })
        .await?;
        let jobs_before = jobs(namespace).await?;
        namespace
            .kubectl(&format!("delete pod {first} --now"))
            .await?
            .ok()?;
        eventually("it says what happened", MEASURED, async || {
            let object = api.get("nightly").await?;
            let condition = object.expect("Succeeded", "False")?;
            ensure!(condition.reason == "PodLost", "{condition:?}");
            object.expect("Reconciling", "True")?;
            Ok(())
        })
        .await?;
        eventually("another Job runs", MEASURED, async || {
            let jobs = jobs(namespace).await?;
            ensure!(jobs.len() == 1 && jobs != jobs_before, "{jobs:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn what_keeps_a_benchmark_from_measuring_is_said() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "obstacles", async |namespace| {
        namespace
            .apply(&benchmark("{voice: {name: nobody}}"))
            .await?;
        contains_all(&not_ready(namespace, "VoiceNotFound").await?, &["nobody"])?;

        let cron = "{voice: {name: rms}, schedule: {cron: '61 3 * * *'}}";
        namespace
            .apply(&[builtin_voice("rms"), benchmark(cron)].concat())
            .await?;
        contains_all(
            &not_ready(namespace, "InvalidSchedule").await?,
            &["61 3", "five fields"],
        )?;

        let zone = "{voice: {name: rms}, schedule: {cron: '0 3 * * *', timeZone: Mars/Olympus}}";
        namespace.apply(&benchmark(zone)).await?;
        contains_all(
            &not_ready(namespace, "InvalidSchedule").await?,
            &["Mars/Olympus"],
        )?;

        namespace.wait_ready("ttsv/rms").await?;
        namespace
            .apply(&benchmark("{voice: {name: rms}, nodeClass: imaginary}"))
            .await?;
        contains_all(
            &not_ready(namespace, "NoNode").await?,
            &["imaginary", "classes of this cluster"],
        )?;

        namespace
            .apply(&benchmark("{voice: {name: rms}, approval: Ask}"))
            .await?;
        let message = not_ready(namespace, "WaitingForApproval").await?;
        contains_all(&message, &["minutes", "kubectl annotate"])?;
        ensure!(jobs(namespace).await?.is_empty());

        let scheduled =
            "{voice: {name: rms}, schedule: {cron: '0 3 * * *', timeZone: Europe/Berlin}}";
        namespace.apply(&benchmark(scheduled)).await?;
        let api = namespace.api::<TtsBenchmark>();
        eventually("it waits for its time", SOON, async || {
            let object = api.get("nightly").await?;
            let condition = object.expect("Ready", "True")?;
            ensure!(condition.reason == "Scheduled", "{condition:?}");
            ensure!(
                object
                    .status
                    .and_then(|status| status.next_schedule_time)
                    .is_some()
            );
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_corpus_of_nonsense_is_not_tried_again() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "nonsense", async |namespace| {
        let corpus = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: texts}\ndata: {texts: \"   \"}\n";
        let spec = "{voice: {name: rms}, corpus: {configMapKeyRef: {name: texts, key: texts}}}";
        namespace
            .apply(&[builtin_voice("rms"), corpus.to_owned(), benchmark(spec)].concat())
            .await?;
        let api = namespace.api::<TtsBenchmark>();
        eventually("it says that the corpus is empty", MEASURED, async || {
            let object = api.get("nightly").await?;
            let condition = object.expect("Succeeded", "False")?;
            ensure!(condition.reason == "InvalidCorpus", "{condition:?}");
            object.expect("Stalled", "True")?;
            contains_all(&condition.message, &["one text per line"])
        })
        .await
    })
    .await
}
