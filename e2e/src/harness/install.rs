//! Tokenweir in a cluster: programs, images, charts. Only what changed is done again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::error::{Result, api};
use super::helm::{Helm, Release};
use super::objects::Objects;
use super::wait;
use crate::cluster::images::{self, Image, ImageRef};
use crate::cluster::{Cluster, Folders, Progress, release};

/// The namespace of operator and adapter.
pub const NAMESPACE: &str = "tokenweir-system";
/// The release of the programs.
pub const RELEASE: &str = "tokenweir";
/// The release of the custom resource definitions.
pub const CRD_RELEASE: &str = "tokenweir-crds";
/// The API group of the custom resource definitions.
const GROUP: &str = "tokenweir.dev";
/// The programs, as `tokenweir-NAME`, that become images.
const PROGRAMS: [&str; 4] = ["operator", "gateway", "adapter", "sim"];
/// From the first pod that is scheduled to both replicas of both programs being ready, with room for a slow machine.
const READY_LIMIT: Duration = Duration::from_mins(3);

/// The images of one build of the source tree.
#[derive(Debug, Clone)]
pub struct Images {
    programs: BTreeMap<String, PathBuf>,
    refs: Vec<ImageRef>,
    pull_policy: &'static str,
}

impl Images {
    /// Builds the programs and their images and makes them available in the cluster.
    pub async fn build(cluster: &Cluster, folders: &Folders, progress: &Progress) -> Result<Self> {
        let packages = PROGRAMS.map(|name| format!("tokenweir-{name}"));
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        let programs = release::build(&packages, folders, progress).await?;
        let mut wanted = Vec::with_capacity(PROGRAMS.len());
        for name in PROGRAMS {
            let binary = release::program(&programs, &format!("tokenweir-{name}"))?;
            wanted.push(Image {
                name: name.to_owned(),
                binary,
            });
        }
        let built = images::build(&wanted, folders, progress).await?;
        let refs = cluster.load_images(&built).await?;
        // What was imported into the nodes must not be looked for in a registry; what was pushed to one is there.
        let imported = refs.iter().all(|image| image.repository.starts_with("localhost/"));
        Ok(Self {
            programs,
            refs,
            pull_policy: if imported { "Never" } else { "IfNotPresent" },
        })
    }

    /// An image by the name of its program, such as `gateway`.
    pub fn get(&self, name: &str) -> Option<&ImageRef> {
        self.refs.iter().find(|image| image.name == name)
    }

    /// The static program in an image, by the same name.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        Ok(release::program(&self.programs, &format!("tokenweir-{name}"))?)
    }

    /// Whether nodes look for the images in a registry.
    pub fn pull_policy(&self) -> &'static str {
        self.pull_policy
    }

    /// The chart's image values.
    pub fn values(&self) -> Value {
        let mut values = serde_json::Map::new();
        for image in &self.refs {
            if image.name != "sim" {
                let value = json!({
                    "repository": image.repository, "tag": image.tag, "pullPolicy": self.pull_policy
                });
                values.insert(image.name.clone(), json!({ "image": value }));
            }
        }
        Value::Object(values)
    }
}

/// The release of the custom resource definitions.
pub fn crd_release(folders: &Folders) -> Release {
    Release {
        name: CRD_RELEASE.to_owned(),
        namespace: NAMESPACE.to_owned(),
        chart: folders.source.join("charts/tokenweir-crds"),
        values: json!({}),
    }
}

/// The release of the programs with these images.
pub fn main_release(folders: &Folders, images: &Images) -> Release {
    Release {
        name: RELEASE.to_owned(),
        namespace: NAMESPACE.to_owned(),
        chart: folders.source.join("charts/tokenweir"),
        values: images.values(),
    }
}

/// Installs or upgrades both charts and waits until operator and adapter are ready. Returns the names of the releases
/// that were touched.
pub async fn charts(cluster: &Cluster, folders: &Folders, images: &Images, progress: &Progress) -> Result<Vec<String>> {
    let helm = Helm::new(cluster);
    let mut touched = Vec::new();
    for release in [crd_release(folders), main_release(folders, images)] {
        progress.step(format!("installing the chart {}", release.name));
        if helm.ensure(&release, READY_LIMIT).await? {
            touched.push(release.name);
        } else {
            progress.step(format!("{} is installed and unchanged", release.name));
        }
    }
    Ok(touched)
}

/// Whether the namespace of operator and adapter exists.
pub async fn namespace_exists(client: &Client) -> Result<bool> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = namespaces
        .get_opt(NAMESPACE)
        .await
        .map_err(api(format!("read namespace {NAMESPACE}")))?;
    Ok(found.is_some())
}

/// Deletes the custom resource definitions of Tokenweir and waits until they are gone. Helm leaves them when a release
/// is removed, because every object of their kinds goes with them.
pub async fn remove_crds(objects: &Objects, limit: Duration) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(objects.client().clone());
    let list = definitions
        .list(&ListParams::default())
        .await
        .map_err(api("list custom resource definitions"))?;
    let ours = list
        .items
        .into_iter()
        .filter(|definition| definition.spec.group == GROUP);
    for name in ours.filter_map(|definition| definition.metadata.name) {
        let what = format!("the end of the definition {name}");
        match definitions.delete(&name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            other => other.map_err(api(format!("delete {name}")))?,
        };
        wait::watch(definitions.clone(), &name, what, limit, |found| match found {
            None => Ok(()),
            Some(_) => Err("it is there".to_owned()),
        })
        .await?;
    }
    Ok(())
}
