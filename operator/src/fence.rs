//! No request that changes anything leaves the operator after its lease is over.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use http::{Method, Request};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::{BoxError, filter::FilterLayer};

/// Why a request was not sent.
#[derive(Debug, thiserror::Error)]
#[error("this replica does not hold the leader lease, so it must not change anything")]
pub struct NotLeader;

/// Until when this replica may write; clones are the same.
#[derive(Clone, Default)]
pub struct Fence(Arc<Mutex<Until>>);

#[derive(Clone, Copy, Default)]
enum Until {
    /// Not the leader.
    #[default]
    Closed,
    /// Both clocks have to agree: the monotonic one stands still while the machine is suspended, the
    /// other one can be set back.
    Moment(Instant, SystemTime),
    /// Without leader election.
    Always,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment(Instant, SystemTime);

impl Moment {
    pub fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }
}

impl Fence {
    fn set(&self, until: Until) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Opens the fence until `lasting` after `from`.
    pub fn open(&self, from: Moment, lasting: Duration) {
        self.set(Until::Moment(from.0 + lasting, from.1 + lasting));
    }

    pub fn open_forever(&self) {
        self.set(Until::Always);
    }

    pub fn close(&self) {
        self.set(Until::Closed);
    }

    pub fn is_open(&self) -> bool {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Until::Closed => false,
            Until::Moment(monotonic, wall) => {
                Instant::now() < monotonic && SystemTime::now() < wall
            }
            Until::Always => true,
        }
    }

    /// Reads pass, and so do leases: becoming the leader is a write.
    fn check<B>(&self, request: Request<B>) -> Result<Request<B>, BoxError> {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        let lease = request
            .uri()
            .path()
            .starts_with("/apis/coordination.k8s.io/");
        if reads || lease || self.is_open() {
            Ok(request)
        } else {
            Err(NotLeader.into())
        }
    }

    /// A client whose writes need this fence to be open.
    ///
    /// The client's own retries are off: they would repeat a request after the fence was closed, and
    /// every reconciliation is repeated anyway.
    ///
    /// # Errors
    /// If the configuration cannot be used, for example because of its certificates.
    pub fn client(&self, mut config: Config) -> kube::Result<Client> {
        config.default_retry = false;
        let fence = self.clone();
        let layer = FilterLayer::new(move |request: Request<Body>| fence.check(request));
        Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str) -> Request<()> {
        Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap()
    }

    fn passes(fence: &Fence, method: &str, path: &str) -> bool {
        fence.check(request(method, path)).is_ok()
    }

    const PODS: &str = "/api/v1/namespaces/speech/pods";
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/speech/leases/tts-operator";

    #[test]
    fn only_reads_and_leases_pass_a_closed_fence() {
        let fence = Fence::default();
        assert!(passes(&fence, "GET", PODS));
        assert!(passes(&fence, "PUT", LEASE));
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert!(!passes(&fence, method, PODS), "{method}");
        }
        fence.open_forever();
        assert!(passes(&fence, "PATCH", PODS));
        fence.close();
        assert!(!passes(&fence, "PATCH", PODS));
    }

    #[test]
    fn an_open_fence_closes_by_itself() {
        let fence = Fence::default();
        let now = Moment::now();
        fence.open(now, Duration::from_mins(1));
        assert!(passes(&fence, "PATCH", PODS));
        let later = Duration::from_mins(2);
        // Over on the monotonic clock alone, as after the wall clock was set back.
        fence.set(Until::Moment(now.0, now.1 + later));
        assert!(!passes(&fence, "PATCH", PODS));
        // Over on the wall clock alone, as after the machine was suspended.
        fence.set(Until::Moment(now.0 + later, now.1));
        assert!(!passes(&fence, "PATCH", PODS));
    }
}
