//! How many pods the nodes, the quota and the user allow.

use crate::numeric::{CPU_UNITS, MEMORY_UNITS, times, times_in};
use crate::request::{NodeClass, Quota};

/// What one pod asks for: cores, MiB and GPU slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ask {
    pub cpu: f64,
    pub memory: f64,
    pub gpus: u32,
}

impl Ask {
    /// Pods on one empty node: by cores, memory and GPU slots, whichever runs out first.
    pub fn per_node(&self, class: &NodeClass) -> u32 {
        let gpus = class.gpu_slots.checked_div(self.gpus).unwrap_or(u32::MAX);
        times(class.allocatable_cpu, self.cpu, CPU_UNITS)
            .min(times(class.allocatable_memory, self.memory, MEMORY_UNITS))
            .min(gpus)
    }

    /// Pods on all nodes, beside what other deployments have been promised. Free parts of nodes
    /// count as if they could be put together, so the scheduler may find room for fewer.
    pub fn on_nodes(&self, class: &NodeClass, nodes: u32) -> u32 {
        let taken = class.promised;
        let count = f64::from(nodes);
        let free_gpus =
            (u64::from(class.gpu_slots) * u64::from(nodes)).saturating_sub(u64::from(taken.gpus));
        let gpus = free_gpus
            .checked_div(u64::from(self.gpus))
            .map_or(u32::MAX, |pods| u32::try_from(pods).unwrap_or(u32::MAX));
        times(
            count * class.allocatable_cpu - taken.cpu,
            self.cpu,
            CPU_UNITS,
        )
        .min(times(
            count * class.allocatable_memory - taken.memory,
            self.memory,
            MEMORY_UNITS,
        ))
        .min(gpus)
        .min(self.per_node(class).saturating_mul(nodes))
    }

    /// Nodes to add so that `pods` pods fit; the largest number when none would help.
    pub fn missing_nodes(&self, class: &NodeClass, pods: u32) -> u32 {
        let has_room =
            |added: u32| self.on_nodes(class, class.max_nodes.saturating_add(added)) >= pods;
        let mut high = 1;
        if has_room(0) {
            return 0;
        }
        while !has_room(high) {
            let Some(next) = high.checked_mul(2) else {
                return u32::MAX;
            };
            high = next;
        }
        let mut low = high / 2;
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if has_room(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// Pods that the quota allows.
    pub fn in_quota(&self, quota: &Quota) -> u32 {
        let cpu = quota
            .cpu
            .map_or(u32::MAX, |cpu| times(cpu, self.cpu, CPU_UNITS));
        let memory = quota
            .memory
            .map_or(u32::MAX, |memory| times(memory, self.memory, MEMORY_UNITS));
        let gpus = quota.gpus.map_or(u32::MAX, |gpus| {
            gpus.checked_div(self.gpus).unwrap_or(u32::MAX)
        });
        cpu.min(memory)
            .min(gpus)
            .min(quota.pods.unwrap_or(u32::MAX))
    }

    /// What is left of the quota after `pods` pods.
    pub fn taken_from(&self, quota: Quota, pods: u32) -> Quota {
        let count = f64::from(pods);
        Quota {
            cpu: quota
                .cpu
                .map(|cpu| cpu - times_in(count, self.cpu, CPU_UNITS)),
            memory: quota
                .memory
                .map(|memory| memory - times_in(count, self.memory, MEMORY_UNITS)),
            gpus: quota
                .gpus
                .map(|gpus| gpus.saturating_sub(pods.saturating_mul(self.gpus))),
            pods: quota.pods.map(|most| most.saturating_sub(pods)),
        }
    }

    /// The quota for `pods` pods: what has to be raised, and to what. None where it suffices.
    pub fn missing_quota(&self, quota: &Quota, pods: u32) -> Option<Quota> {
        let count = f64::from(pods);
        let needed = Quota {
            cpu: quota
                .cpu
                .filter(|&cpu| times(cpu, self.cpu, CPU_UNITS) < pods)
                .map(|_| times_in(count, self.cpu, CPU_UNITS)),
            memory: quota
                .memory
                .filter(|&memory| times(memory, self.memory, MEMORY_UNITS) < pods)
                .map(|_| times_in(count, self.memory, MEMORY_UNITS)),
            gpus: quota
                .gpus
                .filter(|&gpus| gpus < pods.saturating_mul(self.gpus))
                .map(|_| pods.saturating_mul(self.gpus)),
            pods: quota.pods.filter(|&most| most < pods).map(|_| pods),
        };
        (needed != Quota::default()).then_some(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Promised;

    const POD: Ask = Ask {
        cpu: 2.1,
        memory: 1000.0,
        gpus: 0,
    };

    fn class() -> NodeClass {
        NodeClass::new("a", 7.5, 14_000.0, 4)
    }

    #[test]
    fn whole_pods_on_whole_nodes() {
        assert_eq!((POD.per_node(&class()), POD.on_nodes(&class(), 4)), (3, 12));
        let gpu = Ask { gpus: 1, ..POD };
        assert_eq!(gpu.on_nodes(&class(), 4), 0);
        let two = NodeClass {
            gpu_slots: 2,
            ..class()
        };
        assert_eq!((gpu.per_node(&two), gpu.on_nodes(&two, 4)), (2, 8));
    }

    #[test]
    fn what_others_were_promised_is_not_there() {
        let promised = |cpu, memory, gpus| NodeClass {
            gpu_slots: 1,
            promised: Promised { cpu, memory, gpus },
            ..class()
        };
        assert_eq!(POD.on_nodes(&promised(15.0, 0.0, 0), 4), 7);
        assert_eq!(POD.on_nodes(&promised(0.0, 53_000.0, 0), 4), 3);
        assert_eq!(POD.on_nodes(&promised(100.0, 0.0, 0), 4), 0);
        let gpu = Ask { gpus: 1, ..POD };
        assert_eq!(gpu.on_nodes(&promised(0.0, 0.0, 3), 4), 1);
    }

    #[test]
    fn the_nodes_to_add_are_the_fewest() {
        for pods in [1, 12, 13, 15, 16, 100] {
            let added = POD.missing_nodes(&class(), pods);
            assert!(POD.on_nodes(&class(), 4 + added) >= pods, "{pods}");
            assert!(
                added == 0 || POD.on_nodes(&class(), 3 + added) < pods,
                "{pods}"
            );
        }
        let gpu = Ask { gpus: 1, ..POD };
        assert_eq!(gpu.missing_nodes(&class(), 1), u32::MAX);
    }

    #[test]
    fn a_quota_is_raised_to_what_is_needed() {
        let quota = Quota {
            cpu: Some(10.0),
            memory: Some(3500.0),
            gpus: None,
            pods: Some(20),
        };
        assert_eq!(POD.in_quota(&quota), 3);
        let raised = POD.missing_quota(&quota, 4).unwrap();
        assert_eq!(
            raised,
            Quota {
                memory: Some(4000.0),
                ..Quota::default()
            }
        );
        assert_eq!(POD.missing_quota(&quota, 3), None);
        let many = POD.missing_quota(&quota, 30).unwrap();
        assert_eq!((many.pods, many.cpu), (Some(30), Some(63.0)));
        let enough = Quota {
            cpu: many.cpu,
            memory: many.memory,
            gpus: many.gpus,
            pods: many.pods,
        };
        assert_eq!(POD.in_quota(&enough), 30);
    }
}
