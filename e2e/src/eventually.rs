//! Waiting for a condition, with a deadline.
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep, timeout};

const INTERVAL: Duration = Duration::from_millis(200);

/// Asks `probe` until it succeeds. After `within` the last thing that it said is the error.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    let mut last = anyhow::anyhow!("the first attempt did not come back");
    while Instant::now() < deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error,
            Err(_) => break,
        }
        sleep(INTERVAL).await;
    }
    Err(last).with_context(|| format!("not within {within:?}: {what}"))
}

/// Asks `probe` as long as `lasting`: it must succeed each time.
pub async fn always(
    what: &str,
    lasting: Duration,
    mut probe: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let end = Instant::now() + lasting;
    while Instant::now() < end {
        probe()
            .await
            .with_context(|| format!("no longer true: {what}"))?;
        sleep(INTERVAL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_observation_is_the_error() {
        let mut count = 0;
        let error = eventually("three", Duration::from_millis(500), async || {
            count += 1;
            anyhow::bail!("saw {count}") as Result<()>
        })
        .await
        .unwrap_err();
        let text = format!("{error:#}");
        assert!(text.starts_with("not within 500ms: three: saw "), "{text}");
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_cut_at_the_deadline() {
        let error = eventually("an answer", Duration::from_millis(300), async || {
            std::future::pending::<Result<()>>().await
        })
        .await
        .unwrap_err();
        assert!(error.to_string().contains("an answer"), "{error}");
    }
}
