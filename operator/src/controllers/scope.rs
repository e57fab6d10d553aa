//! What the controllers watch in one namespace or in all: one watch and one cache for each kind.
use std::{collections::HashSet, fmt::Debug, sync::Arc};

use futures::{FutureExt as _, channel::mpsc::UnboundedSender, future};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{ControllerRevision, Deployment},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::Job,
        core::v1::{Container, Pod, PodSpec, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{reflector::ObjectRef, watcher},
};
use tts_crds::v1alpha1::{TtsBenchmark, TtsDeployment, TtsProfile, TtsVoice};

use crate::{
    cache::{Cache, Change, News, Watched},
    health::Health,
    labels::{self, BENCHMARK, INSPECTION, Role, SERVER},
    metrics::Metrics,
    planning::measurements,
};

mod autoscalers;

/// An object of ours; one that cannot be decoded is there all the same.
pub type Guarded<K> = DeserializeGuard<K>;

/// The caches of one namespace, or of all.
#[derive(Default)]
pub struct Scope {
    /// `None` for all namespaces.
    pub namespace: Option<String>,
    pub voices: Cache<Guarded<TtsVoice>>,
    pub tts_deployments: Cache<Guarded<TtsDeployment>>,
    pub benchmarks: Cache<Guarded<TtsBenchmark>>,
    pub profiles: Cache<Guarded<TtsProfile>>,
    pub deployments: Cache<Deployment>,
    pub revisions: Cache<ControllerRevision>,
    pub services: Cache<Service>,
    pub service_accounts: Cache<ServiceAccount>,
    pub disruption_budgets: Cache<PodDisruptionBudget>,
    pub autoscalers: Cache<HorizontalPodAutoscaler>,
    pub network_policies: Cache<NetworkPolicy>,
    pub jobs: Cache<Job>,
    /// Of their specs, only the resources of the containers.
    pub pods: Cache<Pod>,
}

/// Where to send the objects that have to be reconciled.
#[derive(Clone)]
pub struct Triggers {
    pub voices: UnboundedSender<ObjectRef<Guarded<TtsVoice>>>,
    pub deployments: UnboundedSender<ObjectRef<Guarded<TtsDeployment>>>,
    pub benchmarks: UnboundedSender<ObjectRef<Guarded<TtsBenchmark>>>,
    pub profiles: UnboundedSender<ObjectRef<Guarded<TtsProfile>>>,
}

/// Reports of one watch.
struct Reports<'a> {
    namespace: Option<&'a str>,
    health: &'a Health,
    metrics: &'a Metrics,
}

impl Scope {
    pub fn new(namespace: Option<String>) -> Self {
        Self {
            namespace,
            ..Self::default()
        }
    }

    /// Returns once the first list of each kind is complete.
    pub async fn wait_until_ready(&self) {
        // No `..`: a new kind that is not awaited does not compile.
        let Self {
            namespace: _,
            voices,
            tts_deployments,
            benchmarks,
            profiles,
            deployments,
            revisions,
            services,
            service_accounts,
            disruption_budgets,
            autoscalers,
            network_policies,
            jobs,
            pods,
        } = self;
        voices.wait_until_ready().await;
        tts_deployments.wait_until_ready().await;
        benchmarks.wait_until_ready().await;
        profiles.wait_until_ready().await;
        deployments.wait_until_ready().await;
        revisions.wait_until_ready().await;
        services.wait_until_ready().await;
        service_accounts.wait_until_ready().await;
        disruption_budgets.wait_until_ready().await;
        autoscalers.wait_until_ready().await;
        network_policies.wait_until_ready().await;
        jobs.wait_until_ready().await;
        pods.wait_until_ready().await;
    }

    /// Watches every kind, forever.
    pub async fn watch(
        &self,
        client: &Client,
        triggers: &Triggers,
        health: &Health,
        metrics: &Metrics,
    ) {
        let reports = Reports {
            namespace: self.namespace.as_deref(),
            health,
            metrics,
        };
        let all = watcher::Config::default;
        let server = || labels::watcher_config(&[SERVER]);
        let one_shot = labels::watcher_config(&[INSPECTION, BENCHMARK]);
        let any_role = labels::watcher_config(&[SERVER, INSPECTION, BENCHMARK]);
        let voice = |change: Change<'_, Guarded<TtsVoice>>| match change {
            Change::Of(voice) => {
                send(&triggers.voices, ObjectRef::from_obj(voice));
                for deployment in self.serving(voice.namespace().as_deref(), &voice.name_any()) {
                    send(&triggers.deployments, ObjectRef::from_obj(&*deployment));
                }
                self.measurements_of(voice, triggers);
            }
            Change::Any => self.reconcile_all(triggers),
        };
        let benchmark = |change: Change<'_, Guarded<TtsBenchmark>>| match change {
            Change::Of(benchmark) => {
                send(&triggers.benchmarks, ObjectRef::from_obj(benchmark));
                // Their status says how far it is.
                let voice = benchmark.0.as_ref().map(|b| b.spec.voice.name.clone());
                let namespace = benchmark.namespace();
                for deployment in self.serving(namespace.as_deref(), &voice.unwrap_or_default()) {
                    send(&triggers.deployments, ObjectRef::from_obj(&*deployment));
                }
            }
            Change::Any => self.reconcile_all(triggers),
        };
        let profile = |change: Change<'_, Guarded<TtsProfile>>| match change {
            Change::Of(profile) => {
                send(&triggers.profiles, ObjectRef::from_obj(profile));
                self.measured(profile, triggers);
            }
            Change::Any => self.reconcile_all(triggers),
        };
        let deployment = |change: Change<'_, Guarded<TtsDeployment>>| match change {
            Change::Of(deployment) => {
                send(&triggers.deployments, ObjectRef::from_obj(deployment));
                for voice in voices_of(deployment) {
                    send(&triggers.voices, voice);
                }
            }
            Change::Any => self.reconcile_all(triggers),
        };
        let pod = |change: Change<'_, Pod>| self.trigger_owner(triggers, &change);
        let news = News::default();
        let autoscaler = |change: Change<'_, HorizontalPodAutoscaler>| {
            let is_news = match change {
                Change::Of(object) => news.is_news(object, self.autoscalers.knows(object)),
                Change::Any => true,
            };
            if is_news {
                self.trigger_owner(triggers, &change);
            }
        };
        let (c, r, t) = (client, &reports, triggers);
        let watches = [
            self.watch_kind(c, &self.voices, all(), r, |_| {}, voice)
                .boxed(),
            self.watch_kind(c, &self.tts_deployments, all(), r, |_| {}, deployment)
                .boxed(),
            self.watch_kind(c, &self.benchmarks, all(), r, |_| {}, benchmark)
                .boxed(),
            self.watch_kind(c, &self.profiles, all(), r, |_| {}, profile)
                .boxed(),
            self.watch_kind(c, &self.pods, any_role, r, slim_pod, pod)
                .boxed(),
            self.watch_children(c, &self.jobs, one_shot, r, t).boxed(),
            self.watch_children(c, &self.deployments, server(), r, t)
                .boxed(),
            self.watch_children(c, &self.revisions, server(), r, t)
                .boxed(),
            self.watch_children(c, &self.services, server(), r, t)
                .boxed(),
            self.watch_children(c, &self.service_accounts, server(), r, t)
                .boxed(),
            self.watch_children(c, &self.disruption_budgets, server(), r, t)
                .boxed(),
            self.watch_kind(
                c,
                &self.autoscalers,
                server(),
                r,
                autoscalers::slim,
                autoscaler,
            )
            .boxed(),
            self.watch_children(c, &self.network_policies, server(), r, t)
                .boxed(),
        ];
        future::join_all(watches).await;
    }

    async fn watch_children<K>(
        &self,
        client: &Client,
        cache: &Cache<K>,
        config: watcher::Config,
        reports: &Reports<'_>,
        triggers: &Triggers,
    ) where
        K: Watched + Resource<Scope = NamespaceResourceScope>,
    {
        let seen = |change: Change<'_, K>| self.trigger_owner(triggers, &change);
        self.watch_kind(client, cache, config, reports, |_| {}, seen)
            .await;
    }

    async fn watch_kind<K>(
        &self,
        client: &Client,
        cache: &Cache<K>,
        config: watcher::Config,
        reports: &Reports<'_>,
        slim: impl Fn(&mut K) + Send + Sync,
        seen: impl Fn(Change<'_, K>) + Send + Sync,
    ) where
        K: Watched + Resource<Scope = NamespaceResourceScope>,
    {
        let api = match &self.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let kind = plural::<K>();
        let failed = |error: Option<&watcher::Error>| reports.watch(&kind, error);
        cache.watch(api, config, slim, seen, failed).await;
    }

    /// The objects that a child or a pod belongs to: by its controller, and by its labels, which pods have and
    /// which say whose a child is that lost its controller. Either may have been edited.
    fn trigger_owner<K: Watched>(&self, triggers: &Triggers, change: &Change<'_, K>) {
        let object = match change {
            Change::Of(object) => *object,
            Change::Any => return self.reconcile_all(triggers),
        };
        for deployment in owners_of(object, SERVER) {
            send(&triggers.deployments, deployment);
        }
        for voice in owners_of(object, INSPECTION) {
            send(&triggers.voices, voice);
        }
        for benchmark in owners_of(object, BENCHMARK) {
            send(&triggers.benchmarks, benchmark);
        }
    }

    fn reconcile_all(&self, triggers: &Triggers) {
        for voice in self.voices.store().state() {
            send(&triggers.voices, ObjectRef::from_obj(&*voice));
        }
        for deployment in self.tts_deployments.store().state() {
            send(&triggers.deployments, ObjectRef::from_obj(&*deployment));
        }
        for benchmark in self.benchmarks.store().state() {
            send(&triggers.benchmarks, ObjectRef::from_obj(&*benchmark));
        }
        for profile in self.profiles.store().state() {
            send(&triggers.profiles, ObjectRef::from_obj(&*profile));
        }
    }

    /// Reconciles the voices that a profile is about: a profile of the operator's namespace serves all others.
    fn measured(&self, profile: &Guarded<TtsProfile>, triggers: &Triggers) {
        let Ok(profile) = &profile.0 else { return };
        let voices = self.voices.filter(|object| {
            let status = object
                .0
                .as_ref()
                .ok()
                .and_then(|voice| voice.status.as_ref());
            status.is_some_and(|status| measurements::measures(profile, &status.files))
        });
        for voice in voices {
            send(&triggers.voices, ObjectRef::from_obj(&*voice));
        }
    }

    /// Reconciles the benchmarks and the profiles of a voice.
    fn measurements_of(&self, voice: &Guarded<TtsVoice>, triggers: &Triggers) {
        let (namespace, name) = (voice.namespace(), voice.name_any());
        let benchmarks = self.benchmarks.filter(|object| {
            object.namespace() == namespace
                && object.0.as_ref().is_ok_and(|b| b.spec.voice.name == name)
        });
        for benchmark in benchmarks {
            send(&triggers.benchmarks, ObjectRef::from_obj(&*benchmark));
        }
        let profiles = self.profiles.filter(|object| {
            object.namespace() == namespace
                && object.0.as_ref().is_ok_and(|p| p.spec.0.voice.name == name)
        });
        for profile in profiles {
            send(&triggers.profiles, ObjectRef::from_obj(&*profile));
        }
    }

    /// The deployments that serve a voice.
    pub fn serving(
        &self,
        namespace: Option<&str>,
        voice: &str,
    ) -> Vec<Arc<Guarded<TtsDeployment>>> {
        self.tts_deployments.filter(|object| {
            object.namespace().as_deref() == namespace
                && object.0.as_ref().is_ok_and(|deployment| {
                    let mut voices = deployment.spec.voices.iter();
                    voices.any(|served| served.name == voice)
                })
        })
    }
}

fn voices_of(object: &Guarded<TtsDeployment>) -> Vec<ObjectRef<Guarded<TtsVoice>>> {
    let Ok(deployment) = &object.0 else {
        return Vec::new();
    };
    let namespace = deployment.namespace().unwrap_or_default();
    let voices = deployment.spec.voices.iter();
    voices
        .map(|voice| ObjectRef::new(&voice.name).within(&namespace))
        .collect()
}

fn owners_of<K: Watched, O>(object: &K, role: Role) -> HashSet<ObjectRef<O>>
where
    O: Resource<DynamicType = ()>,
{
    let labels = object.labels();
    let by_label = labels
        .get(labels::INSTANCE)
        .filter(|_| labels.get(labels::NAME).map(String::as_str) == Some(role.name));
    let by_controller = object
        .owner_references()
        .iter()
        .filter(|owner| owner.controller == Some(true) && owner.kind == O::kind(&()))
        .map(|owner| &owner.name);
    let namespace = object.namespace().unwrap_or_default();
    by_label
        .into_iter()
        .chain(by_controller)
        .map(|name| ObjectRef::new(name).within(&namespace))
        .collect()
}

/// Of its spec, only the resources of the containers.
fn slim_pod(pod: &mut Pod) {
    let spec = pod.spec.take();
    let containers = spec.into_iter().flat_map(|spec| spec.containers);
    pod.spec = Some(PodSpec {
        containers: containers
            .map(|container| Container {
                name: container.name,
                resources: container.resources,
                ..Container::default()
            })
            .collect(),
        ..PodSpec::default()
    });
}

/// The receiver is gone only while the process ends.
fn send<K: Resource<DynamicType = ()> + Debug>(
    sender: &UnboundedSender<ObjectRef<K>>,
    object: ObjectRef<K>,
) {
    let _ = sender.unbounded_send(object);
}

/// `pods`, `jobs.batch`.
fn plural<K: Resource<DynamicType = ()>>() -> String {
    match K::group(&()).as_ref() {
        "" => K::plural(&()).into_owned(),
        group => format!("{}.{group}", K::plural(&())),
    }
}

impl Reports<'_> {
    fn watch(&self, kind: &str, error: Option<&watcher::Error>) {
        let label = self.namespace.unwrap_or_default();
        let gauge = self.metrics.watch_failing.with_label_values(&[label, kind]);
        let Some(error) = error else {
            gauge.set(0);
            return self.health.set_watch(self.namespace, kind, None);
        };
        // A watch that ends is resumed, which is no failure; one that cannot start is.
        let source = match error {
            watcher::Error::InitialListFailed(source)
            | watcher::Error::WatchStartFailed(source) => source,
            other => {
                tracing::debug!(kind, error = %other, "the watch ended; resuming it");
                return;
            }
        };
        tracing::warn!(
            namespace = self.namespace,
            kind,
            error = %source,
            "cannot watch; trying again"
        );
        gauge.set(1);
        self.health
            .set_watch(self.namespace, kind, Some(source.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(metadata: &str) -> Vec<String> {
        let service: Service = serde_saphyr::from_str(&format!("metadata: {metadata}")).unwrap();
        let mut owners: Vec<String> = owners_of::<_, Guarded<TtsDeployment>>(&service, SERVER)
            .into_iter()
            .map(|owner| owner.name)
            .collect();
        owners.sort();
        owners
    }

    #[test]
    fn a_child_whose_labels_were_edited_is_still_that_of_its_controller() {
        let controller = "ownerReferences: [{apiVersion: tts-operator.dev/v1alpha1, kind: TtsDeployment, name: greeter, uid: u, controller: true}]";
        let labels = |name: &str, instance: &str| {
            format!(
                "labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/instance: {instance}}}"
            )
        };
        let ours = labels("tts-server", "greeter");
        assert_eq!(owners(&format!("{{{ours}, {controller}}}")), ["greeter"]);
        let edited = labels("tts-server", "other");
        assert_eq!(
            owners(&format!("{{{edited}, {controller}}}")),
            ["greeter", "other"]
        );
        assert_eq!(owners(&format!("{{{ours}}}")), ["greeter"], "an orphan");
        let foreign = labels("nginx", "greeter");
        assert!(owners(&format!("{{{foreign}}}")).is_empty());
    }
}
