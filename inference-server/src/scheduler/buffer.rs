//! Audio that was synthesized and not sent yet.

use std::sync::Arc;

use super::{
    job::{Ahead, Amount, Client},
    queue::Queue,
};

/// Counts audio as unsent until it is dropped; the request may then go on.
#[derive(Debug)]
pub struct Buffered {
    queue: Arc<Queue>,
    id: u64,
    ahead: Arc<Ahead>,
    amount: Amount,
}

impl Buffered {
    pub(super) fn new(queue: &Arc<Queue>, client: &Client, amount: Amount) -> Self {
        client.ahead.add(amount);
        queue.buffer(client.id, amount.bytes);
        Self {
            queue: Arc::clone(queue),
            id: client.id,
            ahead: Arc::clone(&client.ahead),
            amount,
        }
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        // Before the queue is told: a job that pauses now sees that there is room.
        self.ahead.remove(self.amount);
        self.queue.sent(self.id, self.amount.bytes);
    }
}
