//! Identity of gateway pods and what it allows.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use tokenweir_config::shards;

use super::metadata;
use crate::gateway::validate::Valid;

/// Where a Role says why it has its rules, since a rule itself has no room for it.
const REASON_ANNOTATION: &str = "tokenweir.dev/reason";

pub fn account(gateway: &Valid<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(gateway, &gateway.name),
        // The pods ask for their token themselves, in the pod template.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

pub fn role(gateway: &Valid<'_>) -> Role {
    let mut metadata = metadata(gateway, &gateway.name);
    metadata.annotations = Some(BTreeMap::from([(
        REASON_ANNOTATION.to_owned(),
        "secrets: the pods watch their own configuration, by name. endpointslices: the pods balance over the ready pods of \
         Services that providers name; which ones is known only at run time, and list and watch cannot be limited by the name of \
         the Service. services: a slice carries the names of ports and not the Service's port numbers, which are asked for when a \
         Service has several"
            .to_owned(),
    )]));
    let read = ["get", "list", "watch"].map(str::to_owned).to_vec();
    Role {
        metadata,
        rules: Some(vec![
            PolicyRule {
                api_groups: Some(vec![String::new()]),
                resources: Some(vec!["secrets".into()]),
                resource_names: Some(shards::all_names(&gateway.name)),
                verbs: read.clone(),
                ..PolicyRule::default()
            },
            PolicyRule {
                api_groups: Some(vec!["discovery.k8s.io".into()]),
                resources: Some(vec!["endpointslices".into()]),
                verbs: read,
                ..PolicyRule::default()
            },
            PolicyRule {
                api_groups: Some(vec![String::new()]),
                resources: Some(vec!["services".into()]),
                verbs: vec!["get".to_owned()],
                ..PolicyRule::default()
            },
        ]),
    }
}

pub fn binding(gateway: &Valid<'_>) -> RoleBinding {
    RoleBinding {
        metadata: metadata(gateway, &gateway.name),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".into()),
            kind: "Role".into(),
            name: gateway.name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: gateway.name.clone(),
            namespace: Some(gateway.namespace.clone()),
            ..Subject::default()
        }]),
    }
}
