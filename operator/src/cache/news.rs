//! Whether a change of an object is one: clusters write versions, and what their watches drop here, all the time.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kube::runtime::reflector::ObjectRef;

use super::Watched;

/// Each object of a kind as it was seen last.
pub struct News<K: Watched>(Mutex<HashMap<ObjectRef<K>, K>>);

impl<K: Watched> Default for News<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Watched + PartialEq> News<K> {
    /// Whether something else than the version changed; `there` is whether the object still exists.
    pub fn is_news(&self, object: &K, there: bool) -> bool {
        let key = ObjectRef::from_obj(object);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !there {
            seen.remove(&key);
            return true;
        }
        let mut now = object.clone();
        now.meta_mut().resource_version = None;
        seen.insert(key, now.clone()) != Some(now)
    }
}
