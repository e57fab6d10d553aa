//! What the machine did between two moments: whose work took its CPUs.

use super::Machine;

/// The kernel's counters at one moment. CPU times in clock ticks, a hundred per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// All time of all CPUs.
    total: f64,
    idle: f64,
    stolen: f64,
    /// Microseconds in which some task waited for a CPU.
    pressure: Option<f64>,
    at: f64,
}

/// What happened between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    pub seconds: f64,
    /// CPU-seconds that all processes took together.
    pub busy_seconds: f64,
    /// CPU-seconds that there were.
    pub cpu_seconds: f64,
    /// Share of the time that the hypervisor took away.
    pub steal: f64,
    /// Share of the time in which some task waited for a CPU (%); `None` where the kernel does not tell.
    pub pressure: Option<f64>,
}

const TICKS_PER_SECOND: f64 = 100.0;

impl Machine {
    pub fn counters(&self) -> Counters {
        let stat = self.read("/proc/stat").unwrap_or_default();
        let fields: Vec<f64> = stat
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))
            .into_iter()
            .flat_map(str::split_whitespace)
            .filter_map(|field| field.parse().ok())
            .collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or(0.0);
        Counters {
            // user nice system idle iowait irq softirq steal; guest time is in user time already.
            total: fields.iter().take(8).sum(),
            idle: field(3) + field(4),
            stolen: field(7),
            pressure: self.pressure(),
            at: uptime(&self.read("/proc/uptime").unwrap_or_default()),
        }
    }

    fn pressure(&self) -> Option<f64> {
        let text = self.read("/proc/pressure/cpu")?;
        let some = text.lines().find(|line| line.starts_with("some"))?;
        some.rsplit_once("total=")?.1.trim().parse().ok()
    }
}

fn uptime(text: &str) -> f64 {
    let first = text.split_whitespace().next();
    first.and_then(|field| field.parse().ok()).unwrap_or(0.0)
}

impl Counters {
    /// What happened since an earlier moment.
    pub fn since(&self, earlier: &Self) -> Activity {
        let total = self.total - earlier.total;
        let share = |part: f64| {
            if total > 0.0 {
                (part / total).clamp(0.0, 1.0)
            } else {
                0.0
            }
        };
        let stolen = self.stolen - earlier.stolen;
        let seconds = self.at - earlier.at;
        let pressure = self.pressure.zip(earlier.pressure).map(|(now, then)| {
            if seconds > 0.0 {
                ((now - then) / seconds / 10_000.0).clamp(0.0, 100.0)
            } else {
                0.0
            }
        });
        Activity {
            seconds,
            busy_seconds: ((total - (self.idle - earlier.idle) - stolen) / TICKS_PER_SECOND)
                .max(0.0),
            cpu_seconds: total / TICKS_PER_SECOND,
            steal: share(stolen),
            pressure,
        }
    }
}

impl Activity {
    /// The share of all CPU time that others took, where this measurement took `own` CPU-seconds.
    pub fn others(&self, own: f64) -> f64 {
        if self.cpu_seconds > 0.0 {
            ((self.busy_seconds - own) / self.cpu_seconds).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fake_machine;

    fn counters(stat: &str, pressure: &str, uptime: &str) -> Counters {
        let (_folder, machine) = fake_machine(&[
            ("/proc/stat", stat),
            ("/proc/pressure/cpu", pressure),
            ("/proc/uptime", uptime),
        ]);
        machine.counters()
    }

    #[test]
    fn busy_stolen_and_others() {
        let before = counters(
            "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1\n",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0 total=0\n",
            "100.00 50.00\n",
        );
        let after = counters(
            "cpu  200 0 150 1200 0 0 0 50 0 0\ncpu0 1\n",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=1300000\nfull avg10=0 total=0\n",
            "103.00 51.00\n",
        );
        let activity = after.since(&before);
        assert!((activity.seconds - 3.0).abs() < 1e-9);
        assert!((activity.cpu_seconds - 6.0).abs() < 1e-9);
        assert!((activity.busy_seconds - 1.5).abs() < 1e-9);
        assert!((activity.steal - 50.0 / 600.0).abs() < 1e-9);
        assert!((activity.pressure.unwrap() - 10.0).abs() < 1e-9);
        assert!((activity.others(0.9) - 0.1).abs() < 1e-9);
        assert!(activity.others(2.0).abs() < 1e-9);
    }

    #[test]
    fn a_kernel_without_pressure_says_nothing_about_it() {
        let (_folder, machine) = fake_machine(&[("/proc/stat", "cpu  1 1 1 1\n")]);
        let activity = machine.counters().since(&machine.counters());
        assert_eq!(activity.pressure, None);
        assert!(activity.steal.abs() < 1e-9);
    }
}
