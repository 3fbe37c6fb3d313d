//! What every cluster has beside its control plane: DNS for Services, and metrics of CPU and memory.

use serde_json::{Value, json};

use super::local::layout::{API_PORT, DNS_ADDRESS, DOMAIN, NODE_ADDRESS};

/// The objects of CoreDNS.
pub(crate) fn dns(image: &str, nameservers: &[String]) -> Vec<Value> {
    let labels = json!({ "k8s-app": "kube-dns" });
    vec![
        service_account("coredns"),
        cluster_role(
            "system:coredns",
            &json!([
                { "apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"] },
                { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"] },
            ]),
        ),
        cluster_role_binding("system:coredns", "system:coredns", "coredns"),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata("coredns"),
            "data": { "Corefile": corefile(nameservers) },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": "kube-dns", "namespace": "kube-system", "labels": labels },
            "spec": {
                "clusterIP": DNS_ADDRESS,
                "selector": labels,
                "ports": [
                    { "name": "dns", "port": 53, "protocol": "UDP" },
                    { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
                ],
            },
        }),
        deployment(
            "coredns",
            &labels,
            &json!({
                "serviceAccountName": "coredns",
                "priorityClassName": "system-cluster-critical",
                // The machine's resolver, not itself.
                "dnsPolicy": "Default",
                "containers": [{
                    "name": "coredns",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["-conf", "/etc/coredns/Corefile"],
                    // Straight to the API server: DNS is then ready before kube-proxy has set up the Service's address.
                    "env": [
                        { "name": "KUBERNETES_SERVICE_HOST", "value": NODE_ADDRESS },
                        { "name": "KUBERNETES_SERVICE_PORT", "value": API_PORT.to_string() },
                    ],
                    "ports": [{ "containerPort": 53, "protocol": "UDP" }, { "containerPort": 53, "protocol": "TCP" }],
                    "readinessProbe": { "httpGet": { "path": "/ready", "port": 8181 }, "periodSeconds": 1 },
                    "resources": { "requests": { "cpu": "10m", "memory": "20Mi" }, "limits": { "memory": "128Mi" } },
                    "securityContext": {
                        "runAsUser": 0,
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": { "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] },
                    },
                    "volumeMounts": [{ "name": "config", "mountPath": "/etc/coredns", "readOnly": true }],
                }],
                "volumes": [{ "name": "config", "configMap": { "name": "coredns" } }],
            }),
        ),
    ]
}

/// The configuration of CoreDNS. Without an upstream server it answers for the cluster alone.
fn corefile(nameservers: &[String]) -> String {
    let forward = match nameservers {
        [] => String::new(),
        // CoreDNS takes at most fifteen.
        some => format!(
            "    forward . {}\n",
            some.iter().take(15).cloned().collect::<Vec<_>>().join(" ")
        ),
    };
    format!(
        ".:53 {{\n    errors\n    ready\n    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{\n        pods insecure\n        \
         ttl 5\n        fallthrough in-addr.arpa ip6.arpa\n    }}\n{forward}    cache 5\n    loadbalance\n}}\n"
    )
}

/// The objects of metrics-server.
pub(crate) fn metrics_server(image: &str) -> Vec<Value> {
    let labels = json!({ "k8s-app": "metrics-server" });
    let mut aggregated = cluster_role(
        "system:aggregated-metrics-reader",
        &json!([{ "apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"] }]),
    );
    aggregated["metadata"]["labels"] = json!({
        "rbac.authorization.k8s.io/aggregate-to-admin": "true",
        "rbac.authorization.k8s.io/aggregate-to-edit": "true",
        "rbac.authorization.k8s.io/aggregate-to-view": "true",
    });
    vec![
        service_account("metrics-server"),
        cluster_role(
            "system:metrics-server",
            &json!([
                { "apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"] },
                { "apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"] },
            ]),
        ),
        aggregated,
        cluster_role_binding("system:metrics-server", "system:metrics-server", "metrics-server"),
        cluster_role_binding(
            "metrics-server:system:auth-delegator",
            "system:auth-delegator",
            "metrics-server",
        ),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata("metrics-server-auth-reader"),
            "roleRef": role_ref("Role", "extension-apiserver-authentication-reader"),
            "subjects": [subject("metrics-server")],
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": "metrics-server", "namespace": "kube-system", "labels": labels },
            "spec": { "selector": labels, "ports": [{ "name": "https", "port": 443, "targetPort": 10250 }] },
        }),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": { "name": "v1beta1.metrics.k8s.io" },
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                // Its certificate is its own; the API server and it share one machine here.
                "insecureSkipTLSVerify": true,
                "service": { "name": "metrics-server", "namespace": "kube-system" },
            },
        }),
        deployment(
            "metrics-server",
            &labels,
            &json!({
                "serviceAccountName": "metrics-server",
                "priorityClassName": "system-cluster-critical",
                "containers": [{
                    "name": "metrics-server",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "args": [
                        "--secure-port=10250",
                        "--cert-dir=/tmp",
                        "--kubelet-preferred-address-types=InternalIP",
                        "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
                        "--metric-resolution=10s",
                        // It must be shorter than the resolution.
                        "--kubelet-request-timeout=5s",
                    ],
                    "readinessProbe": {
                        "httpGet": { "path": "/readyz", "port": 10250, "scheme": "HTTPS" },
                        "periodSeconds": 2,
                        "failureThreshold": 3,
                    },
                    "resources": { "requests": { "cpu": "20m", "memory": "40Mi" }, "limits": { "memory": "256Mi" } },
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": { "drop": ["ALL"] },
                    },
                    "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                }],
                "volumes": [{ "name": "tmp", "emptyDir": {} }],
            }),
        ),
    ]
}

/// Several objects as one that kubectl applies.
pub(crate) fn list(objects: &[Value]) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": objects })
}

fn metadata(name: &str) -> Value {
    json!({ "name": name, "namespace": "kube-system" })
}

fn service_account(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name) })
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": name },
        "rules": rules,
    })
}

fn cluster_role_binding(name: &str, role: &str, account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": name },
        "roleRef": role_ref("ClusterRole", role),
        "subjects": [subject(account)],
    })
}

fn role_ref(kind: &str, name: &str) -> Value {
    json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name })
}

fn subject(account: &str) -> Value {
    json!({ "kind": "ServiceAccount", "name": account, "namespace": "kube-system" })
}

fn deployment(name: &str, labels: &Value, pod: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": "kube-system", "labels": labels },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corefile_forwards_only_where_there_is_somewhere_to_forward_to() {
        let with = corefile(&["192.0.2.53".to_owned(), "192.0.2.54".to_owned()]);
        assert!(with.contains("\n    forward . 192.0.2.53 192.0.2.54\n"), "{with}");
        assert!(!corefile(&[]).contains("forward"));
        assert!(corefile(&[]).contains("kubernetes cluster.local in-addr.arpa ip6.arpa {"));
    }
}
