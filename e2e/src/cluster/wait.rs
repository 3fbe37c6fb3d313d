//! Waits for conditions, with a deadline and the last observation in the error.

use std::time::Duration;

use tokio::time::Instant;

use super::error::{ClusterError, Result};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Looks until the condition holds (`Ok(Ok(()))`), fails for good (`Err`), or `limit` has passed. What the condition
/// says while it does not hold becomes part of the error.
pub async fn until(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Result<Result<(), String>>,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        // One look may hang on a connection; it must not outlive the deadline.
        let last = match tokio::time::timeout_at(deadline, condition()).await {
            Ok(looked) => match looked? {
                Ok(()) => return Ok(()),
                Err(last) => last,
            },
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() + POLL >= deadline {
            return Err(ClusterError::Timeout {
                what: what.to_owned(),
                seconds: limit.as_secs(),
                last,
            });
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_condition_is_looked_at_until_it_holds() {
        let mut looks = 0;
        let waited = until("three looks", Duration::from_secs(5), async || {
            looks += 1;
            Ok(if looks == 3 {
                Ok(())
            } else {
                Err(format!("look {looks}"))
            })
        });
        waited.await.unwrap();
        assert_eq!(looks, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_never_holds_ends_with_what_was_last_seen() {
        let error = until("it", Duration::from_secs(5), async || Ok(Err("still red".to_owned())))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "waited 5 s for it; last seen: still red");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_does_not_outlive_the_deadline() {
        let error = until("it", Duration::from_secs(5), async || std::future::pending().await)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "waited 5 s for it; last seen: no answer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_for_good_ends_the_wait_at_once() {
        let error = until("it", Duration::from_secs(5), async || Err(ClusterError::NotRunning))
            .await
            .unwrap_err();
        assert!(matches!(error, ClusterError::NotRunning));
    }
}
