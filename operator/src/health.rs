//! What the operator waits for and what it cannot do: the answer of `/readyz`.
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A failed watch is tried again at least every 30 s; without a new failure for this long it works.
const FAILURE_LASTS: Duration = Duration::from_secs(90);

/// Shared by everything that can fail; clones are the same.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    awaited: Option<String>,
    settings: Option<String>,
    /// Namespaces that are watched; one entry, empty, for all namespaces.
    namespaces: Vec<String>,
    /// By namespace and kind.
    watches: BTreeMap<(String, String), (String, Instant)>,
}

/// What `/readyz` answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub ready: bool,
    pub text: String,
}

impl Health {
    pub fn awaiting(what: &str) -> Self {
        let health = Self::default();
        health.await_now(what);
        health
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Not ready until [`Health::ready`]; `what` follows "waiting for".
    pub fn await_now(&self, what: &str) {
        self.state().awaited = Some(what.to_owned());
    }

    pub fn ready(&self) {
        self.state().awaited = None;
    }

    pub fn set_settings_problem(&self, problem: Option<String>) {
        self.state().settings = problem;
    }

    /// The namespaces that are watched from now on; `None` is all of them.
    pub fn watching(&self, namespaces: &[Option<String>]) {
        self.state().namespaces = namespaces
            .iter()
            .map(|namespace| namespace.clone().unwrap_or_default())
            .collect();
    }

    /// Records that a watch failed, or with `None` that it works.
    pub fn set_watch(&self, namespace: Option<&str>, kind: &str, problem: Option<String>) {
        let key = (namespace.unwrap_or_default().to_owned(), kind.to_owned());
        let mut state = self.state();
        match problem {
            Some(problem) => state.watches.insert(key, (problem, Instant::now())),
            None => state.watches.remove(&key),
        };
    }

    /// Ready while at least one namespace is served; what is wrong is listed all the same.
    pub fn report(&self) -> Report {
        let mut state = self.state();
        state
            .watches
            .retain(|_, (_, last)| last.elapsed() < FAILURE_LASTS);
        if let Some(what) = &state.awaited {
            return Report {
                ready: false,
                text: format!("waiting for {what}"),
            };
        }
        let fails = |namespace: &String| state.watches.keys().any(|(of, _)| of == namespace);
        let ready = state.namespaces.is_empty() || !state.namespaces.iter().all(fails);
        let mut text = if ready {
            "ok"
        } else {
            "no namespace can be watched"
        }
        .to_owned();
        for ((namespace, kind), (problem, _)) in &state.watches {
            let place = match namespace.as_str() {
                "" => "all namespaces".to_owned(),
                name => format!("namespace {name}"),
            };
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{place}: cannot watch {kind}: {problem}");
        }
        if let Some(problem) = &state.settings {
            let _ = write!(text, "\nsettings: {problem}");
        }
        Report { ready, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_awaited_is_named() {
        let health = Health::awaiting("the API server");
        assert_eq!(health.report().text, "waiting for the API server");
        assert!(!health.report().ready);
        health.ready();
        assert_eq!(health.report().text, "ok");
    }

    #[test]
    fn one_namespace_of_two_is_enough_and_the_other_is_named() {
        let health = Health::default();
        health.watching(&[Some("dead".to_owned()), Some("alive".to_owned())]);
        health.set_watch(Some("dead"), "jobs.batch", Some("forbidden".to_owned()));
        let report = health.report();
        assert!(report.ready);
        assert_eq!(
            report.text,
            "ok\nnamespace dead: cannot watch jobs.batch: forbidden"
        );
        health.set_watch(Some("alive"), "pods", Some("forbidden".to_owned()));
        assert!(!health.report().ready);
        health.set_watch(Some("dead"), "jobs.batch", None);
        assert!(health.report().ready);
    }

    #[test]
    fn refused_settings_are_told() {
        let health = Health::default();
        health.set_settings_problem(Some("server.image is empty".to_owned()));
        assert_eq!(health.report().text, "ok\nsettings: server.image is empty");
    }
}
