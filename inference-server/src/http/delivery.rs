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
    engine::EngineError,
    scheduler::{Spoken, Ticket},
};

/// Bytes per frame. The next one is created only when the connection has taken the last, so that a slow client's audio is
/// buffered here, where the request still counts against the queue.
const FRAME_BYTES: usize = 64 * 1024;

/// Why a delivery was aborted.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error(transparent)]
    Engine(#[from] EngineError),
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
    /// For each run, whether a sentence ends with it.
    pub ends_sentence: Vec<bool>,
    pub max_audio_seconds: u64,
    pub arrived: Instant,
}

/// The audio of one request. If dropped early, the request counts as cancelled, and the ticket stops the run.
pub struct Delivery {
    ticket: Ticket,
    order: Order,
    metrics: Metrics,
    /// Number of runs received.
    runs: usize,
    samples: u64,
    /// Encoded bytes that were not sent yet.
    ready: VecDeque<Bytes>,
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
    pub fn new(ticket: Ticket, order: Order, metrics: Metrics) -> Self {
        Self {
            ticket,
            order,
            metrics,
            runs: 0,
            samples: 0,
            ready: VecDeque::new(),
            over: false,
        }
    }

    fn all_came(&self) -> bool {
        self.runs == self.order.ends_sentence.len()
    }

    /// Waits for the next run's samples and encodes them after the gap that precedes them.
    async fn next_run(&mut self) -> Result<Vec<u8>, DeliveryError> {
        let received = self.ticket.next().await;
        let result = received
            .ok_or(DeliveryError::WorkerLost)
            .and_then(|spoken| self.encode(&spoken?));
        if result.is_err() {
            // Aborted by the server, not cancelled by the client.
            self.over = true;
        }
        result
    }

    fn encode(&mut self, spoken: &Spoken) -> Result<Vec<u8>, DeliveryError> {
        let rate = self.order.sample_rate;
        let gap = match self
            .runs
            .checked_sub(1)
            .and_then(|last| self.order.ends_sentence.get(last))
        {
            Some(ends_sentence) => join::gap(rate, *ends_sentence),
            None => 0,
        };
        #[expect(clippy::cast_precision_loss, reason = "minutes of samples")]
        let audio_seconds = spoken.samples.len() as f64 / f64::from(rate);
        if self.runs == 0 {
            self.metrics
                .queue_wait
                .observe(spoken.queue_wait.as_secs_f64());
            self.metrics
                .time_to_first_audio
                .observe(self.order.arrived.elapsed().as_secs_f64());
        }
        self.metrics.audio_seconds.inc_by(audio_seconds);
        self.metrics
            .real_time_factor
            .observe(spoken.service.as_secs_f64() / audio_seconds);
        self.runs += 1;
        self.samples += (gap + spoken.samples.len()) as u64;
        if self.samples > self.order.max_audio_seconds * u64::from(rate) {
            return Err(DeliveryError::TooLong {
                limit: self.order.max_audio_seconds,
            });
        }
        let mut bytes = vec![0; 2 * gap];
        bytes.extend(encode::pcm16(&spoken.samples));
        Ok(bytes)
    }

    fn put(&mut self, bytes: Vec<u8>) {
        let mut bytes = Bytes::from(bytes);
        while bytes.len() > FRAME_BYTES {
            self.ready.push_back(bytes.split_to(FRAME_BYTES));
        }
        self.ready.push_back(bytes);
    }

    /// Waits for all runs; returns the number of bytes to send, including the header.
    pub async fn collect(&mut self) -> Result<usize, DeliveryError> {
        let mut data = Vec::new();
        while !self.all_came() {
            data.extend(self.next_run().await?);
        }
        if self.order.format == Format::Wav {
            data = encode::wav(self.order.sample_rate, &data);
        }
        let length = data.len();
        self.put(data);
        Ok(length)
    }

    /// Waits for the first run: a failure before it is returned as an HTTP error.
    pub async fn begin(&mut self) -> Result<(), DeliveryError> {
        let data = self.next_run().await?;
        if self.order.format == Format::Wav {
            self.put(encode::wav_header(self.order.sample_rate, None).to_vec());
        }
        self.put(data);
        Ok(())
    }

    /// The body's frames. An error aborts the body: the client sees that it is incomplete.
    pub fn frames(self) -> impl Stream<Item = Result<Bytes, DeliveryError>> + Send {
        stream::try_unfold(self, |mut delivery| async move {
            loop {
                if let Some(frame) = delivery.ready.pop_front() {
                    // The last frame completes the delivery: hyper does not poll beyond Content-Length.
                    delivery.over = delivery.ready.is_empty() && delivery.all_came();
                    return Ok(Some((frame, delivery)));
                }
                if delivery.all_came() {
                    return Ok(None);
                }
                match delivery.next_run().await {
                    Ok(data) => delivery.put(data),
                    Err(error) => {
                        delivery.metrics.aborted_streams.inc();
                        tracing::error!(%error, runs = delivery.runs, "response aborted");
                        return Err(error);
                    }
                }
            }
        })
    }
}
