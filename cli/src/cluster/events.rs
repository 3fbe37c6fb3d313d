//! What happened to an object.

use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;

use super::{Access, Ask, ClusterError};
use crate::output::EventLine;

/// Events of one object, the newest last.
pub async fn events(access: &Access, namespace: &str, kind: &str, name: &str) -> Result<Vec<EventLine>, ClusterError> {
    let api: Api<Event> = Api::namespaced(access.client.clone(), namespace);
    let ask = Ask {
        verbs: &["list"],
        group: "",
        resource: "events",
        name: None,
        namespace: Some(namespace),
    };
    let about = ListParams::default().fields(&format!("involvedObject.kind={kind},involvedObject.name={name}"));
    let list = access.answer(&ask, api.list(&about)).await?;
    let mut events: Vec<EventLine> = list.items.iter().map(line).collect();
    events.sort_by_key(|event| event.last);
    Ok(events)
}

/// Events come in an old form and a new one, whose times stand in different fields.
fn line(event: &Event) -> EventLine {
    let series = event.series.as_ref();
    let last = series
        .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0));
    EventLine {
        kind: event.type_.clone().unwrap_or_default(),
        reason: event.reason.clone().unwrap_or_default(),
        last,
        count: series
            .and_then(|series| series.count)
            .or(event.count)
            .unwrap_or(1)
            .max(1),
        message: event.message.clone().unwrap_or_default(),
    }
}
