//! Memory of a pod, from the regression against the audio in flight. All in MiB.

use crate::profile::Memory;
use crate::request::Policy;

/// Room for what the CUDA context and others keep on the card.
const GPU_RESERVED: f64 = 512.0;
/// Over the GPU regression: the arena rounds up.
const GPU_MARGIN: f64 = 1.1;
const GPU_STEP: f64 = 64.0;
/// After an OOM kill, as the vertical pod autoscaler does: by a factor or a step, whichever is
/// more.
const OOM_FACTOR: f64 = 1.2;
const OOM_STEP: f64 = 100.0;

/// `m0 + m1·C·maxChunk + mQ·Q + 2·residSd`: what the pod holds with every slot on the longest
/// piece, a full queue, and two standard deviations of what the regression leaves over.
pub fn needed(memory: &Memory, concurrency: u32, queue: u32, max_chunk_audio: f64) -> f64 {
    memory.base
        + memory.per_inflight_audio * f64::from(concurrency) * max_chunk_audio
        + memory.per_queued * f64::from(queue)
        + 2.0 * memory.resid_sd
}

/// Of a process that serves several voices: what one process needs whatever it serves, once; each
/// voice's own part of the base; the largest piece in flight and the largest waiting request, since
/// any may be of that voice. What the regressions leave over is independent, so variances add. A
/// voice whose part for the process was not measured counts as a process of its own.
pub fn combined(voices: &[Memory]) -> Memory {
    let largest = |value: fn(&Memory) -> f64| voices.iter().map(value).fold(0.0, f64::max);
    let process = |memory: &Memory| memory.process.unwrap_or(0.0);
    let own: f64 = voices
        .iter()
        .map(|memory| memory.base - process(memory))
        .sum();
    let variance: f64 = voices
        .iter()
        .map(|memory| memory.resid_sd * memory.resid_sd)
        .sum();
    let process = largest(process);
    Memory {
        base: process + own,
        process: (process > 0.0).then_some(process),
        per_inflight_audio: largest(|memory| memory.per_inflight_audio),
        resid_sd: variance.sqrt(),
        per_queued: largest(|memory| memory.per_queued),
    }
}

/// [`needed`] with the policy's margin (15 %: the vertical pod autoscaler's), rounded up to its
/// step. Request and limit.
pub fn request(needed: f64, policy: &Policy) -> f64 {
    (needed * (1.0 + policy.memory_margin) / policy.memory_step).ceil() * policy.memory_step
}

/// Whether a running pod's memory is enough: half of the margin is left. A small change of a
/// measurement must not restart pods.
pub(crate) fn still_enough(running: f64, needed: f64, policy: &Policy) -> bool {
    running >= needed * (1.0 + policy.memory_margin / 2.0)
}

/// The limit of the GPU memory arena, in whole steps of 64 MiB.
pub fn gpu_limit(memory: &Memory, concurrency: u32, max_chunk_audio: f64) -> f64 {
    let limit = needed(memory, concurrency, 0, max_chunk_audio) * GPU_MARGIN;
    (limit / GPU_STEP).ceil() * GPU_STEP
}

/// How many pods one card holds: `floor((VRAM - 0.5 GiB) / arena limit)`.
pub fn pods_per_gpu(vram: f64, gpu_limit: f64) -> u32 {
    if gpu_limit > 0.0 {
        crate::numeric::floor((vram - GPU_RESERVED).max(0.0) / gpu_limit)
    } else {
        0
    }
}

/// What a pod gets after it was killed for its memory.
pub fn after_oom_kill(memory: f64) -> f64 {
    (memory * OOM_FACTOR).max(memory + OOM_STEP).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGRESSION: Memory = Memory {
        base: 160.0,
        process: None,
        per_inflight_audio: 1.2,
        resid_sd: 8.0,
        per_queued: 0.25,
    };

    #[test]
    fn by_hand() {
        let needed = needed(&REGRESSION, 2, 11, 15.0);
        assert!((needed - 214.75).abs() < 1e-9);
        assert!((needed * 1.15 - 246.9625).abs() < 1e-9);
        assert!((request(needed, &Policy::default()) - 256.0).abs() < 1e-9);
    }

    #[test]
    fn a_killed_pod_gets_the_larger_step() {
        assert!((after_oom_kill(256.0) - 356.0).abs() < 1e-9);
        assert!((after_oom_kill(1000.0) - 1200.0).abs() < 1e-9);
    }

    #[test]
    fn voices_share_the_process_and_nothing_else() {
        let small = Memory {
            process: Some(40.0),
            ..REGRESSION
        };
        let large = Memory {
            base: 260.0,
            process: Some(50.0),
            per_inflight_audio: 2.0,
            resid_sd: 6.0,
            ..REGRESSION
        };
        let both = combined(&[small, large]);
        assert!((both.base - (50.0 + 120.0 + 210.0)).abs() < 1e-9);
        assert!((both.per_inflight_audio - 2.0).abs() < 1e-9);
        assert!((both.resid_sd - 10.0).abs() < 1e-9);
        let apart = combined(&[REGRESSION, REGRESSION]);
        assert!((apart.base - 320.0).abs() < 1e-9);
        assert_eq!(combined(&[REGRESSION]), REGRESSION);
    }

    #[test]
    fn a_card_holds_whole_pods() {
        assert_eq!(pods_per_gpu(23034.0, 5000.0), 4);
        assert_eq!(pods_per_gpu(400.0, 5000.0), 0);
        assert_eq!(pods_per_gpu(400.0, 0.0), 0);
    }

    #[test]
    fn memory_grows_with_slots_and_pieces() {
        assert!(needed(&REGRESSION, 3, 1, 15.0) > needed(&REGRESSION, 2, 1, 15.0));
        assert!(needed(&REGRESSION, 2, 1, 30.0) > needed(&REGRESSION, 2, 1, 15.0));
        assert!(gpu_limit(&REGRESSION, 2, 15.0) > needed(&REGRESSION, 2, 0, 15.0));
    }
}
