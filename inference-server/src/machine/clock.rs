//! The clock of CPUs while they work.

use super::Machine;

impl Machine {
    /// Clock of these CPUs now, in MHz: the frequency driver's, else the processor's own entry. Empty where neither tells.
    pub fn clocks(&self, cpus: &[usize]) -> Vec<f64> {
        let driver: Vec<f64> = cpus
            .iter()
            .filter_map(|cpu| {
                let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq");
                Some(self.number::<f64>(&path)? / 1000.0)
            })
            .collect();
        if !driver.is_empty() {
            return driver;
        }
        let text = self.read("/proc/cpuinfo").unwrap_or_default();
        let mut processor = None;
        let mut clocks = Vec::new();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            match key.trim() {
                "processor" => processor = value.trim().parse::<usize>().ok(),
                "cpu MHz" if processor.is_some_and(|number| cpus.contains(&number)) => {
                    clocks.extend(value.trim().parse::<f64>().ok());
                }
                _ => {}
            }
        }
        clocks
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::fake_machine;

    #[test]
    fn the_driver_is_asked_first() {
        let cpuinfo = "processor : 0\ncpu MHz : 2100.5\n\nprocessor : 1\ncpu MHz : 1900.0\n";
        let (_folder, machine) = fake_machine(&[("/proc/cpuinfo", cpuinfo)]);
        assert_eq!(machine.clocks(&[1]), [1900.0]);
        assert_eq!(machine.clocks(&[0, 1]), [2100.5, 1900.0]);
        let (_folder, machine) = fake_machine(&[
            ("/proc/cpuinfo", cpuinfo),
            (
                "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
                "3000000\n",
            ),
        ]);
        assert_eq!(machine.clocks(&[0]), [3000.0]);
        let (_folder, silent) = fake_machine(&[]);
        assert!(silent.clocks(&[0]).is_empty());
    }
}
