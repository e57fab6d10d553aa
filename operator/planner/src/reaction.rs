//! How long a new pod takes to help, and the room that the others keep meanwhile.

use crate::request::{Load, NodeClass, Policy, Presence};

/// The autoscaler looks every 15 s.
const HPA_SYNC: f64 = 15.0;

/// From a need to a pod that serves it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reaction {
    /// τ (s).
    pub seconds: f64,
    /// h: what the load may grow by meanwhile.
    pub headroom: f64,
}

impl Reaction {
    /// `τ = coldStart + 15 s (sync) + metric lag`, and the time to create a node where there is
    /// none; `h = 1 + ramp·τ`.
    pub fn new(cold_start: f64, class: &NodeClass, load: &Load, policy: &Policy) -> Self {
        let provisioning = match class.presence {
            Presence::Present => 0.0,
            Presence::Declared => class.provisioning,
        };
        let seconds = cold_start + HPA_SYNC + policy.metric_lag + provisioning;
        Self {
            seconds,
            headroom: 1.0 + load.ramp_per_minute * seconds / 60.0,
        }
    }

    /// `λ_t = λ* / (1 + tolerance) / h`. The tolerance, because nothing happens until the metric
    /// exceeds the target by it.
    pub fn target_rate(&self, rate: f64, policy: &Policy) -> f64 {
        rate / (1.0 + policy.hpa_tolerance) / self.headroom
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Peak;

    #[test]
    fn a_node_that_has_to_be_created_takes_its_time() {
        let (load, policy) = (Load::new(Peak::RequestsPerSecond(1.0)), Policy::default());
        let mut class = NodeClass::new("a", 8.0, 8000.0, 1);
        class.provisioning = 120.0;
        let present = Reaction::new(4.0, &class, &load, &policy);
        assert!((present.seconds - 64.0).abs() < 1e-9);
        assert!((present.headroom - (1.0 + 0.2 * 64.0 / 60.0)).abs() < 1e-9);
        class.presence = Presence::Declared;
        let declared = Reaction::new(4.0, &class, &load, &policy);
        assert!((declared.seconds - 184.0).abs() < 1e-9);
        assert!(declared.target_rate(1.0, &policy) < present.target_rate(1.0, &policy));
    }
}
