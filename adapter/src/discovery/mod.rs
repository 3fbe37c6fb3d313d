//! Discovery: what is served, in every form that clients and the aggregator ask for.
//!
//! All of it is fixed when the program is built. It depends on no pod, no object and no API server, so it answers when
//! nothing else works: an aggregated API whose discovery fails blocks the deletion of namespaces in the whole cluster.

mod accept;
mod aggregated;
mod document;
mod groups;

pub use accept::{Form, negotiate};
pub use document::Document;
pub use groups::{described_resources, list_kind};

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::openapi;
use crate::target::{GroupVersion, Target};

/// Every discovery document, written once.
#[derive(Debug)]
pub struct Discovery {
    plain: HashMap<String, Document>,
    aggregated: HashMap<(String, Form), Document>,
}

/// What a discovery request gets.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// A document.
    Document(&'a Document),
    /// No form that the client accepts.
    NotAcceptable,
    /// No such document.
    Missing,
}

impl Discovery {
    /// Writes all documents.
    pub fn new() -> Result<Self, serde_json::Error> {
        let mut plain = HashMap::new();
        let mut add = |key: String, value: &Value| -> Result<(), serde_json::Error> {
            plain.insert(key, Document::json("application/json", value)?);
            Ok(())
        };
        add("/".into(), &root_paths())?;
        add("/version".into(), &version())?;
        add(
            "/api".into(),
            &json!({"kind": "APIVersions", "versions": [], "serverAddressByClientCIDRs": []}),
        )?;
        add("/apis".into(), &groups::group_list()?)?;
        for group in groups::GROUPS {
            add(format!("/apis/{group}"), &groups::group(group)?)?;
        }
        for version in GroupVersion::ALL {
            add(format!("/apis/{}", version.path()), &groups::resource_list(version)?)?;
            add(format!("/openapi/v3/apis/{}", version.path()), &openapi::v3(version))?;
        }
        add("/openapi/v2".into(), &openapi::v2())?;
        let index = openapi::v3_index(|version| {
            plain
                .get(&format!("/openapi/v3/apis/{}", version.path()))
                .map_or("", |document| document.hash())
        });
        plain.insert("/openapi/v3".into(), Document::json("application/json", &index)?);

        let mut aggregated = HashMap::new();
        for form in Form::AGGREGATED {
            for (path, value) in [
                ("/api", aggregated::empty(form)),
                ("/apis", aggregated::all_groups(form)),
            ] {
                aggregated.insert((path.to_owned(), form), Document::json(form.content_type(), &value)?);
            }
        }
        Ok(Self { plain, aggregated })
    }

    /// Finds the document of a target in a form that the `Accept` header allows.
    pub fn find(&self, target: &Target, accept: Option<&str>) -> Found<'_> {
        let path = match target {
            Target::Root => "/".to_owned(),
            Target::Version => "/version".into(),
            Target::Api => "/api".into(),
            Target::Groups => "/apis".into(),
            Target::Group(group) => format!("/apis/{group}"),
            Target::Resources(version) => format!("/apis/{}", version.path()),
            Target::OpenApiV2 => "/openapi/v2".into(),
            Target::OpenApiV3 => "/openapi/v3".into(),
            Target::OpenApiV3Of(version) => format!("/openapi/v3/apis/{}", version.path()),
            _ => return Found::Missing,
        };
        let document = match target {
            Target::Api | Target::Groups => match negotiate(accept) {
                None => return Found::NotAcceptable,
                Some(Form::Plain) => self.plain.get(&path),
                Some(form) => self.aggregated.get(&(path, form)),
            },
            _ => self.plain.get(&path),
        };
        document.map_or(Found::Missing, Found::Document)
    }
}

/// The paths that are served.
fn root_paths() -> Value {
    let mut paths = vec!["/api".to_owned(), "/apis".to_owned()];
    for group in groups::GROUPS {
        paths.push(format!("/apis/{group}"));
        let of_group = GroupVersion::ALL.into_iter().filter(|version| version.group() == group);
        paths.extend(of_group.map(|version| format!("/apis/{}", version.path())));
    }
    for path in [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ] {
        paths.push(path.into());
    }
    json!({ "paths": paths })
}

fn version() -> Value {
    json!({
        "major": env!("CARGO_PKG_VERSION_MAJOR"),
        "minor": env!("CARGO_PKG_VERSION_MINOR"),
        "gitVersion": concat!("v", env!("CARGO_PKG_VERSION")),
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

#[cfg(test)]
mod tests;
