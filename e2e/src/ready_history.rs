//! Each Ready condition that a deployment had, as a watcher of it sees them.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use kube::{
    Api, ResourceExt as _,
    api::{WatchEvent, WatchParams},
};
use tokio::task::JoinHandle;
use tts_crds::v1alpha1::TtsDeployment;

use crate::{Namespace, conditions::Conditioned as _};

/// The condition at one change of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// Watches until it is dropped.
pub struct ReadyHistory {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    history: Vec<Ready>,
    /// Why there is no more.
    error: Option<String>,
}

impl ReadyHistory {
    /// From the present condition on.
    pub async fn of(namespace: &Namespace, name: &str) -> Result<Self> {
        let api = namespace.api::<TtsDeployment>();
        let object = api.get(name).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        lock(&seen).add(&object);
        let version = object.resource_version().context("no resourceVersion")?;
        let task = tokio::spawn(watch(api, name.to_owned(), version, seen.clone()));
        Ok(Self { seen, task })
    }

    /// Without repetitions.
    pub fn so_far(&self) -> Result<Vec<Ready>> {
        let seen = lock(&self.seen);
        match &seen.error {
            Some(error) => anyhow::bail!("the history is incomplete: {error}"),
            None => Ok(seen.history.clone()),
        }
    }
}

impl Drop for ReadyHistory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn add(&mut self, object: &TtsDeployment) {
        let ready = object
            .conditions()
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .map(|condition| Ready {
                status: condition.status.clone(),
                reason: condition.reason.clone(),
                message: condition.message.clone(),
            });
        if let Some(ready) = ready
            && self.history.last() != Some(&ready)
        {
            self.history.push(ready);
        }
    }
}

async fn watch(api: Api<TtsDeployment>, name: String, mut version: String, seen: Arc<Mutex<Seen>>) {
    // The API server ends a watch after some minutes: the next one goes on where it ended.
    loop {
        if let Err(error) = watch_once(&api, &name, &mut version, &seen).await {
            lock(&seen).error = Some(format!("{error:#}"));
            return;
        }
    }
}

async fn watch_once(
    api: &Api<TtsDeployment>,
    name: &str,
    version: &mut String,
    seen: &Mutex<Seen>,
) -> Result<()> {
    let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
    let events = api.watch(&parameters, version).await?;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                *version = object.resource_version().context("no resourceVersion")?;
                lock(seen).add(&object);
            }
            WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
            WatchEvent::Deleted(_) => anyhow::bail!("the object was deleted"),
            WatchEvent::Error(status) => anyhow::bail!("{}", status.message),
        }
    }
    Ok(())
}
