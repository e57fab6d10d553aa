//! What a request to the API server does, by its method and URL.
use axum::http::{Method, Uri};

/// What a request stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A read, a dry run, or a review of permissions.
    Nothing,
    Object,
    /// An attempt to acquire or renew a Lease.
    Lease,
    Event,
}

pub fn effect(method: &Method, uri: &Uri) -> Effect {
    let mutating = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method);
    if !mutating || has_parameter(uri, "dryRun=All") {
        return Effect::Nothing;
    }
    match resource(uri.path()) {
        Some("leases") => Effect::Lease,
        Some("events") => Effect::Event,
        Some(review) if review.ends_with("reviews") => Effect::Nothing,
        _ => Effect::Object,
    }
}

pub fn is_watch(uri: &Uri) -> bool {
    has_parameter(uri, "watch=true") || has_parameter(uri, "watch=1")
}

fn has_parameter(uri: &Uri, parameter: &str) -> bool {
    uri.query()
        .is_some_and(|query| query.split('&').any(|given| given == parameter))
}

/// The plural of the kind: `deployments` of `/apis/apps/v1/namespaces/speech/deployments/greeter/status`.
pub fn resource(path: &str) -> Option<&str> {
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let in_version = match *segments.first()? {
        "api" => segments.get(2..)?,
        "apis" => segments.get(3..)?,
        _ => return None,
    };
    match in_version {
        ["namespaces", _, resource, ..] | [resource, ..] => Some(resource),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_follows_the_version_or_the_namespace() {
        for (path, expected) in [
            ("/api/v1/namespaces/speech/services", Some("services")),
            ("/api/v1/nodes/node", Some("nodes")),
            ("/api/v1/namespaces/speech", Some("namespaces")),
            (
                "/apis/apps/v1/namespaces/speech/deployments/greeter/status",
                Some("deployments"),
            ),
            (
                "/apis/tts-operator.dev/v1alpha1/ttsvoices",
                Some("ttsvoices"),
            ),
            ("/apis/apps/v1", None),
            ("/version", None),
        ] {
            assert_eq!(resource(path), expected, "{path}");
        }
    }

    #[test]
    fn only_what_stores_an_object_is_a_write() {
        for (method, uri, expected) in [
            (Method::GET, "/api/v1/pods", Effect::Nothing),
            (
                Method::PATCH,
                "/api/v1/namespaces/a/services/b?force=true&fieldManager=c",
                Effect::Object,
            ),
            (
                Method::PATCH,
                "/api/v1/namespaces/a/services/b?dryRun=All&force=true",
                Effect::Nothing,
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b",
                Effect::Lease,
            ),
            (
                Method::POST,
                "/apis/events.k8s.io/v1/namespaces/a/events",
                Effect::Event,
            ),
            (
                Method::POST,
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                Effect::Nothing,
            ),
        ] {
            assert_eq!(effect(&method, &uri.parse().unwrap()), expected, "{uri}");
        }
    }

    #[test]
    fn a_watch_is_known_by_its_parameter() {
        assert!(is_watch(
            &"/api/v1/pods?&watch=true&timeoutSeconds=290"
                .parse()
                .unwrap()
        ));
        assert!(!is_watch(&"/api/v1/pods?limit=500".parse().unwrap()));
    }
}
