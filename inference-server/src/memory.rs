//! Memory of the process and of its container.

use std::fs;

/// Memory that the container may use, in bytes: the limit of its cgroup (version 2 or 1), or the machine's memory if that
/// is less or there is no limit; `None` where the kernel says neither.
pub fn limit() -> Option<u64> {
    let cgroup = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = cgroup
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    limits.chain(kibibytes("/proc/meminfo", "MemTotal:")).min()
}

/// Peak memory of the process so far, in bytes, as the kernel counts it; `None` where there is no /proc.
pub fn peak() -> Option<u64> {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// Memory of the process now, in bytes; `None` where there is no /proc.
pub fn resident() -> Option<u64> {
    kibibytes("/proc/self/status", "VmRSS:")
}

/// The value of a line `NAME: N kB`, in bytes.
fn kibibytes(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_fits_into_its_limit() {
        let (peak, limit) = (super::peak().unwrap(), super::limit().unwrap());
        assert!(peak > 1024 * 1024 && peak < limit, "{peak} {limit}");
    }
}
