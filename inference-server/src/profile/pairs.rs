//! A candidate against a baseline on the same cores, in turn: what drifts on the machine meanwhile, drifts for both.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tts_regression::{Looks, Sequential, Thresholds, sequential};

use super::{
    corpus::Corpus,
    grid::Shape,
    measure::{MeasureError, Subject},
    process::{Process, ProcessError},
    protocol::LevelOrder,
};

/// Every third text: short, medium and long ones.
const STRIDE: usize = 3;

/// One request at a time on one core.
const SHAPE: Shape = Shape {
    cpu: 1.0,
    threads: 1,
};

/// Measures pairs of rounds, baseline and candidate in turn (ABBA), until there is an answer. `pair` is told of each: seconds
/// of service per audio-second of both.
///
/// # Errors
/// When a process gives no measurement, or requests fail.
pub fn compare(
    baseline: &Subject,
    candidate: &Subject,
    corpus: &Corpus,
    stop: &Arc<AtomicBool>,
    pair: &mut dyn FnMut(usize, f64, f64),
) -> Result<Sequential, MeasureError> {
    let texts: Vec<String> = corpus.load.iter().step_by(STRIDE).cloned().collect();
    let mut tick = || !stop.load(Ordering::Relaxed);
    let mut start = |subject: &Subject| {
        let setup = subject.setup(SHAPE, true, texts.clone());
        Process::start(&subject.program, &setup, &mut tick)
            .map_err(|error| failed(&subject.voice, error))
    };
    let (mut base, mut other) = (start(baseline)?, start(candidate)?);
    let mut pairs = Vec::new();
    let looks = Looks::default();
    loop {
        let found = sequential(&pairs, looks, Thresholds::default());
        let Some(wanted) = found.next.filter(|wanted| *wanted > pairs.len()) else {
            return Ok(found);
        };
        while pairs.len() < wanted {
            // Rounds are often shorter than the time between two looks of a process.
            if stop.load(Ordering::Relaxed) {
                return Err(MeasureError::Interrupted);
            }
            let seed = u64::try_from(pairs.len()).unwrap_or(0);
            let measure = |process: &mut Process, subject: &Subject| {
                round(process, texts.len(), seed, stop)
                    .map_err(|error| failed(&subject.voice, error))
            };
            // The second of a pair is the first of the next.
            let times = if pairs.len() % 2 == 0 {
                let base = measure(&mut base, baseline)?;
                (base, measure(&mut other, candidate)?)
            } else {
                let other = measure(&mut other, candidate)?;
                (measure(&mut base, baseline)?, other)
            };
            pairs.push(times);
            pair(pairs.len(), times.0, times.1);
        }
    }
}

/// Seconds of service per audio-second, over one round of the texts.
fn round(
    process: &mut Process,
    texts: usize,
    seed: u64,
    stop: &AtomicBool,
) -> Result<f64, ProcessError> {
    let order = LevelOrder {
        n: 1,
        first: 0,
        end: texts,
        requests: texts,
        seconds: 0.0,
        most_seconds: 120.0,
        fewest: texts,
        seed,
    };
    process.begin_level(order)?;
    let samples = process.end_level(&order, &mut || !stop.load(Ordering::Relaxed))?;
    if let Some(error) = samples.errors.first() {
        return Err(ProcessError::Failed(error.clone()));
    }
    let service: f64 = samples.samples.iter().map(|sample| sample.service).sum();
    let audio: f64 = samples.samples.iter().map(|sample| sample.audio).sum();
    Ok(service / audio)
}

fn failed(what: &str, error: ProcessError) -> MeasureError {
    match error {
        ProcessError::Interrupted => MeasureError::Interrupted,
        error => MeasureError::Process {
            what: what.to_owned(),
            error,
        },
    }
}
