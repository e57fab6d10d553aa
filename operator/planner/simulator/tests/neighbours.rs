//! Pods that share a node.

mod support;

use support::{CONSTANT, assert_close, at, one};
use tts_planner_simulator::{Balancing, Fleet, Length, Nodes, Pods, Request, Work};

fn in_turn(count: usize, slowdown: Vec<f64>, nodes: Option<Nodes>) -> Fleet {
    let pods = Pods {
        count,
        balancing: Balancing::RoundRobin,
        ..one(slowdown)
    };
    Fleet {
        nodes,
        ..Fleet::from(pods)
    }
}

/// One core for all pods of the node.
fn one_core(per_node: usize, most: u32) -> Nodes {
    Nodes {
        per_node,
        slowdown: (1..=most).map(f64::from).collect(),
    }
}

#[test]
fn a_pod_alone_on_its_node_is_as_without_nodes() {
    let work = Work {
        audio_cv: 0.7,
        ..CONSTANT
    };
    let requests = work.arrivals(6.0, 20_000, 8);
    let own = vec![1.0, 1.5];
    let nodes = Some(Nodes {
        per_node: 1,
        slowdown: own.clone(),
    });
    let with = in_turn(3, own.clone(), nodes).run(&requests, 1);
    let without = in_turn(3, own, None).run(&requests, 1);
    assert_eq!(with.first_audio, without.first_audio);
}

#[test]
fn neighbours_on_a_node_with_enough_cores_do_not_meet() {
    let work = Work {
        audio_cv: 0.7,
        ..CONSTANT
    };
    let requests = work.arrivals(6.0, 20_000, 8);
    let own = vec![1.0, 1.5];
    let nodes = Some(Nodes {
        per_node: 3,
        slowdown: vec![1.0],
    });
    let with = in_turn(3, own.clone(), nodes).run(&requests, 1);
    let without = in_turn(3, own, None).run(&requests, 1);
    for (with, without) in with.first_audio.iter().zip(&without.first_audio) {
        assert_close(*with, *without, 1e-6);
    }
}

#[test]
fn a_request_is_slowed_by_the_pod_next_door() {
    // Pods 0 and 1 share a node, pod 2 has one of its own.
    let fleet = in_turn(3, vec![1.0], Some(one_core(2, 2)));
    let requests = [at(0, 0.0, 1.0), at(0, 0.5, 1.0), at(0, 0.5, 1.0)];
    let times = fleet.run(&requests, 1).first_audio;
    // The first does the rest of its second at half speed, to 1.5 s; the second is then alone.
    assert_close(times[0], 1.5, 1e-6);
    assert_close(times[1], 1.5, 1e-6);
    assert_close(times[2], 1.0, 1e-6);
}

#[test]
fn the_slower_of_pod_and_node_decides() {
    let nodes = Some(Nodes {
        per_node: 2,
        slowdown: vec![1.0, 1.0, 3.0],
    });
    let fleet = in_turn(2, vec![1.0, 2.0], nodes);
    // In turn: two in pod 0, one in pod 1. The node's 3 is above the pod's 2 until the one in pod 1 ends, at 1.5 s with
    // 0.5 s of work done; then the pod's 2 for the 0.5 s left.
    let requests = [at(0, 0.0, 1.0), at(0, 0.0, 0.5), at(0, 0.0, 1.0)];
    let times = fleet.run(&requests, 1).first_audio;
    assert_close(times[0], 2.5, 1e-6);
    assert_close(times[1], 1.5, 1e-6);
    assert_close(times[2], 2.5, 1e-6);
}

#[test]
fn a_full_node_serves_at_its_own_rate() {
    // Four pods of one slot on a node that does the work of two.
    let nodes = Some(Nodes {
        per_node: 4,
        slowdown: vec![1.0, 1.0, 1.5, 2.0],
    });
    let fleet = in_turn(4, vec![1.0], nodes);
    let requests: Vec<Request> = (0..400).map(|_| at(0, 0.0, 1.0)).collect();
    let outcome = fleet.run(&requests, 1);
    // 400 s of work at 2 a second.
    assert_close(outcome.quantile(1.0), 200.0, 1e-6);
}

#[test]
fn a_node_of_one_core_is_one_queue_with_processor_sharing() {
    // Slots enough that nobody waits, so only the node is shared: M/G/1-PS, whose mean number is
    // ρ/(1 - ρ) whatever the law of the service.
    let work = Work {
        audio_cv: 1.5,
        length: Length::Gamma,
        ..CONSTANT
    };
    let mut fleet = in_turn(4, vec![1.0; 200], Some(one_core(2, 400)));
    fleet.pods.balancing = Balancing::Random;
    // Two nodes, ρ = 0.6 each, two pods on each.
    let outcome = fleet.run(&work.arrivals(2.4, 400_000, 9), 3);
    assert_close(outcome.mean_in_system, 1.5 / 2.0, 0.02);
}
