//! A GPU while something runs on it.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use super::{Gpu, Sample};
use crate::statistics::float;

/// 5 Hz.
const PERIOD: Duration = Duration::from_millis(200);
/// The clock event reason of a GPU on which nothing runs.
const NOTHING_RUNS: u64 = 0x1;

/// What was seen of a GPU; `None` is what it did not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Clocks of the multiprocessors while busy (MHz), one per look.
    pub clocks: Vec<f64>,
    /// All clock event reasons that were there while it was busy.
    pub events: Option<u64>,
    /// Mean share of the time in which it worked.
    pub utilisation: Option<f64>,
    /// The most memory in use (MiB).
    pub memory_mib: Option<f64>,
}

/// Does `work`, and looks at the GPU five times a second meanwhile.
pub fn watch<T>(gpu: &Gpu, work: impl FnOnce() -> T) -> (T, Seen) {
    thread::scope(|scope| {
        let (working, ended) = channel::<()>();
        let looking = scope.spawn(move || {
            let mut samples = Vec::new();
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                samples.push(gpu.sample());
            }
            samples
        });
        let result = work();
        drop(working);
        let samples = looking.join().unwrap_or_default();
        (result, seen(&samples))
    })
}

/// Whether something ran: by utilisation, else by the reasons for the clock. What tells neither counts as busy, since
/// requests are in service all the time that a level is measured.
fn is_busy(sample: &Sample) -> bool {
    match (sample.utilisation, sample.events) {
        (Some(utilisation), _) => utilisation > 0.0,
        (None, Some(events)) => events & NOTHING_RUNS == 0,
        (None, None) => true,
    }
}

fn seen(samples: &[Sample]) -> Seen {
    let busy = || samples.iter().filter(|sample| is_busy(sample));
    let utilisation: Vec<f64> = samples
        .iter()
        .filter_map(|sample| sample.utilisation)
        .collect();
    let events = busy().filter_map(|sample| sample.events);
    let memory = samples.iter().filter_map(|sample| sample.memory_mib);
    Seen {
        clocks: busy().filter_map(|sample| sample.clock).collect(),
        events: events.reduce(|all, events| all | events),
        utilisation: (!utilisation.is_empty())
            .then(|| utilisation.iter().sum::<f64>() / float(utilisation.len())),
        memory_mib: memory.reduce(f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(clock: f64, events: u64, utilisation: Option<f64>) -> Sample {
        Sample {
            clock: Some(clock),
            events: Some(events),
            utilisation,
            memory_mib: Some(clock / 2.0),
        }
    }

    #[test]
    fn clocks_and_reasons_are_those_of_busy_moments() {
        let found = seen(&[
            sample(210.0, NOTHING_RUNS, Some(0.0)),
            sample(1800.0, 0x4, Some(0.9)),
            sample(1700.0, 0x20, Some(0.6)),
        ]);
        assert_eq!(
            found,
            Seen {
                clocks: vec![1800.0, 1700.0],
                events: Some(0x24),
                utilisation: Some(0.5),
                memory_mib: Some(900.0),
            }
        );
    }

    #[test]
    fn without_utilisation_the_reasons_tell_whether_something_ran() {
        let found = seen(&[
            sample(210.0, NOTHING_RUNS, None),
            sample(1800.0, 0x40, None),
        ]);
        assert_eq!(found.clocks, [1800.0]);
        assert_eq!(found.events, Some(0x40));
        assert_eq!(found.utilisation, None);
        let mute = Sample {
            clock: Some(1500.0),
            ..Sample::default()
        };
        assert_eq!(seen(&[mute]).clocks, [1500.0]);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(seen(&[]), Seen::default());
        assert_eq!(seen(&[Sample::default()]), Seen::default());
    }
}
