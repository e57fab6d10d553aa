//! The charts over an installation's life, on the real cluster.
use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tts_e2e::{
    Cluster, Namespace, Operator,
    cluster::repository,
    eventually,
    namespace::{READY, contains_all},
    operator::{CRDS_RELEASE, NAMESPACE, RELEASE, settings, upgrade, upgrade_from},
    speech::Endpoint,
    with_namespace,
    yaml::{builtin_voice, deployment},
};

const CRDS: [&str; 4] = [
    "ttsvoices.tts-operator.dev",
    "ttsdeployments.tts-operator.dev",
    "ttsbenchmarks.tts-operator.dev",
    "ttsprofiles.tts-operator.dev",
];

struct Helm<'a>(&'a Cluster);

impl Helm<'_> {
    async fn run(&self, arguments: Vec<String>) -> Result<String> {
        self.0.helm()?.run(arguments).await?.ok()
    }

    async fn operator(&self, more: &[&str]) -> Result<String> {
        let mut arguments = upgrade(RELEASE);
        arguments.extend(settings(self.0)?);
        for setting in more {
            arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        self.run(arguments).await
    }

    async fn kinds(&self, more: &[&str]) -> Result<String> {
        let mut arguments = upgrade(CRDS_RELEASE);
        for setting in more {
            arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        self.run(arguments).await
    }

    async fn uninstall(&self, release: &str) -> Result<String> {
        let arguments = [
            "uninstall",
            release,
            "--wait",
            "--ignore-not-found",
            "--namespace",
            NAMESPACE,
        ];
        self.run(arguments.map(str::to_owned).to_vec()).await
    }
}

async fn cluster_objects(cluster: &Cluster, kinds: &str, selector: &str) -> Result<String> {
    cluster
        .kubectl
        .run([
            "get",
            kinds,
            "--all-namespaces",
            "--ignore-not-found",
            "--output=name",
            selector,
        ])
        .await?
        .ok()
}

async fn established(cluster: &Cluster) -> Result<bool> {
    let names = cluster_objects(cluster, "crd", "--selector=").await?;
    Ok(CRDS.iter().all(|crd| names.contains(crd)))
}

#[tokio::test]
async fn install_test_upgrade_uninstall() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _alone = Operator::alone(&cluster).await?;
    let helm = Helm(&cluster);
    helm.uninstall(RELEASE).await?;
    helm.kinds(&[]).await?;

    // The sentence comes from the real install too, and nothing is left of the attempt.
    let refused = cluster.helm()?.run(upgrade(RELEASE)).await?.refused()?;
    contains_all(&refused, &["image.registry is not set"])?;

    let notes = helm.operator(&[]).await?;
    contains_all(&notes, &["manages all namespaces", "kubectl wait"])?;
    ensure!(!notes.contains("not installed yet"), "{notes}");
    with_namespace(&cluster, "helm", async |namespace| {
        namespace.apply(&[builtin_voice("rms"), deployment("greeter", "rms")].concat()).await?;
        namespace.wait_ready("ttsd/greeter").await?;

        let upgraded = helm.operator(&["replicas=2", "log.format=text"]).await?;
        contains_all(&upgraded, &["REVISION: "])?;
        // Settings reach the pods that are there.
        let before = generation(&cluster).await?;
        helm.operator(&["replicas=2", "log.format=text", "rollouts.maxConcurrent=5"]).await?;
        ensure!(generation(&cluster).await? == before, "new settings changed the Deployment");
        settings_are_in_the_config_map(&cluster).await?;
        helm_test(&cluster).await?;

        // What people wrote, and what it runs, outlives the operator.
        helm.uninstall(RELEASE).await?;
        let left = cluster_objects(
            &cluster,
            "deployments,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets,networkpolicies,configmaps",
            "--selector=app.kubernetes.io/name=tts-operator",
        )
        .await?;
        ensure!(left.trim().is_empty(), "left by the uninstall: {left}");
        ensure!(established(&cluster).await?, "the kinds are gone");
        still_speaks(namespace).await?;

        helm.uninstall(CRDS_RELEASE).await?;
        ensure!(established(&cluster).await?, "the kinds did not survive");
        still_speaks(namespace).await?;

        // And is looked after again by the next installation.
        helm.kinds(&[]).await?;
        helm.operator(&[]).await?;
        namespace.kubectl("scale ttsd/greeter --replicas=2").await?.ok()?;
        namespace
            .kubectl("wait ttsd/greeter --for=jsonpath={.status.readyReplicas}=2 --timeout=120s")
            .await?
            .ok()?;
        Ok(())
    })
    .await
}

/// Changes with every change of the operator's Deployment.
async fn generation(cluster: &Cluster) -> Result<String> {
    let deployment = format!("deployment/{RELEASE}");
    let path = "--output=jsonpath={.metadata.generation}";
    cluster
        .kubectl
        .run(["get", &deployment, "--namespace", NAMESPACE, path])
        .await?
        .ok()
}

async fn settings_are_in_the_config_map(cluster: &Cluster) -> Result<()> {
    let yaml = cluster
        .kubectl
        .run([
            "get",
            "configmap",
            &format!("{RELEASE}-settings"),
            "--namespace",
            NAMESPACE,
            "--output=jsonpath={.data.settings\\.yaml}",
        ])
        .await?
        .ok()?;
    let settings: Value = serde_saphyr::from_str(&yaml).with_context(|| yaml.clone())?;
    ensure!(settings["rollouts"]["maxConcurrent"] == 5, "{yaml}");
    let image = format!("{}/tts-server:{}", cluster.registry, cluster.tag);
    ensure!(settings["server"]["image"] == image.as_str(), "{yaml}");
    Ok(())
}

async fn helm_test(cluster: &Cluster) -> Result<()> {
    let said = cluster
        .helm()?
        .run([
            "test",
            RELEASE,
            "--namespace",
            NAMESPACE,
            "--logs",
            "--timeout=4m",
        ])
        .await?
        .ok()?;
    contains_all(&said, &["Succeeded", "s of audio"])?;
    // The objects of a test that passed go with it.
    eventually("the test's objects are gone", READY, async || {
        let left = cluster
            .kubectl
            .run([
                "get",
                "ttsv,ttsd,pods",
                "--namespace",
                NAMESPACE,
                "--output=name",
            ])
            .await?
            .ok()?;
        ensure!(!left.contains("-test"), "{left}");
        Ok(())
    })
    .await
}

async fn still_speaks(namespace: &Namespace) -> Result<()> {
    namespace.kubectl("get ttsd/greeter ttsv/rms").await?.ok()?;
    Endpoint::of(namespace, "greeter")
        .await?
        .speak("rms", "Still here.")
        .await?;
    Ok(())
}

/// A namespaced installation needs no right on the cluster and leaves other namespaces alone.
#[tokio::test]
async fn a_list_of_namespaces_is_all_that_is_watched() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _alone = Operator::alone(&cluster).await?;
    let helm = Helm(&cluster);
    helm.uninstall(RELEASE).await?;
    helm.kinds(&[]).await?;
    with_namespace(&cluster, "watched", async |watched| {
        with_namespace(&cluster, "ignored", async |ignored| {
            let list = format!("watchNamespaces={{{}}}", watched.name);
            helm.operator(&[&list, "rbac.aggregatedRoles=false"])
                .await?;
            let roles = cluster_objects(
                &cluster,
                "clusterroles,clusterrolebindings",
                "--selector=app.kubernetes.io/name=tts-operator",
            )
            .await?;
            ensure!(roles.trim().is_empty(), "{roles}");
            let yaml = [builtin_voice("rms"), deployment("greeter", "rms")].concat();
            ignored.apply(&yaml).await?;
            watched.apply(&yaml).await?;
            watched.wait_ready("ttsd/greeter").await?;
            let seen = ignored
                .kubectl("get ttsd/greeter -o jsonpath={.status.observedGeneration}")
                .await?
                .ok()?;
            ensure!(seen == "-1", "the operator saw what it should not: {seen}");
            helm.uninstall(RELEASE).await?;
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn the_kinds_are_upgraded_and_go_when_asked() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _alone = Operator::alone(&cluster).await?;
    let helm = Helm(&cluster);
    helm.uninstall(RELEASE).await?;

    // An older version of the chart: without one of the columns.
    let older = older_chart()?;
    helm.run(upgrade_from(CRDS_RELEASE, &older)).await?;
    let columns = async || -> Result<String> {
        let path = "--output=jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}";
        cluster
            .kubectl
            .run(["get", "crd", CRDS[1], path])
            .await?
            .ok()
    };
    ensure!(
        !columns().await?.contains("Endpoint"),
        "{}",
        columns().await?
    );
    helm.kinds(&[]).await?;
    contains_all(&columns().await?, &["Endpoint"])?;
    fs::remove_dir_all(&older)?;

    // This test has the operator for itself, so what is left is of tests that are over, whose namespaces are going.
    eventually("nobody has objects of our kinds", READY, async || {
        let objects = cluster_objects(
            &cluster,
            "ttsvoices,ttsdeployments,ttsbenchmarks,ttsprofiles",
            "--selector=",
        )
        .await?;
        ensure!(objects.trim().is_empty(), "there are {objects}");
        Ok(())
    })
    .await?;
    let notes = helm.kinds(&["keep=false"]).await?;
    contains_all(&notes, &["WARNING: keep is false"])?;
    helm.uninstall(CRDS_RELEASE).await?;
    eventually("the kinds are gone", READY, async || {
        ensure!(!established(&cluster).await?, "still there");
        Ok(())
    })
    .await?;

    // The operator may come first: it is told what is missing and waits.
    let mut arguments = upgrade(RELEASE);
    arguments.retain(|argument| argument != "--wait");
    arguments.extend(settings(&cluster)?);
    let notes = helm.run(arguments).await?;
    contains_all(&notes, &["not installed yet"])?;
    helm.kinds(&[]).await?;
    let wait = [
        "rollout",
        "status",
        &format!("deployment/{RELEASE}"),
        "--timeout=120s",
        "--namespace",
        NAMESPACE,
    ];
    cluster.kubectl.run(wait).await?.ok()?;
    Ok(())
}

fn older_chart() -> Result<std::path::PathBuf> {
    let chart = repository().join("charts/tts-operator-crds");
    let copy = std::env::temp_dir()
        .join(format!("tts-e2e-{}", std::process::id()))
        .join("tts-operator-crds");
    copy_folder(&chart, &copy)?;
    let file = copy.join("files").join(format!("{}.yaml", CRDS[1]));
    let text = fs::read_to_string(&file)?;
    let column = "    - jsonPath: .status.endpoint\n      name: Endpoint\n      type: string\n";
    ensure!(
        text.contains(column),
        "no such column in {}",
        file.display()
    );
    fs::write(&file, text.replace(column, ""))?;
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("no name")?);
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
