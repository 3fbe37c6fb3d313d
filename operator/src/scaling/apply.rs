//! Fourth step: makes the autoscaler, or takes ours away.

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::dereference::Found;
use super::validate::Valid;
use crate::kubernetes::{Applier, ApplyError};

/// Makes the cluster as it was decided. Returns the autoscaler as it is, if the policy has one.
pub async fn apply(
    applier: &Applier,
    valid: &Valid<'_>,
    autoscaler: Option<HorizontalPodAutoscaler>,
    found: &Found,
) -> Result<Option<Arc<HorizontalPodAutoscaler>>, ApplyError> {
    match (autoscaler, &found.live) {
        (Some(autoscaler), live) => applier.apply(&valid.owner, &autoscaler, live.clone()).await.map(Some),
        (None, Some(live)) => applier.delete(&valid.owner, &**live).await.map(|()| None),
        (None, None) => Ok(None),
    }
}
