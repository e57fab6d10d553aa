//! The charts as text: no cluster is needed, only helm.
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tts_e2e::{
    cluster::{helm, repository},
    command::{Output, Program},
    kube_score,
    kube_score::{kube_score_with, nothing_critical},
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

fn pod_of_operator(objects: &[Value]) -> &Value {
    &of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]
}

/// What the operator reads from its file.
fn settings(objects: &[Value]) -> Result<Value> {
    let map = of_kind(objects, "ConfigMap")
        .into_iter()
        .find(|map| map["metadata"]["name"] == "speech-tts-operator-settings")
        .context("no settings")?;
    let text = map["data"]["settings.yaml"].as_str().context("no file")?;
    serde_saphyr::from_str(text).with_context(|| format!("the settings are no YAML: {text}"))
}

fn arguments(objects: &[Value]) -> Result<Vec<&str>> {
    pod_of_operator(objects)["containers"][0]["args"]
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
        ("rollouts.maxConcurrent=0", "/rollouts/maxConcurrent"),
        ("rollouts.maxConcurrent=null", "'maxConcurrent'"),
        (
            "inspections.maxConcurrent=1001",
            "/inspections/maxConcurrent",
        ),
        ("stalledAfter=2 minutes", "/stalledAfter"),
        ("nodeClasses[0].name=speech", "missing properties 'cpu'"),
        ("prices.speech=cheap", "/prices/speech"),
        ("rbac.node=false", "'node' not allowed"),
        (
            "podSecurityContext.runAsUser=0",
            "/podSecurityContext/runAsUser",
        ),
        ("podSecurityContext.fsGroup=1", "'fsGroup' not allowed"),
        (
            "networkPolicy.apiServerPorts={0}",
            "/networkPolicy/apiServerPorts/0",
        ),
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
    ensure!(settings(&objects)?["server"]["image"] == server.as_str());
    let pod = of_kind(&objects, "Pod")[0];
    ensure!(pod["spec"]["containers"][0]["image"] == server.as_str());
    ensure!(
        pod_of_operator(&objects)["containers"][0]["image"]
            == "registry.example.com/speech/tts-operator:v9"
    );
    Ok(())
}

#[tokio::test]
async fn settings_reach_the_operator() -> Result<()> {
    let plain = objects(&[]).await?;
    ensure!(
        settings(&plain)?
            == json!({
                "server": {
                    "image": "registry.example.com/speech/tts-server:0.1.0",
                    "imagePullPolicy": "IfNotPresent",
                    "imagePullSecrets": [],
                },
                "downloads": {"allowHttp": false},
                "rollouts": {"maxConcurrent": 3},
                "inspections": {"maxConcurrent": 8},
                "benchmarks": {"maxConcurrent": 1},
                "stalledAfter": "2m",
            }),
        "{}",
        settings(&plain)?
    );
    let plain = arguments(&plain)?;
    ensure!(plain.contains(&"--leader-elect"));
    ensure!(plain.contains(&"--settings=/etc/tts-operator/settings/settings.yaml"));
    ensure!(
        !plain
            .iter()
            .any(|argument| argument.starts_with("--watch-namespaces")),
        "{plain:?}"
    );

    let objects = objects(&[
        "allowHttp=true",
        "image.pullPolicy=Always",
        "image.pullSecrets={first,second}",
        "proxy.httpsProxy=http://proxy.example.com:3128",
        "proxy.httpProxy=http://other.example.com:3128",
        "proxy.noProxy=localhost\\,10.0.0.0/8",
        "ca.configMap.name=corporate",
        "ca.configMap.key=bundle.pem",
        "rollouts.maxConcurrent=1000",
        "inspections.maxConcurrent=1",
        "benchmarks.maxConcurrent=2",
        "benchmarks.window.start=22:00",
        "benchmarks.window.end=06:30",
        "benchmarks.window.timeZone=Europe/Berlin",
        "benchmarks.nodeHoursPerDay=2.5",
        "stalledAfter=30s",
        "nodeClasses[0].name=speech",
        "nodeClasses[0].selector.karpenter\\.sh/nodepool=speech",
        "nodeClasses[0].cpu=7.5",
        "nodeClasses[0].memory=28Gi",
        "nodeClasses[0].maxNodes=3",
        "nodeClasses[0].pricePerHour=2",
        "prices.m6i-large=1",
        "watchNamespaces={here,there}",
        "log.format=text",
    ])
    .await?;
    ensure!(
        settings(&objects)?
            == json!({
                "server": {
                    "image": "registry.example.com/speech/tts-server:0.1.0",
                    "imagePullPolicy": "Always",
                    "imagePullSecrets": ["first", "second"],
                },
                "downloads": {
                    "allowHttp": true,
                    "caFile": "/etc/tts-operator/ca/bundle.pem",
                    "httpsProxy": "http://proxy.example.com:3128",
                    "httpProxy": "http://other.example.com:3128",
                    "noProxy": "localhost,10.0.0.0/8",
                },
                "rollouts": {"maxConcurrent": 1000},
                "inspections": {"maxConcurrent": 1},
                "benchmarks": {
                    "maxConcurrent": 2,
                    "window": {"start": "22:00", "end": "06:30", "timeZone": "Europe/Berlin"},
                    "nodeHoursPerDay": 2.5,
                },
                "stalledAfter": "30s",
                "nodeClasses": [{
                    "name": "speech",
                    "selector": {"karpenter.sh/nodepool": "speech"},
                    "cpu": "7.5",
                    "memory": "28Gi",
                    "maxNodes": 3,
                    "pricePerHour": 2,
                }],
                "prices": {"m6i-large": 1},
            }),
        "{}",
        settings(&objects)?
    );
    let arguments = arguments(&objects)?;
    for expected in ["--watch-namespaces=here,there", "--log-format=text"] {
        ensure!(
            arguments.contains(&expected),
            "{expected} is not in {arguments:?}"
        );
    }
    ensure!(pod_of_operator(&objects)["imagePullSecrets"][1]["name"] == "second");
    Ok(())
}

/// Each `ConfigMap` is mounted as a folder: the kubelet does not update a file that is mounted by its path.
#[tokio::test]
async fn the_files_of_the_operator_are_mounted_so_that_they_change() -> Result<()> {
    let objects = objects(&["ca.configMap.name=corporate"]).await?;
    let pod = pod_of_operator(&objects);
    ensure!(
        pod["volumes"]
            == json!([
                {"name": "settings", "configMap": {"name": "speech-tts-operator-settings"}},
                {"name": "ca", "configMap": {"name": "corporate"}},
            ])
    );
    ensure!(
        pod["containers"][0]["volumeMounts"]
            == json!([
                {"name": "settings", "mountPath": "/etc/tts-operator/settings", "readOnly": true},
                {"name": "ca", "mountPath": "/etc/tts-operator/ca", "readOnly": true},
            ])
    );
    Ok(())
}

#[tokio::test]
async fn new_settings_do_not_replace_the_operator() -> Result<()> {
    let certificate = |text: &str| {
        format!("ca.pem=-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----")
    };
    let before = objects(&[&certificate("old")]).await?;
    let digest = format!("image.server.digest=sha256:{}", "a".repeat(64));
    let after = objects(&[
        &certificate("new"),
        &digest,
        "allowHttp=true",
        "proxy.httpsProxy=http://proxy.example.com:3128",
        "rollouts.maxConcurrent=1",
        "inspections.maxConcurrent=1",
        "stalledAfter=30s",
    ])
    .await?;
    ensure!(settings(&before)? != settings(&after)?);
    ensure!(of_kind(&before, "Deployment") == of_kind(&after, "Deployment"));
    Ok(())
}

#[tokio::test]
async fn each_release_has_a_lease_of_its_own() -> Result<()> {
    let objects = objects(&[]).await?;
    ensure!(arguments(&objects)?.contains(&"--lease-name=speech-tts-operator"));
    let leader = of_kind(&objects, "Role")[0];
    ensure!(leader["rules"][0]["resources"] == json!(["leases"]));
    ensure!(leader["rules"][0]["resourceNames"] == json!(["speech-tts-operator"]));

    let single = self::objects(&["leaderElection=false"]).await?;
    ensure!(of_kind(&single, "Role").is_empty());
    ensure!(
        !arguments(&single)?
            .iter()
            .any(|argument| argument.starts_with("--lea"))
    );
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

/// A kind that is added to the CRDs needs a rule for its objects and one for its status.
#[tokio::test]
async fn the_rules_cover_every_kind() -> Result<()> {
    let objects = objects(&["rbac.aggregatedRoles=false"]).await?;
    let rules = of_kind(&objects, "ClusterRole")[0]["rules"]
        .as_array()
        .context("no rules")?;
    let allows = |resource: &str, verb: &str| {
        let has = |rule: &Value, field: &str, value: &str| {
            rule[field]
                .as_array()
                .is_some_and(|values| values.iter().any(|v| v == value))
        };
        rules.iter().any(|rule| {
            has(rule, "apiGroups", "tts-operator.dev")
                && has(rule, "resources", resource)
                && has(rule, "verbs", verb)
        })
    };
    for crd in tts_crds::all() {
        let plural = crd.spec.names.plural;
        for verb in ["list", "watch"] {
            ensure!(allows(&plural, verb), "no right to {verb} {plural}");
        }
        ensure!(
            allows(&format!("{plural}/status"), "patch"),
            "no right to write the status of {plural}"
        );
    }
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

/// Without them nothing is subtracted, and the operator says so.
#[tokio::test]
async fn rights_on_nodes_and_quotas_can_be_left_out() -> Result<()> {
    let objects = objects(&["rbac.nodes=false", "rbac.quotas=false"]).await?;
    let roles = serde_json::to_string(&of_kind(&objects, "ClusterRole"))?;
    for resource in ["nodes", "daemonsets", "resourcequotas", "limitranges"] {
        ensure!(
            !roles.contains(&format!("\"{resource}\"")),
            "{resource}: {roles}"
        );
    }
    Ok(())
}

/// What the operator may do, without more: a right that is added is added here too.
#[tokio::test]
async fn the_operator_has_these_rights() -> Result<()> {
    let objects = objects(&["rbac.aggregatedRoles=false"]).await?;
    let role = of_kind(&objects, "ClusterRole")[0];
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().context("no rules")? {
        ensure!(
            rule.as_object().context("no rule")?.len() == 3,
            "more than groups, resources and verbs: {rule}"
        );
        let list = |field: &str| -> Result<Vec<&str>> {
            rule[field]
                .as_array()
                .with_context(|| format!("no {field}"))?
                .iter()
                .map(|value| value.as_str().context("no string"))
                .collect()
        };
        for group in list("apiGroups")? {
            for resource in list("resources")? {
                rights.push(format!("{group}/{resource} {}", list("verbs")?.join(" ")));
            }
        }
    }
    rights.sort();
    let expected = [
        "/events list",
        "/limitranges list",
        "/nodes list watch",
        "/pods list watch",
        "/pods/log get",
        "/pods/resize patch",
        "/resourcequotas list",
        "/serviceaccounts get list watch create update patch",
        "/services get list watch create update patch",
        "apps/controllerrevisions get list watch create patch delete",
        "apps/daemonsets list watch",
        "apps/deployments get list watch create update patch",
        "autoscaling/horizontalpodautoscalers get list watch create update patch delete",
        "batch/jobs list watch create delete",
        "events.k8s.io/events create patch",
        "networking.k8s.io/networkpolicies get list watch create update patch",
        "policy/poddisruptionbudgets get list watch create update patch",
        "tts-operator.dev/ttsbenchmarks create",
        "tts-operator.dev/ttsbenchmarks get list watch",
        "tts-operator.dev/ttsbenchmarks/status patch",
        "tts-operator.dev/ttsdeployments get list watch",
        "tts-operator.dev/ttsdeployments/status patch",
        "tts-operator.dev/ttsprofiles create delete",
        "tts-operator.dev/ttsprofiles get list watch",
        "tts-operator.dev/ttsprofiles/status patch",
        "tts-operator.dev/ttsvoices get list watch",
        "tts-operator.dev/ttsvoices/status patch",
    ];
    ensure!(rights == expected, "{rights:#?}");
    Ok(())
}

#[tokio::test]
async fn every_pod_is_restricted() -> Result<()> {
    let objects = objects(&["replicas=2"]).await?;
    for pod in [
        pod_of_operator(&objects),
        &of_kind(&objects, "Pod")[0]["spec"],
    ] {
        ensure!(
            pod["securityContext"]
                == json!({
                    "runAsNonRoot": true,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                })
        );
        for container in pod["containers"].as_array().context("no containers")? {
            let security = &container["securityContext"];
            ensure!(security["allowPrivilegeEscalation"] == false);
            ensure!(security["readOnlyRootFilesystem"] == true);
            ensure!(security["capabilities"]["drop"] == json!(["ALL"]));
            ensure!(container["resources"]["requests"]["cpu"].is_string());
        }
    }
    ensure!(of_kind(&objects, "PodDisruptionBudget").len() == 1);
    ensure!(of_kind(&objects, "NetworkPolicy").len() == 2);
    Ok(())
}

/// Some platforms assign a user to each namespace and refuse pods that name another.
#[tokio::test]
async fn the_platform_may_choose_the_user() -> Result<()> {
    let objects = objects(&[
        "podSecurityContext.runAsUser=null",
        "podSecurityContext.runAsGroup=null",
    ])
    .await?;
    for pod in [
        pod_of_operator(&objects),
        &of_kind(&objects, "Pod")[0]["spec"],
    ] {
        ensure!(
            pod["securityContext"]
                == json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
        );
    }
    let large = self::objects(&["podSecurityContext.runAsUser=1000680000"]).await?;
    ensure!(pod_of_operator(&large)["securityContext"]["runAsUser"] == 1_000_680_000);
    Ok(())
}

#[tokio::test]
async fn the_network_is_limited_as_far_as_it_is_known() -> Result<()> {
    let policy = |objects: &[Value]| of_kind(objects, "NetworkPolicy")[0]["spec"].clone();
    let plain = policy(&objects(&[]).await?);
    ensure!(plain["ingress"] == json!([{"ports": [{"port": "http", "protocol": "TCP"}]}]));
    ensure!(plain["egress"] == json!([{}]));
    let listed = policy(&objects(&["networkPolicy.apiServerPorts={443,6443}"]).await?);
    ensure!(
        listed["egress"][0]["ports"]
            == json!([{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}])
    );
    ensure!(listed["egress"][1]["ports"][0] == json!({"port": 53, "protocol": "UDP"}));
    let none = objects(&["networkPolicy.enabled=false"]).await?;
    ensure!(of_kind(&none, "NetworkPolicy").is_empty());
    Ok(())
}

#[tokio::test]
async fn kube_score_finds_nothing_critical() -> Result<()> {
    for setting in [
        "replicas=1",
        "watchNamespaces={here,there}",
        "replicas=2",
        "networkPolicy.apiServerPorts={6443}",
        "test.enabled=false",
    ] {
        let rendered = template(&["image.registry=registry.example.com/speech", setting])
            .await?
            .ok()?;
        let findings = kube_score(&rendered).await?;
        nothing_critical(&findings).with_context(|| setting.to_owned())?;
        ensure!(
            findings
                .iter()
                .any(|finding| finding.check == "pod-networkpolicy"),
            "no pod was looked at: {findings:?}"
        );
        // The annotations hide the two reasons that they give, and nothing else.
        let all = [
            "--disable-ignore-checks-annotations",
            "--ignore-container-cpu-limit",
            "--ignore-test=container-image-pull-policy",
        ];
        nothing_critical(&kube_score_with(&rendered, &all).await?)
            .with_context(|| setting.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn one_operator_has_no_disruption_budget() -> Result<()> {
    let objects = objects(&[]).await?;
    ensure!(of_kind(&objects, "PodDisruptionBudget").is_empty());
    Ok(())
}
