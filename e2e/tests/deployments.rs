//! A deployment over its life: what keeps it as it is written, and what its deletion leaves.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, policy::v1::PodDisruptionBudget};
use tts_crds::v1alpha1::TtsDeployment;
use tts_e2e::{
    Cluster, Operator, children,
    cluster::repository,
    conditions::Conditioned as _,
    eventually::{always, eventually},
    namespace::{READY, SOON, contains_all},
    speech::Endpoint,
    with_namespace,
    yaml::{builtin_voice, deployment, deployment_of},
};

#[tokio::test]
async fn deletion_leaves_nothing() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "gone", async |namespace| {
        namespace.greeter().await?;
        let there = children::everything(namespace).await?;
        for kind in [
            "deployment.apps/",
            "service/",
            "networkpolicy",
            "poddisruptionbudget",
        ] {
            ensure!(
                there.iter().any(|object| object.starts_with(kind)),
                "no {kind} in {there:?}"
            );
        }
        namespace
            .kubectl("delete ttsd/greeter ttsv/rms")
            .await?
            .ok()?;
        eventually("an empty namespace", READY, async || {
            let left = children::everything(namespace).await?;
            ensure!(left.is_empty(), "left over: {left:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn kubectl_shows_waits_and_scales() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "kubectl", async |namespace| {
        namespace.greeter().await?;
        let columns = namespace.kubectl("get ttsd").await?.ok()?;
        let (header, row) = columns.split_once('\n').context("no row")?;
        ensure!(
            header.split_whitespace().collect::<Vec<_>>()
                == [
                    "NAME", "READY", "REASON", "CLASS", "CPU", "P95", "PLANNED", "REPLICAS",
                    "ENDPOINT", "AGE"
                ],
            "{header}"
        );
        let endpoint = format!("http://greeter.{}.svc", namespace.name);
        ensure!(
            row.split_whitespace().take(5).collect::<Vec<_>>()
                == ["greeter", "True", "Serving", "1", &endpoint],
            "{row}"
        );
        // Both kinds under one word.
        contains_all(
            &namespace.kubectl("get tts -o name").await?.ok()?,
            &["ttsvoice", "ttsdeployment"],
        )?;

        namespace
            .kubectl("scale ttsd/greeter --replicas=2")
            .await?
            .ok()?;
        namespace
            .kubectl("wait ttsd/greeter --for=jsonpath={.status.readyReplicas}=2 --timeout=120s")
            .await?
            .ok()?;
        namespace.wait_ready("ttsd/greeter").await?;
        let scale = namespace.field("ttsd/greeter", ".status.selector").await?;
        let selected = namespace
            .kubectl(&format!("get pods --selector={scale} -o name"))
            .await?
            .ok()?;
        ensure!(selected.lines().count() == 2, "{scale} selects {selected}");

        namespace
            .kubectl("scale ttsd/greeter --replicas=0")
            .await?
            .ok()?;
        eventually("no pods", READY, async || {
            let left = namespace.server_pods().await?;
            ensure!(left.is_empty(), "{} pods", left.len());
            Ok(())
        })
        .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        let (reason, _) = namespace
            .wait_condition::<TtsDeployment>("greeter", "Ready", "True")
            .await?;
        ensure!(reason == "ScaledToZero", "{reason}");

        // Events reach `kubectl describe`.
        eventually("an event", SOON, async || {
            let described = namespace.kubectl("describe ttsd/greeter").await?.ok()?;
            contains_all(&described, &["Events:", "tts-operator", "Serving"])
        })
        .await
    })
    .await
}

/// The shortest deployment has no `scaling`; an autoscaler finds a number all the same and can change it.
#[tokio::test]
async fn an_autoscaler_can_scale_the_shortest_deployment() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "autoscaled", async |namespace| {
        namespace.greeter().await?;
        // It has no metrics here, but sees the number of pods and keeps it within its bounds.
        let autoscaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: greeter}\nspec:\n  scaleTargetRef: {apiVersion: tts-operator.dev/v1alpha1, kind: TtsDeployment, name: greeter}\n  minReplicas: 2\n  maxReplicas: 3\n  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]\n";
        namespace.apply(autoscaler).await?;
        namespace
            .kubectl("wait hpa/greeter --for=condition=AbleToScale --timeout=120s")
            .await?
            .ok()?;
        namespace
            .kubectl("wait ttsd/greeter --for=jsonpath={.status.readyReplicas}=2 --timeout=180s")
            .await?
            .ok()?;
        // Applying the manifest again, as people and GitOps tools do, keeps what the autoscaler wrote.
        let manifest = deployment("greeter", "rms");
        for apply in [
            "apply -f -",
            "apply --server-side --force-conflicts --field-manager=gitops -f -",
        ] {
            namespace.kubectl_with(&manifest, apply).await?.ok()?;
            let replicas = namespace.field("ttsd/greeter", ".spec.scaling.replicas").await?;
            ensure!(replicas == "2", "{replicas} after {apply}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn paused_means_hands_off() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "paused", async |namespace| {
        namespace.greeter().await?;
        let pause = |paused| {
            deployment_of(
                "greeter",
                &format!("{{voices: [{{name: rms}}], paused: {paused}}}"),
            )
        };
        namespace.apply(&pause(true)).await?;
        eventually("the status says so", SOON, async || {
            let object = namespace.api::<TtsDeployment>().get("greeter").await?;
            ensure!(object.expect("Ready", "True")?.reason == "Paused");
            Ok(())
        })
        .await?;
        namespace
            .kubectl("delete poddisruptionbudget/greeter")
            .await?
            .ok()?;
        let budgets = namespace.api::<PodDisruptionBudget>();
        always("nothing is repaired", Duration::from_secs(5), async || {
            ensure!(budgets.get_opt("greeter").await?.is_none());
            Ok(())
        })
        .await?;
        namespace.apply(&pause(false)).await?;
        eventually("it is repaired", SOON, async || {
            Ok(budgets.get("greeter").await?)
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_voices_and_chosen_resources() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "manual", async |namespace| {
        let example =
            std::fs::read_to_string(repository().join("docs/examples/manual-sizing.yaml"))?;
        namespace.apply(&example).await?;
        namespace.wait_ready("ttsd/station").await?;
        let endpoint = Endpoint::of(namespace, "station").await?;
        for voice in ["announcer", "narrator", "alloy"] {
            endpoint
                .speak(voice, "Platform two.")
                .await
                .with_context(|| voice.to_owned())?;
        }
        let error = endpoint
            .speak("nobody", "Platform two.")
            .await
            .unwrap_err()
            .to_string();
        contains_all(&error, &["nobody", "announcer"])?;

        let deployment = namespace.api::<Deployment>().get("station").await?;
        let container = deployment
            .spec
            .and_then(|spec| spec.template.spec)
            .and_then(|spec| spec.containers.into_iter().next())
            .context("no container")?;
        let resources = container.resources.unwrap_or_default();
        let requests = resources.requests.unwrap_or_default();
        let limits = resources.limits.unwrap_or_default();
        ensure!(
            (requests["cpu"].0.as_str(), requests["memory"].0.as_str()) == ("500m", "256Mi"),
            "{requests:?}"
        );
        ensure!(
            (limits["cpu"].0.as_str(), limits["memory"].0.as_str()) == ("1", "512Mi"),
            "{limits:?}"
        );
        Ok(())
    })
    .await
}

/// Pods that cannot start: the status says why, in the words of who knows.
#[tokio::test]
async fn what_keeps_pods_from_starting_is_in_the_status() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "stuck", async |namespace| {
        namespace
            .apply(
                &[
                    builtin_voice("rms"),
                    deployment_of(
                        "large",
                        "{voices: [{name: rms}], sizing: {mode: Manual, resources: {requests: {cpu: 900, memory: 1Gi}}}}",
                    ),
                    deployment_of(
                        "important",
                        "{voices: [{name: rms}], pod: {priorityClassName: no-such-class}}",
                    ),
                ]
                .concat(),
            )
            .await?;
        for (name, words) in [("large", "Insufficient cpu"), ("important", "no-such-class")] {
            let deployments = namespace.api::<TtsDeployment>();
            eventually(&format!("{name} says {words}"), READY, async || {
                let object = deployments.get(name).await?;
                contains_all(&object.expect("Ready", "False")?.message, &[words])
            })
            .await?;
            // After a while it is told to tools that know kstatus, too, long before the progress deadline.
            let (_, message) = namespace
                .wait_condition::<TtsDeployment>(name, "Stalled", "True")
                .await?;
            contains_all(&message, &[words])?;
        }
        // The way out is an edit, as always.
        namespace.apply(&deployment("large", "rms")).await?;
        namespace.wait_ready("ttsd/large").await
    })
    .await
}

/// Who may view or edit a namespace's workloads may view or edit our kinds in it; the status stays the operator's.
#[tokio::test]
async fn the_clusters_roles_cover_our_kinds() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "roles", async |namespace| {
        for role in ["view", "edit", "admin"] {
            namespace
                .kubectl(&format!("create serviceaccount {role}er"))
                .await?
                .ok()?;
            namespace
                .kubectl(&format!(
                    "create rolebinding {role}er --clusterrole={role} --serviceaccount={}:{role}er",
                    namespace.name
                ))
                .await?
                .ok()?;
        }
        for (role, verb, resource, allowed) in [
            ("view", "list", "ttsdeployments", true),
            ("view", "get", "ttsvoices --subresource=status", true),
            ("view", "create", "ttsdeployments", false),
            ("edit", "get", "ttsvoices", true),
            ("edit", "create", "ttsvoices", true),
            ("edit", "patch", "ttsdeployments --subresource=scale", true),
            (
                "edit",
                "patch",
                "ttsdeployments --subresource=status",
                false,
            ),
            ("admin", "delete", "ttsdeployments", true),
        ] {
            let account = format!("system:serviceaccount:{}:{role}er", namespace.name);
            // The cluster's roles are put together by a controller, a moment later.
            eventually(
                &format!("{role}: {verb} {resource} is {allowed}"),
                SOON,
                async || {
                    let answer = namespace
                        .kubectl(&format!("auth can-i {verb} {resource} --as={account}"))
                        .await?;
                    ensure!(
                        (answer.stdout.trim() == "yes") == allowed,
                        "{}{}",
                        answer.stdout,
                        answer.stderr
                    );
                    Ok(())
                },
            )
            .await?;
        }
        Ok(())
    })
    .await
}
