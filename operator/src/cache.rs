//! What is watched, in memory: reconciliations read from here instead of asking the API server.
//!
//! A watch lags behind. What the operator itself wrote is therefore seen at once: the API server's answer
//! counts until the watch has caught up with it.
mod news;

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, pin_mut};
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;

pub use news::News;

/// How long a write counts without having come back through the watch: longer means that the watch
/// is broken, and what was written may have been changed since.
const CATCH_UP: Duration = Duration::from_secs(30);

/// Everything that the operator can watch.
pub trait Watched:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

/// The objects of one kind in one namespace or in all.
pub struct Cache<K: Watched> {
    store: Store<K>,
    writer: Mutex<Option<Writer<K>>>,
    written: Mutex<HashMap<ObjectRef<K>, Written<K>>>,
}

/// The API server's answer to a write.
struct Written<K> {
    /// `None` once deleted.
    object: Option<Arc<K>>,
    version: Option<u64>,
    at: Instant,
}

/// What a watch saw.
pub enum Change<'a, K> {
    /// This object was created, changed or deleted.
    Of(&'a K),
    /// The watch started anew: anything may have changed.
    Any,
}

impl<K: Watched> Default for Cache<K> {
    fn default() -> Self {
        let (store, writer) = reflector::store();
        Self {
            store,
            writer: Mutex::new(Some(writer)),
            written: Mutex::default(),
        }
    }
}

/// Resource versions are decimal numbers that grow with every write (Kubernetes 1.35 made it a promise).
/// Without a number the watch is believed.
fn version<K: Watched>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_deref()?.parse().ok()
}

impl<K: Watched> Cache<K> {
    /// The underlying store, without what was written since.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// Returns once the first list is complete.
    pub async fn wait_until_ready(&self) {
        // An error means that the watch ended, which it does only with the process.
        let _ = self.store.wait_until_ready().await;
    }

    /// Whether the watch knows the object, as it is now or was.
    pub fn knows(&self, object: &K) -> bool {
        self.store.get(&ObjectRef::from_obj(object)).is_some()
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = ObjectRef::new(name).within(namespace);
        let stored = self.store.get(&key);
        let written = self.written();
        match written.get(&key) {
            Some(written) if written.supersedes(stored.as_deref()) => written.object.clone(),
            _ => stored,
        }
    }

    /// All objects for which `wanted` is true, in no order.
    pub fn filter(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let written = self.written();
        let superseded = |object: &K| {
            written
                .get(&ObjectRef::from_obj(object))
                .is_some_and(|written| written.supersedes(Some(object)))
        };
        let mut found = self
            .store
            .state_filter(|object| wanted(object) && !superseded(object));
        found.extend(written.iter().filter_map(|(key, written)| {
            let object = written.object.clone()?;
            (written.supersedes(self.store.get(key).as_deref()) && wanted(&object))
                .then_some(object)
        }));
        found
    }

    /// Records the API server's answer to a write.
    pub fn wrote(&self, object: K) {
        let key = ObjectRef::from_obj(&object);
        let version = version(&object);
        self.insert(key, Some(Arc::new(object)), version);
    }

    /// Records that an object was deleted.
    pub fn deleted(&self, object: &K) {
        self.insert(ObjectRef::from_obj(object), None, version(object));
    }

    fn insert(&self, key: ObjectRef<K>, object: Option<Arc<K>>, version: Option<u64>) {
        let mut written = self.written();
        written.retain(|_, written| written.counts());
        written.insert(
            key,
            Written {
                object,
                version,
                at: Instant::now(),
            },
        );
    }

    fn written(&self) -> MutexGuard<'_, HashMap<ObjectRef<K>, Written<K>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches forever. `seen` is called for every change, `failed` for every failure and with `None`
    /// when the watch works.
    pub async fn watch(
        &self,
        api: Api<K>,
        config: watcher::Config,
        slim: impl Fn(&mut K) + Send + Sync,
        seen: impl Fn(Change<'_, K>) + Send + Sync,
        failed: impl Fn(Option<&watcher::Error>) + Send + Sync,
    ) {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Taken once: a cache is watched once.
        let Some(mut writer) = writer else { return };
        let events = watcher(api, config).default_backoff().modify(|object| {
            object.managed_fields_mut().clear();
            slim(object);
        });
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    writer.apply_watcher_event(&event);
                    match &event {
                        watcher::Event::Apply(object) => {
                            failed(None);
                            seen(Change::Of(object));
                        }
                        watcher::Event::Delete(object) => {
                            self.forget_deleted(object);
                            seen(Change::Of(object));
                        }
                        watcher::Event::InitDone => {
                            failed(None);
                            seen(Change::Any);
                        }
                        watcher::Event::Init | watcher::Event::InitApply(_) => {}
                    }
                }
                Err(error) => failed(Some(&error)),
            }
        }
    }

    /// The deletion has a version of its own: what was written before it does not count any more.
    fn forget_deleted(&self, object: &K) {
        let key = ObjectRef::from_obj(object);
        let mut written = self.written();
        if written
            .get(&key)
            .is_some_and(|written| written.version <= version(object))
        {
            written.remove(&key);
        }
    }
}

impl<K: Watched> Written<K> {
    fn counts(&self) -> bool {
        self.at.elapsed() < CATCH_UP
    }

    /// Whether this is newer than what the watch saw.
    fn supersedes(&self, stored: Option<&K>) -> bool {
        let newer = match (stored, &self.object) {
            (Some(stored), Some(_)) => self.version > version(stored),
            // A deleted object, until the watch sees it go or sees its successor.
            (Some(stored), None) => self.version >= version(stored),
            (None, _) => true,
        };
        self.version.is_some() && newer && self.counts()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(version: &str, text: &str) -> ConfigMap {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "a", "namespace": "n", "resourceVersion": version},
            "data": {"text": text},
        }))
        .unwrap()
    }

    /// A cache, and what its watch would do.
    fn cache() -> (Cache<ConfigMap>, Writer<ConfigMap>) {
        let cache = Cache::default();
        let writer = cache.writer.lock().unwrap().take().unwrap();
        (cache, writer)
    }

    fn text(cache: &Cache<ConfigMap>) -> Option<String> {
        let direct = cache
            .get("n", "a")
            .map(|object| object.data.clone().unwrap()["text"].clone());
        let listed = cache.filter(|_| true);
        assert_eq!(listed.len(), usize::from(direct.is_some()), "both agree");
        for object in listed {
            assert_eq!(object.data.as_ref().unwrap().get("text"), direct.as_ref());
        }
        direct
    }

    #[test]
    fn what_was_written_counts_until_the_watch_has_caught_up() {
        let (cache, mut writer) = cache();
        writer.apply_watcher_event(&watcher::Event::Apply(object("9", "old")));
        cache.wrote(object("10", "ours"));
        assert_eq!(text(&cache).unwrap(), "ours");
        writer.apply_watcher_event(&watcher::Event::Apply(object("9", "late")));
        assert_eq!(text(&cache).unwrap(), "ours");
        writer.apply_watcher_event(&watcher::Event::Apply(object("11", "theirs")));
        assert_eq!(text(&cache).unwrap(), "theirs");
    }

    #[test]
    fn a_created_object_is_there_before_the_watch_sees_it() {
        let (cache, _writer) = cache();
        assert_eq!(text(&cache), None);
        cache.wrote(object("10", "ours"));
        assert_eq!(text(&cache).unwrap(), "ours");
    }

    #[test]
    fn a_deleted_object_is_gone_at_once_and_its_successor_is_seen() {
        let (cache, mut writer) = cache();
        writer.apply_watcher_event(&watcher::Event::Apply(object("9", "old")));
        cache.deleted(&object("9", "old"));
        assert_eq!(text(&cache), None);
        writer.apply_watcher_event(&watcher::Event::Apply(object("12", "new")));
        assert_eq!(text(&cache).unwrap(), "new");
    }

    #[test]
    fn a_deletion_by_others_ends_what_was_written() {
        let (cache, mut writer) = cache();
        cache.wrote(object("10", "ours"));
        writer.apply_watcher_event(&watcher::Event::Apply(object("10", "ours")));
        let deletion = object("11", "ours");
        writer.apply_watcher_event(&watcher::Event::Delete(deletion.clone()));
        cache.forget_deleted(&deletion);
        assert_eq!(text(&cache), None);
    }

    #[test]
    fn an_object_without_a_numeric_version_is_believed_to_the_watch() {
        let (cache, mut writer) = cache();
        writer.apply_watcher_event(&watcher::Event::Apply(object("opaque", "watched")));
        cache.wrote(object("other", "ours"));
        assert_eq!(text(&cache).unwrap(), "watched");
    }
}
