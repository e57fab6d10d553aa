//! Whether others use the same GPU: what can honestly be known inside a container.

use std::path::Path;

/// What the environment of a process says of its GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `CUDA_VISIBLE_DEVICES`: what CUDA numbers.
    pub cuda_visible: Option<String>,
    /// `NVIDIA_VISIBLE_DEVICES`: what NVIDIA's device plugin gave to the container.
    pub container: Option<String>,
    /// CUDA would reach an MPS server.
    pub mps: bool,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var(name).ok();
        let named = variable("CUDA_MPS_PIPE_DIRECTORY").is_some_and(|folder| !folder.is_empty());
        Self {
            cuda_visible: variable("CUDA_VISIBLE_DEVICES"),
            container: variable("NVIDIA_VISIBLE_DEVICES"),
            // Without the variable CUDA looks there.
            mps: named || Path::new("/tmp/nvidia-mps/control").exists(),
        }
    }
}

/// What was known before anything was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// CUDA would reach an MPS server.
    pub mps: bool,
    /// The device plugin gave out replicas of the GPU.
    pub replicated: bool,
    /// The compute mode lets one process compute at a time.
    pub exclusive: bool,
}

/// How a GPU is shared, as profiles name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum Sharing {
    None,
    TimeSlicing,
    Mps,
    /// The driver does not tell who computes.
    Unknown,
}

/// A GPU that works more than this while nothing is measured works for others.
const IDLE: f64 = 0.05;

/// Whether the list has replicas: ids that end in `::NUMBER`, or the same id twice. The plugin removes the numbers, so that
/// a container that was given one replica cannot tell it from a GPU
/// (<https://github.com/NVIDIA/k8s-device-plugin/issues/1432>).
pub fn is_replicated(container: Option<&str>) -> bool {
    let ids: Vec<&str> = container.unwrap_or_default().split(',').collect();
    let twice = |(place, id): (usize, &&str)| !id.is_empty() && ids[..place].contains(id);
    ids.iter().any(|id| id.contains("::")) || ids.iter().enumerate().any(twice)
}

/// How a GPU was shared. `others` is the most compute processes of others at a time, where the driver tells; `idle` the
/// share of the time in which the GPU worked while nothing was measured.
pub fn sharing(hints: Hints, others: Option<u32>, idle: Option<f64>) -> Sharing {
    if hints.mps {
        Sharing::Mps
    } else if hints.replicated
        || others.is_some_and(|others| others > 0)
        || idle.is_some_and(|idle| idle > IDLE)
    {
        // Without MPS this is how processes share a GPU.
        Sharing::TimeSlicing
    } else if hints.exclusive || others.is_some() {
        Sharing::None
    } else {
        Sharing::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_seen_by_their_numbers_or_because_they_are_several() {
        for (list, replicated) in [
            (None, false),
            (Some(""), false),
            (Some("all"), false),
            (Some("GPU-1a,GPU-2b"), false),
            (Some("GPU-1a::0"), true),
            (Some("GPU-1a,GPU-2b,GPU-1a"), true),
        ] {
            assert_eq!(is_replicated(list), replicated, "{list:?}");
        }
    }

    #[test]
    fn nobody_else_is_known_only_from_a_list_without_others_or_an_exclusive_mode() {
        let nothing = Hints::default();
        let exclusive = Hints {
            exclusive: true,
            ..nothing
        };
        let mps = Hints {
            mps: true,
            ..exclusive
        };
        let replicated = Hints {
            replicated: true,
            ..nothing
        };
        for (hints, others, idle, expected) in [
            (nothing, Some(0), Some(0.0), "none"),
            (nothing, Some(0), None, "none"),
            (nothing, None, Some(0.0), "unknown"),
            (exclusive, None, None, "none"),
            (nothing, Some(1), Some(0.0), "time-slicing"),
            // A process that this container cannot see.
            (nothing, Some(0), Some(0.3), "time-slicing"),
            (replicated, Some(0), Some(0.0), "time-slicing"),
            (mps, Some(0), Some(0.0), "mps"),
        ] {
            let found = sharing(hints, others, idle).to_string();
            assert_eq!(found, expected, "{hints:?} {others:?} {idle:?}");
        }
    }
}
