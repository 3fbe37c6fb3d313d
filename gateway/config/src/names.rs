//! Names and ports that the operator, the gateway and the adapter must agree on.

/// Port of the authenticated admin interface of a gateway pod.
pub const ADMIN_PORT: u16 = 9901;
/// Port of probes and metrics of a gateway pod.
pub const TELEMETRY_PORT: u16 = 9090;

/// Path of the status report on the admin port.
pub const STATUS_PATH: &str = "/status";
/// The same with the routes, which nobody needs who only wants to know which configuration is served.
pub const STATUS_WITH_ROUTES: &str = "/status?with=routes";
/// Path of the live signal stream on the admin port.
pub const SIGNALS_PATH: &str = "/signals/v1/stream";

/// Label on every gateway pod: the name of its `LLMGateway`.
pub const GATEWAY_LABEL: &str = "tokenweir.dev/gateway";

/// Secret in the install namespace from which the keys of all admin ports are derived.
pub const ROOT_KEY_SECRET: &str = "tokenweir-root-key";
/// Its data key.
pub const ROOT_KEY_FIELD: &str = "rootKey";

/// Name of the Secret that holds the index of a gateway's snapshot.
pub fn snapshot_secret(gateway: &str) -> String {
    format!("{gateway}-snapshot")
}
