//! The edges of an `LLMGateway`: where clients come in, what one of them may cost, and how the gateway reaches out.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::SecretNameRef;
use crate::rules;

/// A socket of the data plane.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = rules::rule(
        "self.protocol != 'HTTPS' || has(self.tlsSecretRef)",
        "the listener on port %s speaks HTTPS and has no certificate; give tlsSecretRef, a Secret of type kubernetes.io/tls",
        &["self.port"],
    ),
    validation = rules::rule(
        "self.protocol == 'HTTPS' || !has(self.tlsSecretRef)",
        "the listener on port %s has a certificate and speaks HTTP; write protocol: HTTPS, or leave tlsSecretRef out",
        &["self.port"],
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// TCP port of pods and Service. 9090 and 9901 are taken by metrics and administration.
    #[schemars(range(min = 1, max = 65535))]
    #[x_kube(validation = rules::rule(
        "self != 9901 && self != 9090",
        "port %s is taken: 9090 serves metrics and 9901 administration; choose another one",
        &["self"],
    ))]
    pub port: u16,

    /// What the socket speaks. `HTTP` is HTTP/1.1 and HTTP/2 with prior knowledge, without TLS. `HTTPS` is both with TLS 1.2 or 1.3,
    /// chosen by ALPN.
    #[serde(default)]
    pub protocol: Protocol,

    /// The Secret of type `kubernetes.io/tls` with the certificate chain (`tls.crt`) and its key (`tls.key`). A change reaches the
    /// pods without a restart; connections that are open stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_ref: Option<SecretNameRef>,
}

/// What a socket speaks.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2 with prior knowledge, without TLS.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// HTTP/1.1 and HTTP/2 with TLS.
    #[serde(rename = "HTTPS")]
    Https,
}

/// What clients may cost each pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayLimits {
    /// Largest body of a request, as it is sent and as it is once decompressed; a larger one is answered with 413. A number of bytes,
    /// also with k, M, G, Ki, Mi or Gi.
    #[serde(default = "default_max_body")]
    #[x_kube(validation = rules::bytes_between("maxBodyBytes", "1Ki", "1Gi"))]
    pub max_body_bytes: Quantity,

    /// Connections of clients that one pod holds at a time; one more is closed at once.
    #[serde(default = "default_max_connections")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: default_max_body(),
            max_connections: default_max_connections(),
        }
    }
}

fn default_max_body() -> Quantity {
    Quantity("16Mi".to_owned())
}

fn default_max_connections() -> u32 {
    20_000
}

/// An HTTP proxy through which the gateway opens its connections to providers, with `CONNECT`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EgressProxy {
    /// Where the proxy is, such as `http://proxy.example.com:3128`. The gateway speaks plain HTTP with the proxy itself; TLS to a
    /// provider goes through it end to end.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::rule(
        r"self.matches('^http://[^/?#@\\s]+/?$') && isURL(self)",
        "'%s' is not the URL of a proxy; write http://, a host and a port, such as http://proxy.example.com:3128",
        &["self"],
    ))]
    pub url: String,

    /// The Secret of type `kubernetes.io/basic-auth` with `username` and `password` for the proxy. Absent: none are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretNameRef>,

    /// Hosts that are reached directly: a name (`api.example.com`), a name with everything below it (`.example.com`), an address, or a
    /// network (`10.0.0.0/8`). Services of the cluster and loopback addresses always are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = rules::rule(
            r"self.all(h, h.matches('^[.]?[0-9A-Za-z:]([-0-9A-Za-z.:]*[0-9A-Za-z:])?(/[0-9]{1,3})?$'))",
            "%s are not hosts; write a name such as api.example.com, .example.com for a name and all below it, an address, or a network such as 10.0.0.0/8",
            &[r"self.filter(h, !h.matches('^[.]?[0-9A-Za-z:]([-0-9A-Za-z.:]*[0-9A-Za-z:])?(/[0-9]{1,3})?$'))"],
        )
    )]
    pub no_proxy: Vec<String>,
}
