//! Which CPUs there are for a measurement, and in which order a pod of some cores would get them.

use super::{Machine, parse_list};

impl Machine {
    /// These CPUs in the order in which they are filled: the hardware threads of one core one after the other, as the
    /// kubelet's static CPU manager gives them to pods.
    pub fn siblings_first(&self, cpus: &[usize]) -> Vec<usize> {
        let mut ordered = Vec::with_capacity(cpus.len());
        for &cpu in cpus {
            for sibling in self.siblings(cpu) {
                if cpus.contains(&sibling) && !ordered.contains(&sibling) {
                    ordered.push(sibling);
                }
            }
        }
        ordered
    }

    /// The hardware threads of the core that has this CPU.
    fn siblings(&self, cpu: usize) -> Vec<usize> {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        let siblings = self.read(&path).map(|text| parse_list(&text));
        siblings
            .filter(|siblings| siblings.contains(&cpu))
            .unwrap_or_else(|| vec![cpu])
    }

    /// Hardware threads per core, of the core of this CPU.
    pub fn threads_per_core(&self, cpu: usize) -> u32 {
        u32::try_from(self.siblings(cpu).len()).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::fake_machine;

    #[test]
    fn both_threads_of_a_core_come_before_the_next_core() {
        let files: Vec<(String, &str)> = [(0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")]
            .map(|(cpu, list)| {
                let path =
                    format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
                (path, list)
            })
            .to_vec();
        let files: Vec<_> = files
            .iter()
            .map(|(path, list)| (path.as_str(), *list))
            .collect();
        let (_folder, machine) = fake_machine(&files);
        assert_eq!(machine.siblings_first(&[0, 1, 2, 3]), [0, 2, 1, 3]);
        // A CPU that the process may not use is no sibling.
        assert_eq!(machine.siblings_first(&[0, 1, 3]), [0, 1, 3]);
        assert_eq!(machine.threads_per_core(3), 2);
        // Unknown topology: as they are.
        assert_eq!(machine.siblings_first(&[9, 8]), [9, 8]);
    }
}
