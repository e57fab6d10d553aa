//! One try: a server on one core, a profile of that shape, and requests in an open loop.

use std::{
    error::Error,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};
use tts_planner::{Profile, Validity, profile::details::Details};
use tts_server::{
    client::{Arrival, Arrivals, Client, Endpoint, Failure, Format, Limits, Texts},
    engine::CpuSet,
    machine::Machine,
    profile::{corpus::Corpus, output},
    statistics::{median, quantile, sorted},
    voices::{Voice, VoiceLocation},
};
use tts_tests::{Server, binary};

use crate::{
    prediction::{self, Service},
    replay::{Sample, replay},
    verdict::{self, Attempt, ClosedLoop, OpenLoop},
};

const VOICE: &str = "builtin:rms";
/// Of X(C).
const SHARES: [f64; 3] = [0.3, 0.5, 0.7];
/// A p95 of fewer says little.
const FEWEST_REQUESTS: u32 = 150;
/// For a voice that is so slow that the fewest requests take longer.
const LONGEST: Duration = Duration::from_mins(10);
/// Further requests are answered with 429, which makes a try void.
const QUEUE: &str = "4096";
/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Requests of an anchor that do not count: they open the connection and fill caches.
const WARM_UP: usize = 5;
/// Requests of an anchor at least.
const FEWEST_ANCHORS: usize = 5;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long things are measured.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub anchor: Duration,
    pub load: Duration,
    /// Of a level of the profile, per pass (s).
    pub level: f64,
}

/// The CPUs of both sides, and the texts.
pub struct Measuring {
    pub times: Times,
    /// The one that server and profile run on, and those of the client.
    pub server: CpuSet,
    pub clients: CpuSet,
    runtime: Runtime,
    texts: Texts,
    /// Of each text.
    chunks: Vec<u32>,
    anchor: String,
}

impl Measuring {
    /// # Errors
    /// On a machine with one CPU.
    pub fn new(times: Times) -> Result<Self> {
        let (server, clients) = split(&Machine::default(), &CpuSet::of_this_thread()?)
            .ok_or("server and client need a CPU each: this process may use only one")?;
        let bound = clients.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            // A client that is not bound is slower, and the page shows how late it was.
            .on_thread_start(move || drop(bound.bind_this_thread()))
            .enable_all()
            .build()?;
        let texts = Corpus::standard(0, 0).load;
        Ok(Self {
            times,
            server,
            clients,
            runtime,
            chunks: chunks(&texts)?,
            anchor: typical(&texts),
            texts: Texts::new(texts)?,
        })
    }

    /// Measures as far as the machine keeps its speed.
    ///
    /// # Errors
    /// When it cannot be measured at all.
    pub fn attempt(&self, number: u32) -> Result<Attempt> {
        let mut attempt = Attempt::default();
        attempt.void = self.measure(number, &mut attempt)?;
        Ok(attempt)
    }

    /// Why the try is void, if it is.
    fn measure(&self, number: u32, attempt: &mut Attempt) -> Result<Option<String>> {
        let server = self.serve()?;
        let mut endpoint = Endpoint::new(&server.url("/v1"), Format::Wav)?;
        endpoint.voice = Some("rms".to_owned());
        let client = Client::new(endpoint, TIMEOUT, None)?;

        let before = self.anchor(&client, attempt)?;
        let profile = self.profile()?;
        let details = Details::of(&profile);
        let full_rate = prediction::full_rate(&profile)?;
        attempt.closed = Some(ClosedLoop {
            full_rate,
            validity: profile.run.validity.to_string(),
            anchor: verdict::anchor_of(&details),
        });
        println!(
            "  profile: {}, {full_rate:.1} requests per second",
            profile.run.validity
        );
        let after = self.anchor(&client, attempt)?;
        let moved = verdict::changed(before, after, "before the profile", "after it");
        if moved.is_some() {
            return Ok(moved);
        }
        if let Some(reason) = unusable(&profile) {
            return Ok(Some(reason));
        }
        let reference = verdict::reference(before, after);
        let service = Service::of(&profile, &self.chunks)?;
        for (index, share) in (1..).zip(SHARES) {
            let seed = 10 * u64::from(number) + index;
            let load = self.load(&client, &profile, &service, share, seed)?;
            let anchor = self.anchor(&client, attempt)?;
            let load = match load {
                Ok(load) => load,
                Err(failures) => return Ok(Some(format!("load {share}: {failures}"))),
            };
            let when = format!("after load {share}");
            let void = verdict::changed(reference, anchor, "around the profile", &when)
                .or_else(|| verdict::late_client(&load));
            attempt.loads.push(load);
            if void.is_some() {
                return Ok(void);
            }
        }
        Ok(None)
    }

    /// One load, measured and predicted; or why it cannot be compared.
    fn load(
        &self,
        client: &Client,
        profile: &Profile,
        service: &Service,
        share: f64,
        seed: u64,
    ) -> Result<std::result::Result<OpenLoop, String>> {
        let rate = share * prediction::full_rate(profile)?;
        let schedule = self.schedule(rate, seed);
        let handle = self.runtime.handle();
        let samples = replay(handle, client, &self.texts, &schedule, &self.clients);
        let times = match first_audio(&samples) {
            Ok(times) => times,
            Err(failures) => return Ok(Err(failures)),
        };
        let planned = prediction::planned(profile, rate)?;
        let lag = sorted(samples.iter().map(|sample| sample.lag));
        let load = OpenLoop {
            share,
            rate,
            requests: samples.len(),
            lag: quantile(&lag, prediction::QUANTILE),
            measured: prediction::measured(&times),
            replayed: service.replayed(&schedule),
            law: prediction::law(profile, rate)?,
            planned: planned.ttfa_p95,
            derate: planned.derate,
        };
        println!(
            "  load {share}: {:.2} ms measured, trace-matched {:+.0} %, {:+.0} % without turns",
            1e3 * load.measured,
            100.0 * verdict::error(load.replayed.in_turns, load.measured),
            100.0 * verdict::error(load.replayed.whole, load.measured)
        );
        Ok(Ok(load))
    }

    /// A server whose threads all run on its CPU.
    fn serve(&self) -> Result<Server> {
        let mut command = Command::new(binary());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--voice"])
            .arg(format!("rms={VOICE}"))
            .args(["--workers", "1", "--intra-threads", "1", "--queue", QUEUE])
            // The client's connections are idle during the profile.
            .args(["--keep-alive", "10m"])
            // What it logs of each request would be read on its own CPU.
            .args(["--log-filter", "warn,tts_server::http::serve=info"]);
        let cpus = self.server.clone();
        // The server inherits the CPUs of the thread that starts it.
        let starting = thread::spawn(move || {
            let bound = cpus.bind_this_thread();
            bound.map(|()| Server::spawn(command))
        });
        let server = starting.join().map_err(|_| "the server did not start")?;
        Ok(server?)
    }

    /// The median time of one request at a time (s), of the same text.
    fn anchor(&self, client: &Client, attempt: &mut Attempt) -> Result<f64> {
        let (client, text, time) = (client.clone(), self.anchor.clone(), self.times.anchor);
        let requests = self.runtime.spawn(async move {
            let begun = Instant::now();
            let mut times = Vec::new();
            while times.len() < WARM_UP + FEWEST_ANCHORS || begun.elapsed() < time {
                times.push(client.speak(&text).await?.total);
            }
            Ok::<_, Failure>(times)
        });
        let times = self.runtime.block_on(requests)?;
        let times = times.map_err(|failure| format!("a request of an anchor failed: {failure}"))?;
        let anchor = median(times.into_iter().skip(WARM_UP));
        println!("  anchor: {:.2} ms", 1e3 * anchor);
        attempt.anchors.push(anchor);
        Ok(anchor)
    }

    /// A profile of one core, as the operator's Job takes it.
    fn profile(&self) -> Result<Profile> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("profile.json");
        let seconds = self.times.level.to_string();
        let status = Command::new(binary())
            .args(["profile", "--voice", VOICE, "--allocatable", "1"])
            .args(["--level-seconds", &seconds, "--output"])
            .arg(&path)
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("`tts-server profile` failed: {status}").into());
        }
        self.read(&path)
    }

    fn read(&self, path: &Path) -> Result<Profile> {
        let profile = output::read(path)?;
        let measured = Details::of(&profile).cores.cpus.first().copied();
        if measured != self.server.cpus().first().copied() {
            return Err(format!(
                "the profile is of CPU {measured:?}, the server runs on CPU {}",
                self.server
            )
            .into());
        }
        Ok(profile)
    }

    fn schedule(&self, rate: f64, seed: u64) -> Vec<Arrival> {
        let limits = Limits {
            min_requests: FEWEST_REQUESTS,
            min_time: self.times.load,
            max_time: LONGEST.max(self.times.load),
        };
        Arrivals::Poisson { rate, seed }.schedule(&self.texts, &limits)
    }
}

/// The CPU of the server, the first that a profile takes, and those of the client: other cores if there are any, or else the
/// other hardware threads of the same core.
fn split(machine: &Machine, allowed: &CpuSet) -> Option<(CpuSet, CpuSet)> {
    let cpus = machine.siblings_first(allowed.cpus());
    let (server, rest) = cpus.split_first()?;
    let siblings = usize::try_from(machine.threads_per_core(*server)).unwrap_or(1);
    let others = rest.get(siblings.saturating_sub(1)..).unwrap_or_default();
    let clients = if others.is_empty() { rest } else { others };
    Some((CpuSet::new(vec![*server])?, CpuSet::new(clients.to_vec())?))
}

/// In how many chunks the voice speaks each text.
fn chunks(texts: &[String]) -> Result<Vec<u32>> {
    let voice = Voice::read("rms", &VoiceLocation::parse(VOICE))?;
    let count = |text: &String| {
        let script = voice.family.read(text, 1.0, voice.costs.pace())?;
        Ok(u32::try_from(script.chunks.len())?.max(1))
    };
    texts.iter().map(count).collect()
}

/// The text of median length, as in the anchor of a profile.
fn typical(texts: &[String]) -> String {
    let mut order: Vec<&String> = texts.iter().collect();
    order.sort_by_key(|text| text.chars().count());
    order
        .get(order.len() / 2)
        .map_or_else(String::new, |text| (*text).clone())
}

/// Why a profile cannot be compared with anything.
fn unusable(profile: &Profile) -> Option<String> {
    let drift = profile.run.anchor_drift;
    if drift > verdict::TOLERANCE {
        Some(format!(
            "the machine's speed changed by {:.0} % during the profile",
            100.0 * drift
        ))
    } else if profile.run.validity == Validity::Invalid {
        Some("the profile is Invalid: nothing is planned with it".to_owned())
    } else {
        None
    }
}

/// The times of all requests (s), or how many failed.
fn first_audio(samples: &[Sample]) -> std::result::Result<Vec<f64>, String> {
    let failed = samples
        .iter()
        .filter(|sample| sample.first_audio.is_err())
        .count();
    samples
        .iter()
        .map(|sample| sample.first_audio.clone())
        .collect::<std::result::Result<_, _>>()
        .map_err(|first| {
            format!(
                "{failed} of {} requests failed, the first one: {first}",
                samples.len()
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Texts {
        Texts::new(Corpus::standard(0, 0).load).unwrap()
    }

    #[test]
    fn the_client_has_other_cpus_than_the_server() {
        let machine = Machine::at("/nonexistent");
        let split = |cpus: &[usize]| split(&machine, &CpuSet::new(cpus.to_vec()).unwrap());
        let (server, clients) = split(&[3, 5, 7]).unwrap();
        assert_eq!(
            (server.cpus(), clients.cpus()),
            ([3].as_slice(), [5, 7].as_slice())
        );
        assert_eq!(split(&[3]), None);
    }

    #[test]
    fn the_same_try_has_the_same_trace() {
        let limits = Limits {
            min_requests: FEWEST_REQUESTS,
            min_time: Duration::from_secs(40),
            max_time: LONGEST,
        };
        let draw = |seed| Arrivals::Poisson { rate: 30.0, seed }.schedule(&texts(), &limits);
        assert_eq!(draw(11), draw(11));
        assert_ne!(draw(11), draw(12));
        assert!(draw(11).len() > 1000);
    }

    #[test]
    fn a_failed_request_is_told_with_how_many_there_were() {
        let sample = |first_audio: std::result::Result<f64, &str>| Sample {
            lag: 0.0,
            first_audio: first_audio.map_err(str::to_owned),
        };
        let whole = [sample(Ok(1.0)), sample(Ok(2.0))];
        assert_eq!(first_audio(&whole), Ok(vec![1.0, 2.0]));
        let failed = [
            sample(Ok(1.0)),
            sample(Err("rejected")),
            sample(Err("late")),
        ];
        let message = "2 of 3 requests failed, the first one: rejected";
        assert_eq!(first_audio(&failed), Err(message.to_owned()));
    }

    #[test]
    fn the_anchor_is_a_text_of_the_corpus() {
        let corpus = Corpus::standard(0, 0).load;
        let length = typical(&corpus).chars().count();
        let shorter = corpus
            .iter()
            .filter(|text| text.chars().count() < length)
            .count();
        assert_eq!(shorter, corpus.len() / 2);
        assert_eq!(typical(&[]), "");
    }

    #[test]
    fn long_texts_have_several_chunks() {
        let chunks = chunks(&Corpus::standard(0, 0).load).unwrap();
        assert_eq!((chunks[0], chunks.len()), (1, 12));
        assert!(chunks[11] > 1, "{chunks:?}");
    }
}
