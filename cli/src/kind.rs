//! The kinds that can be asked for, by all their names.

use std::str::FromStr;

use kube::Resource;
use kube::core::ApiResource;
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};

/// A kind of `tokenweir.dev`, in the order in which people meet them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Gateway,
    Provider,
    Route,
    Tenant,
    Policy,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Gateway, Self::Provider, Self::Route, Self::Tenant, Self::Policy];

    /// How the API server knows it.
    pub fn resource(self) -> ApiResource {
        fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
            ApiResource::erase::<K>(&())
        }
        match self {
            Self::Gateway => of::<LLMGateway>(),
            Self::Provider => of::<ModelProvider>(),
            Self::Route => of::<ModelRoute>(),
            Self::Tenant => of::<Tenant>(),
            Self::Policy => of::<ScalingPolicy>(),
        }
    }

    /// The text in `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "LLMGateway",
            Self::Provider => "ModelProvider",
            Self::Route => "ModelRoute",
            Self::Tenant => "Tenant",
            Self::Policy => "ScalingPolicy",
        }
    }

    /// All names under which it can be asked for, in lower case; the first one is shown.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Gateway => &["llmgateway", "llmgateways", "llmgw", "gateway", "gateways"],
            Self::Provider => &["modelprovider", "modelproviders", "mp", "provider", "providers"],
            Self::Route => &["modelroute", "modelroutes", "mr", "route", "routes"],
            Self::Tenant => &["tenant", "tenants", "tn"],
            Self::Policy => &["scalingpolicy", "scalingpolicies", "sp", "policy", "policies"],
        }
    }

    /// The name that is shown before the name of an object, as in `modelroute/chat`.
    pub fn singular(self) -> &'static str {
        self.names().first().copied().unwrap_or_default()
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        // As kubectl knows it with its group.
        let plain = lower.strip_suffix(".tokenweir.dev").unwrap_or(&lower);
        Self::ALL
            .into_iter()
            .find(|kind| kind.names().contains(&plain))
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.singular()).collect();
                format!(
                    "{text:?} is not a kind of tokenweir.dev; there are {}",
                    known.join(", ")
                )
            })
    }
}

/// What is asked for: `KIND`, or `KIND/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub kind: Kind,
    pub name: Option<String>,
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = match text.split_once('/') {
            Some((_, "")) => return Err(format!("{text:?} has no name behind the slash")),
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (text, None),
        };
        Ok(Self {
            kind: kind.parse()?,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_every_name_that_kubectl_knows() {
        for kind in Kind::ALL {
            let resource = kind.resource();
            assert_eq!(resource.kind, kind.name());
            for name in [
                &resource.kind,
                &resource.plural,
                &format!("{}.tokenweir.dev", resource.plural),
            ] {
                assert_eq!(name.parse(), Ok(kind), "{name}");
            }
        }
        let short = tokenweir_crds::schema::definitions().unwrap();
        let short = short.iter().flat_map(|d| d.spec.names.short_names.iter().flatten());
        assert_eq!(
            short.filter(|name| name.parse::<Kind>().is_ok()).count(),
            Kind::ALL.len()
        );
        assert!(
            "gatway"
                .parse::<Kind>()
                .unwrap_err()
                .contains("llmgateway, modelprovider")
        );
    }

    #[test]
    fn a_name_may_stand_behind_the_kind() {
        let subject = Subject {
            kind: Kind::Route,
            name: Some("chat".to_owned()),
        };
        assert_eq!("route/chat".parse(), Ok(subject));
        assert!("route/".parse::<Subject>().is_err());
    }
}
