//! Services without a cluster: on this machine, or where the user says.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use tokenweir_config::ServiceRef;

use super::EndpointTable;

/// `NAME=HOST:PORT`: where a Service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    name: String,
    address: SocketAddr,
}

/// Why an override is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// Not of the form.
    #[error("{0:?} is not of the form NAME=HOST:PORT, such as vllm=127.0.0.1:8000")]
    Form(String),
    /// The host has no address, or the port is not one.
    #[error("{host:?} cannot be resolved: {reason}")]
    Host {
        /// The part after the equals sign.
        host: String,
        /// What the resolver said.
        reason: String,
    },
}

impl FromStr for Override {
    type Err = OverrideError;

    /// Resolves the host now: a name that has no address is a mistake to be seen at the start.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || OverrideError::Form(text.to_owned());
        let (name, host) = text.split_once('=').ok_or_else(form)?;
        if name.is_empty() || !host.contains(':') {
            return Err(form());
        }
        let failed = |reason: String| OverrideError::Host {
            host: host.to_owned(),
            reason,
        };
        let addresses: Vec<SocketAddr> = host
            .to_socket_addrs()
            .map_err(|error| failed(error.to_string()))?
            .collect();
        // `localhost` has two addresses and most servers listen on the IPv4 one.
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        let address = *address.ok_or_else(|| failed("it has no address".into()))?;
        Ok(Self {
            name: name.to_owned(),
            address,
        })
    }
}

/// Where Services are: on this machine at their own port, unless an override says otherwise.
#[derive(Debug, Clone, Default)]
pub struct LocalServices {
    overrides: BTreeMap<String, SocketAddr>,
}

impl LocalServices {
    /// With these overrides; of two for one Service the last one counts.
    pub fn new(overrides: Vec<Override>) -> Self {
        Self {
            overrides: overrides.into_iter().map(|one| (one.name, one.address)).collect(),
        }
    }

    /// Where a Service is.
    pub fn address(&self, service: &ServiceRef) -> SocketAddr {
        self.overrides
            .get(&service.name)
            .copied()
            .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, service.port)))
    }

    /// Names of overrides for which there is no Service.
    pub fn unused<'a>(&'a self, services: &'a [ServiceRef]) -> impl Iterator<Item = &'a str> {
        let named = move |name: &&str| services.iter().any(|service| service.name == *name);
        self.overrides
            .keys()
            .map(String::as_str)
            .filter(move |name| !named(name))
    }

    /// Writes the addresses of these Services into the table.
    pub fn publish(&self, table: &EndpointTable, services: &[ServiceRef]) {
        for service in services {
            table.set(service, vec![self.address(service)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceRef {
        ServiceRef {
            namespace: "llm".into(),
            name: name.into(),
            port: 8000,
            path: "/v1".into(),
        }
    }

    #[test]
    fn a_service_is_on_this_machine_unless_an_override_says_otherwise() {
        let services = LocalServices::new(vec!["vllm=10.0.0.9:81".parse().unwrap()]);
        let table = EndpointTable::new();
        services.publish(&table, &[service("sim"), service("vllm")]);
        assert_eq!(*table.get(&service("sim")), ["127.0.0.1:8000".parse().unwrap()]);
        assert_eq!(*table.get(&service("vllm")), ["10.0.0.9:81".parse().unwrap()]);
        assert_eq!(services.unused(&[service("sim")]).collect::<Vec<_>>(), ["vllm"]);
        assert_eq!(services.unused(&[service("vllm")]).count(), 0);
    }

    #[test]
    fn a_wrong_override_says_what_would_be_right() {
        for wrong in ["vllm", "=127.0.0.1:1", "vllm=127.0.0.1"] {
            let error = wrong.parse::<Override>().unwrap_err().to_string();
            assert!(error.contains("NAME=HOST:PORT") && error.contains(wrong), "{error}");
        }
        let error = "vllm=127.0.0.1:99999".parse::<Override>().unwrap_err();
        assert!(matches!(error, OverrideError::Host { .. }), "{error}");
    }
}
