//! A namespace per test.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client};

use super::error::{Result, api};
use super::objects::Objects;
use super::wait;

/// Marks namespaces that tests made, so that what a killed run left can be found and removed.
pub const LABEL: &str = "tokenweir.dev/e2e";

/// Longer than any test, far shorter than a person would wait.
const END_LIMIT: Duration = Duration::from_mins(2);

/// Names are at most 63 characters; the random end of a name takes its part.
const NAME_LIMIT: usize = 50;

/// Makes a namespace named after a test.
pub async fn create(client: &Client, test: &str) -> Result<String> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let prefix = prefix(test);
    let namespace = Namespace {
        metadata: ObjectMeta {
            generate_name: Some(prefix.clone()),
            labels: Some([(LABEL.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let made = namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .map_err(api(format!("create a namespace {prefix}…")))?;
    Ok(made.metadata.name.unwrap_or_default())
}

/// Deletes a namespace without waiting for its end.
pub async fn delete(client: &Client, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.delete(name, &DeleteParams::background()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(|_| ()).map_err(api(format!("delete namespace {name}"))),
    }
}

/// Waits until a namespace and all in it are gone. The error says what Kubernetes says is left.
pub async fn wait_gone(objects: &Objects, name: &str, limit: Duration) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(objects.client().clone());
    wait::watch(
        namespaces,
        name,
        format!("the end of namespace {name}"),
        limit,
        |found| match found {
            None => Ok(()),
            Some(namespace) => {
                let conditions = namespace.status.as_ref().and_then(|status| status.conditions.clone());
                let left: Vec<_> = conditions
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|c| c.status == "True")
                    .map(|c| format!("{}: {}", c.type_, c.message.unwrap_or_default()))
                    .collect();
                Err(format!("it is there; {}", left.join("; ")))
            }
        },
    )
    .await
}

/// Deletes a namespace and waits for its end.
pub async fn remove(objects: &Objects, name: &str) -> Result<()> {
    delete(objects.client(), name).await?;
    wait_gone(objects, name, END_LIMIT).await
}

/// A prefix for a name from the name of a test function.
fn prefix(test: &str) -> String {
    let clean: String = test
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let short: String = clean.trim_matches('-').chars().take(NAME_LIMIT).collect();
    format!("{}-", short.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_valid_beginning_of_a_name() {
        assert_eq!(prefix("autoscale::through_Pods"), "autoscale--through-pods-");
        let long = prefix(&"a_very_long_name_".repeat(10));
        assert!(
            long.len() <= NAME_LIMIT + 1 && long.ends_with('-') && !long.ends_with("--"),
            "{long}"
        );
    }
}
