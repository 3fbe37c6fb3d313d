//! Connections of clients and the certificates of listeners.

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::families::{Family, Result};
use crate::server::{Connections, Cut};
use crate::state::State;

pub(super) fn edge(encoder: &mut DescriptorEncoder<'_>, connections: &Connections, state: &State) -> Result {
    let mut family = Family::new(
        encoder,
        "tokenweir_connections",
        "Connections of clients that are open",
        MetricType::Gauge,
    )?;
    family.plain_gauge(i64::try_from(connections.open()).unwrap_or(i64::MAX))?;
    let mut family = Family::new(
        encoder,
        "tokenweir_connections_cut",
        "Connections that the gateway closed before their clients did, for what they cost",
        MetricType::Counter,
    )?;
    for why in Cut::ALL {
        family.counter(&[("reason", why.as_str())], connections.cut(why))?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_certificate_expiry_seconds",
        "Unix time at which the certificate of a listener ends",
        MetricType::Gauge,
    )?;
    for (port, until) in &*state.certificates() {
        family.gauge(&[("port", port.to_string())], *until)?;
    }
    Ok(())
}
