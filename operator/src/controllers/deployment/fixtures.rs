//! What the tests of this room share: minimal YAML through the real `validate` and `plan`.
use std::sync::Arc;

use kube::core::DeserializeGuard;
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};
use tts_planner::{AcceptedPlan, Replicas};

use super::{
    accepted::{Accepted, Considered},
    dereference::References,
    plan::{PlannedDeployment, plan},
    validate::{ValidatedDeployment, validate},
};
use crate::settings::Settings;

pub const IMAGE: &str = "registry.test/tts-server:9";
pub const BUILTIN: &str = "{builtin: {name: bass}}";
pub const FILES: &str =
    "{files: [{path: alto.onnx, url: 'https://voices.test/alto.onnx', sha256: 0a}]}";

pub fn settings(image: &str) -> Arc<Settings> {
    let mut settings: Settings = serde_saphyr::from_str(&format!(
        "{{server: {{image: '{image}', imagePullPolicy: Always, imagePullSecrets: [mirror]}}, downloads: {{httpsProxy: 'http://proxy.test:3128'}}}}"
    ))
    .unwrap();
    settings.downloads.ca_pem = Some("PEM".to_owned());
    Arc::new(settings)
}

pub fn deployment(spec: &str) -> TtsDeployment {
    let mut object: TtsDeployment = serde_saphyr::from_str(&format!(
        "apiVersion: tts-operator.dev/v1alpha1\nkind: TtsDeployment\nmetadata: {{}}\nspec:\n{spec}"
    ))
    .unwrap();
    object.metadata.name = Some("narrator".to_owned());
    object.metadata.namespace = Some("stage".to_owned());
    object.metadata.uid = Some("c27b3971-ca72-42c1-80a4-abdfc1db0ddd".to_owned());
    object.metadata.generation = Some(1);
    object
}

/// A voice that passed its inspection with these images.
pub fn voice_that_passed(name: &str, source: &str, images: &[&str]) -> TtsVoice {
    let yaml = format!(
        "
apiVersion: tts-operator.dev/v1alpha1
kind: TtsVoice
metadata: {{name: {name}, namespace: stage, generation: 3}}
spec:
  source: {source}
status:
  observedGeneration: 3
  inspectedImages: {images:?}
  digest: sha256:00ff
  sizeBytes: 10485760
  sampleRateHz: 22050
  peakMemoryBytes: 104857600
  conditions:
  - {{type: Ready, status: 'True', reason: Inspected, message: '', lastTransitionTime: '2024-01-01T00:00:00Z'}}
"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

/// A voice that passed its inspection with [`IMAGE`].
pub fn ready_voice(name: &str, source: &str) -> TtsVoice {
    voice_that_passed(name, source, &[IMAGE])
}

pub fn references(voices: Vec<Option<TtsVoice>>) -> References {
    References {
        voices: voices
            .into_iter()
            .map(|voice| voice.map(|voice| Arc::new(DeserializeGuard(Ok(voice)))))
            .collect(),
        ..References::default()
    }
}

pub fn validated(spec: &str, references: &References, image: &str) -> ValidatedDeployment {
    validate(&deployment(spec), &references.voices, &settings(image)).unwrap()
}

/// The first plan of a deployment.
pub fn planned(spec: &str, voices: Vec<Option<TtsVoice>>) -> PlannedDeployment {
    let references = references(voices);
    plan(validated(spec, &references, IMAGE), &references, None)
}

/// The pods that are accepted without measurements.
fn accepted() -> Accepted {
    let planned = planned(
        "  voices: [{name: bass}]",
        vec![Some(ready_voice("bass", BUILTIN))],
    );
    planned.workload.unwrap().accepted
}

/// A plan of so many pods: the fewest, at the peak, the most.
pub fn plan_of((min, at_peak, max): (u32, u32, u32), cpu_percent: Option<u32>) -> AcceptedPlan {
    let mut plan = accepted().plan.unwrap().plan;
    plan.replicas = Replicas {
        min,
        at_peak,
        steady: at_peak,
        max,
        limit: max,
    };
    plan.autoscaling.cpu_percent = cpu_percent;
    plan
}

/// Pods that were planned from measurements.
pub fn measured(plan: AcceptedPlan) -> Accepted {
    Accepted {
        plan: Some(plan.into()),
        considered: Some(Considered::default()),
        ..accepted()
    }
}
