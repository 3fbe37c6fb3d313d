//! From what pods said to one value, or to the reason why there is none.
//!
//! The rule for a sum over pods: every pod that is ready and not being deleted must have fresh values, else there is no
//! sum, because a partial sum is a wrong value. A pod that is not ready or is being deleted counts while its values are
//! fresh and is left out otherwise.

use std::time::Duration;

use super::metric::Total;
use super::parameters::Parameters;
use super::{Metric, QueryError};
use crate::signals::PodView;

/// Names of pods in a message; more would only make it hard to read.
const NAMED_PODS: usize = 10;

/// A value and the age of the oldest measurement in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The value: finite, not negative.
    pub value: f64,
    /// Age of the oldest measurement.
    pub age: Duration,
}

/// What one pod's values say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// A value.
    Value(Measured),
    /// The pod has not spoken, or too long ago.
    Stale,
    /// The pod does not know the route or tenant.
    UnknownScope,
    /// No request in the window tells a value.
    NoRequests,
}

/// Reads one pod.
pub fn read_pod(pod: &PodView, metric: Metric, parameters: &Parameters, now: Duration) -> Reading {
    let Some((values, age)) = fresh(pod, parameters, now) else {
        return Reading::Stale;
    };
    let Some(values) = values else {
        return Reading::UnknownScope;
    };
    let mut total = Total::new(metric, parameters);
    total.add(values);
    total
        .value()
        .map_or(Reading::NoRequests, |value| Reading::Value(Measured { value, age }))
}

/// Sums over all pods that the parameters select. `what` names the subject in messages.
pub fn sum(
    pods: &[PodView],
    metric: Metric,
    parameters: &Parameters,
    now: Duration,
    what: &str,
) -> Result<Measured, QueryError> {
    let mut total = Total::new(metric, parameters);
    let mut oldest = Duration::ZERO;
    let (mut selected, mut reporting, mut knowing) = (0_usize, 0_usize, 0_usize);
    let mut missing = Vec::new();
    for pod in pods.iter().filter(|pod| selects(parameters, pod)) {
        selected += 1;
        match fresh(pod, parameters, now) {
            Some((values, age)) => {
                reporting += 1;
                oldest = oldest.max(age);
                if let Some(values) = values {
                    knowing += 1;
                    total.add(values);
                }
            }
            None if pod.info.counts() => missing.push(pod),
            None => {}
        }
    }
    if !missing.is_empty() {
        return Err(stale(&missing, parameters.max_age));
    }
    if selected == 0 {
        return Err(QueryError::NotFound(format!("no gateway pod serves {what}")));
    }
    if reporting == 0 {
        return Err(QueryError::Unavailable(format!(
            "no gateway pod of {what} is ready or reports values younger than {:?}",
            parameters.max_age
        )));
    }
    if knowing == 0 {
        return Err(QueryError::NotFound(format!("no gateway pod knows {what}")));
    }
    let value = total.value().ok_or_else(|| no_requests(what))?;
    Ok(Measured { value, age: oldest })
}

/// Whether the parameters select a pod.
pub fn selects(parameters: &Parameters, pod: &PodView) -> bool {
    parameters
        .gateway
        .as_ref()
        .is_none_or(|gateway| *gateway == pod.info.gateway)
        && parameters.pod.as_ref().is_none_or(|name| *name == pod.info.name)
}

/// The error for pods whose values are too old.
pub fn stale(pods: &[&PodView], max_age: Duration) -> QueryError {
    let mut names: Vec<&str> = pods.iter().take(NAMED_PODS).map(|pod| pod.info.name.as_str()).collect();
    let more = pods.len().saturating_sub(NAMED_PODS);
    let and_more = format!("{more} more");
    if more > 0 {
        names.push(&and_more);
    }
    QueryError::Unavailable(format!("no values younger than {max_age:?} from {}", names.join(", ")))
}

/// The error where no request tells a value.
pub fn no_requests(what: &str) -> QueryError {
    QueryError::NotFound(format!("no request of {what} in the window tells a value"))
}

/// A pod's values for the wanted scope, if they are fresh, with their age. The inner option is empty if the pod does not
/// know the scope.
fn fresh<'a>(
    pod: &'a PodView,
    parameters: &Parameters,
    now: Duration,
) -> Option<(Option<&'a tokenweir_signals::Values>, Duration)> {
    let live = pod.live.as_ref()?;
    let age = now.saturating_sub(live.measured);
    (age <= parameters.max_age).then(|| (live.signals.scopes.get(&parameters.scope), age))
}

#[cfg(test)]
mod tests {
    use tokenweir_signals::{Scope, Values};

    use super::*;
    use crate::fixtures::{PodFixture, seconds};

    const NOW: u64 = 100;

    fn depth(n: u64) -> Values {
        Values {
            queue_depth: n,
            ..Values::default()
        }
    }

    fn sum_of(pods: &[PodView], parameters: &Parameters) -> Result<f64, QueryError> {
        sum(pods, Metric::QueueDepth, parameters, seconds(NOW), "edge").map(|measured| measured.value)
    }

    #[test]
    fn a_sum_needs_every_ready_pod_fresh() {
        let fresh = PodFixture::new("edge-1").said(depth(3), NOW - 1).view();
        let old = PodFixture::new("edge-2").said(depth(4), NOW - 6);
        assert_eq!(sum_of(std::slice::from_ref(&fresh), &Parameters::default()), Ok(3.0));
        let error = sum_of(&[fresh.clone(), old.clone().view()], &Parameters::default()).unwrap_err();
        assert_eq!(
            error,
            QueryError::Unavailable("no values younger than 5s from edge-2".into())
        );
        let silent = PodFixture::new("edge-3").view();
        assert!(sum_of(&[fresh.clone(), silent], &Parameters::default()).is_err());
        // The same pod on its way out, or not ready, is left out.
        assert_eq!(
            sum_of(
                &[fresh.clone(), old.clone().terminating().view()],
                &Parameters::default()
            ),
            Ok(3.0)
        );
        assert_eq!(sum_of(&[fresh, old.unready().view()], &Parameters::default()), Ok(3.0));
    }

    #[test]
    fn a_terminating_pod_counts_while_it_still_reports() {
        let fresh = PodFixture::new("edge-1").said(depth(3), NOW).view();
        let leaving = PodFixture::new("edge-2").said(depth(4), NOW).terminating().view();
        assert_eq!(sum_of(&[fresh, leaving], &Parameters::default()), Ok(7.0));
    }

    #[test]
    fn the_age_of_a_sum_is_that_of_its_oldest_part() {
        let pods = [
            PodFixture::new("edge-1").said(depth(3), NOW).view(),
            PodFixture::new("edge-2").said(depth(4), NOW - 2).view(),
        ];
        let measured = sum(&pods, Metric::QueueDepth, &Parameters::default(), seconds(NOW), "edge").unwrap();
        assert_eq!(measured.age, seconds(2));
    }

    #[test]
    fn without_any_pod_or_report_or_scope_there_is_no_zero() {
        assert!(matches!(
            sum_of(&[], &Parameters::default()),
            Err(QueryError::NotFound(_))
        ));
        let unready = PodFixture::new("edge-1").unready().view();
        assert!(matches!(
            sum_of(&[unready], &Parameters::default()),
            Err(QueryError::Unavailable(_))
        ));
        let pod = PodFixture::new("edge-1").said(depth(3), NOW).view();
        let tenant = Parameters {
            scope: Scope::tenant("acme"),
            ..Parameters::default()
        };
        assert!(matches!(sum_of(&[pod], &tenant), Err(QueryError::NotFound(_))));
    }

    #[test]
    fn a_sum_looks_at_the_selected_gateway_alone() {
        let pods = [
            PodFixture::new("edge-1").said(depth(3), NOW).view(),
            PodFixture::new("other-1").of("other").said(depth(4), NOW - 60).view(),
        ];
        let edge = Parameters {
            gateway: Some("edge".into()),
            ..Parameters::default()
        };
        assert_eq!(sum_of(&pods, &edge), Ok(3.0));
        assert!(sum_of(&pods, &Parameters::default()).is_err());
    }

    #[test]
    fn many_missing_pods_are_counted_instead_of_named() {
        let pods: Vec<PodView> = (10..40).map(|n| PodFixture::new(&format!("edge-{n}")).view()).collect();
        let error = sum_of(&pods, &Parameters::default()).unwrap_err().to_string();
        assert!(
            error.contains("edge-19, 20 more") && !error.contains("edge-20"),
            "{error}"
        );
    }

    #[test]
    fn a_single_pod_says_why_it_has_no_value() {
        let read = |pod: PodFixture, metric| read_pod(&pod.view(), metric, &Parameters::default(), seconds(NOW));
        assert_eq!(read(PodFixture::new("a"), Metric::InFlight), Reading::Stale);
        let idle = PodFixture::new("a").said(Values::default(), NOW);
        assert_eq!(read(idle.clone(), Metric::Ttft), Reading::NoRequests);
        assert!(matches!(
            read(idle, Metric::InFlight),
            Reading::Value(Measured { value: 0.0, .. })
        ));
    }
}
