//! The hash by which a request is known again: a plan is computed anew only when it changes.

use sha2::{Digest, Sha256};

use crate::request::Request;

impl Request {
    /// SHA-256 over everything the plan depends on, as 64 hexadecimal digits; the same whatever the
    /// order of the lists.
    pub fn input_hash(&self) -> String {
        let mut ordered = self.clone();
        ordered.classes.sort_by(|a, b| a.name.cmp(&b.name));
        ordered
            .measurements
            .sort_by(|a, b| a.profile.id.cmp(&b.profile.id));
        for measurement in &mut ordered.measurements {
            let configs = &mut measurement.profile.configs;
            configs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu).then(a.threads.cmp(&b.threads)));
        }
        let mut hash = Sha256::new();
        // Only a map with keys that are not strings could fail, and there is none.
        if let Ok(json) = serde_json::to_vec(&ordered) {
            hash.update(json);
        }
        hash.finalize()
            .iter()
            .fold(String::with_capacity(64), |text, byte| {
                text + &format!("{byte:02x}")
            })
    }
}
