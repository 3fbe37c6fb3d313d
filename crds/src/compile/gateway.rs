//! The gateway's own settings.

use std::collections::BTreeSet;

use tokenweir_config::names::{ADMIN_PORT, TELEMETRY_PORT};
use tokenweir_config::{Admission, Listener, Order, Queue, Telemetry};

use super::Problem;
use crate::api::{AccessLog, LLMGatewaySpec, QueueOrder};
use crate::conditions::Reason;

pub(super) struct Settings {
    pub listeners: Vec<Listener>,
    pub admission: Admission,
    pub telemetry: Telemetry,
    pub problems: Vec<Problem>,
    pub usable: bool,
}

pub(super) fn settings(spec: &LLMGatewaySpec) -> Settings {
    let mut problems = Vec::new();
    let mut ports = BTreeSet::new();
    // The schema refuses all of these; an object from before a change of the schema may still have one.
    for (index, listener) in spec.listeners.iter().enumerate() {
        let field = format!("spec.listeners[{index}].port");
        let port = listener.port;
        if port == 0 || port == ADMIN_PORT || port == TELEMETRY_PORT {
            let message = format!("port {port} cannot be used for listeners; choose another one");
            problems.push(Problem::invalid(Reason::Invalid, field, message));
        } else if !ports.insert(port) {
            let message = format!("port {port} stands twice; each listener needs its own");
            problems.push(Problem::invalid(Reason::Invalid, field, message));
        }
    }
    if ports.is_empty() {
        let message = "no usable listener; give at least one port";
        problems.push(Problem::invalid(Reason::Invalid, "spec.listeners", message));
    }
    let queue = &spec.admission.queue;
    Settings {
        usable: !ports.is_empty(),
        listeners: ports.into_iter().map(|port| Listener { port }).collect(),
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
