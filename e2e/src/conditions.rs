//! Conditions of our kinds.
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use tts_crds::v1alpha1::{TtsBenchmark, TtsDeployment, TtsProfile, TtsVoice};

/// An object whose status has conditions.
pub trait Conditioned: ResourceExt {
    fn conditions(&self) -> &[Condition];
    fn observed_generation(&self) -> Option<i64>;

    /// The condition `type_`, if it speaks of the object's present spec.
    fn condition(&self, type_: &str) -> Result<&Condition> {
        let generation = self.meta().generation;
        ensure!(
            self.observed_generation() == generation,
            "{} has generation {generation:?} and its status is of {:?}",
            self.name_any(),
            self.observed_generation()
        );
        self.conditions()
            .iter()
            .find(|condition| condition.type_ == type_)
            .with_context(|| {
                let types: Vec<_> = self.conditions().iter().map(|c| &c.type_).collect();
                format!(
                    "{} has no condition {type_}, only {types:?}",
                    self.name_any()
                )
            })
    }

    /// The condition `type_` with its status as expected.
    fn expect(&self, type_: &str, status: &str) -> Result<&Condition> {
        let condition = self.condition(type_)?;
        ensure!(
            condition.status == status,
            "{} has {type_}={}, {}: {}",
            self.name_any(),
            condition.status,
            condition.reason,
            condition.message
        );
        Ok(condition)
    }
}

impl Conditioned for TtsVoice {
    fn conditions(&self) -> &[Condition] {
        self.status
            .as_ref()
            .map_or(&[], |status| &status.conditions)
    }

    fn observed_generation(&self) -> Option<i64> {
        self.status
            .as_ref()
            .map(|status| status.observed_generation)
    }
}

impl Conditioned for TtsDeployment {
    fn conditions(&self) -> &[Condition] {
        self.status
            .as_ref()
            .map_or(&[], |status| &status.conditions)
    }

    fn observed_generation(&self) -> Option<i64> {
        self.status
            .as_ref()
            .map(|status| status.observed_generation)
    }
}

impl Conditioned for TtsBenchmark {
    fn conditions(&self) -> &[Condition] {
        self.status
            .as_ref()
            .map_or(&[], |status| &status.conditions)
    }

    fn observed_generation(&self) -> Option<i64> {
        self.status
            .as_ref()
            .map(|status| status.observed_generation)
    }
}

impl Conditioned for TtsProfile {
    fn conditions(&self) -> &[Condition] {
        self.status
            .as_ref()
            .map_or(&[], |status| &status.conditions)
    }

    fn observed_generation(&self) -> Option<i64> {
        self.status
            .as_ref()
            .map(|status| status.observed_generation)
    }
}
