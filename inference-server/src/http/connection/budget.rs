//! A budget of bytes for everything that is being received, over all connections.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Bytes of request heads and bodies that may be in memory at the same time.
#[derive(Clone, Debug)]
pub struct ReceiveBudget(Arc<Semaphore>);

impl ReceiveBudget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Nothing yet; it grows as bytes are received.
    pub fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

/// What one request holds of the budget; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: ReceiveBudget,
    bytes: usize,
}

impl Share {
    /// Takes more of the budget; false, and nothing taken, when less is left.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let permit = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| self.budget.0.try_acquire_many(bytes).ok());
        let Some(permit) = permit else { return false };
        permit.forget();
        self.bytes += bytes;
        true
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.budget.0.add_permits(self.bytes);
        self.bytes = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_all_requests_stay_within_the_budget() {
        let budget = ReceiveBudget::new(100);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert!(first.grow(60));
        assert!(!second.grow(41));
        assert!(second.grow(40));
        assert!(!first.grow(1));
        first.clear();
        assert!(second.grow(60));
        drop(second);
        assert!(first.grow(100));
    }
}
