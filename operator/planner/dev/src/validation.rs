//! The closed forms against the simulator, on a grid of pods and loads.

use tts_planner::first_audio::{Mixture, Quantiles};
use tts_planner::profile::{PROBABILITIES, QUANTILES};
use tts_planner::queueing::FlowServer;
use tts_planner_simulator::{Balancing, Length, Pods, Work, quantile};

/// Utilisation of the full pod.
pub const LOADS: [f64; 5] = [0.3, 0.5, 0.6, 0.7, 0.8];
/// Requests from which the pod's own distribution of first audio is taken, as a profile would.
const PROFILED: usize = 50_000;

/// A pod and its workload.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The family and the slots.
    pub name: String,
    work: Work,
    /// `n·X(1)/X(n)`.
    slowdown: Vec<f64>,
}

/// One point of the grid, of the 95th percentile of time to first audio.
#[derive(Clone, Debug)]
pub struct Point {
    pub shape: String,
    pub load: f64,
    pub predicted: f64,
    pub simulated: f64,
    /// Of the mean number in the pod.
    pub mean_error: f64,
}

impl Point {
    /// Of the prediction, relative; below zero where it is too early.
    pub fn error(&self) -> f64 {
        self.predicted / self.simulated - 1.0
    }
}

/// Piper: texts of 6 s, first audio after a chunk of 2.5 s.
const PIPER: Work = Work {
    mean_audio: 6.0,
    audio_cv: 0.6,
    length: Length::LogNormal,
    s0: 0.020,
    s1: 0.075,
    f0: 0.020,
    f1: 0.075,
    chunk: Some((2.5, 0.35)),
    noise: 0.07,
    turn: None,
};
/// The same spoken as a whole, lengths by another law.
const WHOLE: Work = Work {
    chunk: None,
    length: Length::Gamma,
    ..PIPER
};
/// Kokoro on a GPU.
const KOKORO: Work = Work {
    s0: 0.035,
    s1: 0.030,
    f0: 0.035,
    f1: 0.030,
    ..PIPER
};
/// F5: a fixed cost per request; texts of 8 s, first audio after 2 s of them.
const F5: Work = Work {
    mean_audio: 8.0,
    audio_cv: 0.4,
    s0: 0.30,
    s1: 0.1605,
    f0: 0.30,
    f1: 0.1605,
    chunk: Some((2.0, 0.35)),
    noise: 0.074,
    turn: None,
    ..PIPER
};
/// F5 on equal texts of 27.8 s, spoken as a whole.
const F5_WHOLE: Work = Work {
    mean_audio: 27.8,
    audio_cv: 0.0,
    chunk: None,
    ..F5
};

/// σ and κ of the Universal Scalability Law: cores of their own, a shared GPU, a GPU that takes
/// requests in turn.
const CORES: (f64, f64) = (0.015, 0.001);
const GPU: (f64, f64) = (0.285, 0.0123);
const IN_TURN: (f64, f64) = (0.85, 0.0);

/// 18 shapes.
pub fn shapes() -> Vec<Shape> {
    named(&[
        ("piper", PIPER, CORES, &[1, 2, 3, 4, 7, 8]),
        ("whole texts", WHOLE, CORES, &[1, 2, 4, 8]),
        ("whole texts, GPU", WHOLE, GPU, &[4]),
        ("whole texts, in turn", WHOLE, IN_TURN, &[4]),
        ("kokoro, GPU", KOKORO, GPU, &[1, 2, 4, 8]),
        ("f5 whole, in turn", F5_WHOLE, IN_TURN, &[1, 2]),
    ])
}

/// Where the closed forms are weakest: service hardly varies, the first chunk is far shorter than
/// the request, and few enough wait that the 95th percentile lies where waiting begins. Up to 10 %
/// too low there; the derate that every plan takes makes up for it.
pub fn weak_shapes() -> Vec<Shape> {
    named(&[
        ("f5, in turn", F5, IN_TURN, &[1, 2, 3, 4]),
        ("f5, cores", F5, CORES, &[2, 4, 8]),
        ("f5, GPU", F5, GPU, &[4]),
    ])
}

/// Texts of several chunks that are spoken in turns: chunks as long as the first one, longer ones, long texts.
pub fn turn_shapes() -> Vec<Shape> {
    let in_turns = |work: Work, turn: f64| Work {
        turn: Some(turn),
        ..work
    };
    let long = Work {
        mean_audio: 12.0,
        ..PIPER
    };
    named(&[
        ("piper", in_turns(PIPER, 2.5), CORES, &[1, 2, 4]),
        ("piper, few chunks", in_turns(PIPER, 4.0), CORES, &[1, 2]),
        ("long texts", in_turns(long, 2.5), CORES, &[1, 4]),
        ("kokoro, GPU", in_turns(KOKORO, 2.5), GPU, &[1, 4]),
    ])
}

type Family<'a> = (&'a str, Work, (f64, f64), &'a [u32]);

fn named(families: &[Family<'_>]) -> Vec<Shape> {
    let of = |&(name, work, (sigma, kappa), slots): &Family<'_>| {
        let shape = move |slots: &u32| Shape {
            name: format!("{name} x{slots}"),
            work,
            slowdown: (1..=*slots)
                .map(f64::from)
                .map(|n| 1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))
                .collect(),
        };
        slots.iter().map(shape).collect::<Vec<_>>()
    };
    families.iter().flat_map(of).collect()
}

impl Shape {
    /// Predicts, for rates and times derated as in a plan, and simulates `arrivals` requests at
    /// each load.
    pub fn points(&self, arrivals: usize, seed: u64, derate: f64) -> Vec<Point> {
        let alone = self.work.arrivals(1.0, PROFILED, 1);
        let mean_service =
            alone.iter().map(|request| request.service).sum::<f64>() / float(alone.len());
        let first: Vec<f64> = alone.iter().map(|request| request.first_audio).collect();
        let mut values = [0.0; QUANTILES];
        for (value, probability) in values.iter_mut().zip(PROBABILITIES) {
            // The largest of many samples is not what 60 requests would show; a profile's 1.0 is
            // its own maximum.
            *value = quantile(&first, probability.min(0.999));
        }
        let first = Quantiles::new(values);
        let rates: Vec<f64> = self
            .slowdown
            .iter()
            .enumerate()
            .map(|(n, slowdown)| float(n + 1) / (slowdown * mean_service))
            .collect();
        let first_audio: Vec<Quantiles> = self
            .slowdown
            .iter()
            .map(|slowdown| first.scaled(*slowdown))
            .collect();
        let Work {
            mean_audio,
            audio_cv,
            s0,
            s1,
            noise,
            ..
        } = self.work;
        let by_length = s1 * mean_audio * audio_cv / (s0 + s1 * mean_audio);
        let full_rate = rates.last().copied().unwrap_or_default();
        let rates: Vec<f64> = rates.iter().map(|rate| rate * (1.0 - derate)).collect();
        let first_audio: Vec<Mixture> = first_audio
            .iter()
            .map(|first| first.scaled(1.0 + derate).into())
            .collect();
        let server = FlowServer::new(
            &rates,
            &first_audio,
            1.0,
            by_length * by_length + noise * noise,
        )
        .in_turns(
            alone
                .iter()
                .map(|request| f64::from(request.turns))
                .sum::<f64>()
                / float(alone.len()),
        );
        let pods = Pods {
            count: 1,
            slowdown: self.slowdown.clone(),
            queue: None,
            balancing: Balancing::Random,
        };
        LOADS
            .iter()
            .map(|&load| {
                let rate = load * full_rate;
                let outcome = pods.run(&self.work.arrivals(rate, arrivals, seed), seed);
                Point {
                    shape: self.name.clone(),
                    load,
                    predicted: server.first_audio_quantile(0.95, rate),
                    simulated: outcome.quantile(0.95),
                    mean_error: server.mean_in_system(rate) / outcome.mean_in_system - 1.0,
                }
            })
            .collect()
    }
}

/// Over a grid's points.
pub struct Summary {
    pub mean_absolute: f64,
    pub lowest: f64,
    pub highest: f64,
    pub highest_of_mean_in_system: f64,
}

impl Summary {
    /// Of at least one point.
    pub fn of(points: &[Point]) -> Self {
        let fold = |values: &dyn Fn(&Point) -> f64, pick: fn(f64, f64) -> f64, first| {
            points.iter().map(values).fold(first, pick)
        };
        Self {
            mean_absolute: points.iter().map(|point| point.error().abs()).sum::<f64>()
                / float(points.len()),
            lowest: fold(&Point::error, f64::min, f64::INFINITY),
            highest: fold(&Point::error, f64::max, f64::NEG_INFINITY),
            highest_of_mean_in_system: fold(&|point| point.mean_error.abs(), f64::max, 0.0),
        }
    }
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
