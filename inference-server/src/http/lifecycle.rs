//! The stages of the process, as probes and connections see them: starting, ready, draining, closing.

use tokio::sync::watch;

/// A stage of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Voices are being loaded.
    Starting,
    Ready,
    /// After SIGTERM: no longer ready, but new connections and requests are still served until endpoints are updated.
    Draining,
    /// No new connections; open ones are closed once their request is answered.
    Closing,
}

/// The shared stage. It only moves forward.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    stage: watch::Sender<Stage>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Starting),
        }
    }
}

impl Lifecycle {
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Moves forward, never back (loading may end after SIGTERM).
    pub fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let forward = *stage < to;
            if forward {
                *stage = to;
            }
            forward
        });
    }

    /// Waits until this stage or a later one.
    pub async fn reached(&self, stage: Stage) {
        // The sender is in `self`, so waiting cannot fail.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_only_moves_forward() {
        let lifecycle = Lifecycle::default();
        lifecycle.advance(Stage::Draining);
        lifecycle.advance(Stage::Ready);
        assert_eq!(lifecycle.stage(), Stage::Draining);
    }
}
