//! The memory limit of an inspection: from what is known of the voice, and more after it was not enough. Pure.
use k8s_openapi::api::batch::v1::Job;
use tts_crds::{
    quantity::Quantity,
    v1alpha1::{TtsVoiceStatus, VoiceSource},
};

use super::build::INSPECTOR;

const MEBI: u64 = 1 << 20;
/// Voices that are compiled into the server are small.
const BUILTIN: u64 = 512 * MEBI;
/// For files of unknown size: most voices that run on CPU stay below it.
const UNKNOWN: u64 = 1_024 * MEBI;
/// For files of known size: the process and the audio, and the weights as ONNX Runtime holds them, which
/// are up to four times their files while it optimises the graph.
const PROCESS: u64 = 256 * MEBI;
const PER_FILE_BYTE: u64 = 4;
/// The largest voices that run on CPU.
const MOST: u64 = 8_192 * MEBI;

/// The limit of the first inspection of a source, in bytes; `facts` are those of an earlier one.
pub fn first(source: &VoiceSource, facts: Option<&TtsVoiceStatus>) -> u64 {
    let known = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
    let size = known(facts.and_then(|facts| facts.size_bytes));
    let peak = known(facts.and_then(|facts| facts.peak_memory_bytes));
    let by_size = match (size, &source.builtin) {
        (Some(size), _) => PROCESS.saturating_add(size.saturating_mul(PER_FILE_BYTE)),
        (None, Some(_)) => BUILTIN,
        (None, None) => UNKNOWN,
    };
    let by_peak = peak.unwrap_or(0).saturating_mul(2);
    by_size.max(by_peak).clamp(BUILTIN, MOST)
}

/// The limit after `limit` was not enough; `None` if there is no larger one.
pub fn larger(limit: u64) -> Option<u64> {
    (limit < MOST).then(|| limit.saturating_mul(2).min(MOST))
}

/// The limit of a Job, in bytes.
pub fn of(job: &Job) -> u64 {
    job.spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref())
        .into_iter()
        .flat_map(|pod| &pod.containers)
        .find(|container| container.name == INSPECTOR)
        .and_then(|container| container.resources.as_ref()?.limits.as_ref()?.get("memory"))
        .and_then(|limit| Quantity::parse(&limit.0).ok())
        .map_or(MOST, |limit| limit.bytes())
}

#[cfg(test)]
mod tests {
    use tts_crds::v1alpha1::BuiltinSource;

    use super::*;

    fn mebi(source: &VoiceSource, facts: Option<(i64, i64)>) -> u64 {
        let facts = facts.map(|(size, peak)| TtsVoiceStatus {
            size_bytes: Some(size << 20),
            peak_memory_bytes: Some(peak << 20),
            ..TtsVoiceStatus::default()
        });
        first(source, facts.as_ref()) / MEBI
    }

    #[test]
    fn a_known_size_decides_and_a_measured_peak_more_so() {
        let files = VoiceSource::default();
        let builtin = VoiceSource {
            builtin: Some(BuiltinSource {
                name: "rms".to_owned(),
            }),
            ..VoiceSource::default()
        };
        assert_eq!(mebi(&builtin, None), 512);
        assert_eq!(mebi(&files, None), 1_024);
        assert_eq!(mebi(&files, Some((5, 90))), 512, "the least");
        assert_eq!(mebi(&files, Some((300, 90))), 256 + 1_200);
        assert_eq!(mebi(&files, Some((300, 1_000))), 2_000);
        assert_eq!(mebi(&files, Some((9_000, 90))), 8_192, "the most");
    }

    #[test]
    fn the_limit_doubles_up_to_the_most() {
        assert_eq!(larger(UNKNOWN), Some(2_048 * MEBI));
        assert_eq!(larger(6_000 * MEBI), Some(MOST));
        assert_eq!(larger(MOST), None);
    }
}
