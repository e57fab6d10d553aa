//! Whatever the bytes: a profile or an error. What is read is written and read again as the same,
//! and planned with.
//!
//! `cargo +nightly fuzz run profile`, in `operator/planner`; seed it with
//! `tests/goldens/profile.json`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tts_planner::{
    Decision, Load, Measurement, NodeClass, Objectives, Peak, Policy, Profile, Quota, Request, plan,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(profile) = Profile::from_json(text) else {
        return;
    };
    let written = serde_json::to_string(&profile).expect("a profile can be written");
    assert_eq!(Profile::from_json(&written).as_ref(), Ok(&profile));
    let class = NodeClass {
        gpu_slots: 1,
        price_per_hour: Some(0.5),
        ..NodeClass::new(&profile.node.class, 7.5, 14_000.0, 20)
    };
    let request = Request {
        voices: Vec::new(),
        unreadable: Vec::new(),
        measurements: vec![Measurement::as_recorded(profile)],
        objectives: Objectives {
            ttfa_p95: 1.0,
            rtf_p95: 0.8,
        },
        load: Load::new(Peak::RequestsPerSecond(5.0)),
        classes: vec![class],
        policy: Policy::default(),
        quota: Quota::default(),
        current: None,
    };
    let decision = plan(&request).expect("a checked profile can be planned with");
    let text = serde_json::to_string(&decision).expect("a decision can be written");
    assert_eq!(
        serde_json::from_str::<Decision>(&text).expect("and read"),
        decision
    );
});
