//! Waiting on conditions: by watch where Kubernetes can tell, by asking again where only an answer can. Always with a
//! deadline, and with what was last seen in the error.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::error::{HarnessError, Result};

/// Between two questions of [`poll`]. Short against every deadline, long against the time of an answer.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Watches one object until `check` accepts it and returns what `check` made of it.
///
/// `check` gets `None` while the object does not exist; its error is the state that a person is told about when the
/// deadline passes. Watch errors (an API server that restarts) are survived with backoff.
pub async fn watch<K, T>(
    api: Api<K>,
    name: &str,
    what: impl Into<String>,
    limit: Duration,
    mut check: impl FnMut(Option<&K>) -> Result<T, String>,
) -> Result<T>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let what = what.into();
    let mut last = "nothing yet".to_owned();
    let wait = async {
        let mut stream = pin!(watch_object(api, name).default_backoff());
        loop {
            match stream.try_next().await {
                Ok(Some(object)) => match check(object.as_ref()) {
                    Ok(found) => return found,
                    Err(state) => last = state,
                },
                // The watch itself never ends; backoff has waited before the next turn after an error.
                Ok(None) => "the watch ended".clone_into(&mut last),
                Err(error) => last = format!("watch error: {error}"),
            }
        }
    };
    match tokio::time::timeout(limit, wait).await {
        Ok(found) => Ok(found),
        Err(_) => Err(HarnessError::Timeout { what, limit, last }),
    }
}

/// Asks again until the answer is `Ok`, for what cannot be watched: HTTP endpoints and aggregated APIs.
pub async fn poll<T, F>(what: impl Into<String>, limit: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, String>>,
{
    let what = what.into();
    let deadline = Instant::now() + limit;
    let mut last = "nothing yet".to_owned();
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match tokio::time::timeout_at(deadline, ask()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(state)) => last = state,
            Err(_) => return Err(HarnessError::Timeout { what, limit, last }),
        }
        if Instant::now() >= deadline {
            return Err(HarnessError::Timeout { what, limit, last });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_poll_returns_the_first_good_answer() {
        let asked = Cell::new(0);
        let answer = poll("three", Duration::from_secs(5), || {
            asked.set(asked.get() + 1);
            let n = asked.get();
            async move { if n == 3 { Ok(n) } else { Err(format!("{n}")) } }
        });
        assert_eq!(answer.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_never_succeeds_says_what_it_saw_last() {
        let answer: Result<()> = poll("rain", Duration::from_secs(2), || async { Err("sunshine".to_owned()) }).await;
        let text = answer.unwrap_err().to_string();
        assert_eq!(text, "waited 2 s for rain; last seen: sunshine");
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_hangs_does_not_outlive_the_deadline() {
        let answer: Result<()> = poll("an answer", Duration::from_secs(2), std::future::pending).await;
        assert!(matches!(answer, Err(HarnessError::Timeout { .. })));
    }
}
