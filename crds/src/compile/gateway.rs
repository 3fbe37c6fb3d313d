//! The gateway's own settings.

use tokenweir_config::{Admission, Limits, Listener, Order, Queue, Telemetry};

use super::egress::{Egress, egress};
use super::{Inputs, Problem, edge};
use crate::api::{AccessLog, QueueOrder};
use crate::conditions::Reason;

pub(super) struct Settings<'a> {
    pub listeners: Vec<Listener>,
    pub limits: Limits,
    pub egress: Option<Egress<'a>>,
    pub admission: Admission,
    pub telemetry: Telemetry,
    pub problems: Vec<Problem>,
    pub usable: bool,
}

pub(super) fn settings<'a>(inputs: &Inputs<'a>) -> Settings<'a> {
    let spec = &inputs.gateway.spec;
    let mut problems = Vec::new();
    let listeners = edge::listeners(inputs, spec, &mut problems);
    if listeners.is_empty() {
        let message = "no usable listener; give at least one port";
        problems.push(Problem::invalid(Reason::Invalid, "spec.listeners", message));
    }
    // Without its proxy a gateway must not go around it: where that cannot be read, nothing is served anew.
    let (egress, reachable) = match egress(inputs, spec.proxy.as_ref()) {
        Ok(egress) => (egress, true),
        Err(problem) => {
            problems.push(problem);
            (None, false)
        }
    };
    let queue = &spec.admission.queue;
    Settings {
        usable: !listeners.is_empty() && reachable,
        listeners,
        limits: edge::limits(&spec.limits),
        egress,
        admission: Admission {
            max_in_flight: spec.admission.max_in_flight,
            queue: Queue {
                max_depth: queue.max_depth,
                max_wait_ms: queue.max_wait.as_millis(),
                order: match queue.order {
                    QueueOrder::PriorityFair => Order::PriorityFair,
                    QueueOrder::Fifo => Order::Fifo,
                },
            },
            per_tenant_max_in_flight: spec.admission.per_tenant.max_in_flight,
        },
        telemetry: Telemetry {
            otlp_endpoint: spec
                .telemetry
                .otlp
                .as_ref()
                .map(|otlp| otlp.endpoint.trim_end_matches('/').to_owned()),
            access_log: spec.telemetry.access_log == AccessLog::Json,
        },
        problems,
    }
}
