//! Taints, and who tolerates them.
use k8s_openapi::api::core::v1::{Node, Taint, Toleration};

/// Taints that keep pods off a node, in a fixed order; `PreferNoSchedule` keeps nobody.
pub(super) fn of(node: &Node) -> Vec<Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let mut taints: Vec<Taint> = taints
        .into_iter()
        .flatten()
        .filter(|taint| taint.effect != "PreferNoSchedule")
        .map(|taint| Taint {
            // When it was added says nothing about who tolerates it.
            time_added: None,
            ..taint.clone()
        })
        .collect();
    taints.sort_by_key(text);
    taints
}

/// As `kubectl describe node` writes it.
pub(super) fn text(taint: &Taint) -> String {
    match taint.value.as_deref() {
        None | Some("") => format!("{}:{}", taint.key, taint.effect),
        Some(value) => format!("{}={value}:{}", taint.key, taint.effect),
    }
}

/// Whether a pod with these tolerations may run in spite of the taint.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>
pub(super) fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    let blank = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    tolerations.iter().any(|toleration| {
        let effect = blank(&toleration.effect)
            || toleration.effect.as_deref() == Some(taint.effect.as_str());
        let exists = toleration.operator.as_deref() == Some("Exists");
        let equal = blank(&toleration.operator) || toleration.operator.as_deref() == Some("Equal");
        let key = if blank(&toleration.key) {
            exists
        } else {
            toleration.key.as_deref() == Some(taint.key.as_str())
        };
        let value = exists
            || equal
                && toleration.value.as_deref().unwrap_or_default()
                    == taint.value.as_deref().unwrap_or_default();
        effect && key && value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_matched_as_the_scheduler_does() {
        let taint: Taint =
            serde_saphyr::from_str("{key: pool, value: speech, effect: NoSchedule}").unwrap();
        for (toleration, expected) in [
            ("{operator: Exists}", true),
            ("{key: pool, operator: Exists}", true),
            ("{key: pool, operator: Exists, effect: NoSchedule}", true),
            ("{key: pool, value: speech}", true),
            ("{key: pool, operator: Equal, value: speech}", true),
            ("{key: pool, operator: Exists, effect: NoExecute}", false),
            ("{key: pool, value: other}", false),
            ("{key: pool}", false),
            ("{key: other, operator: Exists}", false),
            ("{value: speech}", false),
            ("{key: pool, operator: Gt, value: speech}", false),
        ] {
            let toleration: Toleration = serde_saphyr::from_str(toleration).unwrap();
            assert_eq!(
                tolerated(&taint, std::slice::from_ref(&toleration)),
                expected,
                "{toleration:?}"
            );
        }
        assert!(!tolerated(&taint, &[]));
    }
}
