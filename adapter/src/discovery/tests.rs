use super::*;

fn document(path: &str, accept: Option<&str>) -> Document {
    match Discovery::new().unwrap().find(&Target::parse(path), accept) {
        Found::Document(document) => document.clone(),
        other => panic!("{path}: {other:?}"),
    }
}

fn json(path: &str, accept: Option<&str>) -> Value {
    serde_json::from_slice(&document(path, accept).body).unwrap()
}

#[test]
fn plain_documents_are_as_kubernetes_writes_them() {
    for (name, path) in [
        ("root", "/"),
        ("api", "/api"),
        ("groups", "/apis"),
        ("custom_group", "/apis/custom.metrics.k8s.io"),
        ("external_resources", "/apis/external.metrics.k8s.io/v1beta1"),
    ] {
        insta::assert_json_snapshot!(name, json(path, None));
    }
}

#[test]
fn custom_resources_list_every_metric_of_every_described_resource() {
    for version in ["v1beta1", "v1beta2"] {
        let list = json(&format!("/apis/custom.metrics.k8s.io/{version}"), None);
        assert_eq!(list["groupVersion"], format!("custom.metrics.k8s.io/{version}"));
        let resources = list["resources"].as_array().unwrap();
        assert_eq!(resources.len(), 4 * 9);
        let expected = serde_json::json!({
            "name": "llmgateways.tokenweir.dev/queue_depth", "singularName": "", "namespaced": true,
            "kind": "MetricValueList", "verbs": ["get"],
        });
        assert!(resources.contains(&expected), "{list}");
    }
}

#[test]
fn the_aggregated_form_lists_the_same_resources_as_the_plain_one() {
    for form in Form::AGGREGATED {
        let list = json("/apis", Some(form.content_type()));
        assert_eq!(list["apiVersion"], form.api_version());
        for group in list["items"].as_array().unwrap() {
            for version in group["versions"].as_array().unwrap() {
                let path = format!(
                    "/apis/{}/{}",
                    group["metadata"]["name"].as_str().unwrap(),
                    version["version"].as_str().unwrap()
                );
                let plain = json(&path, None);
                let mut plain: Vec<&str> = plain["resources"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|r| r["name"].as_str().unwrap())
                    .collect();
                let mut aggregated = Vec::new();
                for resource in version["resources"].as_array().unwrap() {
                    let name = resource["resource"].as_str().unwrap();
                    assert!(resource["responseKind"].is_object(), "{resource}");
                    let Some(subresources) = resource["subresources"].as_array() else {
                        aggregated.push(name.to_owned());
                        continue;
                    };
                    for subresource in subresources {
                        assert_eq!(subresource["responseKind"]["kind"], "MetricValueList");
                        aggregated.push(format!("{name}/{}", subresource["subresource"].as_str().unwrap()));
                    }
                }
                plain.sort_unstable();
                aggregated.sort_unstable();
                assert_eq!(plain, aggregated, "{path}");
            }
        }
    }
}

#[test]
fn the_aggregated_form_is_as_kubernetes_reads_it() {
    insta::assert_json_snapshot!("aggregated_v2", json("/apis", Some(Form::V2.content_type())));
    assert_eq!(
        document("/apis", Some(Form::V2.content_type())).content_type,
        Form::V2.content_type()
    );
    assert_eq!(
        json("/api", Some(Form::V2.content_type()))["items"],
        serde_json::json!([])
    );
}

#[test]
fn an_aggregated_form_that_is_not_served_is_not_answered_with_a_plain_list() {
    let discovery = Discovery::new().unwrap();
    let unknown = "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList";
    assert!(matches!(
        discovery.find(&Target::Groups, Some(unknown)),
        Found::NotAcceptable
    ));
    // Below `/apis` there is one form alone, whatever is asked for.
    assert!(matches!(
        discovery.find(&Target::Group("custom.metrics.k8s.io"), Some(unknown)),
        Found::Document(_)
    ));
}

#[test]
fn no_resource_list_is_empty() {
    for version in GroupVersion::ALL {
        let list = json(&format!("/apis/{}", version.path()), None);
        assert!(!list["resources"].as_array().unwrap().is_empty());
    }
}

#[test]
fn the_openapi_index_names_each_version_with_the_hash_of_its_document() {
    let index = json("/openapi/v3", None);
    for version in GroupVersion::ALL {
        let path = format!("/openapi/v3/apis/{}", version.path());
        let url = index["paths"][format!("apis/{}", version.path())]["serverRelativeURL"]
            .as_str()
            .unwrap();
        assert_eq!(url, format!("{path}?hash={}", document(&path, None).hash()));
    }
}
