//! The queues of all controllers.

use std::convert::Infallible;
use std::pin::Pin;

use futures::Stream;
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};
use tokenweir_crds::compile::Kind;

use crate::board::News;
use crate::runtime::{Guarded, Queue, Waiting};
use crate::telemetry::Metrics;

/// Names of the controllers in logs and metrics.
pub mod names {
    /// Configuration and owned objects of gateways.
    pub const GATEWAY: &str = "llmgateway";
    /// Status of gateways.
    pub const GATEWAY_STATUS: &str = "llmgateway-status";
    /// Providers.
    pub const PROVIDER: &str = "modelprovider";
    /// Routes.
    pub const ROUTE: &str = "modelroute";
    /// Tenants.
    pub const TENANT: &str = "tenant";
    /// Scaling policies.
    pub const POLICY: &str = "scalingpolicy";
}

/// The sending sides.
#[derive(Clone)]
pub struct Queues {
    /// Gateways whose configuration or owned objects may have to change.
    pub gateways: Queue<Guarded<LLMGateway>>,
    /// Gateways whose status may read differently.
    pub gateway_statuses: Queue<Guarded<LLMGateway>>,
    /// Providers.
    pub providers: Queue<Guarded<ModelProvider>>,
    /// Routes.
    pub routes: Queue<Guarded<ModelRoute>>,
    /// Tenants.
    pub tenants: Queue<Guarded<Tenant>>,
    /// Scaling policies.
    pub policies: Queue<Guarded<ScalingPolicy>>,
}

/// The receiving side of one controller.
pub struct Inbox<K: Resource<DynamicType = ()>> {
    /// Objects to reconcile.
    pub stream: Pin<Box<dyn Stream<Item = Result<ObjectRef<K>, Infallible>> + Send>>,
    /// What waits.
    pub waiting: Waiting<K>,
}

/// The receiving sides.
pub struct Inboxes {
    /// See [`Queues::gateways`].
    pub gateways: Inbox<Guarded<LLMGateway>>,
    /// See [`Queues::gateway_statuses`].
    pub gateway_statuses: Inbox<Guarded<LLMGateway>>,
    /// Providers.
    pub providers: Inbox<Guarded<ModelProvider>>,
    /// Routes.
    pub routes: Inbox<Guarded<ModelRoute>>,
    /// Tenants.
    pub tenants: Inbox<Guarded<Tenant>>,
    /// Scaling policies.
    pub policies: Inbox<Guarded<ScalingPolicy>>,
}

impl Queues {
    /// All queues, with their depths in `metrics`.
    pub fn new(metrics: &Metrics) -> (Self, Inboxes) {
        let (gateways, gateways_in) = pair(metrics, names::GATEWAY);
        let (gateway_statuses, gateway_statuses_in) = pair(metrics, names::GATEWAY_STATUS);
        let (providers, providers_in) = pair(metrics, names::PROVIDER);
        let (routes, routes_in) = pair(metrics, names::ROUTE);
        let (tenants, tenants_in) = pair(metrics, names::TENANT);
        let (policies, policies_in) = pair(metrics, names::POLICY);
        let queues = Self {
            gateways,
            gateway_statuses,
            providers,
            routes,
            tenants,
            policies,
        };
        let inboxes = Inboxes {
            gateways: gateways_in,
            gateway_statuses: gateway_statuses_in,
            providers: providers_in,
            routes: routes_in,
            tenants: tenants_in,
            policies: policies_in,
        };
        (queues, inboxes)
    }

    /// Queues whoever has something new to say in its status.
    pub fn on_news(&self, news: News) {
        match news {
            News::Gateway(key) => self
                .gateway_statuses
                .push(ObjectRef::new(&key.name).within(&key.namespace)),
            News::Part { namespace, part } => match part.kind {
                Kind::LLMGateway => self
                    .gateway_statuses
                    .push(ObjectRef::new(&part.name).within(&namespace)),
                Kind::ModelProvider => self.providers.push(ObjectRef::new(&part.name).within(&namespace)),
                Kind::ModelRoute => self.routes.push(ObjectRef::new(&part.name).within(&namespace)),
                Kind::Tenant => self.tenants.push(ObjectRef::new(&part.name).within(&namespace)),
            },
        }
    }
}

fn pair<K>(metrics: &Metrics, name: &'static str) -> (Queue<K>, Inbox<K>)
where
    K: Resource<DynamicType = ()> + Send + Sync + 'static,
{
    let (queue, stream, waiting) = Queue::new(metrics.queue(name));
    let inbox = Inbox {
        stream: Box::pin(stream),
        waiting,
    };
    (queue, inbox)
}
