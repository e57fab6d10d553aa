//! What is sent to the API server, which is a mock that answers each request as told.
use std::{pin::pin, time::Duration};

use http::{Request, Response};
use k8s_openapi::api::{core::v1::ServiceAccount, networking::v1::NetworkPolicy};
use kube::{client::Body, runtime::events::Reporter};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower_test::mock::{self, Handle};

use super::*;

type Requests = Handle<Request<Body>, Response<Body>>;

struct World {
    client: Client,
    recorder: Recorder,
    metrics: Metrics,
    corrections: Corrections,
    owner: OwnerReference,
    about: ObjectReference,
    labels: BTreeMap<String, String>,
}

impl World {
    fn new() -> (Self, Requests) {
        let (service, requests) = mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "stage");
        let reporter = Reporter {
            controller: "tts-operator".to_owned(),
            instance: None,
        };
        let world = Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            metrics: Metrics::new().unwrap(),
            corrections: Corrections::default(),
            owner: OwnerReference {
                uid: "owner".to_owned(),
                name: "narrator".to_owned(),
                kind: "TtsDeployment".to_owned(),
                api_version: "tts-operator.dev/v1alpha1".to_owned(),
                controller: Some(true),
                ..OwnerReference::default()
            },
            about: ObjectReference {
                namespace: Some("stage".to_owned()),
                name: Some("narrator".to_owned()),
                ..ObjectReference::default()
            },
            labels: BTreeMap::from([("instance".to_owned(), "narrator".to_owned())]),
        };
        (world, requests)
    }

    fn children(&self) -> Children<'_> {
        Children {
            client: &self.client,
            metrics: &self.metrics,
            recorder: &self.recorder,
            corrections: &self.corrections,
            namespace: "stage",
            owner: &self.owner,
            about: &self.about,
            labels: &self.labels,
        }
    }

    fn metadata(&self) -> Value {
        json!({"name": "narrator", "namespace": "stage", "labels": self.labels, "ownerReferences": [self.owner]})
    }

    fn desired(&self) -> ServiceAccount {
        let value = json!({"metadata": self.metadata(), "automountServiceAccountToken": false});
        serde_json::from_value(value).unwrap()
    }
}

/// `object` as the API server has it after it was applied.
fn stored<K: Child>(object: &K, version: &str) -> K {
    let mut object = object.clone();
    let hash = hash(&object);
    let meta = object.meta_mut();
    meta.uid = Some("child".to_owned());
    meta.resource_version = Some(version.to_owned());
    meta.annotations
        .get_or_insert_default()
        .insert(APPLIED_HASH.to_owned(), hash);
    object
}

/// The next request, answered with `status` and `answer`, and its body.
async fn answer(requests: &mut Requests, status: u16, answer: &Value) -> (String, Value) {
    let (request, send) = pin!(requests.next_request()).await.expect("a request");
    let line = format!("{} {}", request.method(), request.uri().path());
    let body = request.into_body().collect_bytes().await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let answer = serde_json::to_vec(answer).unwrap();
    send.send_response(
        Response::builder()
            .status(status)
            .body(Body::from(answer))
            .unwrap(),
    );
    (line, body)
}

/// A request that nobody answers fails the test instead of holding it up.
async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(10), future)
        .await
        .expect("an answer to each request")
}

/// What is tested, and the API server that answers it.
async fn both<A: Future, B: Future>(tested: A, api: B) -> (A::Output, B::Output) {
    soon(futures::future::join(tested, api)).await
}

/// Ends when the client is dropped; fails if there was another request.
async fn no_more(mut requests: Requests) {
    let more = pin!(requests.next_request()).await;
    assert!(
        more.is_none(),
        "another request: {:?}",
        more.map(|(request, _)| request)
    );
}

const PATH: &str = "/api/v1/namespaces/stage/serviceaccounts/narrator";

fn not_found() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
}

#[tokio::test]
async fn what_is_as_desired_costs_no_request() {
    let (world, requests) = World::new();
    let cache = Cache::default();
    cache.wrote(stored(&world.desired(), "5"));
    let children = world.children();
    let live = soon(children.ensure(&cache, "manager", world.desired()))
        .await
        .unwrap();
    assert_eq!(live.uid().unwrap(), "child");
    drop(world);
    no_more(requests).await;
}

#[tokio::test]
async fn what_is_missing_is_applied_once() {
    let (world, mut requests) = World::new();
    let cache = Cache::default();
    let answers = async {
        let (read, _) = answer(&mut requests, 404, &not_found()).await;
        assert_eq!(read, format!("GET {PATH}"));
        let made = serde_json::to_value(stored(&world.desired(), "5")).unwrap();
        let (applied, body) = answer(&mut requests, 201, &made).await;
        assert_eq!(applied, format!("PATCH {PATH}"));
        assert_eq!(body["metadata"]["uid"], Value::Null, "nothing is replaced");
        requests
    };
    let children = world.children();
    let ensure = async {
        children
            .ensure(&cache, "manager", world.desired())
            .await
            .unwrap();
        // The watch has not seen it yet.
        children
            .ensure(&cache, "manager", world.desired())
            .await
            .unwrap();
    };
    let ((), requests) = both(ensure, answers).await;
    drop(world);
    no_more(requests).await;
}

#[tokio::test]
async fn a_changed_field_is_applied_to_this_very_object() {
    let (world, mut requests) = World::new();
    let cache = Cache::default();
    let mut edited = stored(&world.desired(), "5");
    edited.automount_service_account_token = Some(true);
    cache.wrote(edited);
    let answers = async {
        let made = serde_json::to_value(stored(&world.desired(), "6")).unwrap();
        let (line, body) = answer(&mut requests, 200, &made).await;
        assert_eq!(line, format!("PATCH {PATH}"));
        assert_eq!(body["metadata"]["uid"], "child");
        assert_eq!(body["automountServiceAccountToken"], false);
    };
    let children = world.children();
    let (live, ()) = both(children.ensure(&cache, "manager", world.desired()), answers).await;
    assert_eq!(live.unwrap().automount_service_account_token, Some(false));
}

#[tokio::test]
async fn a_part_is_applied_without_force_under_its_own_manager() {
    let (world, mut requests) = World::new();
    let cache: Cache<ServiceAccount> = Cache::default();
    let part = json!({"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": false});
    let answers = async {
        let (request, send) = pin!(requests.next_request()).await.expect("a request");
        assert_eq!(request.method(), "PATCH");
        let query = request.uri().query().unwrap_or_default().to_owned();
        assert!(query.contains("fieldManager=keeper"), "{query}");
        assert!(!query.contains("force=true"), "{query}");
        let body = request.into_body().collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let made = serde_json::to_vec(&stored(&world.desired(), "6")).unwrap();
        send.send_response(Response::builder().body(Body::from(made)).unwrap());
        body
    };
    let children = world.children();
    let apply = children.apply_part(&cache, "keeper", "narrator", &part);
    let (applied, body) = both(apply, answers).await;
    applied.unwrap();
    assert_eq!(body, part);
    let known = cache.get("stage", "narrator").expect("the answer counts");
    assert_eq!(known.metadata.resource_version.as_deref(), Some("6"));
}

#[tokio::test]
async fn an_addition_to_a_part_that_is_ours_is_removed_from_the_version_that_was_read() {
    let (world, mut requests) = World::new();
    let cache = Cache::default();
    let desired = || -> NetworkPolicy {
        let spec = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
        serde_json::from_value(json!({"metadata": world.metadata(), "spec": spec})).unwrap()
    };
    let mut edited = stored(&desired(), "5");
    let spec = edited.spec.as_mut().unwrap();
    spec.egress = Some(vec![
        k8s_openapi::api::networking::v1::NetworkPolicyEgressRule::default(),
    ]);
    cache.wrote(edited);
    let answers = async {
        let made = serde_json::to_value(stored(&desired(), "6")).unwrap();
        let (line, body) = answer(&mut requests, 200, &made).await;
        assert_eq!(
            line,
            "PUT /apis/networking.k8s.io/v1/namespaces/stage/networkpolicies/narrator"
        );
        assert_eq!(body["metadata"]["resourceVersion"], "5");
        assert_eq!(body["spec"]["egress"], Value::Null);
        requests
    };
    let children = world.children();
    let (live, requests) = both(
        Box::pin(children.ensure(&cache, "manager", desired())),
        answers,
    )
    .await;
    live.unwrap();
    drop(world);
    no_more(requests).await;
}

#[tokio::test]
async fn what_a_webhook_changes_in_each_write_is_written_once_and_told() {
    let (world, mut requests) = World::new();
    let cache = Cache::default();
    let mut mutated = stored(&world.desired(), "5");
    mutated.automount_service_account_token = Some(true);
    cache.wrote(mutated.clone());
    let answers = async {
        let (line, _) = answer(&mut requests, 200, &serde_json::to_value(&mutated).unwrap()).await;
        assert_eq!(line, format!("PATCH {PATH}"));
        let (line, event) = answer(&mut requests, 201, &json!({"metadata": {}})).await;
        assert_eq!(line, "POST /apis/events.k8s.io/v1/namespaces/stage/events");
        assert_eq!(event["reason"], "ChangedByOthers");
        let note = event["note"].as_str().unwrap();
        assert!(
            note.contains("automountServiceAccountToken is true"),
            "{note}"
        );
        requests
    };
    let children = world.children();
    let ensure = async {
        for _ in 0..4 {
            children
                .ensure(&cache, "manager", world.desired())
                .await
                .unwrap();
        }
    };
    let ((), requests) = both(ensure, answers).await;
    drop(world);
    no_more(requests).await;
}

#[tokio::test]
async fn an_object_without_a_controller_is_adopted_and_a_foreign_one_is_not() {
    let (world, mut requests) = World::new();
    let cache = Cache::default();
    let mut orphan = stored(&world.desired(), "5");
    orphan.metadata.owner_references = None;
    assert_eq!(world.children().ownership(&orphan), Ownership::Orphan);
    cache.wrote(orphan.clone());
    let answers = async {
        let made = serde_json::to_value(stored(&world.desired(), "6")).unwrap();
        let (_, body) = answer(&mut requests, 200, &made).await;
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "owner");
        requests
    };
    let children = world.children();
    let (adopted, requests) =
        both(children.ensure(&cache, "manager", world.desired()), answers).await;
    adopted.unwrap();

    let unlabelled = {
        let mut object = orphan.clone();
        object.metadata.labels = None;
        object
    };
    let mut foreign = stored(&world.desired(), "7");
    let owner = &mut foreign.metadata.owner_references.as_mut().unwrap()[0];
    owner.uid = "another".to_owned();
    let predecessors = {
        let cache = Cache::default();
        cache.wrote(foreign.clone());
        children.ensure(&cache, "manager", world.desired()).await
    };
    let error = predecessors.unwrap_err();
    assert!(matches!(error, Error::NotCollected { .. }), "{error}");
    let owner = &mut foreign.metadata.owner_references.as_mut().unwrap()[0];
    owner.name = "other".to_owned();
    for object in [unlabelled, foreign] {
        let cache = Cache::default();
        cache.wrote(object);
        let error = children
            .ensure(&cache, "manager", world.desired())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NameTaken { .. }), "{error}");
    }
    drop(world);
    no_more(requests).await;
}

#[tokio::test]
async fn what_is_obsolete_is_deleted_and_what_is_foreign_stays() {
    let (world, mut requests) = World::new();
    let cache: Cache<ServiceAccount> = Cache::default();
    let named = |name: &str, owner: &str| {
        let mut object = stored(&world.desired(), "5");
        object.metadata.name = Some(name.to_owned());
        object.metadata.owner_references.as_mut().unwrap()[0].uid = owner.to_owned();
        object
    };
    cache.wrote(named("kept", "owner"));
    cache.wrote(named("obsolete", "owner"));
    cache.wrote(named("foreign", "another"));
    let answers = async {
        let (line, body) = answer(
            &mut requests,
            200,
            &json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
        )
        .await;
        assert_eq!(
            line,
            "DELETE /api/v1/namespaces/stage/serviceaccounts/obsolete"
        );
        assert_eq!(body["preconditions"]["uid"], "child");
        requests
    };
    let children = world.children();
    let delete = async {
        children.delete_others(&cache, &["kept"]).await.unwrap();
        children.delete_others(&cache, &["kept"]).await.unwrap();
    };
    let ((), requests) = both(delete, answers).await;
    drop(world);
    no_more(requests).await;
}

#[tokio::test]
async fn a_refused_request_says_what_was_tried() {
    let (world, mut requests) = World::new();
    let cache = Cache::default();
    let answers = async {
        answer(&mut requests, 404, &not_found()).await;
        let refused = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "message": "exceeded quota", "code": 403});
        answer(&mut requests, 403, &refused).await;
    };
    let children = world.children();
    let (result, ()) = both(children.ensure(&cache, "manager", world.desired()), answers).await;
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "failed to apply ServiceAccount narrator");
}
