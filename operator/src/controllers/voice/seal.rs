//! What ties the facts in a voice's status together. Pure.
use sha2::{Digest as _, Sha256};
use tts_crds::v1alpha1::TtsVoiceStatus;

use crate::children::hex;

/// Identifies the inspected source and the facts that belong to it: facts that somebody edited do not hold.
pub fn seal(source_id: &str, status: &TtsVoiceStatus) -> String {
    let facts = TtsVoiceStatus {
        inspected_source: None,
        conditions: Vec::new(),
        observed_generation: 0,
        // Other objects, which come and go.
        profiles: Vec::new(),
        ..status.clone()
    };
    // Numbers and texts: always serializable. What is not set is left out, so that a new field breaks no seal.
    let facts = serde_json::to_vec(&facts).unwrap_or_default();
    format!("{source_id}.{}", &hex(&Sha256::digest(facts))[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_sealed_and_profiles_are_not() {
        let status = |text: &str| -> TtsVoiceStatus { serde_saphyr::from_str(text).unwrap() };
        let sealed = seal("source", &status("{digest: 'sha256:aa', sizeBytes: 7}"));
        let measured = "{digest: 'sha256:aa', sizeBytes: 7, profiles: [{namespace: stage, name: p, nodeClass: strong}]}";
        assert_eq!(seal("source", &status(measured)), sealed);
        let edited = "{digest: 'sha256:aa', sizeBytes: 8}";
        assert_ne!(seal("source", &status(edited)), sealed);
        assert_ne!(seal("other", &status(measured)), sealed);
    }
}
