//! Multi-document YAML to objects, and the substitutions the harness makes in them. Pure.

use std::path::Path;

use kube::core::DynamicObject;
use serde_json::Value;

use super::error::{HarnessError, Result, file};

/// Reads every document of a YAML text. Empty documents are left out.
pub fn parse(origin: &str, text: &str) -> Result<Vec<DynamicObject>> {
    let manifest = |reason: String| HarnessError::Manifest {
        origin: origin.to_owned(),
        reason,
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|e| manifest(e.to_string()))?;
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(|document| {
            let object: DynamicObject = serde_json::from_value(document).map_err(|e| manifest(e.to_string()))?;
            if object.types.is_none() {
                return Err(manifest("a document has no apiVersion and kind".to_owned()));
            }
            Ok(object)
        })
        .collect()
}

/// Reads the YAML files of a folder in the order of their names, `kustomization.yaml` aside.
pub fn load_folder(folder: &Path) -> Result<Vec<DynamicObject>> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map_err(file("read", folder))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "kustomization"))
        .collect();
    files.sort();
    let mut objects = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(file("read", &path))?;
        objects.extend(parse(&path.display().to_string(), &text)?);
    }
    Ok(objects)
}

/// Sets the image of every container whose image has the repository `from` (whatever its tag) to `to`, and its pull
/// policy to `policy`. Returns how many containers changed.
pub fn substitute_image(objects: &mut [DynamicObject], from: &str, to: &str, policy: &str) -> usize {
    fn walk(value: &mut Value, from: &str, to: &str, policy: &str) -> usize {
        match value {
            Value::Array(items) => items.iter_mut().map(|item| walk(item, from, to, policy)).sum(),
            Value::Object(map) => {
                let matches = map
                    .get("image")
                    .and_then(Value::as_str)
                    .is_some_and(|image| repository(image) == from);
                if matches {
                    map.insert("image".to_owned(), to.into());
                    map.insert("imagePullPolicy".to_owned(), policy.into());
                }
                let below: usize = map.values_mut().map(|item| walk(item, from, to, policy)).sum();
                below + usize::from(matches)
            }
            _ => 0,
        }
    }
    objects
        .iter_mut()
        .map(|object| walk(&mut object.data, from, to, policy))
        .sum()
}

/// Puts every object that is not a Namespace into `namespace`.
pub fn set_namespace(objects: &mut [DynamicObject], namespace: &str) {
    for object in objects {
        if object.types.as_ref().is_some_and(|types| types.kind != "Namespace") {
            object.metadata.namespace = Some(namespace.to_owned());
        }
    }
}

/// An image reference without its tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the port of a registry.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_in_order_and_empty_ones_left_out() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n";
        let objects = parse("test", text).unwrap();
        let names: Vec<_> = objects.iter().map(|o| o.metadata.name.clone().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_document_without_a_kind_is_refused_with_its_origin() {
        let error = parse("x.yaml", "metadata: {name: a}").unwrap_err().to_string();
        assert!(error.contains("x.yaml"), "{error}");
    }

    #[test]
    fn an_image_is_replaced_by_repository_whatever_its_tag() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{image: 'tokenweir/sim:dev'}, {image: 'r:5000/x'}, {image: other}]}";
        let mut objects = parse("test", text).unwrap();
        assert_eq!(
            substitute_image(&mut objects, "tokenweir/sim", "tokenweir/sim:abc", "Never"),
            1
        );
        assert_eq!(substitute_image(&mut objects, "r:5000/x", "y:1", "Never"), 1);
        let containers = &objects[0].data["spec"]["containers"];
        assert_eq!(containers[0]["image"], "tokenweir/sim:abc");
        assert_eq!(containers[0]["imagePullPolicy"], "Never");
        assert_eq!(containers[1]["image"], "y:1");
        assert_eq!(containers[2]["image"], "other");
    }

    #[test]
    fn a_namespace_object_stays_without_a_namespace() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}";
        let mut objects = parse("test", text).unwrap();
        set_namespace(&mut objects, "t");
        assert_eq!(objects[0].metadata.namespace, None);
        assert_eq!(objects[1].metadata.namespace.as_deref(), Some("t"));
    }
}
