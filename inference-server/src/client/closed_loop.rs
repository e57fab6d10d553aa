//! Closed loop: a number of clients, each with one request in flight.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tts_planner::profile::ClientLevel;

use super::{Answer, Client, Failure, Limits, Sample, Texts, sample::Summary, texts::Order};

/// How long a client waits after an error: an endpoint that refuses at once must not be flooded.
const PAUSE: Duration = Duration::from_millis(100);
/// After so many errors without a single whole answer, a level ends.
const MOST_ERRORS: usize = 20;

/// Measures the endpoint with `clients` requests in flight, always. Texts are spoken in whole rounds, shuffled by `seed`,
/// until the limits are reached. Until the last of these requests is answered, the other clients go on with requests that
/// do not count: with fewer requests beside them, the last ones would be faster.
pub async fn closed_loop(
    client: &Client,
    texts: &Texts,
    clients: u32,
    limits: &Limits,
    seed: u64,
) -> (ClientLevel, Vec<Sample>) {
    let speak = {
        let (client, texts) = (client.clone(), texts.clone());
        move |text| {
            let (client, texts) = (client.clone(), texts.clone());
            async move { client.speak(texts.get(text)).await }
        }
    };
    run(speak, texts.order(seed), clients, *limits).await
}

async fn run<S, F>(
    speak: S,
    order: Order,
    clients: u32,
    limits: Limits,
) -> (ClientLevel, Vec<Sample>)
where
    S: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Answer, Failure>> + Send,
{
    let level = Arc::new(Level {
        clients,
        limits,
        started: Instant::now(),
        state: Mutex::new(State {
            order,
            samples: Vec::new(),
            issued: 0,
            open: 0,
            closing: false,
            window: Window::default(),
        }),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (level, speak) = (Arc::clone(&level), speak.clone());
        tasks.spawn(async move { level.client(speak).await });
    }
    while let Some(ended) = tasks.join_next().await {
        // The others would wait for its request for ever.
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
    level.finish()
}

/// The clients' common state.
struct Level {
    clients: u32,
    limits: Limits,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    order: Order,
    samples: Vec<Sample>,
    /// Requests that count, and those of them without an answer yet.
    issued: usize,
    open: usize,
    /// No further requests count.
    closing: bool,
    window: Window,
}

/// Throughput while all clients have a request in flight. It begins when each client's first request is answered: these
/// were sent at the same time, and so their answers would come in a burst.
#[derive(Default)]
struct Window {
    answers: u32,
    audio: f64,
    /// Time, and the two numbers above, at its beginning and its end.
    begin: (f64, u32, f64),
    end: (f64, u32, f64),
}

impl Window {
    fn complete(&mut self, clients: u32, time: f64, audio: f64) {
        self.answers += 1;
        self.audio += audio;
        self.end = (time, self.answers, self.audio);
        if self.answers == clients {
            self.begin = self.end;
        }
    }

    /// Seconds and audio-seconds.
    fn seconds_and_audio(&self, clients: u32) -> (f64, f64) {
        // A shorter window says less than the whole time.
        let begin = if self.end.1 >= 2 * clients {
            self.begin
        } else {
            (0.0, 0, 0.0)
        };
        (self.end.0 - begin.0, self.end.2 - begin.2)
    }
}

impl Level {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn client<S, F>(&self, speak: S)
    where
        S: Fn(usize) -> F,
        F: Future<Output = Result<Answer, Failure>>,
    {
        while let Some((text, counts)) = self.next() {
            let sent = Instant::now();
            let result = speak(text).await;
            let failed = result.is_err();
            let due = sent.duration_since(self.started).as_secs_f64();
            let sample = Sample::new(text, due, 0.0, sent.elapsed().as_secs_f64(), result);
            self.complete(sample, counts);
            if failed {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The next text and whether it counts; `None` when all requests that count are answered.
    fn next(&self) -> Option<(usize, bool)> {
        let time = self.started.elapsed();
        let state = &mut *self.state();
        let enough = state.order.is_whole() && self.limits.reached(state.issued, time);
        let failing = state.samples.len() >= MOST_ERRORS
            && state.samples.iter().all(|sample| sample.failure.is_some());
        state.closing |= enough || failing || (state.issued > 0 && time >= self.limits.max_time);
        if state.closing && state.open == 0 {
            return None;
        }
        let counts = !state.closing;
        if counts {
            state.issued += 1;
            state.open += 1;
        }
        Some((state.order.next(), counts))
    }

    fn complete(&self, sample: Sample, counts: bool) {
        let time = self.started.elapsed().as_secs_f64();
        let state = &mut *self.state();
        if state.open > 0 {
            state
                .window
                .complete(self.clients, time, sample.audio_seconds);
        }
        if counts {
            state.open -= 1;
            state.samples.push(sample);
        }
    }

    fn finish(&self) -> (ClientLevel, Vec<Sample>) {
        let state = &mut *self.state();
        let mut samples = std::mem::take(&mut state.samples);
        samples.sort_by(|left, right| left.due.total_cmp(&right.due));
        let (seconds, audio) = state.window.seconds_and_audio(self.clients);
        let summary = Summary::of(&samples);
        let level = ClientLevel {
            clients: self.clients,
            requests: summary.requests,
            seconds,
            errors: summary.errors,
            audio_per_sec: if seconds > 0.0 { audio / seconds } else { 0.0 },
            ttfa_q: summary.first_audio,
            total_q: summary.total,
        };
        (level, samples)
    }
}

/// Their time is simulated.
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{sync::Semaphore, time::sleep};

    use super::{super::sample::count, *};

    fn limits(min_requests: u32, min: u64, max: u64) -> Limits {
        Limits {
            min_requests,
            min_time: Duration::from_secs(min),
            max_time: Duration::from_secs(max),
        }
    }

    fn order(texts: usize) -> Order {
        Texts::new(vec![String::new(); texts]).unwrap().order(7)
    }

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 0.02 * right, "{left} {right}");
    }

    /// An endpoint that speaks so many requests at a time, text `n` in `n + 1` seconds and as much audio.
    #[derive(Clone)]
    struct Workers {
        free: Arc<Semaphore>,
        in_flight: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    impl Workers {
        fn new(workers: usize) -> Self {
            Self {
                free: Arc::new(Semaphore::new(workers)),
                in_flight: Arc::default(),
                most: Arc::default(),
            }
        }

        async fn speak(self, text: usize) -> Result<Answer, Failure> {
            let sent = Instant::now();
            let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(in_flight, Ordering::SeqCst);
            let worker = self.free.acquire().await.unwrap();
            let seconds = f64::from(count(text + 1));
            sleep(Duration::from_secs_f64(seconds)).await;
            drop(worker);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            Ok(Answer {
                first_audio: sent.elapsed().as_secs_f64() / 2.0,
                total: sent.elapsed().as_secs_f64(),
                audio_seconds: seconds,
            })
        }
    }

    async fn level(
        workers: usize,
        clients: u32,
        texts: usize,
        limits: Limits,
    ) -> (ClientLevel, Vec<Sample>) {
        let workers = Workers::new(workers);
        let speak = {
            let workers = workers.clone();
            move |text| workers.clone().speak(text)
        };
        let result = run(speak, order(texts), clients, limits).await;
        assert_eq!(
            workers.most.load(Ordering::SeqCst),
            usize::try_from(clients).unwrap()
        );
        result
    }

    #[tokio::test(start_paused = true)]
    async fn each_client_has_one_request_in_flight_and_throughput_is_that_of_all() {
        // One worker speaks a second of audio per second, four speak four.
        for (workers, clients, throughput) in [
            (1, 1, 1.0),
            (1, 8, 1.0),
            (4, 4, 4.0),
            (4, 8, 4.0),
            (8, 4, 4.0),
        ] {
            let (level, samples) = level(workers, clients, 6, limits(120, 0, 10_000)).await;
            near(level.audio_per_sec, throughput);
            assert_eq!((level.clients, level.errors), (clients, 0));
            assert_eq!(count(samples.len()), level.requests);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn equal_requests_that_are_answered_at_once_do_not_count_as_a_burst() {
        for rounds in [1, 2, 3, 10] {
            let (level, _) = level(8, 8, 1, limits(8 * rounds, 0, 10_000)).await;
            near(level.audio_per_sec, 8.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_are_whole_and_requests_beyond_them_do_not_count() {
        let (level, samples) = level(8, 3, 10, limits(25, 0, 10_000)).await;
        assert_eq!(level.requests, 30);
        for text in 0..10 {
            let of_text = samples.iter().filter(|sample| sample.text_index == text);
            assert_eq!(of_text.count(), 3);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_for_the_shortest_time_and_ends_after_the_longest() {
        let (long, _) = level(1, 1, 1, limits(1, 50, 100)).await;
        assert_eq!(long.requests, 50);
        let (cut, samples) = level(1, 1, 6, limits(1000, 0, 30)).await;
        assert!(cut.requests < 31 && samples.iter().all(|sample| sample.due < 30.0));
        let (one, _) = level(1, 1, 6, limits(1000, 0, 0)).await;
        assert_eq!(one.requests, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_only_refuses_is_not_flooded() {
        let started = Instant::now();
        let speak = |_| async {
            Err(Failure::Rejected {
                status: 429,
                body: String::new(),
            })
        };
        let (level, _) = run(speak, order(5), 4, limits(1000, 60, 600)).await;
        assert!((20..30).contains(&level.requests), "{}", level.requests);
        assert_eq!(level.errors, level.requests);
        assert!(level.ttfa_q.is_empty() && level.audio_per_sec.abs() < 1e-9);
        assert!(started.elapsed() >= 4 * PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_count_and_have_no_times() {
        let speak = |text| async move {
            sleep(Duration::from_secs(1)).await;
            if text == 0 {
                return Err(Failure::Timeout { seconds: 1.0 });
            }
            Ok(Answer {
                first_audio: 0.5,
                total: 1.0,
                audio_seconds: 2.0,
            })
        };
        let (level, _) = run(speak, order(4), 2, limits(100, 0, 10_000)).await;
        assert_eq!((level.requests, level.errors), (100, 25));
        // A client is 1.025 s per request, and of four requests three have two seconds of audio.
        near(level.audio_per_sec, 2.0 * 1.5 / 1.025);
        near(level.total_q[22], 1.0);
    }
}
