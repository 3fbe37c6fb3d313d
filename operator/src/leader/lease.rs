//! Taking, renewing and giving back the lease.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::rules::{Decision, Observed, Record, Timing, TimingError, decide, observe};

/// Why a replica stopped to be, or to become, the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The process was told to stop.
    Shutdown,
    /// The lease could not be renewed in time, or somebody else has it.
    Lost,
}

/// Why leader election cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ElectionError {
    /// The flags contradict each other.
    #[error("leader election cannot keep two leaders apart with these times: {0}")]
    Timing(#[from] TimingError),
}

/// What one try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// This replica holds the lease.
    Held,
    /// Another one does.
    Other,
    /// The object changed between reading and writing; the next try sees by whom.
    Raced,
}

/// One replica's part in the election.
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    observed: Option<Observed>,
}

impl Election {
    /// Takes part in the election over the lease `namespace/name` as `identity`, which must be unique to this process.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: String,
        timing: Timing,
    ) -> Result<Self, ElectionError> {
        Ok(Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity,
            timing: timing.checked()?,
            observed: None,
        })
    }

    /// Waits until this replica is the leader. Failures to reach the API server are tried again without end.
    pub async fn acquire(&mut self, shutdown: &CancellationToken) -> Option<Outcome> {
        tracing::info!(lease = %self.name, identity = %self.identity, "waiting to become the leader");
        loop {
            let attempt = timeout(self.timing.renew_deadline, self.attempt());
            tokio::select! {
                () = shutdown.cancelled() => return Some(Outcome::Shutdown),
                result = attempt => match result {
                    Ok(Ok(Attempt::Held)) => {
                        tracing::info!(lease = %self.name, "this replica leads");
                        return None;
                    }
                    Ok(Ok(Attempt::Other | Attempt::Raced)) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "the lease could not be asked for"),
                    Err(_) => tracing::warn!("the API server did not answer about the lease"),
                },
            }
            tokio::select! {
                () = shutdown.cancelled() => return Some(Outcome::Shutdown),
                () = sleep(self.timing.retry_period) => {}
            }
        }
    }

    /// Renews the lease until it is lost or the process is told to stop.
    pub async fn hold(&mut self, shutdown: &CancellationToken) -> Outcome {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Outcome::Shutdown,
                () = sleep(self.timing.retry_period) => {}
            }
            let left = self.timing.renew_deadline.saturating_sub(renewed.elapsed());
            match timeout(left.max(Duration::from_millis(1)), self.attempt()).await {
                Ok(Ok(Attempt::Held)) => renewed = Instant::now(),
                Ok(Ok(Attempt::Raced)) => {}
                Ok(Ok(Attempt::Other)) => {
                    tracing::error!("another replica holds the lease");
                    return Outcome::Lost;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the lease could not be renewed"),
                Err(_) => tracing::warn!("the API server did not answer about the lease"),
            }
            if renewed.elapsed() >= self.timing.renew_deadline {
                return Outcome::Lost;
            }
        }
    }

    /// Gives the lease back, so that the next leader need not wait for its end. Failure is harmless: it ends by itself.
    pub async fn release(&mut self) {
        let result = timeout(self.timing.retry_period, self.give_back()).await;
        if let Ok(Err(error)) = result {
            tracing::warn!(%error, "the lease could not be given back");
        }
    }

    /// One try to take or renew the lease.
    async fn attempt(&mut self) -> Result<Attempt, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(None, true)),
            };
            return self.settle(self.api.create(&PostParams::default(), &lease).await);
        };
        let observed = observe(self.observed.take(), record(&lease), Instant::now());
        let decision = decide(&observed, &self.identity, Instant::now());
        self.observed = Some(observed);
        let taken = match decision {
            Decision::Wait => return Ok(Attempt::Other),
            Decision::Take => true,
            Decision::Renew => false,
        };
        // The resourceVersion that was read makes the write fail if anybody wrote in between.
        let lease = Lease {
            spec: Some(self.spec(lease.spec.as_ref(), taken)),
            metadata: lease.metadata,
        };
        let written = self.api.replace(&self.name, &PostParams::default(), &lease).await;
        self.settle(written)
    }

    fn settle(&mut self, written: Result<Lease, kube::Error>) -> Result<Attempt, kube::Error> {
        match written {
            Ok(lease) => {
                self.observed = Some(observe(None, record(&lease), Instant::now()));
                Ok(Attempt::Held)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(Attempt::Raced),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>, taken: bool) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timing.lease_duration.as_secs()).ok(),
            acquire_time: match before {
                Some(spec) if !taken => spec.acquire_time.clone(),
                _ => Some(now.clone()),
            },
            renew_time: Some(now),
            lease_transitions: Some(transitions + i32::from(taken && before.is_some())),
            ..LeaseSpec::default()
        }
    }

    async fn give_back(&mut self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return Ok(());
        };
        let Some(spec) = lease.spec.as_mut() else {
            return Ok(());
        };
        if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            return Ok(());
        }
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        tracing::info!(lease = %self.name, "lease given back");
        Ok(())
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake::{Fake, answer};
    use serde_json::{Value, json};

    const TIMING: Timing = Timing {
        lease_duration: Duration::from_secs(1),
        renew_deadline: Duration::from_millis(200),
        retry_period: Duration::from_millis(20),
    };

    fn lease(holder: &str, version: &str) -> Value {
        json!({
            "metadata": {"name": "operator", "resourceVersion": version},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 1, "leaseTransitions": 4},
        })
    }

    fn status(code: u16, reason: &str) -> (u16, Value) {
        answer(code, &json!({"kind": "Status", "code": code, "reason": reason}))
    }

    fn election(answers: Vec<(u16, Value)>) -> (Election, Fake) {
        let (client, requests) = Fake::serve(answers);
        let election = Election::new(client, "tokenweir-system", "operator", "me".into(), TIMING).unwrap();
        (election, requests)
    }

    #[tokio::test]
    async fn a_lease_that_nobody_made_is_made_and_given_back_in_the_end() {
        let (mut election, requests) = election(vec![
            status(404, "NotFound"),
            answer(201, &lease("me", "1")),
            answer(200, &lease("me", "1")),
            answer(200, &lease("", "2")),
        ]);
        assert_eq!(election.acquire(&CancellationToken::new()).await, None);
        election.release().await;
        let requests = requests.finish().await;
        let methods: Vec<&str> = requests.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(methods, ["GET", "POST", "GET", "PUT"]);
        assert_eq!(requests[3].body["spec"]["holderIdentity"], "");
    }

    #[tokio::test]
    async fn a_lease_given_back_is_taken_on_the_version_that_was_read() {
        let (mut election, requests) = election(vec![answer(200, &lease("", "7")), answer(200, &lease("me", "8"))]);
        assert_eq!(election.acquire(&CancellationToken::new()).await, None);
        let put = &requests.finish().await[1].body;
        assert_eq!(put["metadata"]["resourceVersion"], "7");
        assert_eq!(put["spec"]["holderIdentity"], "me");
        assert_eq!(put["spec"]["leaseTransitions"], 5);
    }

    #[tokio::test]
    async fn a_holder_that_cannot_renew_stops_within_its_deadline() {
        let (mut election, _requests) = election(Vec::new());
        let begun = Instant::now();
        assert_eq!(election.hold(&CancellationToken::new()).await, Outcome::Lost);
        assert!(begun.elapsed() >= TIMING.renew_deadline);
        assert!(begun.elapsed() < TIMING.lease_duration);
    }

    #[tokio::test]
    async fn a_holder_whose_lease_another_took_stops_at_once_and_a_lost_race_is_tried_again() {
        let (mut election, _requests) = election(vec![
            answer(200, &lease("me", "1")),
            status(409, "Conflict"),
            answer(200, &lease("other", "2")),
        ]);
        assert_eq!(election.hold(&CancellationToken::new()).await, Outcome::Lost);
    }
}
