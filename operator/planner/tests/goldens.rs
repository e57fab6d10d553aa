//! Plans that were worked out elsewhere: 16 worth reading, and 32 drawn at random to reach every
//! rule.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use tts_planner::{Outcome, Request, Written, plan};
use tts_planner_dev::goldens::{Case, Goldens, comparison};

const PLANS: &str = include_str!("goldens/plans.json");
const RANDOM: &str = include_str!("goldens/random-plans.json");

fn requests(text: &str) -> Vec<(String, Request, Vec<String>)> {
    let goldens = Goldens::from_json(text).unwrap();
    let of = |case: &Case| {
        let request = goldens.request(case).unwrap();
        let differences = comparison::differences(&case.expected, &plan(&request).unwrap());
        (case.name.clone(), request, differences)
    };
    goldens.cases.iter().map(of).collect()
}

#[test]
fn every_value_agrees_to_one_in_a_million() {
    for (text, count) in [(PLANS, 16), (RANDOM, 32)] {
        let cases = requests(text);
        assert_eq!(cases.len(), count);
        for (name, _, differences) in cases {
            assert!(differences.is_empty(), "{name}: {differences:#?}");
        }
    }
}

#[test]
fn the_profiles_of_a_case_are_variants_of_one_voice() {
    for (name, request, _) in requests(PLANS).into_iter().chain(requests(RANDOM)) {
        let voices: Vec<_> = request
            .measurements
            .iter()
            .map(|measurement| &measurement.profile.voice)
            .collect();
        for (position, voice) in voices.iter().enumerate() {
            assert_eq!(voice.name, voices[0].name, "{name}");
            assert!(
                voices[..position]
                    .iter()
                    .all(|other| other.variant != voice.variant),
                "{name}: {:?} twice",
                voice.variant
            );
        }
    }
}

#[test]
fn a_wrong_expectation_is_reported() {
    let wrong = PLANS.replacen("\"lam\": 4.653115488227267", "\"lam\": 4.6532", 1);
    assert_ne!(wrong, PLANS);
    let cases = requests(&wrong);
    assert_eq!(cases[0].2.len(), 1, "{:?}", cases[0].2);
    assert!(cases[0].2[0].starts_with("lam: "));
}

#[test]
fn sizes_between_the_measured_ones_change_no_golden_plan() {
    for (name, mut request, _) in requests(PLANS) {
        let measured = plan(&request).unwrap();
        request.policy.interpolate_sizes = true;
        match (measured.outcome, plan(&request).unwrap().outcome) {
            (Outcome::Plan(measured), Outcome::Plan(all)) => {
                assert_eq!(
                    (measured.pod, measured.replicas),
                    (all.pod, all.replicas),
                    "{name}"
                );
            }
            (Outcome::Infeasible(measured), Outcome::Infeasible(all)) => {
                assert_eq!(measured.condition, all.condition, "{name}");
            }
            _ => panic!("{name}: feasible one way only"),
        }
    }
}

fn reasons(case: &str) -> Vec<String> {
    let (_, request, _) = requests(PLANS)
        .into_iter()
        .find(|(name, _, _)| name.starts_with(case))
        .unwrap();
    match plan(&request).unwrap().outcome {
        Outcome::Plan(plan) => plan.reasons.iter().map(Written::to_string).collect(),
        Outcome::Infeasible(infeasible) => vec![infeasible.message],
    }
}

#[test]
fn a_person_can_read_why() {
    assert_eq!(
        reasons("P3"),
        [
            "Runs on cpu-strong: 1.70 an hour for 5 pods at the peak of 20 requests/s, the cheapest class that keeps 400 ms; cpu-weak would cost 11.3 times as much.",
            "Each pod: 7 cores, 1 thread per request. Up to 6.38 requests/s (51 % busy) 95 % of listeners hear audio within 400 ms; an idle pod takes 346 ms. 5 % safety included.",
            "7 requests at once, 3 wait; a further one would be late and gets 429. At the peak 3.2 % are late or refused.",
            "4 pods keep 400 ms at 20 requests/s (95 % within 373 ms). The autoscaler runs 2 to 7 and settles at 5 there, with room for the load to grow.",
            "Scales out above 2.36 requests in flight per pod: early enough for a load that grows 20 % per minute while a new pod takes 64 s.",
            "512 MiB of memory: 7 requests of up to 15 s of audio at once and what waits: 433 MiB, plus 15 %.",
            "Requests 7.1 cores without a limit: the pod has no more busy threads than cores, so a limit would only stall it.",
            "Quiet times are assumed to have 20 % of the peak, 4 requests/s; set baseRequestsPerSecond to change that.",
            "A proxy that sends each request to the pod with the fewest would need 3 pods instead of 4.",
        ]
    );
}

#[test]
fn what_would_help_is_said() {
    assert_eq!(
        reasons("P4"),
        [
            "No pod is fast enough: an idle pod on cpu-strong (7 cores, 7 threads) takes 143 ms, the objective is 50 ms. Allow 180 ms, or use streaming, a shorter first chunk, a faster node class, lower precision or fewer function evaluations."
        ]
    );
    assert_eq!(
        reasons("P10"),
        [
            "Closest is gpu-agx with 2 cores and 1 thread: 10 pods needed, 4 possible (4 nodes with 1 each). Add 6 nodes, lower the peak to 0.52 requests/s or allow 3100 ms."
        ]
    );
}

#[test]
fn the_price_at_which_a_gpu_pays_is_said() {
    let reasons = reasons("P6");
    let wanted =
        "gpu-l4 is cheaper once more than 2 pods of cpu-strong are needed, above 0.23 requests/s.";
    assert!(
        reasons.iter().any(|reason| reason == wanted),
        "{reasons:#?}"
    );
}

#[test]
fn a_move_that_does_not_pay_is_said_and_one_that_does_too() {
    let kept = reasons("P14");
    let wanted =
        "Stays on cpu-strong: cpu-weak would save 6.7 %, less than the 15 % that a move is worth.";
    assert!(kept.iter().any(|reason| reason == wanted), "{kept:#?}");
    let (_, mut request, _) = requests(PLANS)
        .into_iter()
        .find(|(name, _, _)| name.starts_with("P14"))
        .unwrap();
    request.policy.switch_gain = 0.05;
    let moved = plan(&request).unwrap().plan().unwrap().clone();
    assert_eq!(
        moved.reason("Switched").unwrap().text,
        "Moves from cpu-strong to cpu-weak: saves 6.7 %, more than the 5 % that a move is worth."
    );
}
