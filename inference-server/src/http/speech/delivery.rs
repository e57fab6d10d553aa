//! Delivers a request's audio to the client: bytes from the workers, whole or as a stream.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use futures::{Stream, stream};

use crate::{
    audio::Format,
    http::metrics::Metrics,
    scheduler::{Audio, Buffered, JobError, RunReport, Ticket, Update},
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
}

/// Bytes of the response; the last of a piece of audio no longer count as unsent when they are dropped.
struct Piece {
    bytes: Bytes,
    _buffered: Option<Buffered>,
}

/// The audio of one request. If dropped early, the request counts as cancelled, and the ticket stops the run.
pub struct Delivery {
    ticket: Ticket,
    format: Format,
    arrived: Instant,
    metrics: Metrics,
    /// Whether the audio comes in one piece.
    whole: bool,
    /// Number of runs that are complete.
    runs: usize,
    /// What was not sent yet.
    ready: VecDeque<Piece>,
    /// What the connection took last: it is sent when the next is asked for.
    taken: Option<Piece>,
    /// Whether all audio was received.
    complete: bool,
    /// By the server, not cancelled by the client.
    aborted: bool,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // The last frame completes the delivery: hyper does not poll beyond Content-Length.
        let delivered = self.complete && self.ready.is_empty();
        if !delivered && !self.aborted {
            self.metrics.cancelled.inc();
        }
    }
}

impl Delivery {
    /// Waits until the text was read; the characters that were skipped, each once.
    pub async fn begin(
        ticket: Ticket,
        format: Format,
        arrived: Instant,
        metrics: Metrics,
    ) -> Result<(Self, Vec<char>), DeliveryError> {
        let mut delivery = Self {
            ticket,
            format,
            arrived,
            metrics,
            whole: false,
            runs: 0,
            ready: VecDeque::new(),
            taken: None,
            complete: false,
            aborted: false,
        };
        match delivery.next().await? {
            Update::Read(text) => {
                delivery.whole = text.whole;
                Ok((delivery, text.skipped))
            }
            _ => Err(DeliveryError::WorkerLost),
        }
    }

    async fn next(&mut self) -> Result<Update, DeliveryError> {
        let update = match self.ticket.next().await {
            Some(update) => update.map_err(DeliveryError::from),
            None => Err(DeliveryError::WorkerLost),
        };
        self.aborted |= update.is_err();
        update
    }

    /// Waits for an update and takes it in.
    async fn receive(&mut self) -> Result<(), DeliveryError> {
        match self.next().await? {
            Update::Read(_) => {}
            Update::Audio(audio) => self.put(audio),
            Update::Run(report) => self.observe(&report),
            Update::Done => self.complete = true,
        }
        Ok(())
    }

    fn observe(&mut self, report: &RunReport) {
        let metrics = &self.metrics;
        if self.runs == 0 {
            metrics.queue_wait.observe(report.queue_wait.as_secs_f64());
        }
        self.runs += 1;
        metrics.audio_seconds.inc_by(report.audio_seconds);
        metrics
            .real_time_factor
            .observe(report.synthesis.as_secs_f64() / report.audio_seconds);
        metrics
            .encode_seconds
            .with_label_values(&[self.format.name()])
            .inc_by(report.encoding.as_secs_f64());
        metrics.clipped_samples.inc_by(report.clipped);
    }

    fn put(&mut self, audio: Audio) {
        let Audio {
            mut bytes,
            buffered,
        } = audio;
        while bytes.len() > FRAME_BYTES {
            self.ready.push_back(Piece {
                bytes: bytes.split_to(FRAME_BYTES),
                _buffered: None,
            });
        }
        self.ready.push_back(Piece {
            bytes,
            _buffered: Some(buffered),
        });
    }

    /// Waits for the first audio: a failure before it is returned as an HTTP error. If the audio comes in one piece, the
    /// length of the response is known, in bytes.
    pub async fn first_audio(&mut self) -> Result<Option<usize>, DeliveryError> {
        while !self.complete && (self.whole || self.ready.is_empty()) {
            self.receive().await?;
        }
        self.metrics
            .time_to_first_audio
            .observe(self.arrived.elapsed().as_secs_f64());
        let length = self.ready.iter().map(|piece| piece.bytes.len()).sum();
        Ok(self.whole.then_some(length))
    }

    /// The body's frames. An error aborts the body: the client sees that it is incomplete.
    pub fn frames(self) -> impl Stream<Item = Result<Bytes, DeliveryError>> + Send {
        stream::try_unfold(self, |mut delivery| async move {
            delivery.taken = None;
            loop {
                if let Some(piece) = delivery.ready.pop_front() {
                    let bytes = piece.bytes.clone();
                    delivery.taken = Some(piece);
                    return Ok(Some((bytes, delivery)));
                }
                if delivery.complete {
                    return Ok(None);
                }
                if let Err(error) = delivery.receive().await {
                    delivery.metrics.aborted_streams.inc();
                    tracing::error!(%error, runs = delivery.runs, "response aborted");
                    return Err(error);
                }
            }
        })
    }
}
