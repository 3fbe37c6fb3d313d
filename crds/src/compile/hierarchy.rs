//! Which tenants stand above a tenant.

use std::collections::BTreeMap;

use super::Problem;
use crate::api::Tenant;
use crate::conditions::Reason;

/// Most levels, the tenant's own among them: organisation, department, team and user, and as many again.
const MAX_LEVELS: usize = 8;

const FIELD: &str = "spec.parentRef.name";

/// Names of the tenants above one, the root first.
///
/// A chain that does not end at a root is a problem of everybody in it and below it: nobody could say what they may do.
pub(super) fn ancestors(tenants: &BTreeMap<&str, &Tenant>, name: &str) -> Result<Vec<String>, Problem> {
    let parent = |name: &str| {
        let tenant = tenants.get(name)?;
        tenant.spec.parent_ref.as_ref().map(|parent| parent.name.as_str())
    };
    let mut chain = vec![name];
    let mut below = name;
    while let Some(above) = parent(below) {
        if let Some(at) = chain.iter().position(|seen| *seen == above) {
            let circle = [&chain[at..], &[above]].concat().join(" -> ");
            let message = format!("the tenants {circle} stand above each other; one of them must have no parentRef");
            return Err(Problem::invalid(Reason::Invalid, FIELD, message));
        }
        if chain.len() == MAX_LEVELS {
            let message = format!(
                "{} -> {above} has more than {MAX_LEVELS} levels; leave some out",
                chain.join(" -> ")
            );
            return Err(Problem::invalid(Reason::Invalid, FIELD, message));
        }
        if !tenants.contains_key(above) {
            let message = if below == name {
                format!("there is no Tenant {above} in this namespace")
            } else {
                format!(
                    "Tenant {below}, which stands above, names the Tenant {above}, which does not exist in this namespace"
                )
            };
            return Err(Problem::unresolved(Reason::TenantNotFound, FIELD, message));
        }
        chain.push(above);
        below = above;
    }
    Ok(chain.into_iter().skip(1).rev().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(pairs: &[(&str, &str)], name: &str) -> Result<Vec<String>, String> {
        let tenants: Vec<(String, Tenant)> = pairs
            .iter()
            .map(|(name, parent)| {
                let mut spec = json!({});
                if !parent.is_empty() {
                    spec["parentRef"] = json!({"name": parent});
                }
                let object = json!({
                    "apiVersion": "tokenweir.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec,
                });
                ((*name).to_owned(), serde_json::from_value(object).unwrap())
            })
            .collect();
        let by_name = tenants.iter().map(|(name, tenant)| (name.as_str(), tenant)).collect();
        ancestors(&by_name, name).map_err(|problem| format!("{} {problem}", problem.reason))
    }

    #[test]
    fn the_root_comes_first() {
        let pairs = [("org", ""), ("team", "org"), ("user", "team")];
        assert_eq!(asked(&pairs, "user").unwrap(), ["org", "team"]);
        assert_eq!(asked(&pairs, "org").unwrap(), [""; 0]);
    }

    #[test]
    fn circles_gaps_and_towers_are_told_to_all_that_stand_on_them() {
        let pairs = [("a", "b"), ("b", "c"), ("c", "b"), ("lost", "gone"), ("below", "lost")];
        for name in ["a", "b", "c"] {
            let told = asked(&pairs, name).unwrap_err();
            assert!(told.contains("b -> c -> b") || told.contains("c -> b -> c"), "{told}");
        }
        assert_eq!(
            asked(&pairs, "lost").unwrap_err(),
            "TenantNotFound spec.parentRef.name: there is no Tenant gone in this namespace"
        );
        assert!(
            asked(&pairs, "below")
                .unwrap_err()
                .contains("Tenant lost, which stands above")
        );

        let names: Vec<String> = (0..10).map(|level| format!("t{level}")).collect();
        let parents = std::iter::once("").chain(names.iter().map(String::as_str));
        let tower: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(parents).collect();
        assert_eq!(asked(&tower, "t7").unwrap().len(), 7, "eight levels");
        for deep in ["t8", "t9"] {
            assert!(
                asked(&tower, deep).unwrap_err().contains("more than 8 levels"),
                "{deep}"
            );
        }
    }
}
