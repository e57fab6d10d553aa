//! Pods that come and go with the load.

mod support;

use support::{CONSTANT, assert_close, at, one};
use tts_planner_simulator::{
    Autoscaled, AutoscaledOutcome, Autoscaler, Balancing, Behavior, Fleet, Nodes, Pods, Rate,
    Request, Select,
};

/// Decides each 15 s on the mean of the last 10 s; no delays and no limits.
fn autoscaled(initial: usize, slots: usize, target_in_flight: f64) -> Autoscaled {
    let unlimited = Behavior {
        stabilization: 0.0,
        percent: None,
        pods: None,
        period: 15.0,
        select: Select::Max,
    };
    Autoscaled {
        fleet: Fleet::from(Pods {
            count: initial,
            balancing: Balancing::LeastInFlight,
            ..one(vec![1.0; slots])
        }),
        autoscaler: Autoscaler {
            min: 1,
            max: 100,
            target_in_flight,
            tolerance: 0.1,
            sync: 15.0,
            metric_window: 10.0,
            metric_delay: 0.0,
            scale_up: unlimited.clone(),
            scale_down: unlimited,
        },
        cold_start: 0.0,
    }
}

/// A request each `gap` seconds, from `from` to before `to`.
fn each(gap: f64, service: f64, from: f64, to: f64) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut arrival = from;
    while arrival < to {
        requests.push(at(0, arrival, service));
        arrival += gap;
    }
    requests
}

/// Eight in flight: four per second that take 2 s.
fn eight_in_flight(until: f64) -> Vec<Request> {
    each(0.25, 2.0, 0.0, until)
}

/// (time, desired) where the number changes, without the beginning.
fn changes(outcome: &AutoscaledOutcome) -> Vec<(f64, usize)> {
    let pairs = outcome.replicas.windows(2);
    pairs
        .filter(|pair| pair[0].desired != pair[1].desired)
        .map(|pair| (pair[1].time, pair[1].desired))
        .collect()
}

#[test]
fn a_steady_load_has_as_many_pods_as_load_over_target() {
    let outcome = autoscaled(4, 4, 1.5).run(&eight_in_flight(600.0), 600.0, 1);
    // ceil(8/1.5) = 6.
    assert_eq!(changes(&outcome), [(15.0, 6)]);
    assert_eq!(outcome.steady_since(15.0), Some(6));
    assert_eq!(outcome.steady_since(0.0), None);
    assert_eq!(outcome.direction_changes(), 0);
    assert_close(
        outcome.mean_replicas_since(0.0),
        (15.0 * 4.0 + 585.0 * 6.0) / 600.0,
        1e-9,
    );
    assert_close(outcome.pod_seconds, 15.0 * 4.0 + 585.0 * 6.0, 1e-6);
    assert_close(outcome.requests.quantile(1.0), 2.0, 1e-6);
}

#[test]
fn nothing_changes_within_the_tolerance() {
    // 8/5/1.5 is 1.07 of the target.
    let outcome = autoscaled(5, 4, 1.5).run(&eight_in_flight(300.0), 300.0, 1);
    assert_eq!(outcome.steady_since(0.0), Some(5));
    let mut strict = autoscaled(5, 4, 1.5);
    strict.autoscaler.tolerance = 0.05;
    let outcome = strict.run(&eight_in_flight(300.0), 300.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 6)]);
}

#[test]
fn scaling_down_waits_for_the_stabilization_window() {
    let mut fleet = autoscaled(9, 4, 1.5);
    fleet.autoscaler.scale_down.stabilization = 300.0;
    let outcome = fleet.run(&eight_in_flight(600.0), 600.0, 1);
    // The first look, at 15 s, remembers the 9 there are.
    assert_eq!(changes(&outcome), [(315.0, 6)]);
}

#[test]
fn scaling_up_waits_for_the_stabilization_window() {
    let mut fleet = autoscaled(4, 4, 1.5);
    fleet.autoscaler.scale_up.stabilization = 60.0;
    let outcome = fleet.run(&eight_in_flight(300.0), 300.0, 1);
    assert_eq!(changes(&outcome), [(75.0, 6)]);
}

#[test]
fn scaling_up_keeps_its_rate() {
    let mut fleet = autoscaled(1, 1, 1.0);
    fleet.autoscaler.max = 6;
    fleet.autoscaler.scale_up.pods = Some(2);
    fleet.autoscaler.scale_up.period = 60.0;
    let requests = each(0.05, 1.0, 0.0, 240.0);
    let outcome = fleet.run(&requests, 240.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 3), (75.0, 5), (135.0, 6)]);
    // By percent, rounded up: 1.5 is 2, then 3.
    fleet.autoscaler.scale_up.pods = None;
    fleet.autoscaler.scale_up.percent = Some(50);
    let outcome = fleet.run(&requests, 240.0, 1);
    assert_eq!(
        changes(&outcome),
        [(15.0, 2), (75.0, 3), (135.0, 5), (195.0, 6)]
    );
}

#[test]
fn the_selected_policy_decides_how_fast_to_scale_down() {
    let mut fleet = autoscaled(20, 1, 1.0);
    fleet.autoscaler.scale_down.percent = Some(10);
    fleet.autoscaler.scale_down.pods = Some(1);
    fleet.autoscaler.scale_down.period = 60.0;
    // Ten percent, rounded down: 18, 16.2, 14.4.
    let outcome = fleet.run(&[], 180.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 18), (75.0, 16), (135.0, 14)]);
    fleet.autoscaler.scale_down.select = Select::Min;
    let outcome = fleet.run(&[], 180.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 19), (75.0, 18), (135.0, 17)]);
}

#[test]
fn the_selected_policy_decides_how_fast_to_scale_up() {
    let mut fleet = autoscaled(10, 1, 1.0);
    fleet.autoscaler.scale_up = Behavior::up();
    let requests = each(0.01, 10.0, 0.0, 40.0);
    let outcome = fleet.run(&requests, 16.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 20)]);
    fleet.autoscaler.scale_up.select = Select::Min;
    let outcome = fleet.run(&requests, 31.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 14), (30.0, 18)]);
}

#[test]
fn the_bounds_hold() {
    let mut fleet = autoscaled(4, 4, 1.5);
    fleet.autoscaler.max = 5;
    let outcome = fleet.run(&eight_in_flight(100.0), 100.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 5)]);
    fleet.autoscaler.min = 3;
    let outcome = fleet.run(&[], 100.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 3)]);
}

#[test]
fn no_request_is_lost_with_its_pod() {
    let mut fleet = autoscaled(5, 1, 1.0);
    fleet.autoscaler.max = 1;
    // Twenty for each pod, 10 s each, and one after four pods were removed at 15 s.
    let mut requests: Vec<Request> = (0..100).map(|_| at(0, 1.0, 10.0)).collect();
    requests.push(at(0, 20.0, 10.0));
    let outcome = fleet.run(&requests, 300.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 1)]);
    assert_close(outcome.requests.rejected, 0.0, 0.0);
    let ends = |index: usize| {
        let served = outcome.requests.served[index];
        served.in_system.map(|time| served.arrival + time)
    };
    let last = (0..100).filter_map(ends).fold(0.0, f64::max);
    assert_close(last, 201.0, 1e-6);
    assert!(
        outcome
            .requests
            .served
            .iter()
            .all(|one| one.in_system.is_some())
    );
    // The late one goes to the pod that is left, behind its twenty.
    assert_close(ends(100).unwrap_or(f64::NAN), 211.0, 1e-6);
    // Removed pods end with their last request.
    assert_close(outcome.pod_seconds, 300.0 + 4.0 * 201.0, 1e-6);
}

#[test]
fn new_pods_serve_after_the_cold_start() {
    let mut fleet = autoscaled(1, 1, 1.0);
    fleet.cold_start = 40.0;
    let outcome = fleet.run(&each(0.5, 1.0, 0.0, 120.0), 120.0, 1);
    let ready = |time: f64| {
        let mut looks = outcome.replicas.iter();
        looks.find(|look| look.time >= time).map(|look| look.ready)
    };
    assert!(outcome.replicas[1].desired > 1, "{:?}", outcome.replicas);
    assert_eq!(ready(45.0), Some(1));
    assert_eq!(ready(60.0), Some(outcome.replicas[1].desired));
    // One request a second ends until the new pods, ready at 55 s, end their first at 56 s.
    let ended = |by: f64| {
        let times = outcome.requests.served.iter();
        times
            .filter(|one| one.in_system.is_some_and(|time| one.arrival + time < by))
            .count()
    };
    assert_eq!(ended(55.7), 55);
    assert!(ended(57.7) > 58, "{}", ended(57.7));
}

/// Starts with four pods of four slots for 1.5 in flight each. After a load of `first` in flight for
/// 17 s comes one of `second`, while the pods for the first start.
fn while_pods_start(first: f64, second: f64) -> Vec<(f64, usize)> {
    let mut fleet = autoscaled(4, 4, 1.5);
    fleet.cold_start = 100.0;
    let mut requests = each(2.0 / first, 2.0, 0.0, 17.0);
    requests.extend(each(2.0 / second, 2.0, 17.0, 110.0));
    changes(&fleet.run(&requests, 110.0, 1))
}

#[test]
fn pods_that_are_not_ready_count_as_idle_for_scaling_up() {
    // 9.5/1.5 = 6.3 pods are 1.06 of the six there will be, within the tolerance. Over the four
    // that are ready they would be 1.6, and seven.
    assert_eq!(while_pods_start(8.0, 9.5), [(15.0, 6)]);
    // 10.4/1.5 = 6.9 are 1.16.
    assert_eq!(while_pods_start(8.0, 10.4), [(15.0, 6), (30.0, 7)]);
}

#[test]
fn pods_that_are_not_ready_are_left_out_for_scaling_down() {
    // 5.7/1.5 is 0.95 of the four that are ready, but 0.63 of all six.
    assert_eq!(while_pods_start(8.0, 5.7), [(15.0, 6)]);
}

#[test]
fn pods_that_are_not_ready_do_not_turn_the_direction() {
    // 6.75/1.5 is 1.13 of the four that are ready, and 0.56 of all eight.
    assert_eq!(while_pods_start(12.0, 6.75), [(15.0, 8)]);
}

#[test]
fn pods_that_are_not_ready_are_removed_first() {
    let mut fleet = autoscaled(1, 4, 1.0);
    fleet.cold_start = 100.0;
    // Four in flight to 20 s ask for three more pods. At 30 s the one that is ready had 0.3: those
    // that are not ready are left out, and all three go.
    let outcome = fleet.run(&each(0.5, 2.0, 0.0, 20.0), 90.0, 1);
    assert_eq!(changes(&outcome), [(15.0, 4), (30.0, 1)]);
    assert_eq!(outcome.direction_changes(), 1);
    assert_close(outcome.pod_seconds, 90.0 + 3.0 * 15.0, 1e-6);
    assert!(outcome.replicas.iter().all(|look| look.ready == 1));
}

#[test]
fn a_late_metric_decides_late() {
    let mut fleet = autoscaled(4, 4, 1.5);
    fleet.autoscaler.metric_delay = 30.0;
    let outcome = fleet.run(&eight_in_flight(300.0), 300.0, 1);
    // There are no samples at 15 and 30 s. From 45 s to 75 s the two new pods have none; they count
    // as idle, or there would be more of them.
    assert_eq!(changes(&outcome), [(45.0, 6)]);
}

#[test]
fn pods_without_a_sample_are_not_idle_for_scaling_down() {
    let mut fleet = autoscaled(1, 4, 1.0);
    fleet.autoscaler.metric_delay = 20.0;
    let outcome = fleet.run(&each(0.5, 2.0, 0.0, 12.0), 90.0, 1);
    // At 30 s the first pod had 3.7 in its first 10 s. At 45 s it had none; the three new ones
    // count as at the target: ceil(4·3/4). At 60 s all have samples.
    assert_eq!(changes(&outcome), [(30.0, 4), (45.0, 3), (60.0, 1)]);
}

#[test]
fn a_stabilization_window_stops_flapping() {
    // Eight in flight in each second minute.
    let requests: Vec<Request> = (0..5)
        .flat_map(|round| {
            let start = 120.0 * f64::from(round);
            each(0.25, 2.0, start, start + 60.0)
        })
        .collect();
    let mut fleet = autoscaled(1, 8, 1.5);
    let nervous = fleet.run(&requests, 600.0, 1);
    // Up and down in each of five rounds.
    assert_eq!(nervous.direction_changes(), 9);
    fleet.autoscaler.scale_down.stabilization = 300.0;
    let calm = fleet.run(&requests, 600.0, 1);
    assert_eq!(calm.direction_changes(), 0);
    assert!(calm.pod_seconds > nervous.pod_seconds);
}

#[test]
fn a_slow_start_shows_in_the_worst_minute_of_a_ramp() {
    let ramp = Rate::ramp(2.0, 20.0, 300.0, 60.0, 300.0);
    let requests = ramp.arrivals(&[(1.0, CONSTANT)], 7);
    let run = |cold_start| {
        let mut fleet = autoscaled(3, 1, 0.7);
        fleet.cold_start = cold_start;
        fleet.autoscaler.scale_down = Behavior::down();
        let outcome = fleet.run(&requests, ramp.end(), 1);
        let minutes = outcome.requests.late_or_rejected_per(60.0, 1.0);
        let (start, share) = minutes
            .into_iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or_default();
        assert!((300.0..480.0).contains(&start), "{start}");
        (share, outcome.requests.late_or_rejected(1.0))
    };
    let (quick, slow) = (run(5.0), run(60.0));
    assert!(quick.0 < slow.0 && quick.1 < slow.1, "{quick:?} {slow:?}");
    // The worst minute is worse than the whole.
    assert!(slow.0 > slow.1, "{slow:?}");
}

#[test]
fn a_new_pod_takes_the_free_place_on_the_node() {
    let requests = [at(0, 20.0, 1.0), at(0, 20.0, 1.0)];
    for (per_node, time) in [(1, 1.0), (2, 2.0)] {
        let mut fleet = autoscaled(1, 1, 1.0);
        fleet.autoscaler.min = 2;
        fleet.fleet.nodes = Some(Nodes {
            per_node,
            slowdown: vec![1.0, 2.0],
        });
        let outcome = fleet.run(&requests, 25.0, 1);
        assert_close(outcome.requests.first_audio[0], time, 1e-6);
        assert_close(outcome.requests.first_audio[1], time, 1e-6);
    }
}

#[test]
fn a_place_is_free_when_its_pod_has_ended() {
    // Two pods on a node of one core. The second is removed at 15 s; at 30 s one is added.
    let mut fleet = autoscaled(2, 1, 1.0);
    fleet.fleet.nodes = Some(Nodes {
        per_node: 2,
        slowdown: vec![1.0, 2.0],
    });
    let last_two = |second: f64| {
        let requests = [
            at(0, 1.0, 1.0),
            at(0, 1.0, second),
            at(0, 20.0, 5.0),
            at(0, 20.0, 5.0),
            at(0, 60.0, 1.0),
            at(0, 60.0, 1.0),
        ];
        let outcome = fleet.run(&requests, 35.0, 1);
        assert_eq!(changes(&outcome), [(15.0, 1), (30.0, 2)]);
        outcome.requests.first_audio[4..].to_vec()
    };
    // It has ended: the new pod is again on the first node.
    let times = last_two(1.0);
    assert_close(times[0], 2.0, 1e-6);
    assert_close(times[1], 2.0, 1e-6);
    // It still serves on the first node: the new pod has the second node alone.
    let times = last_two(100.0);
    assert_close(times[0], 2.0, 1e-6);
    assert_close(times[1], 1.0, 1e-6);
}

#[test]
fn the_share_late_is_known_per_interval() {
    let requests = [at(0, 0.0, 2.0), at(0, 130.0, 2.0), at(0, 131.0, 2.0)];
    let outcome = one(vec![1.0]).run(&requests, 1);
    // The last waits for a second. No request came in the second minute.
    assert_eq!(
        outcome.late_or_rejected_per(60.0, 2.5),
        [(0.0, 0.0), (120.0, 0.5)]
    );
    assert_close(
        outcome.between(120.0, 180.0).late_or_rejected(2.5),
        0.5,
        1e-9,
    );
    assert_close(outcome.between(0.0, 60.0).late_or_rejected(2.5), 0.0, 1e-9);
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let requests = Rate::step(2.0, 9.0, 60.0, 240.0).arrivals(&[(1.0, CONSTANT)], 7);
    let run = |seed| {
        let mut fleet = autoscaled(2, 1, 1.0);
        fleet.fleet.pods.balancing = Balancing::Random;
        fleet.run(&requests, 300.0, seed)
    };
    assert_eq!(run(3).requests.first_audio, run(3).requests.first_audio);
    assert_ne!(run(3).requests.first_audio, run(4).requests.first_audio);
}
