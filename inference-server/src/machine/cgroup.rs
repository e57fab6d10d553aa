//! The CPU limit of this process's container, and how often it was throttled: cgroup version 2 or 1.

use super::{Machine, line};

/// What the kernel's bandwidth control did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which the container had work.
    pub periods: u64,
    /// Those in which its work was stopped because its quota was used up.
    pub throttled: u64,
}

impl Throttling {
    /// Share of throttled periods since an earlier moment; 0 without a limit.
    pub fn share_since(self, earlier: Self) -> f64 {
        let periods = self.periods.saturating_sub(earlier.periods);
        let throttled = self.throttled.saturating_sub(earlier.throttled);
        if periods == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "ten per second")]
        let share = throttled as f64 / periods as f64;
        share
    }
}

/// Where a container sees its own group, in version 2 and in version 1.
const STAT: [&str; 3] = [
    "/sys/fs/cgroup/cpu.stat",
    "/sys/fs/cgroup/cpu/cpu.stat",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.stat",
];

impl Machine {
    /// The container's CPU limit in cores; `None` without one.
    pub fn cpu_limit(&self) -> Option<f64> {
        self.limit_of_version_2()
            .or_else(|| self.limit_of_version_1())
    }

    fn limit_of_version_2(&self) -> Option<f64> {
        let text = self.read("/sys/fs/cgroup/cpu.max")?;
        let (quota, period) = text.split_once(' ')?;
        ratio(quota.parse().ok()?, period.parse().ok()?)
    }

    fn limit_of_version_1(&self) -> Option<f64> {
        ["cpu", "cpu,cpuacct"].iter().find_map(|folder| {
            let quota = self.number(&format!("/sys/fs/cgroup/{folder}/cpu.cfs_quota_us"))?;
            let period = self.number(&format!("/sys/fs/cgroup/{folder}/cpu.cfs_period_us"))?;
            ratio(quota, period)
        })
    }

    pub fn throttling(&self) -> Throttling {
        let stat = STAT.iter().find_map(|path| {
            let text = self.read(path)?;
            Some(Throttling {
                periods: line(&text, "nr_periods", ' ')?.parse().ok()?,
                throttled: line(&text, "nr_throttled", ' ')?.parse().ok()?,
            })
        });
        stat.unwrap_or_default()
    }
}

/// Version 1 writes -1 for no limit.
fn ratio(quota: f64, period: f64) -> Option<f64> {
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fake_machine;

    #[test]
    fn both_versions_tell_the_limit() {
        let (_folder, two) = fake_machine(&[
            ("/sys/fs/cgroup/cpu.max", "25000 100000\n"),
            (
                "/sys/fs/cgroup/cpu.stat",
                "usage_usec 5\nnr_periods 10\nnr_throttled 4\n",
            ),
        ]);
        assert_eq!(two.cpu_limit(), Some(0.25));
        let (_folder, one) = fake_machine(&[
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            (
                "/sys/fs/cgroup/cpu/cpu.stat",
                "nr_periods 8\nnr_throttled 2\n",
            ),
        ]);
        assert_eq!(one.cpu_limit(), Some(0.5));
        assert_eq!(one.throttling().periods, 8);
        let share = two.throttling().share_since(Throttling {
            periods: 2,
            throttled: 2,
        });
        assert!((share - 0.25).abs() < 1e-9);
        assert!(two.throttling().share_since(two.throttling()).abs() < 1e-9);
    }

    #[test]
    fn no_limit_is_none() {
        for (path, text) in [
            ("/sys/fs/cgroup/cpu.max", "max 100000"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1"),
        ] {
            let (_folder, machine) = fake_machine(&[
                (path, text),
                ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"),
            ]);
            assert_eq!(machine.cpu_limit(), None, "{text}");
        }
    }
}
