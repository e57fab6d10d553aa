//! What the operator keeps as it is accepted, whatever others do to it.
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use tts_crds::v1alpha1::TtsDeployment;
use tts_e2e::{
    Cluster, Operator,
    eventually::{always, eventually},
    kube_score::{kube_score_with, nothing_critical},
    namespace::{READY, SOON, contains_all},
    speech::Endpoint,
    with_namespace,
    yaml::{builtin_voice, deployment, deployment_of},
};

#[tokio::test]
async fn an_edit_of_a_child_is_reverted() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "drift", async |namespace| {
        namespace.greeter().await?;
        let image = namespace.field("deployment/greeter", ".spec.template.spec.containers[0].image").await?;
        for (object, path, edit) in [
            ("deployment/greeter", ".spec.replicas", r#"{"spec":{"replicas":3}}"#),
            (
                "deployment/greeter",
                ".spec.template.spec.containers[0].image",
                r#"{"spec":{"template":{"spec":{"containers":[{"name":"server","image":"localhost/other:1"}]}}}}"#,
            ),
            ("service/greeter", ".spec.ports[0].targetPort", r#"{"spec":{"ports":[{"port":80,"targetPort":1}]}}"#),
            ("service/greeter", ".spec.selector", r#"{"spec":{"selector":{"app.kubernetes.io/instance":"other"}}}"#),
            ("networkpolicy/greeter", ".spec.ingress", r#"{"spec":{"ingress":[]}}"#),
            ("poddisruptionbudget/greeter", ".spec.maxUnavailable", r#"{"spec":{"maxUnavailable":0}}"#),
            (
                "serviceaccount/greeter",
                ".automountServiceAccountToken",
                r#"{"automountServiceAccountToken":true}"#,
            ),
            ("service/greeter", ".metadata.labels", r#"{"metadata":{"labels":{"app.kubernetes.io/component":"mine"}}}"#),
            ("service/greeter", ".metadata.labels", r#"{"metadata":{"labels":{"app.kubernetes.io/instance":"other"}}}"#),
            ("service/greeter", ".metadata.labels", r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":"me"}}}"#),
            // Additions to parts that are the operator's alone.
            ("networkpolicy/greeter", ".spec", r#"{"spec":{"egress":[{}]}}"#),
            (
                "networkpolicy/greeter",
                ".spec",
                r#"{"spec":{"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":8000,"protocol":"TCP"}]}]}}"#,
            ),
            ("service/greeter", ".spec.selector", r#"{"spec":{"selector":{"extra":"label"}}}"#),
            ("service/greeter", ".spec.sessionAffinity", r#"{"spec":{"sessionAffinity":"ClientIP"}}"#),
            ("deployment/greeter", ".spec", r#"{"spec":{"paused":true}}"#),
            (
                "deployment/greeter",
                ".spec.template.spec.containers[0]",
                r#"{"spec":{"template":{"spec":{"containers":[{"name":"server","command":["sh"]}]}}}}"#,
            ),
            (
                "deployment/greeter",
                ".spec.template.spec.containers[0]",
                r#"{"spec":{"template":{"spec":{"containers":[{"name":"server","env":[{"name":"EXTRA","value":"1"}]}]}}}}"#,
            ),
            (
                "deployment/greeter",
                ".spec.template.spec.containers[0]",
                r#"{"spec":{"template":{"spec":{"containers":[{"name":"server","livenessProbe":{"initialDelaySeconds":600}}]}}}}"#,
            ),
        ] {
            let before = namespace.field(object, path).await?;
            // Strategic merge, as `kubectl edit` sends it. One argument, because values hold no space.
            // kubectl prints what the API server made of it: an edit without effect would leave nothing to revert.
            let edited = namespace
                .kubectl(&format!("patch {object} --type=strategic --patch {edit} --output=jsonpath={{{path}}}"))
                .await?
                .ok()?;
            ensure!(edited != before, "{edit} changed nothing of {object}: {path} is {before}");
            eventually(&format!("{object} {path} is {before} again"), SOON, async || {
                let now = namespace.field(object, path).await?;
                ensure!(now == before, "it is {now}");
                Ok(())
            })
            .await?;
        }
        ensure!(image.ends_with(&format!("/tts-server:{}", cluster.tag)), "{image}");
        namespace.wait_ready("ttsd/greeter").await?;
        Endpoint::of(namespace, "greeter").await?.speak("rms", "As it was.").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_child_comes_back() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "deleted", async |namespace| {
        namespace.greeter().await?;
        for child in [
            "service",
            "poddisruptionbudget",
            "networkpolicy",
            "serviceaccount",
            "deployment",
        ] {
            let uid = namespace
                .field(&format!("{child}/greeter"), ".metadata.uid")
                .await?;
            namespace
                .kubectl(&format!("delete {child}/greeter"))
                .await?
                .ok()?;
            eventually(&format!("a new {child}"), SOON, async || {
                let new = namespace
                    .field(&format!("{child}/greeter"), ".metadata.uid")
                    .await?;
                ensure!(new != uid, "the old one is still there");
                Ok(())
            })
            .await?;
        }
        namespace.wait_ready("ttsd/greeter").await
    })
    .await
}

#[tokio::test]
async fn a_removed_voice_keeps_being_served() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "removed", async |namespace| {
        namespace
            .apply(
                &[
                    builtin_voice("rms"),
                    deployment_of("greeter", "{voices: [{name: rms}]}"),
                ]
                .concat(),
            )
            .await?;
        namespace.wait_ready("ttsd/greeter").await?;
        let before = namespace.server_pods().await?;
        let endpoint = Endpoint::of(namespace, "greeter").await?;
        namespace.kubectl("delete ttsv/rms").await?.ok()?;

        let (reason, message) = namespace
            .wait_condition::<TtsDeployment>("greeter", "VoicesReady", "False")
            .await?;
        ensure!(reason == "VoiceMissing", "{reason}");
        contains_all(&message, &["rms"])?;
        namespace
            .wait_condition::<TtsDeployment>("greeter", "Available", "True")
            .await?;
        always(
            "the pods stay and speak",
            Duration::from_secs(5),
            async || {
                ensure!(namespace.server_pods().await? == before, "other pods");
                endpoint.speak("rms", "Still here.").await?;
                Ok(())
            },
        )
        .await?;

        // The voice is back: nothing has to be replaced for it, although what its new inspection measured differs a little.
        namespace.apply(&builtin_voice("rms")).await?;
        namespace.wait_ready("ttsd/greeter").await?;
        ensure!(
            namespace.server_pods().await? == before,
            "the pods were replaced"
        );
        Ok(())
    })
    .await
}

/// A missing voice is no reason to let go of what runs.
#[tokio::test]
async fn what_was_accepted_is_enforced_while_its_voice_is_missing() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "enforced", async |namespace| {
        namespace.greeter().await?;
        let template = ".spec.template.spec.containers[0]";
        let before = namespace.field("deployment/greeter", template).await?;
        namespace.kubectl("delete ttsv/rms").await?.ok()?;
        namespace
            .wait_condition::<TtsDeployment>("greeter", "VoicesReady", "False")
            .await?;

        let uid = namespace
            .field("deployment/greeter", ".metadata.uid")
            .await?;
        namespace.kubectl("delete deployment/greeter").await?.ok()?;
        eventually("the Deployment comes back", SOON, async || {
            let new = namespace
                .field("deployment/greeter", ".metadata.uid")
                .await?;
            ensure!(new != uid, "the old one is still there");
            let now = namespace.field("deployment/greeter", template).await?;
            ensure!(now == before, "{now}");
            Ok(())
        })
        .await?;
        namespace
            .kubectl("scale ttsd/greeter --replicas=2")
            .await?
            .ok()?;
        namespace
            .kubectl(
                "wait deployment/greeter --for=jsonpath={.status.readyReplicas}=2 --timeout=120s",
            )
            .await?
            .ok()?;
        Endpoint::of(namespace, "greeter")
            .await?
            .speak("rms", "Still here.")
            .await?;

        // The record itself is kept, too.
        namespace
            .kubectl("delete controllerrevisions --all")
            .await?
            .ok()?;
        eventually("the record comes back", SOON, async || {
            let left = namespace
                .kubectl("get controllerrevisions -o name")
                .await?
                .ok()?;
            ensure!(left.lines().count() == 1, "{left:?}");
            Ok(())
        })
        .await?;
        let (reason, _) = namespace
            .wait_condition::<TtsDeployment>("greeter", "UpToDate", "False")
            .await?;
        ensure!(reason == "VoiceMissing", "{reason}");
        Ok(())
    })
    .await
}

/// What is not the operator's alone is left to whoever put it there.
#[tokio::test]
async fn additions_of_others_stay() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "additions", async |namespace| {
        namespace.greeter().await?;
        for (object, path, edit) in [
            ("deployment/greeter", ".metadata.annotations.note", r#"{"metadata":{"annotations":{"note":"mine"}}}"#),
            (
                "deployment/greeter",
                ".spec.template.metadata.labels.team",
                r#"{"spec":{"template":{"metadata":{"labels":{"team":"voice"}}}}}"#,
            ),
            (
                "deployment/greeter",
                ".spec.template.spec.volumes[0].name",
                r#"{"spec":{"template":{"spec":{"volumes":[{"name":"extra","emptyDir":{}}]}}}}"#,
            ),
            ("service/greeter", ".spec.ports[?(@.port==81)].port", r#"{"spec":{"ports":[{"name":"more","port":81}]}}"#),
        ] {
            let added = namespace
                .kubectl(&format!("patch {object} --type=strategic --patch {edit} --output=jsonpath={{{path}}}"))
                .await?
                .ok()?;
            ensure!(!added.is_empty(), "{edit} added nothing to {object}");
            // Something that the operator does correct, so that it has certainly looked.
            namespace
                .kubectl("patch service/greeter --type=merge --patch {\"metadata\":{\"labels\":{\"app.kubernetes.io/component\":\"mine\"}}}")
                .await?
                .ok()?;
            eventually("the operator has looked", SOON, async || {
                let label = namespace.field("service/greeter", ".metadata.labels.app\\.kubernetes\\.io/component").await?;
                ensure!(label == "inference-server", "{label}");
                Ok(())
            })
            .await?;
            let now = namespace.field(object, path).await?;
            ensure!(now == added, "{object} {path} was {added} and is {now}");
        }
        namespace.wait_ready("ttsd/greeter").await
    })
    .await
}

/// As after a restore from a backup, which gives objects new owners at best.
#[tokio::test]
async fn a_child_that_lost_its_owner_is_adopted() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "adopted", async |namespace| {
        namespace.greeter().await?;
        let revision = namespace.kubectl("get controllerrevisions -o name").await?.ok()?;
        for object in [
            "deployment/greeter",
            "service/greeter",
            "serviceaccount/greeter",
            "networkpolicy/greeter",
            "poddisruptionbudget/greeter",
            revision.trim(),
        ] {
            let owner = namespace.field(object, ".metadata.ownerReferences[0].uid").await?;
            ensure!(!owner.is_empty(), "{object} has no owner");
            namespace
                .kubectl(&format!(
                    "patch {object} --type=json --patch [{{\"op\":\"remove\",\"path\":\"/metadata/ownerReferences\"}}]"
                ))
                .await?
                .ok()?;
            eventually(&format!("{object} is adopted"), SOON, async || {
                let now = namespace.field(object, ".metadata.ownerReferences[0].uid").await?;
                ensure!(now == owner, "its owner is {now:?}");
                Ok(())
            })
            .await?;
        }
        namespace.wait_ready("ttsd/greeter").await
    })
    .await
}

/// The status is what the operator says, whoever edits it.
#[tokio::test]
async fn an_edited_status_is_corrected() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "status", async |namespace| {
        namespace.greeter().await?;
        for (object, edit, path) in [
            (
                "ttsd/greeter",
                r#"{"status":{"readyReplicas":9,"endpoint":"http://elsewhere"}}"#,
                ".status.endpoint",
            ),
            (
                "ttsd/greeter",
                r#"{"status":{"conditions":[]}}"#,
                ".status.conditions[*].type",
            ),
            (
                "ttsv/rms",
                r#"{"status":{"digest":"sha256:0"}}"#,
                ".status.digest",
            ),
        ] {
            let before = namespace.field(object, path).await?;
            ensure!(!before.is_empty(), "{object} has no {path}");
            let edited = namespace
                .kubectl(&format!(
                    "patch {object} --subresource=status --type=merge --patch {edit} --output=jsonpath={{{path}}}"
                ))
                .await?
                .ok()?;
            ensure!(edited != before, "{edit} changed nothing of {object}");
            eventually(
                &format!("{object} {path} is {before} again"),
                SOON,
                async || {
                    let now = namespace.field(object, path).await?;
                    ensure!(now == before, "it is {now}");
                    Ok(())
                },
            )
            .await?;
        }
        namespace.wait_ready("ttsd/greeter").await
    })
    .await
}

/// What the operator makes is as good as what a careful person writes.
#[tokio::test]
async fn kube_score_finds_nothing_critical_in_what_the_operator_makes() -> Result<()> {
    // The image sets its own user, 65532, and platforms that assign a user to each namespace must be able to override it.
    // The pull policy is a setting of the installation: images are referred to by version or digest, not by a moving tag.
    // A CPU limit would throttle speech in the middle of a sentence; the request and the node bound it.
    const REASONS: [&str; 3] = [
        "--ignore-test=container-security-context-user-group-id",
        "--ignore-test=container-image-pull-policy",
        "--ignore-container-cpu-limit",
    ];
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "score", async |namespace| {
        namespace.greeter().await?;
        let children = namespace
            .kubectl("get deployment,service,networkpolicy,poddisruptionbudget,serviceaccount greeter -o json")
            .await?
            .ok()?;
        let list: serde_json::Value = serde_json::from_str(&children)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        ensure!(items.len() == 5, "{} children", items.len());
        let documents: Vec<String> = items.iter().map(ToString::to_string).collect();
        let findings = kube_score_with(&documents.join("\n---\n"), &REASONS).await?;
        nothing_critical(&findings)
    })
    .await
}

/// A quota that forbids Jobs stops nothing that runs.
#[tokio::test]
async fn a_quota_on_jobs_makes_nothing_unready() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "quota", async |namespace| {
        namespace.greeter().await?;
        namespace
            .kubectl("create quota none --hard=count/jobs.batch=0")
            .await?
            .ok()?;
        // A voice that cannot be inspected now says so, and nothing else changes.
        namespace.apply(&builtin_voice("other")).await?;
        eventually("the voice says why", READY, async || {
            let message = namespace
                .field(
                    "ttsv/other",
                    ".status.conditions[?(@.type==\"Reconciling\")].message",
                )
                .await?;
            contains_all(&message, &["exceeded quota", "count/jobs.batch"])
        })
        .await?;
        namespace
            .apply(&deployment_of(
                "greeter",
                "{voices: [{name: rms}, {name: other}]}",
            ))
            .await?;
        namespace
            .wait_condition::<TtsDeployment>("greeter", "VoicesReady", "False")
            .await?;
        namespace
            .wait_condition::<TtsDeployment>("greeter", "Available", "True")
            .await?;
        Endpoint::of(namespace, "greeter")
            .await?
            .speak("rms", "Still here.")
            .await?;
        namespace.kubectl("delete quota/none").await?.ok()?;
        namespace.wait_ready("ttsd/greeter").await
    })
    .await
}

/// Somebody else's object of the same name is theirs.
#[tokio::test]
async fn a_taken_name_is_not_taken_over() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _operator = Operator::shared(&cluster).await?;
    with_namespace(&cluster, "taken", async |namespace| {
        namespace
            .kubectl("create service clusterip greeter --tcp=80")
            .await?
            .ok()?;
        namespace
            .apply(&[builtin_voice("rms"), deployment("greeter", "rms")].concat())
            .await?;
        let (reason, message) = namespace
            .wait_condition::<TtsDeployment>("greeter", "Stalled", "True")
            .await?;
        ensure!(reason == "NameTaken", "{reason}");
        contains_all(&message, &["Service", "greeter"])?;
        let service = namespace.api::<Service>().get("greeter").await?;
        ensure!(
            service.owner_references().is_empty(),
            "{:?}",
            service.metadata
        );
        Ok(())
    })
    .await
}
