//! The closed forms against a simulator that shares none of their assumptions.

use tts_planner_dev::validation::{Point, Summary, shapes, turn_shapes, weak_shapes};

const ARRIVALS: usize = 100_000;
const SEED: u64 = 4;

#[test]
fn predictions_hold_on_the_grid() {
    let points: Vec<Point> = shapes()
        .iter()
        .flat_map(|shape| shape.points(ARRIVALS, SEED, 0.0))
        .collect();
    assert_eq!(points.len(), 90);
    let summary = Summary::of(&points);
    assert!(
        summary.mean_absolute <= 0.025,
        "mean |error| {:.3}",
        summary.mean_absolute
    );
    assert!(
        summary.lowest >= -0.05,
        "{:?}",
        points.iter().min_by(|a, b| a.error().total_cmp(&b.error()))
    );
    assert!(
        summary.highest <= 0.15,
        "{:?}",
        points.iter().max_by(|a, b| a.error().total_cmp(&b.error()))
    );
    assert!(
        summary.highest_of_mean_in_system <= 0.05,
        "{:.3}",
        summary.highest_of_mean_in_system
    );
}

#[test]
fn predictions_hold_where_requests_take_turns() {
    let shapes = turn_shapes();
    let points: Vec<Point> = shapes
        .iter()
        .flat_map(|shape| shape.points(ARRIVALS, SEED, 0.0))
        .collect();
    let summary = Summary::of(&points);
    // On the safe side, most where few texts have a second chunk: fewer are in the queue than with geometric sums.
    assert!(
        summary.mean_absolute <= 0.09 && summary.lowest >= -0.02 && summary.highest <= 0.22,
        "mean |error| {:.3}, {:.3} to {:.3}: {points:#?}",
        summary.mean_absolute,
        summary.lowest,
        summary.highest
    );
    assert!(
        summary.highest_of_mean_in_system <= 0.19,
        "{:.3}",
        summary.highest_of_mean_in_system
    );
}

#[test]
fn what_a_plan_predicts_is_never_far_too_early() {
    // Every plan derates by at least this.
    let points = weak_shapes()
        .iter()
        .flat_map(|shape| shape.points(ARRIVALS, SEED, 0.05))
        .collect::<Vec<_>>();
    let lowest = points
        .iter()
        .min_by(|a, b| a.error().total_cmp(&b.error()))
        .unwrap();
    assert!(lowest.error() >= -0.03, "{lowest:?}");
}
