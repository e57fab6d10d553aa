//! What the machine is.

use super::{Machine, line};

/// CPU features for which ONNX Runtime has kernels of its own, by the beginnings of their names in `/proc/cpuinfo`: the
/// only ones that are worth a place in a profile.
const FEATURES: [&str; 9] = [
    "avx", "fma", "amx", "sve", "dotprod", "asimddp", "asimdhp", "i8mm", "bf16",
];

/// What makes two machines interchangeable for a measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As Kubernetes names it: amd64, arm64.
    pub arch: String,
    pub cpu_model: String,
    /// In order.
    pub features: Vec<String>,
    /// Frequency governor of the CPUs; `None` on machines that have none.
    pub governor: Option<String>,
    pub kernel: String,
}

impl Machine {
    /// What this machine is; the governor is that of this CPU.
    pub fn identity(&self, cpu: usize) -> Identity {
        let cpuinfo = self.read("/proc/cpuinfo").unwrap_or_default();
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let flags = line(&cpuinfo, "flags", ':').or_else(|| line(&cpuinfo, "Features", ':'));
        let mut features: Vec<String> = flags
            .unwrap_or_default()
            .split_whitespace()
            .filter(|flag| FEATURES.iter().any(|feature| flag.starts_with(feature)))
            .map(str::to_owned)
            .collect();
        features.sort();
        let governor = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        Identity {
            arch: arch.to_owned(),
            cpu_model: cpu_model(&cpuinfo),
            features,
            governor: self.read(&governor).filter(|text| !text.is_empty()),
            kernel: self.read("/proc/sys/kernel/osrelease").unwrap_or_default(),
        }
    }
}

/// The model's name; arm64 kernels give numbers only.
fn cpu_model(cpuinfo: &str) -> String {
    if let Some(name) = line(cpuinfo, "model name", ':') {
        return name.to_owned();
    }
    let number = |name| line(cpuinfo, name, ':').unwrap_or("?");
    format!(
        "implementer {} part {} variant {}",
        number("CPU implementer"),
        number("CPU part"),
        number("CPU variant")
    )
}

#[cfg(test)]
mod tests {
    use crate::machine::fake_machine;

    #[test]
    fn a_named_processor() {
        let (_folder, machine) = fake_machine(&[
            (
                "/proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Example 3000\nflags\t\t: fpu sse2 fma avx2 avx512_vnni\n",
            ),
            ("/proc/sys/kernel/osrelease", "6.1.0-13\n"),
            (
                "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                "powersave\n",
            ),
        ]);
        let identity = machine.identity(0);
        assert_eq!(identity.cpu_model, "Example 3000");
        assert_eq!(identity.features, ["avx2", "avx512_vnni", "fma"]);
        assert_eq!(identity.kernel, "6.1.0-13");
        assert_eq!(identity.governor.as_deref(), Some("powersave"));
        assert_eq!(machine.identity(1).governor, None);
    }

    #[test]
    fn a_processor_that_has_numbers_only() {
        let (_folder, machine) = fake_machine(&[(
            "/proc/cpuinfo",
            "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU variant\t: 0x1\nCPU part\t: 0xd0c\n",
        )]);
        let identity = machine.identity(0);
        assert_eq!(
            identity.cpu_model,
            "implementer 0x41 part 0xd0c variant 0x1"
        );
        assert_eq!(identity.features, ["asimddp"]);
    }
}
