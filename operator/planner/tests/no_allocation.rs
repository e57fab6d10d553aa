//! The innermost evaluation runs some hundred thousand times a plan: it must not touch the heap.

use allocation_counter::measure;
use tts_planner::first_audio::{Mixture, Quantiles};
use tts_planner::queueing::FlowServer;

#[test]
fn the_queue_is_evaluated_without_allocating() {
    let rates = [1.0, 1.5, 1.9, 2.1];
    let first_audio = [0.3, 0.4, 0.5, 0.7].map(|time| {
        let times = Quantiles::constant(time);
        Mixture::new(vec![(0.5, times), (0.5, times.scaled(1.5))])
    });
    let server = FlowServer::new(&rates, &first_audio, 1.0, 0.35);
    let mut sum = 0.0;
    let info = measure(|| {
        sum += server.late(1.0, 1.2);
        sum += server.first_audio_quantile(0.95, 1.2);
        sum += server.max_rate(2.0, 0.95, 0.8).unwrap_or_default();
        sum += server.mean_in_system(1.2) + server.wait_quantile(0.95, 1.2) + server.mean_wait(1.2);
    });
    assert_eq!(info.count_total, 0, "{info:?}");
    assert!(sum > 0.0, "the work was not skipped");
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(std::hint::black_box(vec![0_u8; 100]))).count_total > 0);
}
