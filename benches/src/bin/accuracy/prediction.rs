//! What the planner and its simulator make of a profile: p95 of the time to first audio at a rate.

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tts_planner::{
    Current, Load, Measurement, NodeClass, Objectives, Peak, Policy, PredictError, Prediction,
    Profile,
    first_audio::Quantiles,
    predict,
    profile::{Config, QUANTILES, details::Details},
    queueing::FlowServer,
    workload::{PodCurve, ServiceCurve},
};
use tts_planner_simulator::{Balancing, Pods, Request, quantile};
use tts_server::{
    client::Arrival,
    statistics::{float, median},
};

/// What objectives bind.
pub const QUANTILE: f64 = 0.95;
/// The requests of a run that do not count, while the queue fills: the first of so many. The simulator leaves out as many.
pub const WARM_UP: usize = 10;
/// Runs of the simulator, each with other draws; the median of their results counts.
const RUNS: u64 = 20;
/// Cores of a node that holds one pod of one core and what it needs for HTTP, so that it has no neighbours.
const NODE_CORES: f64 = 1.9;
const NODE_MIB: f64 = 1e6;

/// Why a profile predicts nothing.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PredictionError {
    #[error("the profile has no pod of 1 CPU with 1 thread")]
    NoShape,
    #[error("the profile has no single requests of text {text}")]
    NoSamples { text: usize },
    #[error(transparent)]
    Planner(#[from] PredictError),
}

/// The pod shape that is served.
fn shape(profile: &Profile) -> Result<&Config, PredictionError> {
    let one = |config: &&Config| config.threads == 1 && (config.cpu - 1.0).abs() < 1e-9;
    profile
        .configs
        .iter()
        .find(one)
        .filter(|config| !config.levels.is_empty())
        .ok_or(PredictionError::NoShape)
}

/// X(C) of the pod, requests per second, as measured.
pub fn full_rate(profile: &Profile) -> Result<f64, PredictionError> {
    let level = &shape(profile)?.levels[0];
    Ok(level.audio_per_sec / profile.corpus.mean_audio)
}

/// The texts of the profile at this rate.
fn load(profile: &Profile, rate: f64) -> Load {
    Load {
        mean_audio: profile.corpus.mean_audio,
        audio_cv: profile.corpus.cv_audio,
        ..Load::new(Peak::RequestsPerSecond(rate))
    }
}

/// By the planner's queueing law, with nothing taken off (s).
pub fn law(profile: &Profile, rate: f64) -> Result<f64, PredictionError> {
    let curve = ServiceCurve::new(shape(profile)?, profile, &load(profile, rate));
    let pod = PodCurve::mixed(&[(1.0, curve)]);
    let server = FlowServer::new(&pod.rates[..1], &pod.first_audio, 1.0, pod.service_cv2)
        .in_turns(pod.turns);
    Ok(server.first_audio_quantile(QUANTILE, rate))
}

/// As the planner answers for one pod that is alone on its node: [`law`], less what it takes off for safety.
pub fn planned(profile: &Profile, rate: f64) -> Result<Prediction, PredictionError> {
    let class = &profile.node.class;
    let request = tts_planner::Request {
        voices: Vec::new(),
        measurements: vec![Measurement::as_recorded(profile.clone())],
        unreadable: Vec::new(),
        // What the pod does not depend on.
        objectives: Objectives {
            ttfa_p95: 10.0,
            rtf_p95: 10.0,
        },
        load: load(profile, rate),
        classes: vec![NodeClass::new(class, NODE_CORES, NODE_MIB, 1)],
        policy: Policy::default(),
        quota: tts_planner::Quota::default(),
        current: None,
    };
    let pod = Current {
        class: class.clone(),
        cpu: Some(1.0),
        threads: Some(1),
        concurrency: Some(1),
        replicas: Some(1),
        ..Current::default()
    };
    Ok(predict(&request, &pod)?)
}

/// p95 of the time to first audio by the planner's simulator, with the same arrivals and texts (s).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replayed {
    /// As the server serves and the planner assumes: requests take turns, chunk by chunk.
    pub in_turns: f64,
    /// As if each request were served whole, in order of arrival.
    pub whole: f64,
}

/// What the requests of a text take.
#[derive(Clone, Debug, PartialEq)]
struct Text {
    chunks: u32,
    /// Of single requests: service and first audio (s).
    times: Vec<(f64, f64)>,
}

/// What the requests of each text take.
#[derive(Clone, Debug, PartialEq)]
pub struct Service(Vec<Text>);

impl Service {
    /// From the single requests that a profile keeps; `chunks` of each text. The requests are the first of each pass, so they
    /// are brought to the level's whole measurement: service to 1/X(1), first audio to the level's median.
    pub fn of(profile: &Profile, chunks: &[u32]) -> Result<Self, PredictionError> {
        let level = &shape(profile)?.levels[0];
        let requests = Details::of(profile).samples;
        let total: f64 = requests.iter().map(|request| request.service_s).sum();
        let service = 1.0 / full_rate(profile)? / (total / float(requests.len()));
        let quantiles = <[f64; QUANTILES]>::try_from(level.ttfa_q.as_slice());
        let quantiles = quantiles.map_err(|_| PredictionError::NoShape)?;
        let first = median(requests.iter().map(|request| request.first_audio_s));
        let first = Quantiles::new(quantiles).median() / first;
        let by_text = chunks.iter().enumerate().map(|(text, chunks)| {
            let of_text = requests
                .iter()
                .filter(|request| usize::try_from(request.text) == Ok(text));
            let times: Vec<_> = of_text
                .map(|request| (service * request.service_s, first * request.first_audio_s))
                .collect();
            if times.is_empty() {
                return Err(PredictionError::NoSamples { text });
            }
            Ok(Text {
                chunks: *chunks,
                times,
            })
        });
        Ok(Self(by_text.collect::<Result<_, _>>()?))
    }

    /// One pod with one slot gets these arrivals and texts. The time of each request is drawn from those of its text.
    pub fn replayed(&self, schedule: &[Arrival]) -> Replayed {
        let pod = Pods {
            count: 1,
            slowdown: vec![1.0],
            queue: None,
            balancing: Balancing::Random,
        };
        let runs: Vec<Replayed> = (0..RUNS)
            .map(|seed| {
                let mut requests = self.draw(schedule, seed);
                let in_turns = pod.run(&requests, seed).quantile(QUANTILE);
                for request in &mut requests {
                    request.turns = 1;
                }
                Replayed {
                    in_turns,
                    whole: pod.run(&requests, seed).quantile(QUANTILE),
                }
            })
            .collect();
        Replayed {
            in_turns: median(runs.iter().map(|run| run.in_turns)),
            whole: median(runs.iter().map(|run| run.whole)),
        }
    }

    fn draw(&self, schedule: &[Arrival], seed: u64) -> Vec<Request> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        schedule
            .iter()
            .map(|arrival| {
                let text = &self.0[arrival.text_index % self.0.len()];
                let (service, first_audio) = text.times[random.random_range(0..text.times.len())];
                Request {
                    voice: 0,
                    arrival: arrival.due,
                    service,
                    first_audio,
                    turns: text.chunks,
                }
            })
            .collect()
    }
}

/// p95 of all but the first requests (s).
pub fn measured(first_audio: &[f64]) -> f64 {
    quantile(&first_audio[first_audio.len() / WARM_UP..], QUANTILE)
}

#[cfg(test)]
mod tests {
    use tts_planner::{profile::details, validity::Standing};
    use tts_planner_dev::samples::{PIPER, on_cpu};

    use super::*;

    /// Single requests of two texts: 0.2 and 0.6 s, with first audio after half of that.
    fn profile() -> Profile {
        let mut profile = on_cpu("test", PIPER, &[1, 2]);
        let request = |(text, service_s)| details::Request {
            text,
            service_s,
            first_audio_s: service_s / 2.0,
        };
        let details = Details {
            samples: [(0, 0.2), (1, 0.6), (0, 0.2), (1, 0.6)]
                .map(request)
                .to_vec(),
            ..Details::default()
        };
        profile.report = details.to_block();
        let level = &mut profile.configs[0].levels[0];
        // 1/X(1) is twice the mean of the requests.
        level.audio_per_sec = profile.corpus.mean_audio / 0.8;
        level.ttfa_q = vec![0.2; QUANTILES];
        profile
    }

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-9,
            "{found}, expected {expected}"
        );
    }

    #[test]
    fn single_requests_are_brought_to_the_level() {
        let profile = profile();
        close(full_rate(&profile).unwrap(), 1.25);
        let service = Service::of(&profile, &[1, 1]).unwrap();
        for (text, service_s) in [(0, 0.4), (1, 1.2)] {
            for &(service, first_audio) in &service.0[text].times {
                close(service, service_s);
                close(first_audio, service_s / 4.0);
            }
        }
        let missing = Service::of(&profile, &[1, 1, 1]).unwrap_err();
        assert_eq!(missing, PredictionError::NoSamples { text: 2 });
    }

    #[test]
    fn the_simulator_gets_the_arrivals_and_the_texts() {
        let [whole, in_turns] = [1, 2].map(|chunks| {
            let service = Service::of(&profile(), &[1, chunks]).unwrap();
            move |schedule: &[Arrival]| service.replayed(schedule)
        });
        let schedule = |gap: f64| -> Vec<Arrival> {
            (0..200_u32)
                .map(|index| Arrival {
                    due: gap * f64::from(index),
                    text_index: usize::from(index % 10 == 0),
                })
                .collect()
        };
        // Nobody waits: one request of ten has its first audio after 0.3 s, the others after 0.1 s.
        for replayed in [whole(&schedule(10.0)), in_turns(&schedule(10.0))] {
            close(replayed.whole, 0.3);
            close(replayed.in_turns, 0.3);
        }
        // The request after a long one comes 0.5 s before that ends, and after its first chunk.
        let (whole, in_turns) = (whole(&schedule(0.7)), in_turns(&schedule(0.7)));
        close(whole.whole, 0.6);
        close(whole.in_turns, 0.6);
        close(in_turns.whole, 0.6);
    }

    #[test]
    fn requests_take_turns_between_the_chunks_of_a_text() {
        let service = Service::of(&profile(), &[1, 2]).unwrap();
        // A long text, whose first chunk ends after 0.3 s, and a short one 0.2 s after it, which waits for 0.1 s.
        let schedule: Vec<Arrival> = (0..200_u32)
            .map(|index| Arrival {
                due: 5.0 * f64::from(index / 2) + 0.2 * f64::from(index % 2),
                text_index: usize::from(index % 2 == 0),
            })
            .collect();
        let replayed = service.replayed(&schedule);
        close(replayed.in_turns, 0.3);
        close(replayed.whole, 1.1);
    }

    #[test]
    fn the_plan_takes_off_what_the_law_does_not() {
        let profile = on_cpu("test", PIPER, &[1, 2]);
        let rate = 0.5 * full_rate(&profile).unwrap();
        let law = law(&profile, rate).unwrap();
        let planned = planned(&profile, rate).unwrap();
        close(planned.beside_neighbours, 1.0);
        close(
            planned.derate,
            Standing::as_recorded(&profile).derate.max(0.05),
        );
        assert!(planned.ttfa_p95.unwrap() > 1.05 * law, "{planned:?} {law}");
    }

    #[test]
    fn nothing_is_predicted_for_a_shape_that_was_not_measured() {
        let mut profile = profile();
        profile.configs.retain(|config| config.cpu > 1.0);
        assert_eq!(law(&profile, 0.1), Err(PredictionError::NoShape));
        assert_eq!(full_rate(&profile), Err(PredictionError::NoShape));
    }

    #[test]
    fn the_first_tenth_is_not_measured() {
        let times: Vec<f64> = (0..110_u32)
            .map(|index| if index < 11 { 1e3 } else { 1.0 })
            .collect();
        close(measured(&times), 1.0);
        let times: Vec<f64> = (0..101_u32)
            .map(|index| f64::from(index.saturating_sub(10)))
            .collect();
        close(measured(&times), 0.95 * 90.0);
    }
}
