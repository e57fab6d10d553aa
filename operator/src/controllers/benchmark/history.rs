//! The profiles of a benchmark, and what they say over time.
use std::sync::Arc;

use kube::ResourceExt as _;
use tts_crds::v1alpha1::TtsProfile;
use tts_planner::Profile;
use tts_regression::Shift;

use crate::controllers::scope::{Guarded, Scope};

/// Label of a profile: the benchmark that asked for it.
pub const BENCHMARK: &str = "tts-operator.dev/benchmark";

/// The profiles of a benchmark, the newest first.
pub fn of(scope: &Scope, namespace: &str, benchmark: &str) -> Vec<TtsProfile> {
    let found: Vec<Arc<Guarded<TtsProfile>>> = scope.profiles.filter(|object| {
        object.namespace().as_deref() == Some(namespace)
            && object.labels().get(BENCHMARK).map(String::as_str) == Some(benchmark)
    });
    let mut profiles: Vec<TtsProfile> = found
        .iter()
        .filter_map(|object| object.0.as_ref().ok().cloned())
        .collect();
    profiles.sort_by(|a, b| b.spec.0.run.started.cmp(&a.spec.0.run.started));
    profiles
}

/// The shift to slower profiles, and the first profile after it; `profiles` are the newest first.
pub fn drift(profiles: &[TtsProfile]) -> Option<(Shift, &TtsProfile)> {
    let in_time: Vec<&TtsProfile> = profiles.iter().rev().collect();
    let measured: Vec<&Profile> = in_time.iter().map(|profile| &profile.spec.0).collect();
    let shift = tts_regression::profiles_over_time(&measured)?;
    Some((shift, in_time.get(shift.at)?))
}

/// Those beyond the limit; the accepted one stays.
pub fn obsolete<'a>(
    profiles: &'a [TtsProfile],
    limit: usize,
    accepted: Option<&'a str>,
) -> impl Iterator<Item = &'a TtsProfile> {
    let beyond = profiles.iter().skip(limit.max(1));
    beyond.filter(move |profile| Some(profile.name_any().as_str()) != accepted)
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use tts_crds::v1alpha1::TtsProfileSpec;

    use super::*;

    #[test]
    fn the_accepted_profile_outlives_the_limit() {
        let profile = Profile::from_json(tts_planner_dev::samples::PROFILE).unwrap();
        let profiles: Vec<TtsProfile> = ["new", "middle", "old", "oldest"]
            .map(|name| TtsProfile::new(name, TtsProfileSpec(profile.clone())))
            .to_vec();
        let names = |limit, accepted| -> Vec<String> {
            obsolete(&profiles, limit, accepted)
                .map(ResourceExt::name_any)
                .collect()
        };
        assert_eq!(names(2, Some("oldest")), ["old"]);
        assert_eq!(names(2, None), ["old", "oldest"]);
        assert_eq!(
            names(0, None),
            ["middle", "old", "oldest"],
            "the newest is never deleted"
        );
    }
}
