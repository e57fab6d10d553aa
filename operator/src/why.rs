//! `tts-operator why`: explains the plan of a deployment of the cluster from its status.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Client, Config, ResourceExt as _};
use tts_crds::v1alpha1::{APPROVE, PlanStatus, SizingMode, TtsDeployment, TtsDeploymentStatus};

use crate::{
    cli::WhyArgs,
    conditions::{PROFILED, READY, SIZED},
    output,
    planning::sentences,
};

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot find a cluster: {0}; set KUBECONFIG, or write ~/.kube/config")]
    NoCluster(#[from] kube::config::InferConfigError),
    #[error(
        "there is no TtsDeployment {name} in namespace {namespace}; kubectl get ttsdeployments -A lists those that there are"
    )]
    NotFound { name: String, namespace: String },
    #[error("the cluster does not know TtsDeployments: install the CRDs of tts-operator")]
    NoCrd,
    #[error(
        "no right to read TtsDeployments in namespace {namespace}: {message}; ask for get on ttsdeployments.tts-operator.dev"
    )]
    Forbidden { namespace: String, message: String },
    #[error("cannot read TtsDeployment {name}: {source}")]
    Cluster {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("cannot write to standard output: {0}")]
    Write(#[from] std::io::Error),
}

/// Reads the deployment and prints the explanation.
pub async fn run(args: WhyArgs) -> Result<(), Error> {
    // A second call finds it installed, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::infer().await?;
    let namespace = args.namespace;
    let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
    let failed = |source| failure(&args.name, &namespace, source);
    let client = Client::try_from(config).map_err(failed)?;
    let api = Api::<TtsDeployment>::namespaced(client, &namespace);
    let object = api.get(&args.name).await.map_err(failed)?;
    Ok(output::print(&text(&object))?)
}

fn failure(name: &str, namespace: &str, source: kube::Error) -> Error {
    match source {
        kube::Error::Api(status) if status.code == 404 => {
            // Without the CRD the answer names no object.
            let object = status.details.as_ref().map(|details| details.name.as_str());
            if object == Some(name) {
                Error::NotFound {
                    name: name.to_owned(),
                    namespace: namespace.to_owned(),
                }
            } else {
                Error::NoCrd
            }
        }
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => Error::Forbidden {
            namespace: namespace.to_owned(),
            message: status.message.clone(),
        },
        source => Error::Cluster {
            name: name.to_owned(),
            source,
        },
    }
}

/// The explanation.
fn text(object: &TtsDeployment) -> String {
    let status = object.status.clone().unwrap_or_default();
    let name = format!(
        "{}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    );
    let mut text = match &status.plan {
        Some(plan) => planned(&name, object, plan),
        None => format!("{name} has no plan.\n"),
    };
    text += &currency(object, &status);
    if status.plan.is_none() {
        text += &sentences::list("Why not", why_not(object, &status));
    }
    if let Some(proposed) = &status.proposed_plan {
        text += &waiting(object, proposed);
    }
    text += &sentences::list("What would change this decision", changes(object, &status));
    text
}

fn planned(name: &str, object: &TtsDeployment, plan: &PlanStatus) -> String {
    let promise = object.spec.objectives.as_ref().map(|objectives| {
        format!(
            "It promises first audio within {} to 95 % of the requests.\n",
            objectives.time_to_first_audio
        )
    });
    format!(
        "{name} runs speech synthesis in pods on nodes of {}.\nA class is a group of nodes that are alike; each pod is one copy of the server.\n{}{}",
        sentences::summary(plan),
        promise.unwrap_or_default(),
        sentences::reasons(plan)
    )
}

/// Whether the status is of the present spec.
fn currency(object: &TtsDeployment, status: &TtsDeploymentStatus) -> String {
    let generation = object.metadata.generation.unwrap_or_default();
    if status.observed_generation < 0 {
        "The operator has not seen this deployment yet. If that lasts, look whether tts-operator runs and watches this namespace.\n".to_owned()
    } else if status.observed_generation < generation {
        "The deployment was changed after this was written: the operator has not answered to the change yet.\n".to_owned()
    } else {
        String::new()
    }
}

fn why_not(object: &TtsDeployment, status: &TtsDeploymentStatus) -> Vec<String> {
    let spec = &object.spec;
    if spec.objectives.is_none() || spec.load.is_none() {
        return vec![
            "nothing is promised: set spec.objectives.timeToFirstAudio (how soon speech must start) and spec.load (how many requests come), and the operator plans the pods".to_owned(),
        ];
    }
    let manual = spec
        .sizing
        .as_ref()
        .is_some_and(|sizing| sizing.mode == SizingMode::Manual);
    if manual {
        return vec![
            "spec.sizing.mode is Manual: the resources are used as written; set it to FromProfile, and the operator plans".to_owned(),
        ];
    }
    let conditions = status.conditions.iter();
    conditions
        .filter(|condition| condition.status != "True")
        .filter(|condition| ["VoicesReady", READY].contains(&condition.type_.as_str()))
        .map(of_condition)
        .collect()
}

fn waiting(object: &TtsDeployment, proposed: &PlanStatus) -> String {
    format!(
        "Another plan waits for a person, because spec.sizing.apply is Approve: {}.\nTo approve it:\n  kubectl annotate ttsdeployment {} --namespace {} --overwrite {APPROVE}={}\n{}",
        sentences::summary(proposed),
        object.name_any(),
        object.namespace().unwrap_or_default(),
        proposed.input_hash,
        sentences::list(
            "Why that plan",
            proposed.reasons.iter().map(|reason| &reason.text)
        ),
    )
}

/// What is missing or falls short, and what to do; and what always leads to a new plan.
fn changes(object: &TtsDeployment, status: &TtsDeploymentStatus) -> Vec<String> {
    let condition = |type_: &str| {
        let conditions = status.conditions.iter();
        conditions
            .filter(|condition| condition.status != "True")
            .find(|condition| condition.type_ == type_)
    };
    let mut changes = Vec::new();
    if let Some(profiled) = condition(PROFILED) {
        changes.push(format!(
            "missing measurements, of how fast the voices are on the nodes: {}",
            of_condition(profiled)
        ));
    }
    if let Some(sized) = condition(SIZED)
        && sized.reason != "ApprovalNeeded"
    {
        changes.push(format!(
            "the promise cannot be kept as it is: {}",
            of_condition(sized)
        ));
    }
    if object.spec.objectives.is_some() {
        changes.push(
            "other objectives, another load, other nodes or prices, or a new measurement: the plan is made anew, and pods are replaced only where it differs".to_owned(),
        );
    }
    changes
}

fn of_condition(condition: &Condition) -> String {
    format!("{} ({})", condition.message, condition.reason)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(spec: &Value, status: &Value) -> TtsDeployment {
        serde_json::from_value(json!({
            "apiVersion": "tts-operator.dev/v1alpha1",
            "kind": "TtsDeployment",
            "metadata": {"name": "reader", "namespace": "speech", "generation": 2},
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    fn goals() -> Value {
        json!({
            "voices": [{"name": "rms"}],
            "objectives": {"timeToFirstAudio": "500ms"},
            "load": {"peakRequestsPerSecond": 5},
        })
    }

    fn plan(class: &str) -> Value {
        json!({
            "inputHash": "abc",
            "nodeClass": class,
            "accelerator": "Cpu",
            "pod": {"cpu": "2", "memory": "512Mi", "threads": 1, "maxConcurrency": 2, "queue": 4},
            "replicas": {"min": 1, "planned": 3, "max": 5},
            "reasons": [{"code": "Replicas", "text": "Three pods carry 5 requests/s."}],
            "alternatives": ["weak, 1 core"],
            "rejected": ["tiny: no room"],
        })
    }

    fn condition(type_: &str, reason: &str, message: &str) -> Value {
        json!({
            "type": type_, "status": "False", "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    }

    #[test]
    fn a_plan_with_its_reasons() {
        let status = json!({"observedGeneration": 2, "plan": plan("strong")});
        let text = text(&object(&goals(), &status));
        assert!(
            text.starts_with("speech/reader runs speech synthesis in pods on nodes of class strong, 3 pods at the peak (1 to 5), each 2 CPU, 512Mi memory, 1 thread per request, 2 requests at once"),
            "{text}"
        );
        for part in [
            "  - Three pods",
            "  - weak, 1 core",
            "  - tiny: no room",
            "promises first audio within 500ms",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("approve"), "{text}");
    }

    #[test]
    fn what_waits_has_a_command() {
        let status = json!({
            "observedGeneration": 1,
            "plan": plan("strong"),
            "proposedPlan": plan("weak"),
            "conditions": [
                condition("Sized", "ApprovalNeeded", "waits"),
                condition("Profiled", "Measuring", "not measured: rms on weak"),
            ],
        });
        let text = text(&object(&goals(), &status));
        let command = "kubectl annotate ttsdeployment reader --namespace speech --overwrite tts-operator.dev/approve=abc\n";
        assert!(text.contains(command), "{text}");
        assert!(
            text.contains("not measured: rms on weak (Measuring)"),
            "{text}"
        );
        assert!(text.contains("has not answered to the change"), "{text}");
        assert!(!text.contains("ApprovalNeeded"), "{text}");
    }

    #[test]
    fn without_a_plan_it_says_why_not() {
        let unseen = text(&object(&goals(), &json!({})));
        assert!(unseen.contains("speech/reader has no plan."), "{unseen}");
        assert!(
            unseen.contains("has not seen this deployment yet"),
            "{unseen}"
        );
        let plain = json!({"voices": [{"name": "rms"}]});
        let plain = text(&object(&plain, &json!({"observedGeneration": 2})));
        assert!(plain.contains("set spec.objectives"), "{plain}");
        assert!(!plain.contains("What would change"), "{plain}");
        let mut manual = goals();
        manual["sizing"] = json!({"mode": "Manual"});
        let manual = text(&object(&manual, &json!({"observedGeneration": 2})));
        assert!(manual.contains("Manual"), "{manual}");
        let status = json!({
            "observedGeneration": 2,
            "conditions": [
                condition("VoicesReady", "VoiceMissing", "there is no TtsVoice rms"),
                condition("Sized", "NoProfile", "nothing was measured"),
            ],
        });
        let missing = text(&object(&goals(), &status));
        assert!(
            missing.contains("there is no TtsVoice rms (VoiceMissing)"),
            "{missing}"
        );
        assert!(
            missing.contains("nothing was measured (NoProfile)"),
            "{missing}"
        );
    }

    #[test]
    fn errors_of_the_cluster_say_what_to_do() {
        let error = |status: Value| {
            let status = serde_json::from_value(status).unwrap();
            failure("reader", "speech", kube::Error::Api(Box::new(status))).to_string()
        };
        let missing = error(json!({
            "code": 404, "reason": "NotFound", "message": "", "details": {"name": "reader"},
        }));
        assert!(
            missing.contains("no TtsDeployment reader in namespace speech"),
            "{missing}"
        );
        let no_crd = error(json!({"code": 404, "reason": "NotFound", "message": ""}));
        assert!(no_crd.contains("install the CRDs"), "{no_crd}");
        let forbidden = error(json!({"code": 403, "reason": "Forbidden", "message": "no"}));
        assert!(forbidden.contains("no right to read"), "{forbidden}");
    }
}
