//! Changes of CPU and memory in place: an edited template would replace every pod, so running pods are resized and the template
//! keeps its resources until the next rollout. New pods start as the template says and are resized then.
use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{Pod, PodCondition, PodTemplateSpec, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    Context, Error, Result, accepted::Accepted, rollout::Rollout, template::SERVER_CONTAINER,
};
use crate::{FIELD_MANAGER, children};

/// What the API server lets a resize change.
const RESIZED: [&str; 2] = ["cpu", "memory"];
/// Of a pod: the kubelet cannot grant a resize now, or ever.
const PENDING: &str = "PodResizePending";
/// Of a pod: the kubelet changes the resources.
const IN_PROGRESS: &str = "PodResizeInProgress";
/// Reason of [`PENDING`]: the node never has room.
const INFEASIBLE: &str = "Infeasible";

/// How far resizes are, according to the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resizes {
    /// Pods that do not have their resources yet, and what the kubelet says about it.
    pub waiting: Vec<String>,
    /// Why they cannot be done in place.
    pub refused: Option<String>,
}

/// `new` as a change in place of `running`, where it is one; else as it is.
pub fn in_place(running: &Accepted, new: Accepted) -> Accepted {
    let (Some(from), Some(to)) = (running.resources(), resources(&new.template)) else {
        return new;
    };
    if !possible(from, to) || with_resources(&running.template, to) != new.template {
        return new;
    }
    let to = to.clone();
    Accepted {
        resized: (resources(&running.template) != Some(&to)).then_some(to),
        template: running.template.clone(),
        ..new
    }
}

/// Whether the kubelet may change one into the other: neither the quality of service nor which limits there are changes, and
/// no memory is taken away, which a process may be using.
fn possible(from: &ResourceRequirements, to: &ResourceRequirements) -> bool {
    let keys = |of: &Option<BTreeMap<String, Quantity>>| -> Vec<String> {
        of.iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let guaranteed = |of: &ResourceRequirements| of.requests == of.limits;
    let memory = |of: &Option<BTreeMap<String, Quantity>>| {
        let quantity = of.as_ref()?.get("memory")?;
        Some(
            tts_crds::quantity::Quantity::parse(&quantity.0)
                .ok()?
                .bytes(),
        )
    };
    let shrinks = memory(&to.limits) < memory(&from.limits);
    keys(&from.requests) == keys(&to.requests)
        && keys(&from.limits) == keys(&to.limits)
        && guaranteed(from) == guaranteed(to)
        && !shrinks
}

/// Resources of the server container.
pub fn resources(template: &PodTemplateSpec) -> Option<&ResourceRequirements> {
    let containers = &template.spec.as_ref()?.containers;
    let server = containers.iter().find(|c| c.name == SERVER_CONTAINER)?;
    server.resources.as_ref()
}

/// The template with other resources of the server container.
fn with_resources(template: &PodTemplateSpec, resources: &ResourceRequirements) -> PodTemplateSpec {
    let mut template = template.clone();
    let containers = template
        .spec
        .iter_mut()
        .flat_map(|spec| &mut spec.containers);
    for container in containers.filter(|c| c.name == SERVER_CONTAINER) {
        container.resources = Some(resources.clone());
    }
    template
}

/// Asks for the resources that pods do not have, and says how far that is.
pub async fn resize(
    ctx: &Context,
    namespace: &str,
    accepted: &Accepted,
    rollout: &Rollout,
    pods: &[Arc<Pod>],
) -> Result<Resizes> {
    let Some(wanted) = accepted.resources() else {
        return Ok(Resizes::default());
    };
    // Pods of an earlier template are about to go.
    if !rollout.all_updated() {
        return Ok(Resizes::default());
    }
    let mut resizes = resizes(wanted, pods);
    let api = Api::<Pod>::namespaced(ctx.client.clone(), namespace);
    for pod in pods
        .iter()
        .filter(|pod| asks_for(wanted, pod) == Some(false))
    {
        let name = pod.name_any();
        let patch = json!({"spec": {"containers": [{
            "name": SERVER_CONTAINER,
            "resources": {"requests": amounts(wanted.requests.as_ref()), "limits": amounts(wanted.limits.as_ref())},
        }]}});
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        ctx.metrics.count_write(&Pod::kind(&()), "resize");
        match api
            .patch_resize(&name, &params, &Patch::Strategic(&patch))
            .await
        {
            Ok(_) => resizes.waiting.push(format!("pod {name}")),
            Err(kube::Error::Api(status))
                if (status.is_not_found() || status.is_forbidden() || status.code == 422) =>
            {
                resizes.refused = Some(format!("pod {name}: {}", status.message));
            }
            Err(source) => {
                return Err(Error::Child(children::Error::Request {
                    verb: "resize",
                    kind: Pod::kind(&()).into_owned(),
                    name,
                    source: Box::new(source),
                }));
            }
        }
    }
    Ok(resizes)
}

/// What the pods say.
pub fn resizes(wanted: &ResourceRequirements, pods: &[Arc<Pod>]) -> Resizes {
    let mut found = Resizes::default();
    let asked = pods
        .iter()
        .filter(|pod| asks_for(wanted, pod) == Some(true));
    for pod in asked {
        let name = pod.name_any();
        if let Some(pending) = condition(pod, PENDING) {
            let text = format!(
                "pod {name}: {}: {}",
                pending.reason.as_deref().unwrap_or_default(),
                pending.message.as_deref().unwrap_or_default()
            );
            if pending.reason.as_deref() == Some(INFEASIBLE) {
                found.refused = Some(text);
            } else {
                found.waiting.push(text);
            }
        } else if condition(pod, IN_PROGRESS).is_some() {
            found.waiting.push(format!("pod {name}"));
        }
    }
    found
}

/// Whether the pod's own resources are already these; `None` where it has ended or ends.
fn asks_for(wanted: &ResourceRequirements, pod: &Pod) -> Option<bool> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if pod.metadata.deletion_timestamp.is_some() || !matches!(phase, Some("Running" | "Pending")) {
        return None;
    }
    let containers = &pod.spec.as_ref()?.containers;
    let server = containers.iter().find(|c| c.name == SERVER_CONTAINER)?;
    let of = server.resources.as_ref()?;
    let same = |a: &Option<BTreeMap<String, Quantity>>, b: &Option<BTreeMap<String, Quantity>>| {
        RESIZED.iter().all(|name| {
            let amount =
                |of: &Option<BTreeMap<String, Quantity>>| Some(of.as_ref()?.get(*name)?.0.clone());
            match (amount(a), amount(b)) {
                (Some(a), Some(b)) => tts_crds::quantity::same(&a, &b),
                (a, b) => a == b,
            }
        })
    };
    Some(same(&of.requests, &wanted.requests) && same(&of.limits, &wanted.limits))
}

/// CPU and memory of these.
fn amounts(of: Option<&BTreeMap<String, Quantity>>) -> BTreeMap<&str, &Quantity> {
    let amounts = of.into_iter().flatten();
    amounts
        .map(|(name, quantity)| (name.as_str(), quantity))
        .filter(|(name, _)| RESIZED.contains(name))
        .collect()
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|c| c.type_ == type_ && c.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::deployment::fixtures::{BUILTIN, planned, ready_voice};

    fn accepted(resources: &str, labels: &str) -> Accepted {
        let spec = format!(
            "  voices: [{{name: bass}}]\n  sizing: {{mode: Manual, resources: {resources}}}\n  pod: {{labels: {labels}}}"
        );
        planned(&spec, vec![Some(ready_voice("bass", BUILTIN))])
            .workload
            .unwrap()
            .accepted
    }

    fn manual(cpu: &str, memory: &str) -> String {
        format!("{{requests: {{cpu: {cpu}, memory: {memory}}}, limits: {{memory: {memory}}}}}")
    }

    #[test]
    fn cpu_and_more_memory_are_changed_in_place() {
        let running = accepted(&manual("500m", "512Mi"), "{}");
        let grown = accepted(&manual("750m", "768Mi"), "{}");
        let wanted = resources(&grown.template).cloned();
        let next = in_place(&running, grown);
        assert_eq!(next.template, running.template);
        assert_eq!(next.resized, wanted);
        assert_eq!(next.resources(), wanted.as_ref());
        // Again, from what it was resized to, and back to what the template says.
        let again = in_place(&next, accepted(&manual("600m", "768Mi"), "{}"));
        assert_eq!(again.template, running.template);
        assert!(again.resized.is_some());
        let cpu_only = in_place(&running, accepted(&manual("750m", "512Mi"), "{}"));
        let back = in_place(&cpu_only, accepted(&manual("500m", "512Mi"), "{}"));
        assert_eq!((back.template, back.resized), (running.template, None));
    }

    #[test]
    fn everything_else_is_rolled_out() {
        let running = accepted(&manual("500m", "512Mi"), "{}");
        for (what, new) in [
            ("less memory", accepted(&manual("500m", "256Mi"), "{}")),
            ("another worker", accepted(&manual("2", "512Mi"), "{}")),
            (
                "a label",
                accepted(&manual("750m", "512Mi"), "{team: voice}"),
            ),
            (
                "a limit",
                accepted(
                    "{requests: {cpu: 500m, memory: 512Mi}, limits: {cpu: 500m, memory: 512Mi}}",
                    "{}",
                ),
            ),
            (
                "no limit",
                accepted("{requests: {cpu: 500m, memory: 512Mi}}", "{}"),
            ),
        ] {
            let next = in_place(&running, new.clone());
            assert_eq!(next, new, "{what}");
            assert_eq!(next.resized, None, "{what}");
        }
    }

    fn pod(cpu: &str, conditions: &str) -> Arc<Pod> {
        Arc::new(
            serde_saphyr::from_str(&format!(
                "{{metadata: {{name: p}}, spec: {{containers: [{{name: server, resources: {{requests: {{cpu: {cpu}, memory: 512Mi, ephemeral-storage: 1Mi}}, limits: {{memory: 512Mi}}}}}}]}}, status: {{phase: Running, conditions: {conditions}}}}}"
            ))
            .unwrap(),
        )
    }

    #[test]
    fn what_the_kubelet_says_is_followed() {
        let accepted = accepted(&manual("750m", "512Mi"), "{}");
        let wanted = accepted.resources().unwrap();
        assert_eq!(asks_for(wanted, &pod("500m", "[]")), Some(false));
        assert_eq!(asks_for(wanted, &pod("0.75", "[]")), Some(true));
        let seen = |conditions: &str| resizes(wanted, &[pod("750m", conditions)]);
        assert_eq!(seen("[]"), Resizes::default());
        let progress = seen("[{type: PodResizeInProgress, status: 'True'}]");
        assert_eq!((progress.waiting.len(), progress.refused), (1, None));
        let deferred = seen(
            "[{type: PodResizePending, status: 'True', reason: Deferred, message: no room now}]",
        );
        assert_eq!(deferred.waiting, ["pod p: Deferred: no room now"]);
        let never = seen(
            "[{type: PodResizePending, status: 'True', reason: Infeasible, message: too large}]",
        );
        assert_eq!(
            never.refused.as_deref(),
            Some("pod p: Infeasible: too large")
        );
        assert_eq!(never.waiting, [""; 0]);
    }
}
