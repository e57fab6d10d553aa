//! Audio that was synthesized and not sent yet.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{Job, queue::Queue};

/// Counts a run's audio as unsent until it is dropped; the request may then go on.
#[derive(Debug)]
pub struct Buffered {
    queue: Arc<Queue>,
    id: u64,
    unsent: Arc<AtomicUsize>,
    bytes: usize,
}

impl Buffered {
    pub(super) fn new(queue: &Arc<Queue>, job: &Job, bytes: usize) -> Self {
        job.unsent.fetch_add(bytes, Ordering::AcqRel);
        queue.buffer(job.id, bytes);
        Self {
            queue: Arc::clone(queue),
            id: job.id,
            unsent: Arc::clone(&job.unsent),
            bytes,
        }
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        // Before the queue is told: a job that pauses now sees that there is room.
        self.unsent.fetch_sub(self.bytes, Ordering::AcqRel);
        self.queue.sent(self.id, self.bytes);
    }
}
