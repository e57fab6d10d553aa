//! Delivers a request's audio to the client: samples from the workers, joined and encoded, whole or as a stream.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use futures::{Stream, stream};

use super::metrics::Metrics;
use crate::{
    audio::{
        encode::{self, Format},
        join,
    },
    scheduler::{Buffered, JobError, Spoken, Ticket, Update},
};

/// Bytes per frame. The next one is created only when the connection has taken the last, so that a slow client's audio is
/// buffered here, where it counts as unsent.
const FRAME_BYTES: usize = 64 * 1024;

/// Why a delivery was aborted.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("the worker for this request stopped unexpectedly")]
    WorkerLost,
    #[error("the text produced more than {limit} seconds of audio; split it into several requests")]
    TooLong { limit: u64 },
}

/// What the delivery needs to know about its request.
#[derive(Clone, Debug)]
pub struct Order {
    pub format: Format,
    pub sample_rate: u32,
    pub max_audio_seconds: u64,
    pub arrived: Instant,
}

/// Bytes of the response; the last of a run give its audio back to the limit of unsent audio.
struct Piece {
    bytes: Bytes,
    _buffered: Option<Buffered>,
}

/// The audio of one request. If dropped early, the request counts as cancelled, and the ticket stops the run.
pub struct Delivery {
    ticket: Ticket,
    order: Order,
    metrics: Metrics,
    /// For each run, whether a sentence ends with it.
    ends_sentence: Vec<bool>,
    /// Number of runs received.
    runs: usize,
    samples: u64,
    /// What was not sent yet.
    ready: VecDeque<Piece>,
    /// What the connection took last: it is sent when the next is asked for.
    taken: Option<Piece>,
    over: bool,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.over {
            self.metrics.cancelled.inc();
        }
    }
}

impl Delivery {
    /// Waits until the text was read; the characters that were skipped, each once.
    pub async fn begin(
        ticket: Ticket,
        order: Order,
        metrics: Metrics,
    ) -> Result<(Self, Vec<char>), DeliveryError> {
        let mut delivery = Self {
            ticket,
            order,
            metrics,
            ends_sentence: Vec::new(),
            runs: 0,
            samples: 0,
            ready: VecDeque::new(),
            taken: None,
            over: false,
        };
        match delivery.next().await? {
            Update::Read(text) => {
                delivery.ends_sentence = text.ends_sentence;
                Ok((delivery, text.skipped))
            }
            Update::Audio(_) => Err(DeliveryError::WorkerLost),
        }
    }

    fn all_came(&self) -> bool {
        self.runs == self.ends_sentence.len()
    }

    async fn next(&mut self) -> Result<Update, DeliveryError> {
        let update = match self.ticket.next().await {
            Some(update) => update.map_err(DeliveryError::from),
            None => Err(DeliveryError::WorkerLost),
        };
        // Aborted by the server, not cancelled by the client.
        self.over |= update.is_err();
        update
    }

    /// Waits for the next run and adds it to what is ready, after the gap that precedes it.
    async fn next_run(&mut self) -> Result<(), DeliveryError> {
        let Update::Audio(spoken) = self.next().await? else {
            self.over = true;
            return Err(DeliveryError::WorkerLost);
        };
        let added = self.add(spoken);
        self.over |= added.is_err();
        added
    }

    fn add(&mut self, spoken: Spoken) -> Result<(), DeliveryError> {
        let rate = self.order.sample_rate;
        let gap = match self
            .runs
            .checked_sub(1)
            .and_then(|last| self.ends_sentence.get(last))
        {
            Some(ends_sentence) => join::gap(rate, *ends_sentence),
            None => 0,
        };
        let samples = spoken.pcm.len() / 2;
        #[expect(clippy::cast_precision_loss, reason = "minutes of samples")]
        let audio_seconds = samples as f64 / f64::from(rate);
        if self.runs == 0 {
            self.metrics
                .queue_wait
                .observe(spoken.queue_wait.as_secs_f64());
        }
        self.metrics.audio_seconds.inc_by(audio_seconds);
        self.metrics
            .real_time_factor
            .observe(spoken.service.as_secs_f64() / audio_seconds);
        self.runs += 1;
        self.samples += (gap + samples) as u64;
        if self.samples > self.order.max_audio_seconds * u64::from(rate) {
            return Err(DeliveryError::TooLong {
                limit: self.order.max_audio_seconds,
            });
        }
        if gap > 0 {
            self.put(Bytes::from(vec![0; 2 * gap]), None);
        }
        self.put(spoken.pcm, Some(spoken.buffered));
        Ok(())
    }

    fn put(&mut self, mut bytes: Bytes, buffered: Option<Buffered>) {
        while bytes.len() > FRAME_BYTES {
            self.ready.push_back(Piece {
                bytes: bytes.split_to(FRAME_BYTES),
                _buffered: None,
            });
        }
        self.ready.push_back(Piece {
            bytes,
            _buffered: buffered,
        });
    }

    /// Waits for the first run: a failure before it is returned as an HTTP error. If it is the only one, the length of the
    /// response is known: bytes, including the header.
    pub async fn first_frames(&mut self) -> Result<Option<usize>, DeliveryError> {
        self.next_run().await?;
        let bytes: usize = self.ready.iter().map(|piece| piece.bytes.len()).sum();
        let whole = self.all_came().then_some(bytes);
        let data_bytes = whole.and_then(|bytes| u32::try_from(bytes).ok());
        let header = match self.order.format {
            Format::Wav => encode::wav_header(self.order.sample_rate, data_bytes).to_vec(),
            Format::Pcm => Vec::new(),
        };
        let length = whole.map(|bytes| header.len() + bytes);
        if !header.is_empty() {
            self.ready.push_front(Piece {
                bytes: header.into(),
                _buffered: None,
            });
        }
        self.metrics
            .time_to_first_audio
            .observe(self.order.arrived.elapsed().as_secs_f64());
        Ok(length)
    }

    /// The body's frames. An error aborts the body: the client sees that it is incomplete.
    pub fn frames(self) -> impl Stream<Item = Result<Bytes, DeliveryError>> + Send {
        stream::try_unfold(self, |mut delivery| async move {
            delivery.taken = None;
            loop {
                if let Some(piece) = delivery.ready.pop_front() {
                    // The last frame completes the delivery: hyper does not poll beyond Content-Length.
                    delivery.over = delivery.ready.is_empty() && delivery.all_came();
                    let bytes = piece.bytes.clone();
                    delivery.taken = Some(piece);
                    return Ok(Some((bytes, delivery)));
                }
                if delivery.all_came() {
                    return Ok(None);
                }
                if let Err(error) = delivery.next_run().await {
                    delivery.metrics.aborted_streams.inc();
                    tracing::error!(%error, runs = delivery.runs, "response aborted");
                    return Err(error);
                }
            }
        })
    }
}
