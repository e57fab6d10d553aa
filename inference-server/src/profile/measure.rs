//! The order of a measurement: passes over all levels in different order, with an anchor before and after each.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tts_planner::profile::details::{Anchor, MemoryPoint};

use super::{
    corpus::Corpus,
    grid::{FullNodePoint, Grid, Point, Shape, Sweep},
    passes::{PASSES, throughput, to_repeat},
    process::{Process, ProcessError, Tick},
    progress::Progress,
    protocol::{LevelOrder, LevelSamples, Setup},
    state::{
        Measured, MeasuredEnergy, MeasuredMemory, MeasuredNode, MeasuredSoak, Measurement,
        StateError,
    },
};
use crate::{
    machine::{
        Machine, calibration,
        energy::Meter,
        gpu::{
            Gpu,
            watch::{Seen, watch},
        },
    },
    statistics::{float, median, quantile, sorted, variation},
};

/// Passes at most, where the last three do not agree.
const MOST_PASSES: u32 = 5;
const ANCHOR_REQUESTS: usize = 20;
/// How long the machine is watched while it is left alone.
const IDLE: Duration = Duration::from_secs(1);
/// A GPU tells its utilisation of up to a second that has passed.
const GPU_FORGETS: Duration = Duration::from_secs(1);
const SOAK_BLOCKS: u32 = 30;
const SOAK_BLOCK_REQUESTS: usize = 10;

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    #[error("{what}: {error}")]
    Process { what: String, error: ProcessError },
    #[error(transparent)]
    State(#[from] StateError),
    #[error("interrupted")]
    Interrupted,
}

impl MeasureError {
    /// Whether the device cannot be used on this machine, now or later.
    pub fn is_of_device(&self) -> bool {
        matches!(
            self,
            Self::Process {
                error: ProcessError::NoDevice(_),
                ..
            }
        )
    }
}

/// What is measured, and with what.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The server's program.
    pub program: PathBuf,
    pub voice: String,
    /// `builtin:NAME`, or a path.
    pub location: String,
    pub device: String,
    /// UUID of the GPU that it is measured on.
    pub gpu: Option<String>,
    /// CPUs in the order in which they are filled.
    pub cpus: Vec<usize>,
}

impl Subject {
    /// What a process of a shape is to load; bound to its CPUs unless it is one of several.
    pub fn setup(&self, shape: Shape, bound: bool, texts: Vec<String>) -> Setup {
        let count = shape.cores().min(self.cpus.len());
        Setup {
            name: self.voice.clone(),
            location: self.location.clone(),
            device: self.device.clone(),
            gpu: self.gpu.clone(),
            cpus: bound.then(|| self.cpus[..count].to_vec()),
            workers: usize::try_from(shape.workers()).unwrap_or(1),
            threads: usize::try_from(shape.threads).unwrap_or(1),
            texts,
        }
    }
}

/// How long things are measured, per pass.
#[derive(Clone, Copy, Debug)]
struct Budget {
    requests: usize,
    seconds: f64,
    most_seconds: f64,
    fewest: usize,
    anchor_seconds: f64,
}

impl Budget {
    const fn of(sweep: Sweep) -> Self {
        match sweep {
            Sweep::Quick => Self {
                requests: 20,
                seconds: 7.0,
                most_seconds: 20.0,
                fewest: 7,
                anchor_seconds: 3.0,
            },
            Sweep::Full => Self {
                requests: 40,
                seconds: 20.0,
                most_seconds: 40.0,
                fewest: 20,
                anchor_seconds: 5.0,
            },
        }
    }
}

/// Measures.
pub struct Measuring<'a> {
    pub subject: &'a Subject,
    pub machine: &'a Machine,
    /// The GPU that it is measured on.
    pub gpu: Option<&'a Gpu>,
    pub grid: &'a Grid,
    pub sweep: Sweep,
    pub level_seconds: Option<f64>,
    pub corpus: &'a Corpus,
    /// Where it is saved as it goes.
    pub save: Option<PathBuf>,
    pub stop: Arc<AtomicBool>,
    pub measurement: Measurement,
}

impl Measuring<'_> {
    /// Measures everything that is not measured yet.
    ///
    /// # Errors
    /// When a process gives no measurement, or it is interrupted; what was measured is saved.
    pub fn run(&mut self) -> Result<(), MeasureError> {
        let begun = Instant::now();
        let before = self.measurement.seconds;
        let mut progress = Progress::new(self.estimate());
        let result = self.measure(&mut progress, begun, before);
        progress.finish();
        self.measurement.seconds = before + begun.elapsed().as_secs_f64();
        let saved = self.save_now();
        result.and(saved)
    }

    fn save_now(&self) -> Result<(), MeasureError> {
        match &self.save {
            Some(path) => Ok(self.measurement.save(path)?),
            None => Ok(()),
        }
    }

    fn measure(
        &mut self,
        progress: &mut Progress,
        begun: Instant,
        before: f64,
    ) -> Result<(), MeasureError> {
        if self.grid.points.iter().all(|point| point.shape.cpu < 1.0) {
            for pass in 0..PASSES {
                self.pass(pass, &self.grid.points.clone(), true, progress)?;
            }
            return Ok(());
        }
        self.calibrate();
        for pass in 0..PASSES {
            self.anchor(pass, begun, before, progress)?;
            self.pass(pass, &self.grid.points.clone(), true, progress)?;
        }
        self.anchor(PASSES, begun, before, progress)?;
        for pass in PASSES..MOST_PASSES {
            let again = to_repeat(&self.grid.points, &self.measurement, pass);
            if again.is_empty() {
                break;
            }
            let levels: usize = again.iter().map(|point| point.levels.len()).sum();
            progress.more(
                self.level_seconds() * float(levels) + self.budget().anchor_seconds,
                &format!("{levels} level(s) did not agree within 10 %: measuring them again"),
            );
            self.pass(pass, &again, false, progress)?;
            self.anchor(pass + 1, begun, before, progress)?;
        }
        if self.sweep == Sweep::Full {
            self.soak(progress)?;
        }
        self.calibrate();
        Ok(())
    }

    fn budget(&self) -> Budget {
        let budget = Budget::of(self.sweep);
        let Some(seconds) = self.level_seconds else {
            return budget;
        };
        Budget {
            seconds,
            anchor_seconds: budget.anchor_seconds.min(seconds),
            most_seconds: budget.most_seconds.max(2.0 * seconds),
            ..budget
        }
    }

    fn level_seconds(&self) -> f64 {
        self.budget().seconds + 1.0
    }

    /// Seconds that are left of a measurement, for a voice that is not slow.
    fn estimate(&self) -> f64 {
        let known = &self.measurement;
        let levels: usize = self
            .grid
            .points
            .iter()
            .map(|point| point.levels.len())
            .sum();
        let passes = usize::try_from(PASSES).unwrap_or(0);
        let left = |all: usize, known: usize| float(all.saturating_sub(known));
        let levels = left(
            passes * (levels + self.grid.full_node.len()),
            known.levels.len() + known.nodes.len(),
        );
        let anchors = left(passes + 1, known.anchors.len());
        let soak = self.sweep == Sweep::Full && known.soak.is_none();
        levels * self.level_seconds()
            + anchors * (self.budget().anchor_seconds + 2.0)
            + 5.0
            + if soak { 60.0 } else { 0.0 }
    }

    fn calibrate(&mut self) {
        let speed = calibration::speed();
        self.measurement
            .calibration
            .push((speed.gflops, speed.gigabytes_per_second));
    }

    /// The counters of energy. On a GPU its own must be among them: it takes most.
    fn meter(&self) -> Option<Meter> {
        let processors = self.machine.energy();
        match self.gpu {
            Some(gpu) => Some(Meter::with_gpu(processors, gpu.energy()?)),
            None => processors,
        }
    }

    /// Watches the machine while nothing is measured.
    fn rest(&mut self) {
        if self.gpu.is_some() {
            thread::sleep(GPU_FORGETS);
        }
        let (counters, meter) = (self.machine.counters(), self.meter());
        let begun = Instant::now();
        thread::sleep(IDLE);
        let activity = self.machine.counters().since(&counters);
        let seen = &mut self.measurement.surroundings;
        seen.idle_pressure = seen.idle_pressure.max(activity.pressure.unwrap_or(0.0));
        let joules = joules(self.meter(), meter);
        let seen = &mut self.measurement.surroundings;
        if let Some(joules) = joules {
            let watts = joules / begun.elapsed().as_secs_f64();
            seen.idle_watts = Some(seen.idle_watts.map_or(watts, |known| known.min(watts)));
        }
        if let Some(gpu) = self.gpu {
            let measured = &mut self.measurement.gpu;
            measured.add_idle(&gpu.sample(), gpu.processes());
        }
    }

    /// While it waits, a process looks itself whether to stop; but not when each answer comes at once.
    fn check_stop(&self) -> Result<(), MeasureError> {
        if self.stop.load(Ordering::Relaxed) {
            Err(MeasureError::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Starts a process and notes how long that took.
    fn start(&mut self, shape: Shape, bound: bool) -> Result<Process, MeasureError> {
        self.check_stop()?;
        let setup = self.subject.setup(shape, bound, self.corpus.all());
        let stop = Arc::clone(&self.stop);
        let process = Process::start(&self.subject.program, &setup, &mut || {
            !stop.load(Ordering::Relaxed)
        });
        let process = process.map_err(|error| failed(shape.to_string(), error))?;
        // Under a limit a start takes longer than it would in a pod that may use a core.
        if shape.cpu >= 1.0 {
            self.measurement
                .cold_starts
                .push(process.cold_start.as_secs_f64());
        }
        self.measurement
            .ready
            .get_or_insert_with(|| process.ready.clone());
        Ok(process)
    }

    /// The text that memory and codecs are measured with: the longest of the load.
    fn longest(&self) -> usize {
        let lengths = self.corpus.load.iter().map(|text| text.chars().count());
        lengths
            .enumerate()
            .max_by_key(|(_, length)| *length)
            .map_or(0, |(index, _)| index)
    }

    /// The text of the anchor: of median length.
    fn typical(&self) -> usize {
        let mut order: Vec<usize> = (0..self.corpus.load.len()).collect();
        order.sort_by_key(|index| self.corpus.load[*index].chars().count());
        order[order.len() / 2]
    }

    /// One pass over points, in an order of its own.
    fn pass(
        &mut self,
        pass: u32,
        points: &[Point],
        all: bool,
        progress: &mut Progress,
    ) -> Result<(), MeasureError> {
        let mut points = points.to_vec();
        match pass {
            0 => {}
            1 => points.reverse(),
            _ => points.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(pass.into())),
        }
        for point in &points {
            self.point(pass, point, all, progress)?;
            self.save_now()?;
        }
        if all {
            for node in self.grid.full_node.clone() {
                self.full_node(pass, node, progress)?;
            }
            self.save_now()?;
        }
        Ok(())
    }

    fn point(
        &mut self,
        pass: u32,
        point: &Point,
        all: bool,
        progress: &mut Progress,
    ) -> Result<(), MeasureError> {
        let shape = point.shape;
        let wants_lengths =
            all && self.grid.shape_of_lengths() == Some(shape) && !self.corpus.lengths.is_empty();
        let lacks_lengths =
            wants_lengths && self.measurement.lengths.len() <= usize::try_from(pass).unwrap_or(0);
        let mut levels = point.levels.clone();
        levels.retain(|n| !self.measurement.has(shape, *n, pass));
        if levels.is_empty() && !lacks_lengths {
            return Ok(());
        }
        if pass % 2 == 1 {
            levels.reverse();
        }
        progress.begin(&format!("pass {}: {shape}", pass + 1));
        // The kernel moves the threads of a container with a limit between CPUs.
        let bound = shape.cpu >= 1.0;
        let mut process = self.start(shape, bound)?;
        let wrap = |error| failed(shape.to_string(), error);
        if self.measurement.verified.is_empty() {
            let stop = Arc::clone(&self.stop);
            self.measurement.verified = process
                .verify(&mut || !stop.load(Ordering::Relaxed))
                .map_err(wrap)?;
            let stop = Arc::clone(&self.stop);
            let longest = self.longest();
            self.measurement.codecs = process
                .codecs(longest, &mut || !stop.load(Ordering::Relaxed))
                .map_err(wrap)?;
            drop(process);
            process = self.start(shape, bound)?;
        }
        // Longest first: ONNX Runtime's arena keeps its largest size, and what follows does not grow it.
        self.memory(shape, &mut process)?;
        for n in levels {
            let order = self.level_order(n, 0..self.corpus.load.len(), pass);
            let samples = self.level(shape, &mut process, &order)?;
            progress.end(
                self.level_seconds(),
                &format!(
                    "pass {}: {shape}, {n} in service: {}",
                    pass + 1,
                    result(&samples)
                ),
            );
            self.measurement.levels.push(Measured {
                shape,
                n,
                pass,
                samples,
            });
        }
        if lacks_lengths {
            let load = self.corpus.load.len();
            let count = self.corpus.lengths.len();
            let order = LevelOrder {
                requests: 4 * count,
                seconds: 0.0,
                most_seconds: 30.0,
                fewest: count,
                ..self.level_order(1, load..load + count, pass)
            };
            let samples = self.level(shape, &mut process, &order)?;
            progress.end(
                1.0,
                &format!("pass {}: lengths: {}", pass + 1, result(&samples)),
            );
            self.measurement.lengths.push(samples);
        }
        Ok(())
    }

    fn level_order(&self, n: u32, texts: std::ops::Range<usize>, pass: u32) -> LevelOrder {
        let budget = self.budget();
        let n = usize::try_from(n).unwrap_or(1);
        LevelOrder {
            n,
            first: texts.start,
            end: texts.end,
            requests: budget.requests,
            seconds: budget.seconds,
            most_seconds: budget.most_seconds,
            fewest: budget.fewest.max(n),
            seed: u64::from(pass) + 1,
        }
    }

    /// One level, with an eye on the machine.
    fn level(
        &mut self,
        shape: Shape,
        process: &mut Process,
        order: &LevelOrder,
    ) -> Result<LevelSamples, MeasureError> {
        self.check_stop()?;
        let wrap = |error| failed(format!("{shape}, {} in service", order.n), error);
        let (counters, meter) = (self.machine.counters(), self.meter());
        let begun = Instant::now();
        process.begin_level(*order).map_err(wrap)?;
        let (machine, stop) = (self.machine, Arc::clone(&self.stop));
        let cpus = &self.subject.cpus[..shape.cores().min(self.subject.cpus.len())];
        let clocks = &mut self.measurement.clocks;
        let (samples, looked) = watched(self.gpu, || {
            process.end_level(order, &mut || {
                clocks.extend(machine.clocks(cpus));
                !stop.load(Ordering::Relaxed)
            })
        });
        let mut samples = samples.map_err(wrap)?;
        if let Some(gpu) = self.gpu {
            samples.gpu_utilisation = looked.utilisation;
            // One of them is the measured process, which is still there.
            let others = gpu.processes().map(|all| all.saturating_sub(1));
            self.measurement.gpu.add(&looked, others);
        }
        let activity = self.machine.counters().since(&counters);
        let seen = &mut self.measurement.surroundings;
        seen.busy += activity.busy_seconds;
        seen.cpu += activity.cpu_seconds;
        seen.own += samples.cpu_in_all;
        seen.stolen += activity.steal * activity.cpu_seconds;
        if let Some(joules) = joules(self.meter(), meter) {
            self.measurement.energy.push(MeasuredEnergy {
                shape,
                joules,
                seconds: begun.elapsed().as_secs_f64(),
                audio: samples.samples.iter().map(|sample| sample.audio).sum(),
            });
        }
        Ok(samples)
    }

    /// Peak memory against the audio in flight: the longest text alone, then as many of it as there are workers. Speaks the
    /// longest text in any case.
    fn memory(&mut self, shape: Shape, process: &mut Process) -> Result<(), MeasureError> {
        let wrap = |error| failed(format!("{shape}, memory"), error);
        let stop = Arc::clone(&self.stop);
        let mut tick = || !stop.load(Ordering::Relaxed);
        let longest = self.longest();
        let loaded_on_gpu = self.gpu.and_then(|gpu| gpu.sample().memory_mib);
        let (alone, alone_on_gpu) =
            peak_memory(self.gpu, process, 1, longest, &mut tick).map_err(wrap)?;
        if self
            .measurement
            .memory
            .iter()
            .any(|memory| memory.shape == shape)
        {
            return Ok(());
        }
        let audio = self
            .measurement
            .verified
            .get(longest)
            .map_or(0.0, |text| text.longest_chunk);
        let point = |n: u32, mib| MemoryPoint {
            cpu: shape.cpu,
            threads: shape.threads,
            n,
            inflight_audio_s: f64::from(n) * audio,
            mib,
        };
        let mut points = vec![point(0, process.ready.loaded_mib), point(1, alone)];
        let mut on_gpu: Vec<MemoryPoint> = [(0, loaded_on_gpu), (1, alone_on_gpu)]
            .into_iter()
            .filter_map(|(n, mib)| Some(point(n, mib?)))
            .collect();
        let workers = shape.workers();
        if workers > 1 {
            let (all, all_on_gpu) =
                peak_memory(self.gpu, process, workers, longest, &mut tick).map_err(wrap)?;
            points.push(point(workers, all));
            on_gpu.extend(all_on_gpu.map(|mib| point(workers, mib)));
        }
        self.measurement.memory.push(MeasuredMemory {
            shape,
            process_mib: process.ready.process_mib,
            loaded_mib: process.ready.loaded_mib,
            points,
            gpu: on_gpu,
        });
        Ok(())
    }

    /// All cores busy: several processes side by side, as pods without CPUs of their own.
    fn full_node(
        &mut self,
        pass: u32,
        node: FullNodePoint,
        progress: &mut Progress,
    ) -> Result<(), MeasureError> {
        let workers = node.pods * node.pod.workers();
        let known =
            |measured: &MeasuredNode| measured.threads == node.pod.threads && measured.pass == pass;
        if self.measurement.nodes.iter().any(known) {
            return Ok(());
        }
        let name = format!("{} pod(s) of {}", node.pods, node.pod);
        progress.begin(&format!("pass {}: {name}", pass + 1));
        let wrap = |error| failed(name.clone(), error);
        let mut pods = Vec::new();
        for _ in 0..node.pods {
            pods.push(self.start(node.pod, false)?);
        }
        let stop = Arc::clone(&self.stop);
        let mut tick = || !stop.load(Ordering::Relaxed);
        let order = self.level_order(node.pod.workers(), 0..self.corpus.load.len(), pass);
        for (index, pod) in pods.iter_mut().enumerate() {
            let seed = order.seed + 100 * u64::try_from(index).unwrap_or(0);
            pod.begin_level(LevelOrder { seed, ..order })
                .map_err(wrap)?;
        }
        let (mut requests, mut audio_per_sec) = (0, 0.0);
        for pod in &mut pods {
            let samples = pod.end_level(&order, &mut tick).map_err(wrap)?;
            requests += samples.samples.len();
            audio_per_sec += throughput(&samples);
        }
        progress.end(
            self.level_seconds(),
            &format!("pass {}: {name}: {audio_per_sec:.1} audio-s/s", pass + 1),
        );
        self.measurement.nodes.push(MeasuredNode {
            threads: node.pod.threads,
            workers,
            pass,
            requests: u32::try_from(requests).unwrap_or(u32::MAX),
            audio_per_sec,
        });
        Ok(())
    }

    /// One request of one text at a time, on one core.
    fn anchor(
        &mut self,
        number: u32,
        begun: Instant,
        before: f64,
        progress: &mut Progress,
    ) -> Result<(), MeasureError> {
        if self.measurement.anchors.len() > usize::try_from(number).unwrap_or(0) {
            return Ok(());
        }
        self.rest();
        let shape = self.grid.points[0].shape;
        let mut process = self.start(shape, true)?;
        let text = self.typical();
        let budget = self.budget();
        let order = LevelOrder {
            requests: ANCHOR_REQUESTS,
            seconds: budget.anchor_seconds,
            ..self.level_order(1, text..text + 1, number)
        };
        let samples = self.level(shape, &mut process, &order)?;
        let times: Vec<f64> = samples
            .samples
            .iter()
            .map(|sample| sample.service)
            .collect();
        let anchor = Anchor {
            at_s: before + begun.elapsed().as_secs_f64(),
            requests: u32::try_from(times.len()).unwrap_or(u32::MAX),
            median_s: median(times.iter().copied()),
            cv: variation(&times),
        };
        progress.end(
            budget.anchor_seconds + 2.0,
            &format!(
                "anchor: {:.1} ms, varies by {:.1} %",
                1000.0 * anchor.median_s,
                100.0 * anchor.cv
            ),
        );
        self.measurement.anchors.push(anchor);
        Ok(())
    }

    /// Many requests in a row, in blocks with the memory after each.
    fn soak(&mut self, progress: &mut Progress) -> Result<(), MeasureError> {
        if self.measurement.soak.is_some() {
            return Ok(());
        }
        progress.begin("soak");
        let shape = self.grid.points[0].shape;
        let mut process = self.start(shape, true)?;
        self.memory(shape, &mut process)?;
        let begun = Instant::now();
        let mut resident = Vec::new();
        let mut requests = 0;
        for block in 0..SOAK_BLOCKS {
            let order = LevelOrder {
                requests: SOAK_BLOCK_REQUESTS,
                seconds: 0.0,
                ..self.level_order(1, 0..self.corpus.load.len(), block)
            };
            let samples = self.level(shape, &mut process, &order)?;
            requests += samples.samples.len();
            resident.push(samples.resident);
        }
        let soak = MeasuredSoak {
            requests: u32::try_from(requests).unwrap_or(u32::MAX),
            seconds: begun.elapsed().as_secs_f64(),
            resident,
        };
        progress.end(60.0, &format!("soak: {requests} requests"));
        self.measurement.soak = Some(soak);
        self.save_now()
    }
}

/// Does `work` while the GPU, if there is one, is looked at.
fn watched<T>(gpu: Option<&Gpu>, work: impl FnOnce() -> T) -> (T, Seen) {
    match gpu {
        Some(gpu) => watch(gpu, work),
        None => (work(), Seen::default()),
    }
}

/// Peak memory of the process, and of the GPU (MiB), with `n` requests of a text. ONNX Runtime gives no memory of the GPU
/// back: a peak that was between two looks is there afterwards, too.
fn peak_memory(
    gpu: Option<&Gpu>,
    process: &mut Process,
    n: u32,
    text: usize,
    tick: &mut Tick<'_>,
) -> Result<(f64, Option<f64>), ProcessError> {
    let n = usize::try_from(n).unwrap_or(1);
    let (peak, looked) = watched(gpu, || process.memory(n, text, tick));
    let afterwards = gpu.and_then(|gpu| gpu.sample().memory_mib);
    let on_gpu = looked.memory_mib.into_iter().chain(afterwards);
    Ok((peak?.0, on_gpu.reduce(f64::max)))
}

/// Joules from `then` to `now`, where both were told.
fn joules(now: Option<Meter>, then: Option<Meter>) -> Option<f64> {
    now?.joules_since(&then?)
}

fn failed(what: String, error: ProcessError) -> MeasureError {
    match error {
        ProcessError::Interrupted => MeasureError::Interrupted,
        error => MeasureError::Process { what, error },
    }
}

fn result(samples: &LevelSamples) -> String {
    let first = sorted(samples.samples.iter().map(|sample| sample.first));
    format!(
        "{:.1} audio-s/s, p95 first audio {:.0} ms, {} requests",
        throughput(samples),
        1000.0 * quantile(&first, 0.95),
        samples.samples.len()
    )
}
