//! A fake of the NVIDIA driver's library, for tests of what is measured on GPUs: there is none where they run.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::workspace;

/// The fake, in a folder of its own under the real library's name. `data/fake_nvml.c` says what there is to define.
pub struct FakeNvml(TempDir);

impl FakeNvml {
    /// Compiles it with the linker driver that Rust needs anyway.
    ///
    /// # Panics
    /// When it cannot be compiled.
    pub fn with(definitions: &[&str]) -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-Werror"])
            .args(definitions.iter().map(|name| format!("-D{name}")))
            .arg("-o")
            .arg(fake.library())
            .arg(workspace().join("tests/data/fake_nvml.c"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{errors}");
        fake
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn library(&self) -> PathBuf {
        self.folder().join("libnvidia-ml.so.1")
    }
}
