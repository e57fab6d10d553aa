//! What makes a measurement doubtful, old or void.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use tts_planner::profile::{Clock, ExecutionProvider, Validity, Verification};
use tts_planner::validity::{Assessment, Environment, Finding, GpuEnvironment, Standing, assess};
use tts_planner::{Condition, Profile, plan};
use tts_planner_dev::samples::{PIPER, PROFILE, on_cpu, request};

fn gpu() -> Profile {
    Profile::from_json(PROFILE).unwrap()
}

/// The environment in which the GPU profile was measured.
fn unchanged() -> Environment {
    Environment {
        model_digest: "sha256:5a1e".to_owned(),
        config_digest: "sha256:77c0".to_owned(),
        precision: "fp32".to_owned(),
        nfe: None,
        execution_provider: ExecutionProvider::Cuda,
        server_version: "0.4.2".to_owned(),
        ort_version: "1.24.1".to_owned(),
        arch: "amd64".to_owned(),
        cpu_model: "another, which does not matter beside a GPU".to_owned(),
        flags: Vec::new(),
        kernel: "6.1".to_owned(),
        gpu: Some(GpuEnvironment {
            product: "NVIDIA-L4".to_owned(),
            mig: None,
            driver: "570.86".to_owned(),
        }),
        age_days: 3,
        correction: 1.0,
    }
}

fn now(change: impl FnOnce(&mut Environment)) -> Assessment {
    let mut environment = unchanged();
    environment.ort_version = gpu().server.ort;
    change(&mut environment);
    assess(&gpu(), Some(&environment))
}

fn then(change: impl FnOnce(&mut Profile)) -> Assessment {
    let mut profile = gpu();
    change(&mut profile);
    assess(&profile, None)
}

/// The verdict of exactly one finding.
fn single(assessment: &Assessment) -> Validity {
    assert_eq!(assessment.findings.len(), 1, "{assessment:?}");
    assert!(assessment.findings[0].to_string().len() > 10);
    assessment.standing.validity
}

#[test]
fn nothing_changed_nothing_found() {
    let assessment = now(|_| ());
    assert_eq!(
        (assessment.standing.validity, assessment.findings.len()),
        (Validity::Valid, 0)
    );
    assert!(
        (assessment.standing.derate - 0.024).abs() < 1e-12,
        "the spread between passes"
    );
}

#[test]
fn what_must_be_equal_voids_the_measurement() {
    assert_eq!(
        single(&now(|now| now.model_digest = "sha256:other".to_owned())),
        Validity::Invalid
    );
    assert_eq!(
        single(&now(|now| now.config_digest = "sha256:other".to_owned())),
        Validity::Invalid
    );
    assert_eq!(single(&now(|now| now.nfe = Some(16))), Validity::Invalid);
    assert_eq!(
        single(&now(|now| now.execution_provider = ExecutionProvider::Cpu)),
        Validity::Invalid
    );
    assert_eq!(
        single(&now(|now| now.precision = "int8".to_owned())),
        Validity::Invalid
    );
    assert_eq!(
        single(&now(|now| now.server_version = "1.0.0".to_owned())),
        Validity::Invalid
    );
    assert_eq!(
        single(&now(|now| now.ort_version = "2.0.0".to_owned())),
        Validity::Invalid
    );
    assert_eq!(
        single(&now(
            |now| now.gpu.as_mut().unwrap().product = "NVIDIA-A10".to_owned()
        )),
        Validity::Invalid
    );
    assert_eq!(
        single(&now(
            |now| now.gpu.as_mut().unwrap().mig = Some("1g.5gb".to_owned())
        )),
        Validity::Invalid
    );
    assert_eq!(
        single(&now(
            |now| now.gpu.as_mut().unwrap().driver = "580.1".to_owned()
        )),
        Validity::Invalid
    );
    assert_eq!(
        single(&then(|profile| profile.run.anchor_drift = 0.31)),
        Validity::Invalid
    );
}

/// The environment in which `on_cpu` profiles were measured.
fn unchanged_cpu() -> Environment {
    Environment {
        model_digest: "sha256:1".to_owned(),
        config_digest: "sha256:2".to_owned(),
        execution_provider: ExecutionProvider::Cpu,
        ort_version: on_cpu("cpu", PIPER, &[1]).server.ort,
        cpu_model: "example".to_owned(),
        gpu: None,
        ..unchanged()
    }
}

#[test]
fn a_cpu_profile_belongs_to_its_cpu() {
    let profile = on_cpu("cpu", PIPER, &[1]);
    assert_eq!(assess(&profile, Some(&unchanged_cpu())).findings, []);
    let other = Environment {
        cpu_model: "another".to_owned(),
        ..unchanged_cpu()
    };
    assert_eq!(single(&assess(&profile, Some(&other))), Validity::Invalid);
}

#[test]
fn a_cpu_without_a_feature_that_chose_the_kernel_is_another_cpu() {
    let flags = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let compared = |measured: &[&str], now: &[&str]| {
        let mut profile = on_cpu("cpu", PIPER, &[1]);
        profile.node.fingerprint.flags = flags(measured);
        let now = Environment {
            flags: flags(now),
            ..unchanged_cpu()
        };
        assess(&profile, Some(&now))
    };
    for flag in [
        "avx2",
        "avx512f",
        "avx512_vnni",
        "avx_vnni",
        "amx_int8",
        "sve",
        "asimddp",
        "i8mm",
    ] {
        let assessment = compared(&["fpu", flag], &["fpu"]);
        assert_eq!(single(&assessment), Validity::Invalid, "{flag}");
        assert!(assessment.findings[0].to_string().contains(flag));
        assert_eq!(compared(&["fpu"], &["fpu", flag]).findings, []);
        assert_eq!(compared(&["fpu", flag], &[flag, "fpu"]).findings, []);
    }
    assert_eq!(
        compared(&["avx2", "pcid"], &["avx2"]).findings,
        [],
        "no kernel depends on it"
    );
}

#[test]
fn small_changes_and_age_make_it_stale() {
    assert_eq!(
        single(&now(|now| now.server_version = "0.5.0".to_owned())),
        Validity::Stale
    );
    assert_eq!(
        single(&now(
            |now| now.gpu.as_mut().unwrap().driver = "570.90".to_owned()
        )),
        Validity::Stale
    );
    assert_eq!(
        single(&now(|now| now.kernel = "7.0".to_owned())),
        Validity::Stale
    );
    assert_eq!(single(&now(|now| now.age_days = 91)), Validity::Stale);
    assert_eq!(single(&now(|now| now.correction = 1.3)), Validity::Stale);
    assert_eq!(single(&now(|now| now.correction = 0.7)), Validity::Stale);
    assert_eq!(
        now(|now| now.server_version = "0.4.9".to_owned()).findings,
        [],
        "a patch release changes nothing"
    );
}

#[test]
fn a_run_in_bad_conditions_is_degraded() {
    let gpu = |profile: &mut Profile, change: fn(&mut tts_planner::profile::Gpu)| {
        change(profile.node.fingerprint.gpu.as_mut().unwrap());
    };
    for assessment in [
        then(|profile| {
            gpu(profile, |gpu| {
                gpu.sm_mhz = Some(Clock {
                    median: 1000.0,
                    cv: 0.03,
                });
            });
        }),
        then(|profile| gpu(profile, |gpu| gpu.throttle_reasons = 0x40)),
        then(|profile| gpu(profile, |gpu| gpu.sharing = "time-slicing".to_owned())),
        then(|profile| profile.run.noise_cv = 0.16),
        then(|profile| profile.run.psi_cpu_some = 11.0),
        then(|profile| profile.run.steal = 0.03),
        then(|profile| profile.configs[0].levels[0].throttled_periods = 0.02),
    ] {
        assert_eq!(single(&assessment), Validity::Degraded);
        assert!((assessment.standing.derate - 0.15).abs() < 1e-12);
    }
    assert_eq!(
        then(|profile| gpu(profile, |gpu| gpu.throttle_reasons = 0x1)).findings,
        [],
        "idle is no throttling"
    );
}

#[test]
fn drift_is_its_own_derate() {
    let drifting = then(|profile| profile.run.anchor_drift = 0.22);
    assert_eq!(single(&drifting), Validity::Degraded);
    assert!((drifting.standing.derate - 0.22).abs() < 1e-12);
}

#[test]
fn a_governor_matters_only_where_no_clock_was_read() {
    let powersave = |clock| {
        then(|profile| {
            profile.node.fingerprint.governor = Some("powersave".to_owned());
            profile.node.fingerprint.mhz_busy = clock;
        })
    };
    assert_eq!(
        powersave(Some(Clock {
            median: 3480.0,
            cv: 0.004
        }))
        .findings,
        []
    );
    assert_eq!(single(&powersave(None)), Validity::Degraded);
}

#[test]
fn what_the_profile_says_of_itself_counts() {
    let transferred = then(|profile| profile.run.validity = Validity::Transferred);
    assert_eq!(single(&transferred), Validity::Transferred);
    assert!((transferred.standing.derate - 0.30).abs() < 1e-12);
    assert_eq!(
        single(&then(|profile| profile.run.validity = Validity::Invalid)),
        Validity::Invalid
    );
}

#[test]
fn the_worst_finding_decides_and_all_are_listed() {
    let assessment = now(|now| {
        now.age_days = 100;
        now.model_digest = "sha256:other".to_owned();
    });
    assert_eq!(assessment.standing.validity, Validity::Invalid);
    assert_eq!(assessment.findings.len(), 2);
    assert!(assessment.findings.contains(&Finding::Old { days: 100 }));
}

#[test]
fn a_late_verification_is_taken_out_of_the_capacity() {
    let verified = |error| {
        let mut profile = gpu();
        let verification: &mut Verification = profile.verification.as_mut().unwrap();
        verification.error = error;
        Standing::as_recorded(&profile).derate
    };
    assert!((verified(-0.4) - 0.424).abs() < 1e-12);
    assert!(
        (verified(-0.2) - 0.024).abs() < 1e-12,
        "within what a check can tell"
    );
    assert!((verified(0.4) - 0.024).abs() < 1e-12, "early is no fault");
}

#[test]
fn a_profile_that_calls_itself_valid_is_judged_by_what_it_recorded() {
    let recorded = |change: fn(&mut Profile)| {
        let mut profile = gpu();
        change(&mut profile);
        assert_eq!(profile.run.validity, Validity::Valid);
        let standing = Standing::as_recorded(&profile);
        assert_eq!(standing, assess(&profile, None).standing);
        (standing.validity, standing.derate)
    };
    assert_eq!(
        recorded(|profile| profile.run.anchor_drift = 0.31).0,
        Validity::Invalid
    );
    assert_eq!(
        recorded(|profile| profile.run.anchor_drift = 0.22),
        (Validity::Degraded, 0.22)
    );
    assert_eq!(
        recorded(|profile| profile.run.noise_cv = 0.16),
        (Validity::Degraded, 0.15)
    );
}

#[test]
fn no_standing_makes_a_measurement_better_than_it_is() {
    let trusting = Standing {
        validity: Validity::Valid,
        derate: 0.0,
        correction: 1.0,
    };
    let planned = |validity| {
        let mut request = request();
        request.measurements.truncate(1);
        request.measurements[0].profile.run.validity = validity;
        request.measurements[0].standing = Some(trusting);
        plan(&request).unwrap()
    };
    let invalid = planned(Validity::Invalid);
    assert_eq!(
        invalid.infeasible().unwrap().condition,
        Condition::NoProfile
    );
    let transferred = planned(Validity::Transferred);
    let transferred = transferred.plan().unwrap();
    assert!((transferred.predicted.unwrap().derate - 0.30).abs() < 1e-12);
    let said = transferred.reason("Measurement").unwrap();
    assert_eq!(said.numbers["validity"], "Transferred");
}

#[test]
fn a_standing_out_of_range_is_still_an_error() {
    for derate in [-0.1, 0.96, f64::NAN] {
        let mut request = request();
        request.measurements[0].standing = Some(Standing {
            validity: Validity::Valid,
            derate,
            correction: 1.0,
        });
        let error = plan(&request).unwrap_err().to_string();
        assert!(error.contains("standing.derate"), "{error}");
    }
}

/// The GPU profile with `requests` in each level that is picked by its n.
fn with_requests(picked: fn(u32) -> bool, requests: u32) -> Profile {
    let mut profile = gpu();
    for level in profile
        .configs
        .iter_mut()
        .flat_map(|config| &mut config.levels)
        .filter(|level| picked(level.n))
    {
        level.requests = requests;
    }
    profile
}

#[test]
fn sixty_requests_are_enough() {
    let assessment = assess(&with_requests(|_| true, 60), None);
    assert_eq!(assessment.findings, []);
    assert!((assessment.standing.derate - 0.024).abs() < 1e-12);
}

#[test]
fn the_fewer_requests_the_more_is_taken_off() {
    let derate = |requests| {
        let assessment = assess(&with_requests(|_| true, requests), None);
        assert_eq!(single(&assessment), Validity::Degraded, "{requests}");
        assessment.standing.derate
    };
    let derates = [59, 40, 30, 20].map(derate);
    assert!(
        derates.is_sorted() && derates[0] > 0.05 && derates[3] > 0.25,
        "{derates:?}"
    );
}

#[test]
fn a_level_of_fewer_than_twenty_requests_is_not_used() {
    let assessment = assess(&with_requests(|n| n > 1, 19), None);
    assert_eq!(single(&assessment), Validity::Stale);
    assert!((assessment.standing.derate - 0.024).abs() < 1e-12);
    let mut request = request();
    request.measurements.truncate(1);
    for level in request.measurements[0]
        .profile
        .configs
        .iter_mut()
        .flat_map(|config| &mut config.levels)
    {
        level.requests = if level.n > 2 { 19 } else { 60 };
    }
    let decision = plan(&request).unwrap();
    assert!(decision.plan().is_some());
    assert!(
        decision
            .alternatives
            .candidates
            .iter()
            .filter(|candidate| !candidate.interpolated)
            .all(|candidate| candidate.max_concurrency <= 2)
    );
}

#[test]
fn too_few_requests_one_at_a_time_are_no_measurement() {
    assert_eq!(
        single(&assess(&with_requests(|n| n == 1, 19), None)),
        Validity::Invalid
    );
    let standing = Standing::as_recorded(&with_requests(|_| true, 0));
    assert_eq!(standing.validity, Validity::Invalid);
}
