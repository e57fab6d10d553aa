//! The measurements of a voice. Pure.
use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use tts_crds::v1alpha1::{InspectedFile, MAX_VOICE_PROFILES, TtsProfile, VoiceProfile};

use crate::planning::measurements::measures;

/// Of the profiles of these files, the newest of each node class; those of `namespace` before those of other ones.
pub fn of_files(
    files: &[InspectedFile],
    namespace: &str,
    profiles: &[&TtsProfile],
) -> Vec<VoiceProfile> {
    let is_ours = |object: &TtsProfile| object.namespace().as_deref() == Some(namespace);
    let rank = |object: &TtsProfile| {
        let started: Option<Timestamp> = object.spec.0.run.started.parse().ok();
        (is_ours(object), started)
    };
    let mut classes: BTreeMap<&str, &TtsProfile> = BTreeMap::new();
    for object in profiles.iter().filter(|object| measures(object, files)) {
        let best = classes.entry(&object.spec.0.node.class).or_insert(object);
        if rank(object) > rank(best) {
            *best = object;
        }
    }
    classes
        .into_values()
        .take(MAX_VOICE_PROFILES)
        .map(|object| VoiceProfile {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            node_class: object.spec.0.node.class.clone(),
            validity: object
                .status
                .as_ref()
                .and_then(|status| status.validity.clone())
                .unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tts_crds::v1alpha1::TtsProfileSpec;
    use tts_planner::Profile;

    use super::*;

    fn file(path: &str, sha256: &str) -> InspectedFile {
        InspectedFile {
            path: path.to_owned(),
            sha256: sha256.to_owned(),
            size_bytes: 1,
        }
    }

    fn profile(namespace: &str, name: &str, class: &str, started: &str) -> TtsProfile {
        let mut profile = Profile::from_json(tts_planner_dev::samples::PROFILE).unwrap();
        profile.voice.model_digest = "sha256:aa".to_owned();
        profile.voice.config_digest = "sha256:bb".to_owned();
        profile.node.class = class.to_owned();
        profile.run.started = started.to_owned();
        let mut object = TtsProfile::new(name, TtsProfileSpec(profile));
        object.metadata.namespace = Some(namespace.to_owned());
        object
    }

    #[test]
    fn the_newest_of_each_class_and_the_own_namespace_first() {
        let files = [file("amy.onnx", "aa"), file("amy.onnx.json", "bb")];
        let mut other = profile("stage", "other", "strong", "2026-12-01T00:00:00Z");
        other.spec.0.voice.model_digest = "sha256:cc".to_owned();
        let profiles = [
            profile("stage", "old", "strong", "2026-10-01T00:00:00Z"),
            profile("stage", "new", "strong", "2026-11-01T00:00:00Z"),
            profile("operator", "shared", "strong", "2026-12-01T00:00:00Z"),
            profile("operator", "weak", "weak", "2026-12-01T00:00:00Z"),
            other,
        ];
        let all: Vec<&TtsProfile> = profiles.iter().collect();
        let found = |all: &[&TtsProfile]| -> Vec<String> {
            let found = of_files(&files, "stage", all);
            found
                .iter()
                .map(|found| format!("{}: {}/{}", found.node_class, found.namespace, found.name))
                .collect()
        };
        assert_eq!(found(&all), ["strong: stage/new", "weak: operator/weak"]);
        let reversed: Vec<&TtsProfile> = profiles.iter().rev().collect();
        assert_eq!(found(&reversed), found(&all));
        assert_eq!(found(&all[4..]), [""; 0]);
        assert_eq!(
            of_files(&files[..1], "stage", &all),
            [],
            "the configuration counts too"
        );
    }
}
