//! The charts as text: no cluster is needed, only helm.
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tts_e2e::{
    cluster::{helm, repository},
    command::{Output, Program},
    namespace::contains_all,
};

async fn template(settings: &[&str]) -> Result<Output> {
    let chart = repository().join("charts/tts-operator");
    let mut arguments = vec![
        "template".to_owned(),
        "speech".to_owned(),
        chart.display().to_string(),
        "--namespace=ops".to_owned(),
    ];
    for setting in settings {
        arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
    }
    helm()?.run(arguments).await
}

/// The rendered objects, with the one setting that every installation needs.
async fn objects(settings: &[&str]) -> Result<Vec<Value>> {
    let settings = [&["image.registry=registry.example.com/speech"], settings].concat();
    let rendered = template(&settings).await?.ok()?;
    serde_saphyr::from_multiple::<Value>(&rendered).context("helm printed no YAML")
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

fn arguments(objects: &[Value]) -> Result<Vec<&str>> {
    let deployment = of_kind(objects, "Deployment")[0];
    deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        .as_array()
        .context("no args")?
        .iter()
        .map(|argument| argument.as_str().context("an argument is no string"))
        .collect()
}

#[tokio::test]
async fn lint_is_clean() -> Result<()> {
    for chart in ["charts/tts-operator", "charts/tts-operator-crds"] {
        let chart = repository().join(chart).display().to_string();
        helm()?.run(["lint", "--strict", &chart]).await?.ok()?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_generated_from_charts_and_crds_is_current() -> Result<()> {
    let path = format!(
        "{}:{}",
        helm()?.folder().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    Program::new(repository().join("charts/generate.sh"))
        .env("PATH", path)
        .run(["--check"])
        .await?
        .ok()?;
    Ok(())
}

#[tokio::test]
async fn without_a_registry_a_sentence_says_what_to_set() -> Result<()> {
    let error = template(&[]).await?.refused()?;
    contains_all(
        &error,
        &[
            "image.registry is not set. Set it to the registry",
            "--set image.registry=",
        ],
    )
}

#[tokio::test]
async fn mistakes_in_the_values_are_refused() -> Result<()> {
    for (setting, message) in [
        ("replica=2", "'replica' not allowed"),
        ("image.regsitry=x", "'regsitry' not allowed"),
        (
            "image.registry=https://registry.example.com",
            "/image/registry",
        ),
        ("image.registry=registry.example.com/", "/image/registry"),
        ("image.operator.digest=sha256:abc", "/image/operator/digest"),
        ("replicas=many", "/replicas"),
        ("watchNamespaces={Speech}", "/watchNamespaces/0"),
        (
            "proxy.httpsProxy=proxy.example.com:3128",
            "/proxy/httpsProxy",
        ),
        ("ca.pem=hello", "/ca/pem"),
        ("log.format=xml", "/log/format"),
    ] {
        let error = template(&["image.registry=r", setting]).await?.refused()?;
        contains_all(&error, &[message]).with_context(|| setting.to_owned())?;
    }
    let both = "ca.pem=-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----";
    let error = template(&["image.registry=r", both, "ca.configMap.name=corporate"])
        .await?
        .refused()?;
    contains_all(&error, &["ca.pem and ca.configMap.name are both set"])?;
    let error = template(&["image.registry=r", "replicas=2", "leaderElection=false"])
        .await?
        .refused()?;
    contains_all(
        &error,
        &["replicas is above 1 while leaderElection is false"],
    )
}

#[tokio::test]
async fn one_setting_moves_every_image() -> Result<()> {
    let digest = format!("sha256:{}", "a".repeat(64));
    let pinned = format!("image.server.digest={digest}");
    let objects = objects(&["image.tag=v9", &pinned]).await?;
    let text = serde_json::to_string(&objects)?;
    ensure!(
        text.matches("registry.example.com/speech/").count() == 3,
        "operator, server and test pod are three images: {text}"
    );
    let server = format!("registry.example.com/speech/tts-server:v9@{digest}");
    ensure!(arguments(&objects)?.contains(&format!("--server-image={server}").as_str()));
    let pod = of_kind(&objects, "Pod")[0];
    ensure!(pod["spec"]["containers"][0]["image"] == server.as_str());
    let operator = of_kind(&objects, "Deployment")[0];
    ensure!(
        operator["spec"]["template"]["spec"]["containers"][0]["image"]
            == "registry.example.com/speech/tts-operator:v9"
    );
    Ok(())
}

#[tokio::test]
async fn settings_reach_the_operator() -> Result<()> {
    let plain = objects(&[]).await?;
    let plain = arguments(&plain)?;
    ensure!(plain.contains(&"--leader-elect"));
    for absent in [
        "--allow-http",
        "--ca-file",
        "--https-proxy",
        "--watch-namespaces",
        "--server-image-pull-secrets",
    ] {
        ensure!(
            !plain.iter().any(|argument| argument.starts_with(absent)),
            "{absent}"
        );
    }

    let objects = objects(&[
        "allowHttp=true",
        "image.pullSecrets={first,second}",
        "proxy.httpsProxy=http://proxy.example.com:3128",
        "proxy.noProxy=localhost\\,10.0.0.0/8",
        "ca.configMap.name=corporate",
        "ca.configMap.key=bundle.pem",
        "watchNamespaces={here,there}",
        "log.format=text",
    ])
    .await?;
    let arguments = arguments(&objects)?;
    for expected in [
        "--allow-http",
        "--server-image-pull-secrets=first,second",
        "--https-proxy=http://proxy.example.com:3128",
        "--no-proxy=localhost,10.0.0.0/8",
        "--ca-file=/etc/tts-operator/ca/bundle.pem",
        "--watch-namespaces=here,there",
        "--log-format=text",
    ] {
        ensure!(
            arguments.contains(&expected),
            "{expected} is not in {arguments:?}"
        );
    }
    let pod = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"];
    ensure!(pod["volumes"][0]["configMap"]["name"] == "corporate");
    ensure!(pod["imagePullSecrets"][1]["name"] == "second");
    Ok(())
}

#[tokio::test]
async fn a_list_of_namespaces_needs_no_rights_on_the_cluster() -> Result<()> {
    let everywhere = objects(&["rbac.aggregatedRoles=false"]).await?;
    ensure!(of_kind(&everywhere, "ClusterRole").len() == 1);
    let watched = objects(&["rbac.aggregatedRoles=false", "watchNamespaces={here,there}"]).await?;
    ensure!(of_kind(&watched, "ClusterRole").is_empty());
    ensure!(of_kind(&watched, "ClusterRoleBinding").is_empty());
    let mut places: Vec<_> = of_kind(&watched, "Role")
        .iter()
        .filter_map(|role| role["metadata"]["namespace"].as_str())
        .collect();
    places.sort_unstable();
    ensure!(places == ["here", "ops", "there"], "{places:?}");
    Ok(())
}

/// The operator reads no Secret and asks for no right by wildcard.
#[tokio::test]
async fn the_rules_are_narrow() -> Result<()> {
    let objects = objects(&[]).await?;
    let mut rules = 0;
    for role in objects.iter().filter(|object| {
        ["Role", "ClusterRole"].contains(&object["kind"].as_str().unwrap_or_default())
    }) {
        for rule in role["rules"].as_array().context("no rules")? {
            let text = rule.to_string();
            ensure!(!text.contains('*') && !text.contains("secrets"), "{text}");
            rules += 1;
        }
    }
    ensure!(rules >= 12, "only {rules} rules were looked at");
    // Each with its reason, in what a reviewer gets to see.
    let rendered = template(&["image.registry=r"]).await?.ok()?;
    let lines: Vec<_> = rendered.lines().map(str::trim).collect();
    for (number, line) in lines.iter().enumerate() {
        if line.starts_with("- apiGroups:") {
            let above = lines[..number]
                .iter()
                .rev()
                .find(|line| !line.is_empty())
                .context("nothing above")?;
            ensure!(
                above.starts_with('#') || *above == "rules:",
                "line {number} has no reason: {line}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_pod_is_restricted() -> Result<()> {
    let objects = objects(&["replicas=2", "networkPolicy.enabled=true"]).await?;
    let pods = [
        &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"],
        &of_kind(&objects, "Pod")[0]["spec"],
    ];
    for pod in pods {
        ensure!(pod["securityContext"]["runAsNonRoot"] == true);
        ensure!(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault");
        for container in pod["containers"].as_array().context("no containers")? {
            let security = &container["securityContext"];
            ensure!(security["allowPrivilegeEscalation"] == false);
            ensure!(security["readOnlyRootFilesystem"] == true);
            ensure!(security["capabilities"]["drop"] == serde_json::json!(["ALL"]));
            ensure!(container["resources"]["requests"]["cpu"].is_string());
        }
    }
    ensure!(of_kind(&objects, "PodDisruptionBudget").len() == 1);
    ensure!(of_kind(&objects, "NetworkPolicy").len() == 1);
    Ok(())
}

#[tokio::test]
async fn one_operator_has_no_disruption_budget() -> Result<()> {
    let objects = objects(&[]).await?;
    ensure!(of_kind(&objects, "PodDisruptionBudget").is_empty());
    Ok(())
}
