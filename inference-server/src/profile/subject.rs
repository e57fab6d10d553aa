//! The process that is measured: engine, scheduler and workers as `serve` runs them, and clients in the same process.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    fs,
    io::{self, BufRead as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use rustix::time::{ClockId, clock_gettime};

use super::protocol::{
    Answer, Codec, Command, LevelOrder, LevelSamples, Ready, Sample, Setup, Verified,
};
use crate::{
    audio::{Encoder, Format},
    engine::{Cancel, CpuSet, SessionOptions, environment::environment},
    families::speak,
    machine::Machine,
    memory,
    scheduler::{
        Limits, Order, Scheduler, Update,
        worker::{self},
    },
    statistics::float,
    voices::{Voice, VoiceLocation},
};

/// How long a process that was asked to end may still run.
const LONGEST_END: Duration = Duration::from_secs(10);
/// CPU time that each format is measured for at least.
const CODEC_SECONDS: f64 = 0.1;
const MIB: f64 = 1024.0 * 1024.0;

/// Answers commands on standard input until it ends.
///
/// # Errors
/// When standard input or output fails; everything else is an answer.
pub fn run(limits: impl Fn(usize) -> Limits) -> io::Result<()> {
    // The profiler may be killed: nothing measures on without it.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let mut lines = io::stdin().lock().lines();
    let Some(setup) = lines.next().transpose()? else {
        return Ok(());
    };
    let subject = serde_json::from_str(&setup)
        .map_err(|error| NotLoaded::Failed(error.to_string()))
        .and_then(|setup: Setup| {
            let limits = limits(setup.workers);
            Subject::load(setup, limits)
        });
    let mut subject = match subject {
        Ok((subject, ready)) => {
            answer(&Answer::Ready(ready))?;
            subject
        }
        Err(NotLoaded::Failed(message)) => return answer(&Answer::Failed(message)),
        Err(NotLoaded::NoDevice(message)) => return answer(&Answer::NoDevice(message)),
    };
    for line in lines {
        let line = line?;
        let result = serde_json::from_str(&line)
            .map_err(|error| error.to_string())
            .and_then(|command| subject.obey(command));
        answer(&result.unwrap_or_else(Answer::Failed))?;
    }
    subject.scheduler.close();
    subject.scheduler.stop(LONGEST_END);
    Ok(())
}

fn answer(answer: &Answer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Why nothing can be measured, as it is answered.
enum NotLoaded {
    Failed(String),
    NoDevice(String),
}

struct Subject {
    machine: Machine,
    voice: Arc<Voice>,
    options: SessionOptions,
    scheduler: Scheduler,
    texts: Vec<String>,
    runtime: tokio::runtime::Runtime,
}

impl Subject {
    fn load(setup: Setup, limits: Limits) -> Result<(Self, Ready), NotLoaded> {
        let text = |error: &dyn std::error::Error| NotLoaded::Failed(error.to_string());
        if let Some(cpus) = setup.cpus.and_then(CpuSet::new) {
            // Threads inherit the CPUs of the one that creates them, and this is the only one yet.
            cpus.bind_this_thread().map_err(|error| text(&error))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| text(&error))?;
        environment().map_err(|error| text(&error))?;
        let process_mib = resident();
        let device = setup
            .device
            .parse()
            .map_err(|error: crate::engine::UnknownDevice| text(&error))?;
        let options = SessionOptions {
            intra_threads: setup.threads,
            device,
            cpus: None,
        };
        let location = VoiceLocation::parse(&setup.location);
        let voice = Voice::read(&setup.name, &location).map_err(|error| text(&error))?;
        let voice = Arc::new(voice);
        let scheduler = Scheduler::new(limits);
        let before = threads();
        worker::start(&scheduler, [&voice], setup.workers, &options).map_err(|error| {
            if error.is_of_device() {
                NotLoaded::NoDevice(error.to_string())
            } else {
                text(&error)
            }
        })?;
        let after = threads();
        let ready = Ready {
            process_mib,
            loaded_mib: resident(),
            sample_rate: voice.sample_rate(),
            allowed: allowed_cpus(&after),
            threads: after.len().saturating_sub(before.len()),
            largest_batch: voice.family.largest_batch(),
            language: voice.family.about().languages.first().cloned(),
        };
        let subject = Self {
            machine: Machine::default(),
            voice,
            options,
            scheduler,
            texts: setup.texts,
            runtime,
        };
        Ok((subject, ready))
    }

    fn obey(&mut self, command: Command) -> Result<Answer, String> {
        match command {
            Command::Verify => self.verify().map(Answer::Verified),
            Command::Level(order) => self.level(order).map(Answer::Level),
            Command::Memory { n, text } => self.memory(n, text),
            Command::Codecs { text } => self.codecs(text).map(Answer::Codecs),
        }
    }

    fn order(&self, text: usize) -> Result<Order, String> {
        let text = self.texts.get(text).ok_or("there is no such text")?;
        let rate = self.voice.sample_rate();
        Ok(Order {
            voice: Arc::clone(&self.voice),
            text: text.clone(),
            speed: 1.0,
            format: Format::Wav,
            sample_rate: Format::Wav.rate_for(rate),
        })
    }

    fn verify(&self) -> Result<Vec<Verified>, String> {
        let mut verified = Vec::new();
        for (index, text) in self.texts.iter().enumerate() {
            let name = |error: &dyn std::fmt::Display| format!("text {}: {error}", index + 1);
            let explained = self
                .voice
                .family
                .explain(text)
                .map_err(|error| name(&error))?;
            let phonemes = explained
                .sentences
                .iter()
                .flat_map(|sentence| &sentence.phonemes)
                .filter(|phoneme| phoneme.chars().any(char::is_alphabetic))
                .count();
            let spoken = self
                .runtime
                .block_on(self.spoken(index))
                .map_err(|error| name(&error))?;
            verified.push(Verified { phonemes, ..spoken });
        }
        Ok(verified)
    }

    /// Speaks a text and looks at its audio.
    async fn spoken(&self, text: usize) -> Result<Verified, String> {
        let mut ticket = self
            .scheduler
            .submit(self.order(text)?)
            .map_err(|error| error.to_string())?;
        let mut runs = Vec::new();
        let mut bytes = Vec::new();
        while let Some(update) = ticket.next().await {
            match update.map_err(|error| error.to_string())? {
                Update::Audio(audio) => bytes.extend_from_slice(&audio.bytes),
                Update::Run(run) => runs.push(run.audio_seconds),
                Update::Read(_) => {}
                Update::Done => break,
            }
        }
        // 16-bit samples after the header of a WAV file.
        let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
        let peak = samples
            .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])).abs() / 32_768.0)
            .fold(0.0, f64::max);
        Ok(Verified {
            audio: runs.iter().sum(),
            chunk_audio: runs.first().copied().unwrap_or(0.0),
            longest_chunk: runs.iter().copied().fold(0.0, f64::max),
            chunks: runs.len(),
            phonemes: 0,
            peak,
        })
    }

    fn level(&self, order: LevelOrder) -> Result<LevelSamples, String> {
        if order.first >= order.end || order.end > self.texts.len() || order.n == 0 {
            return Err("the level has no texts or no requests".to_owned());
        }
        let clients = Clients::new(order);
        let spent = cpu_seconds(ClockId::ProcessCPUTime);
        let throttling = self.machine.throttling();
        self.runtime.block_on(async {
            let clients = (0..order.n).map(|_| self.client(&clients));
            futures::future::join_all(clients).await
        });
        let throttled = self.machine.throttling().share_since(throttling);
        Ok(LevelSamples {
            throttled,
            cpu_in_all: cpu_seconds(ClockId::ProcessCPUTime) - spent,
            resident: resident(),
            ..clients.samples()
        })
    }

    /// Sends one request after the other until all that count are complete: a client that ends earlier would leave the
    /// others with fewer requests beside them.
    async fn client(&self, clients: &Clients) {
        while let Some((text, counts)) = clients.next() {
            let result = self.request(text).await;
            clients.complete(result, counts);
        }
    }

    async fn request(&self, text: usize) -> Result<(Sample, Stages), String> {
        let order = self.order(text)?;
        let sent = Instant::now();
        let mut ticket = self
            .scheduler
            .submit(order)
            .map_err(|error| error.to_string())?;
        let (mut first, mut wait, mut audio) = (None, None, 0.0);
        let mut stages = Stages::default();
        while let Some(update) = ticket.next().await {
            match update.map_err(|error| error.to_string())? {
                Update::Read(read) => stages.add(&read.stages),
                Update::Audio(_) => {
                    first.get_or_insert_with(|| sent.elapsed());
                }
                Update::Run(run) => {
                    wait.get_or_insert(run.queue_wait);
                    audio += run.audio_seconds;
                    stages.add(&run.stages());
                }
                Update::Done => {
                    let total = sent.elapsed();
                    let wait = wait.unwrap_or_default();
                    let from_start = |time: Duration| time.saturating_sub(wait).as_secs_f64();
                    stages.end(total);
                    let sample = Sample {
                        text,
                        first: from_start(first.unwrap_or(total)),
                        service: from_start(total),
                        audio,
                    };
                    return Ok((sample, stages));
                }
            }
        }
        Err("the worker was lost".to_owned())
    }

    fn memory(&self, n: usize, text: usize) -> Result<Answer, String> {
        // Resets the peak; where that is not allowed, it is that of the whole life of the process.
        let _ = fs::write("/proc/self/clear_refs", "5");
        let requests = (0..n).map(|_| self.request(text));
        for result in self.runtime.block_on(futures::future::join_all(requests)) {
            result?;
        }
        Ok(Answer::Memory {
            peak: bytes_to_mib(memory::peak()),
            now: resident(),
        })
    }

    /// Encodes the audio of a text with each format. The session is this thread's own.
    fn codecs(&self, text: usize) -> Result<Vec<Codec>, String> {
        let text = self.texts.get(text).ok_or("there is no such text")?;
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let cancel = Cancel::new().map_err(|error| said(&error))?;
        let mut runner = self
            .voice
            .load(&self.options, &cancel)
            .map_err(|error| said(&error))?;
        let script = self
            .voice
            .family
            .read(text, 1.0, self.voice.costs.pace())
            .map_err(|error| said(&error))?;
        let mut samples = Vec::new();
        for chunk in &script.chunks {
            samples.extend(speak(runner.as_mut(), chunk, &cancel).map_err(|error| said(&error))?);
        }
        let rate = self.voice.sample_rate();
        let seconds = self.voice.seconds(samples.len());
        Format::all()
            .map(|format| {
                let (mut spent, mut rounds) = (0.0, 0.0);
                while spent < CODEC_SECONDS {
                    let started = cpu_seconds(ClockId::ThreadCPUTime);
                    Encoder::new(format, rate, format.rate_for(rate))
                        .and_then(|encoder| encoder.whole(&samples))
                        .map_err(|error| said(&error))?;
                    spent += cpu_seconds(ClockId::ThreadCPUTime) - started;
                    rounds += 1.0;
                }
                Ok(Codec {
                    format: format.name().to_owned(),
                    cpu_per_audio: spent / rounds / seconds,
                })
            })
            .collect()
    }
}

/// Seconds by stage, in the order in which the engine names them.
#[derive(Clone, Debug, Default)]
struct Stages(Vec<(&'static str, Duration)>);

/// The stage of everything that no other stage took.
const QUEUE: &str = "queue";

impl Stages {
    fn put(&mut self, name: &'static str, took: Duration) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += took,
            None => self.0.push((name, took)),
        }
    }

    fn add(&mut self, stages: &[crate::families::Stage]) {
        for stage in stages {
            self.put(stage.name, stage.took);
        }
    }

    /// The request took this long in all.
    fn end(&mut self, total: Duration) {
        let spent: Duration = self.0.iter().map(|(_, took)| *took).sum();
        self.put(QUEUE, total.saturating_sub(spent));
    }
}

/// The clients of one level: which text is next, and what came back.
struct Clients {
    order: LevelOrder,
    started: Instant,
    state: RefCell<State>,
    /// Requests that count and are not complete.
    open: Cell<usize>,
    closing: Cell<bool>,
}

struct State {
    random: Xoshiro256PlusPlus,
    round: Vec<usize>,
    issued: usize,
    samples: Vec<Sample>,
    errors: Vec<String>,
    stages: Stages,
    /// Completed requests, with audio and with errors.
    completed: usize,
    /// Time and CPU-seconds at the beginning and at the end of the window, and the audio completed in it.
    begin: (f64, f64),
    end: (f64, f64),
    audio: f64,
    /// The same at the end of the first wave: the first requests all begin together, and nothing is completed before them.
    wave: Option<((f64, f64), f64)>,
}

impl Clients {
    fn new(order: LevelOrder) -> Self {
        Self {
            order,
            started: Instant::now(),
            state: RefCell::new(State {
                random: Xoshiro256PlusPlus::seed_from_u64(order.seed),
                round: Vec::new(),
                issued: 0,
                samples: Vec::new(),
                errors: Vec::new(),
                stages: Stages::default(),
                completed: 0,
                begin: (0.0, cpu_seconds(ClockId::ProcessCPUTime)),
                end: (0.0, 0.0),
                wave: None,
                audio: 0.0,
            }),
            open: Cell::new(0),
            closing: Cell::new(false),
        }
    }

    /// The next text and whether it counts; `None` when all that count are complete.
    fn next(&self) -> Option<(usize, bool)> {
        let state = &mut *self.state.borrow_mut();
        let order = &self.order;
        let elapsed = self.started.elapsed().as_secs_f64();
        let enough = state.issued >= order.requests && elapsed >= order.seconds;
        let late = elapsed >= order.most_seconds && state.issued >= order.fewest;
        // One request alone has no throughput: the window begins when it ends.
        let too_late = elapsed >= 3.0 * order.most_seconds && state.issued >= order.n.max(2);
        let failing = state.errors.len() >= 10;
        if (enough && state.round.is_empty()) || late || too_late || failing {
            self.closing.set(true);
        }
        if self.closing.get() && self.open.get() == 0 {
            return None;
        }
        if state.round.is_empty() {
            state.round = (order.first..order.end).collect();
            state.round.shuffle(&mut state.random);
        }
        let text = state.round.pop()?;
        let counts = !self.closing.get();
        if counts {
            state.issued += 1;
            self.open.set(self.open.get() + 1);
        }
        Some((text, counts))
    }

    fn complete(&self, result: Result<(Sample, Stages), String>, counts: bool) {
        let state = &mut *self.state.borrow_mut();
        let now = (
            self.started.elapsed().as_secs_f64(),
            cpu_seconds(ClockId::ProcessCPUTime),
        );
        // What ends after the last request that counts ran beside fewer others.
        let in_window = self.open.get() > 0;
        if counts {
            self.open.set(self.open.get() - 1);
        }
        match result {
            Ok((sample, stages)) => {
                if counts {
                    state.samples.push(sample);
                    for (name, took) in stages.0 {
                        state.stages.put(name, took);
                    }
                }
                state.completed += 1;
                if in_window {
                    state.end = now;
                    state.audio += sample.audio;
                }
                if state.completed == self.order.n {
                    state.wave = Some((now, state.audio));
                }
            }
            Err(error) => state.errors.push(error),
        }
    }

    fn samples(self) -> LevelSamples {
        let state = self.state.into_inner();
        // With one wave and little more, the whole time says more.
        let several = state.completed >= 2 * self.order.n;
        let wave = state.wave.filter(|_| several);
        let (begin, before) = wave.unwrap_or((state.begin, 0.0));
        LevelSamples {
            samples: state.samples,
            window: state.end.0 - begin.0,
            audio: state.audio - before,
            cpu: state.end.1 - begin.1,
            stages: state
                .stages
                .0
                .into_iter()
                .map(|(name, took)| (name.to_owned(), took.as_secs_f64()))
                .collect(),
            errors: state.errors,
            ..LevelSamples::default()
        }
    }
}

/// CPU time of the process or thread so far.
fn cpu_seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    #[expect(clippy::cast_precision_loss, reason = "a process that runs for hours")]
    let (seconds, nanoseconds) = (time.tv_sec as f64, time.tv_nsec as f64);
    seconds + nanoseconds / 1e9
}

fn bytes_to_mib(bytes: Option<u64>) -> f64 {
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    float(bytes.unwrap_or(0)) / MIB
}

/// Resident memory in MiB.
fn resident() -> f64 {
    bytes_to_mib(memory::resident())
}

/// The threads of this process, by number, with the CPUs that they may run on.
fn threads() -> HashMap<String, String> {
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let allowed = status
                .lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
            let number = task.file_name().to_string_lossy().into_owned();
            Some((number, allowed.trim().to_owned()))
        })
        .collect()
}

fn allowed_cpus(threads: &HashMap<String, String>) -> Vec<String> {
    let lists: BTreeSet<_> = threads.values().cloned().collect();
    lists.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> LevelOrder {
        LevelOrder {
            n: 2,
            first: 3,
            end: 6,
            requests: 4,
            seconds: 0.0,
            most_seconds: 60.0,
            fewest: 2,
            seed: 7,
        }
    }

    fn done(text: usize) -> (Sample, Stages) {
        let sample = Sample {
            text,
            first: 0.1,
            service: 0.2,
            audio: 1.0,
        };
        (sample, Stages::default())
    }

    #[test]
    fn whole_rounds_count_and_the_load_is_kept_until_the_last_of_them_is_complete() {
        let clients = Clients::new(order());
        let mut issued = Vec::new();
        // Two clients: one answer is always outstanding.
        let mut outstanding = clients.next().unwrap();
        while let Some(next) = clients.next() {
            issued.push(outstanding);
            clients.complete(Ok(done(outstanding.0)), outstanding.1);
            outstanding = next;
        }
        let counted: Vec<_> = issued
            .iter()
            .filter(|(_, counts)| *counts)
            .map(|(text, _)| *text)
            .collect();
        assert_eq!(counted.len(), 6, "two rounds of three: {issued:?}");
        for round in counted.chunks(3) {
            let mut round = round.to_vec();
            round.sort_unstable();
            assert_eq!(round, [3, 4, 5]);
        }
        let samples = clients.samples();
        assert_eq!(samples.samples.len(), 6);
        // The completion of the first wave of two begins the window.
        assert!((samples.audio - 4.0).abs() < 1e-9, "{}", samples.audio);
    }

    #[test]
    fn a_level_ends_after_its_longest_time_although_requests_are_missing() {
        let clients = Clients::new(LevelOrder {
            requests: 1000,
            most_seconds: 0.0,
            ..order()
        });
        let (one, two) = (clients.next().unwrap(), clients.next().unwrap());
        assert!(one.1 && two.1);
        // Two were issued, which is the fewest: the third does not count.
        let third = clients.next().unwrap();
        assert!(!third.1);
        clients.complete(Ok(done(one.0)), one.1);
        clients.complete(Ok(done(two.0)), two.1);
        assert_eq!(clients.next(), None);
    }

    #[test]
    fn however_long_a_request_takes_there_are_two() {
        let clients = Clients::new(LevelOrder {
            n: 1,
            fewest: 7,
            most_seconds: 0.0,
            ..order()
        });
        while let Some((text, counts)) = clients.next() {
            clients.complete(Ok(done(text)), counts);
        }
        let samples = clients.samples();
        assert_eq!(samples.samples.len(), 2);
        assert!(samples.window > 0.0);
    }

    #[test]
    fn failing_requests_end_the_level() {
        let clients = Clients::new(LevelOrder {
            requests: 1000,
            ..order()
        });
        while let Some((_, counts)) = clients.next() {
            clients.complete(Err("no".to_owned()), counts);
        }
        assert_eq!(clients.samples().errors.len(), 10);
    }

    #[test]
    fn what_no_stage_took_is_the_queue() {
        let stage = |name, millis| crate::families::Stage {
            name,
            took: Duration::from_millis(millis),
        };
        let mut stages = Stages::default();
        stages.add(&[stage("normalise", 1), stage("model", 5)]);
        stages.add(&[stage("model", 6)]);
        stages.end(Duration::from_millis(20));
        assert_eq!(
            stages.0,
            [("normalise", 1), ("model", 11), ("queue", 8)]
                .map(|(name, millis)| (name, Duration::from_millis(millis)))
        );
    }

    #[test]
    fn threads_are_seen_with_their_cpus() {
        let threads = threads();
        assert!(!threads.is_empty());
        assert!(!allowed_cpus(&threads).is_empty());
    }
}
