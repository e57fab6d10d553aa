//! Energy, where the machine counts it: of the processors (RAPL), and of a GPU (NVML). Never estimated.

use super::Machine;

/// Counters of all packages, and of a GPU, at one moment, in microjoules, with the value at which each begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter(Vec<(u64, u64)>);

impl Machine {
    /// `None` where there is no counter, or where it may not be read.
    pub fn energy(&self) -> Option<Meter> {
        let domains = self.names("/sys/class/powercap");
        let packages: Vec<_> = domains
            .iter()
            .filter(|name| name.starts_with("intel-rapl:") && name.matches(':').count() == 1)
            .filter_map(|name| {
                let file = |file: &str| self.number(&format!("/sys/class/powercap/{name}/{file}"));
                let name = self.read(&format!("/sys/class/powercap/{name}/name"))?;
                let is_package = name.starts_with("package");
                Some((file("energy_uj")?, file("max_energy_range_uj")?)).filter(|_| is_package)
            })
            .collect();
        (!packages.is_empty()).then_some(Meter(packages))
    }
}

impl Meter {
    /// The counters of the processors, if there are any, and that of a GPU (mJ).
    pub fn with_gpu(processors: Option<Self>, millijoules: u64) -> Self {
        let mut counters = processors.unwrap_or_default().0;
        // It begins anew when the driver is loaded, and not at a value.
        counters.push((millijoules.saturating_mul(1000), 0));
        Self(counters)
    }

    /// Joules since an earlier moment; `None` if the packages are others.
    pub fn joules_since(&self, earlier: &Self) -> Option<f64> {
        if self.0.len() != earlier.0.len() {
            return None;
        }
        let microjoules: u64 = self
            .0
            .iter()
            .zip(&earlier.0)
            .map(|((now, range), (then, _))| {
                if now >= then {
                    now - then
                } else {
                    range.saturating_sub(*then) + now
                }
            })
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "minutes of a machine's power")]
        let joules = microjoules as f64 / 1e6;
        Some(joules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fake_machine;

    fn meter(package: &str) -> Option<Meter> {
        let (_folder, machine) = fake_machine(&[
            ("/sys/class/powercap/intel-rapl:0/name", "package-0"),
            ("/sys/class/powercap/intel-rapl:0/energy_uj", package),
            (
                "/sys/class/powercap/intel-rapl:0/max_energy_range_uj",
                "10000000",
            ),
            ("/sys/class/powercap/intel-rapl:0:0/name", "core"),
            ("/sys/class/powercap/intel-rapl:0:0/energy_uj", "77"),
            (
                "/sys/class/powercap/intel-rapl:0:0/max_energy_range_uj",
                "10000000",
            ),
            ("/sys/class/powercap/intel-rapl:1/name", "psys"),
            ("/sys/class/powercap/intel-rapl:1/energy_uj", "88"),
            (
                "/sys/class/powercap/intel-rapl:1/max_energy_range_uj",
                "10000000",
            ),
        ]);
        machine.energy()
    }

    #[test]
    fn packages_are_counted_once_and_over_the_end_of_the_counter() {
        let joules = |then: &str, now: &str| meter(now)?.joules_since(&meter(then)?);
        assert_eq!(joules("1000000", "3500000"), Some(2.5));
        assert_eq!(joules("9000000", "1000000"), Some(2.0));
    }

    #[test]
    fn a_gpu_is_counted_with_the_processors_or_alone() {
        let both = |package, gpu| Meter::with_gpu(meter(package), gpu);
        let joules = both("3500000", 7_000).joules_since(&both("1000000", 4_000));
        assert_eq!(joules, Some(5.5));
        let alone = |gpu| Meter::with_gpu(None, gpu);
        assert_eq!(alone(7_000).joules_since(&alone(4_000)), Some(3.0));
        // The driver was loaded again.
        assert_eq!(alone(500).joules_since(&alone(4_000)), Some(0.5));
    }

    #[test]
    fn a_machine_without_a_counter_has_no_energy() {
        assert_eq!(fake_machine(&[]).1.energy(), None);
        // Not readable by this user: the kernel gives no number.
        assert_eq!(meter(""), None);
    }
}
