use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokenweir_config::admin_token::{derive_admin_key, derive_key_hash_key};
use tokenweir_config::shards::digest_hex;
use tokenweir_config::{ScopeArea, Snapshot};
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, RegionMode, Tenant};
use tokenweir_crds::compile::{
    Compiled, Inputs, Keys, Kind, Secrets, check_backend_ref, check_gateway_refs, compile, referenced_secrets,
};
use tokenweir_crds::conditions::{ConditionStatus, Reason};
use tokenweir_crds::schema::Schemas;

/// The objects of a namespace.
#[derive(Clone, Default)]
struct World {
    gateways: Vec<LLMGateway>,
    providers: Vec<ModelProvider>,
    routes: Vec<ModelRoute>,
    tenants: Vec<Tenant>,
    secrets: Vec<Secret>,
    config_maps: Vec<ConfigMap>,
}

impl World {
    fn read(documents: Vec<Value>) -> Self {
        let mut world = Self::default();
        for document in documents {
            let kind = document["kind"].as_str().unwrap().to_owned();
            match kind.as_str() {
                "LLMGateway" => world.gateways.push(serde_json::from_value(document).unwrap()),
                "ModelProvider" => world.providers.push(serde_json::from_value(document).unwrap()),
                "ModelRoute" => world.routes.push(serde_json::from_value(document).unwrap()),
                "Tenant" => world.tenants.push(serde_json::from_value(document).unwrap()),
                "Secret" => world.secrets.push(serde_json::from_value(document).unwrap()),
                "ConfigMap" => world.config_maps.push(serde_json::from_value(document).unwrap()),
                other => panic!("{other} is not expected here"),
            }
        }
        world
    }

    /// Objects as the API server would hand them out: valid, and with their defaults.
    fn golden(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let documents: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
        let schemas = Schemas::new().unwrap();
        let judged = documents.into_iter().map(|document| {
            let verdict = schemas.validate(document["kind"].as_str().unwrap(), &document);
            verdict.map_or(document, Result::unwrap)
        });
        Self::read(judged.collect())
    }

    fn reverse(&mut self) {
        self.gateways.reverse();
        self.providers.reverse();
        self.routes.reverse();
        self.tenants.reverse();
        self.secrets.reverse();
        self.config_maps.reverse();
    }

    fn compile(&self, gateway: &str) -> Compiled {
        let root = [7; 32];
        let keys = Keys::new(
            derive_key_hash_key(&root, "llm", gateway),
            Some(derive_admin_key(&root, "llm", gateway)),
        );
        let secrets: Secrets = self.secrets.iter().collect();
        compile(&Inputs {
            gateway: self
                .gateways
                .iter()
                .find(|g| g.metadata.name.as_deref() == Some(gateway))
                .unwrap(),
            gateways: self.gateways.iter().filter_map(|g| g.metadata.name.clone()).collect(),
            providers: self.providers.iter().collect(),
            routes: self.routes.iter().collect(),
            tenants: self.tenants.iter().collect(),
            secrets: &secrets,
            config_maps: &self.config_maps.iter().collect(),
            keys: &keys.unwrap(),
            generation: 7,
        })
    }
}

/// What the verdicts say, one line a condition or problem.
fn report(compiled: &Compiled) -> Vec<String> {
    let mut lines = Vec::new();
    for verdict in &compiled.verdicts {
        let served = if verdict.served { "served" } else { "not served" };
        let (accepted, resolved) = (verdict.accepted(), verdict.resolved_refs());
        lines.push(format!(
            "{} {}: {served}, Accepted={} {}, ResolvedRefs={} {}",
            verdict.kind,
            verdict.name,
            accepted.status.as_str(),
            accepted.reason,
            resolved.status.as_str(),
            resolved.reason
        ));
        lines.extend(verdict.problems.iter().map(|problem| format!("  {problem}")));
    }
    lines
}

fn checked(compiled: &Compiled) -> Snapshot {
    Snapshot::from_json(&compiled.snapshot.to_json().unwrap()).unwrap()
}

#[test]
fn every_field_finds_its_place_in_the_snapshot() {
    let compiled = World::golden("everything.yaml").compile("edge");
    insta::assert_json_snapshot!("everything", checked(&compiled));
    insta::assert_yaml_snapshot!("everything_verdicts", report(&compiled));
}

#[test]
fn providers_in_clouds_find_their_endpoints_and_credentials() {
    let mut world = World::golden("clouds.yaml");
    let key = json!({
        "type": "service_account",
        "client_email": "gateway@my-project.iam.gserviceaccount.com",
        "private_key": include_str!("../../../gateway/config/testdata/service-account.pem"),
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    let google = json!({
        "metadata": {"name": "google", "namespace": "llm"},
        "stringData": {"apiKey": "gemini-key", "key.json": format!("{key:#}\n")},
    });
    world.secrets.push(serde_json::from_value(google).unwrap());
    assert_eq!(
        referenced_secrets(&world.gateways[0], &world.providers, &world.tenants),
        BTreeSet::from(["aws".to_owned(), "google".to_owned()])
    );
    let compiled = world.compile("edge");
    insta::assert_yaml_snapshot!("clouds_verdicts", report(&compiled));
    let mut providers = serde_json::to_value(checked(&compiled).providers).unwrap();
    for name in ["vertex", "vertex-at-home"] {
        let given = providers[name]["credential"]["serviceAccount"].take();
        assert_eq!(serde_json::from_str::<Value>(given.as_str().unwrap()).unwrap(), key);
    }
    insta::assert_json_snapshot!("clouds", providers);
}

#[test]
fn a_mistake_costs_only_what_it_touches() {
    let compiled = World::golden("mistakes.yaml").compile("edge");
    insta::assert_json_snapshot!("mistakes", checked(&compiled));
    insta::assert_yaml_snapshot!("mistakes_verdicts", report(&compiled));
}

#[test]
fn routes_of_one_model_get_their_turns_and_only_what_could_never_be_reached_is_a_conflict() {
    let mut world = World::golden("routing.yaml");
    let compiled = world.compile("edge");
    let snapshot = checked(&compiled);
    assert_eq!(
        snapshot.format, 3,
        "a gateway that does not know conditions must not serve it"
    );
    let told = |route: &tokenweir_config::Route| json!({"matches": route.matches, "request": route.request_headers, "response": route.response_headers});
    let routes: BTreeMap<_, _> = snapshot
        .routes
        .iter()
        .map(|(name, route)| (name, told(route)))
        .collect();
    insta::assert_json_snapshot!("routing", routes);
    insta::assert_yaml_snapshot!("routing_verdicts", report(&compiled));
    world.reverse();
    assert_eq!(world.compile("edge").snapshot, compiled.snapshot);
}

#[test]
fn each_gateway_gets_the_targets_in_its_regions() {
    let world = World::golden("regions.yaml");
    let mut told = BTreeMap::new();
    for gateway in ["eu", "us", "nowhere"] {
        let compiled = world.compile(gateway);
        let snapshot = checked(&compiled);
        let name = |target: &tokenweir_config::Backend| format!("{} {}", target.distance, target.provider);
        let names = |targets: &[tokenweir_config::Backend]| targets.iter().map(name).collect::<Vec<_>>().join(", ");
        let routes: Vec<String> = snapshot
            .routes
            .iter()
            .map(|(route, r)| format!("{route}: {}; then {}", names(&r.backends), names(&r.fallbacks)))
            .collect();
        let problems: Vec<String> = report(&compiled)
            .into_iter()
            .filter(|line| line.starts_with(' '))
            .collect();
        told.insert(gateway, (routes, problems));
        assert_eq!(snapshot.providers["bedrock-told"].region.as_deref(), Some("us-east-1"));
        assert!(
            !snapshot.providers.contains_key("bedrock-profiles"),
            "no route may use it"
        );
        // A gateway that does not know routes without targets would not take them.
        let refuses = snapshot.routes.values().any(|route| route.backends.is_empty());
        assert_eq!(
            (refuses, snapshot.format),
            if gateway == "us" { (false, 2) } else { (true, 3) }
        );
    }
    insta::assert_yaml_snapshot!("regions", told);
}

#[test]
fn a_route_that_nobody_can_serve_refuses_its_requests_where_no_other_one_is_to_have_them() {
    let mut world = World::golden("routing.yaml");
    for route in &mut world.routes {
        if ["red", "changed"].contains(&route.metadata.name.as_deref().unwrap()) {
            route.spec.backends[0].provider_ref.name = "gone".to_owned();
        }
    }
    let compiled = world.compile("edge");
    let snapshot = checked(&compiled);
    let red = &snapshot.routes["red"];
    assert_eq!((red.matches.len(), red.backends.len(), red.fallbacks.len()), (2, 0, 0));
    assert!(!snapshot.routes.contains_key("changed"), "it holds nothing apart");
    for name in ["red", "changed"] {
        let verdict = compiled.verdict(Kind::ModelRoute, name).unwrap();
        assert_eq!(
            (verdict.served, verdict.field()),
            (false, Some("spec.backends[0].providerRef.name"))
        );
    }
    for route in &mut world.routes {
        route.spec.selection.region = RegionMode::Require;
        route.spec.selection.regions = vec!["eu".to_owned()];
    }
    let snapshot = checked(&world.compile("edge"));
    assert!(snapshot.routes.values().all(|route| route.backends.is_empty()));
    assert!(snapshot.routes.contains_key("changed") && snapshot.providers.is_empty());
    assert!(
        !snapshot.routes["changed"].response_headers.is_none(),
        "its refusals are changed too"
    );
}

#[test]
fn a_condition_on_the_host_that_slipped_past_the_schema_costs_its_entry() {
    let mut world = World::golden("routing.yaml");
    let mut routes = world.routes.iter_mut();
    let blue = routes
        .find(|route| route.metadata.name.as_deref() == Some("blue"))
        .unwrap();
    blue.spec.matches[0].headers[0].name = "Host".to_owned();
    let compiled = world.compile("edge");
    let verdict = compiled.verdict(Kind::ModelRoute, "blue").unwrap();
    assert_eq!(
        (verdict.served, verdict.field()),
        (false, Some("spec.match[0].headers[0].name"))
    );
    assert!(!compiled.snapshot.routes.contains_key("blue"));
}

#[test]
fn tenants_below_others_have_a_path_and_those_whose_path_is_broken_are_not_served() {
    let world = World::golden("tenants.yaml");
    let compiled = world.compile("edge");
    let snapshot = checked(&compiled);
    let path = |name: &str| snapshot.tenants[name].ancestors.join("/");
    assert_eq!(
        (path("org"), path("team"), path("user")),
        (String::new(), "org".into(), "org/team".into())
    );
    assert!(snapshot.tenants["org"].keys.is_empty() && snapshot.tenants["user"].keys.len() == 1);
    let scopes = &snapshot.tenants["user"].keys[0].scopes;
    let scopes: Vec<_> = scopes.iter().map(|scope| (scope.area, scope.models.as_str())).collect();
    assert_eq!(scopes, [(ScopeArea::Models, "gpt-*"), (ScopeArea::Chat, "*")]);
    assert_eq!(snapshot.format, 4);
    for (name, condition, text) in [
        ("lost", "ResolvedRefs", "there is no Tenant gone"),
        ("below-lost", "ResolvedRefs", "Tenant lost, which stands above"),
        ("hen", "Accepted", "hen -> egg -> hen"),
        ("egg", "Accepted", "egg -> hen -> egg"),
        ("chick", "Accepted", "hen -> egg -> hen"),
    ] {
        let verdict = compiled.verdict(Kind::Tenant, name).unwrap();
        assert!(!verdict.served && !snapshot.tenants.contains_key(name), "{name}");
        let problem = &verdict.problems[0];
        assert_eq!(
            (problem.condition.as_str(), problem.field.as_str()),
            (condition, "spec.parentRef.name"),
            "{name}"
        );
        assert!(problem.message.contains(text), "{name}: {problem}");
    }
    // Without the team its user hangs in the air; the organisation alone is as simple as it ever was.
    let mut without = world.clone();
    without
        .tenants
        .retain(|tenant| tenant.metadata.name.as_deref() != Some("team"));
    let without = without.compile("edge");
    assert_eq!(without.snapshot.tenants.keys().collect::<Vec<_>>(), ["org"]);
    assert_eq!(without.snapshot.format, 1);
}

#[test]
fn two_gateways_of_a_namespace_share_tenants_and_nothing_else() {
    let world = World::golden("everything.yaml");
    let (edge, inner) = (world.compile("edge"), world.compile("inner"));
    assert_eq!(
        edge.snapshot.routes.keys().collect::<Vec<_>>(),
        ["any", "claude", "large"]
    );
    assert_eq!(
        inner.snapshot.routes.keys().collect::<Vec<_>>(),
        ["elsewhere"],
        "the first by name has the model"
    );
    assert_eq!(edge.snapshot.tenants.len(), inner.snapshot.tenants.len());
    assert_ne!(
        edge.snapshot.tenants["globex"].keys[0].hash, inner.snapshot.tenants["globex"].keys[0].hash,
        "each gateway hashes with a key of its own"
    );
    assert_ne!(edge.snapshot.admin_key, inner.snapshot.admin_key);
    assert!(
        !inner.snapshot.providers.contains_key("openai"),
        "a credential goes only to gateways that need it"
    );
    let conflict = inner.verdict(Kind::ModelRoute, "large").unwrap();
    assert_eq!((conflict.accepted().reason, conflict.served), (Reason::Conflict, false));
}

#[test]
fn secrets_to_watch_are_those_that_are_named_or_minted() {
    let world = World::golden("everything.yaml");
    let names = referenced_secrets(&world.gateways[0], &world.providers, &world.tenants);
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["acme-ci", "acme-keys", "globex-web", "openai"]
    );
}

#[test]
fn a_route_without_any_gateway_is_judged_alone() {
    let world = World::golden("everything.yaml");
    let problems = check_gateway_refs(&world.routes[0], &BTreeSet::new());
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].to_string(),
        "spec.gatewayRefs[0].name: LLMGateway edge does not exist in this namespace; there is none"
    );
}

#[test]
fn a_service_or_port_that_is_missing_is_named() {
    let world = World::golden("everything.yaml");
    let vllm = &world.providers[1];
    let with = |ports: &[u16]| BTreeMap::from([("vllm".to_owned(), ports.iter().copied().collect::<BTreeSet<u16>>())]);
    assert_eq!(check_backend_ref(vllm, &with(&[8000, 9000])), None);
    assert_eq!(
        check_backend_ref(&world.providers[0], &BTreeMap::new()),
        None,
        "it has an endpoint"
    );
    let missing = check_backend_ref(vllm, &BTreeMap::new()).unwrap();
    assert_eq!(
        missing.to_string(),
        "spec.backendRef.name: Service vllm does not exist in this namespace"
    );
    let port = check_backend_ref(vllm, &with(&[80, 443])).unwrap();
    assert_eq!(
        port.to_string(),
        "spec.backendRef.port: Service vllm has no port 8000; it has 80, 443"
    );
    assert_eq!(
        (missing.reason, port.reason),
        (Reason::ServiceNotFound, Reason::ServiceNotFound)
    );
}

#[test]
fn a_gateway_that_slipped_past_the_schema_is_refused_and_not_served() {
    let mut world = World::golden("everything.yaml");
    world.gateways[0]
        .spec
        .listeners
        .iter_mut()
        .for_each(|listener| listener.port = 9901);
    let compiled = world.compile("edge");
    assert!(!compiled.gateway_accepted());
    let verdict = compiled.verdict(Kind::LLMGateway, "edge").unwrap();
    assert_eq!(verdict.accepted().status, ConditionStatus::False);
    assert_eq!(verdict.field(), Some("spec.listeners[0].port"));
}

/// Many objects: `routes` of them on `providers`, and `tenants` with a key each.
fn large(providers: usize, routes: usize, tenants: usize) -> World {
    let meta = |name: String| json!({"name": name, "namespace": "llm"});
    let object = |kind: &str, name: String, spec: Value| json!({"apiVersion": "tokenweir.dev/v1alpha1", "kind": kind, "metadata": meta(name), "spec": spec});
    let mut documents = vec![object("LLMGateway", "edge".into(), json!({}))];
    documents.extend((0..providers).map(|i| {
        let spec = json!({"type": "OpenAICompatible", "endpoint": format!("https://p{i}.example.com/v1"),
            "credentials": {"secretRef": {"name": "providers", "key": format!("p{i}")}}});
        object("ModelProvider", format!("p{i}"), spec)
    }));
    documents.extend((0..routes).map(|i| {
        let target =
            |n: usize| json!({"providerRef": {"name": format!("p{}", n % providers)}, "model": format!("m{n}")});
        let spec = json!({"model": format!("model-{i}"), "gatewayRefs": [{"name": "edge"}],
            "backends": [target(i), target(i + 1)], "fallbacks": [target(i + 2)]});
        object("ModelRoute", format!("r{i}"), spec)
    }));
    documents.extend((0..tenants).map(|i| {
        object(
            "Tenant",
            format!("t{i}"),
            json!({"auth": {"apiKeys": [{"name": "key"}]}, "models": {"allow": [format!("model-{i}*")]}}),
        )
    }));
    let provider_keys: serde_json::Map<String, Value> = (0..providers)
        .map(|i| (format!("p{i}"), json!(format!("sk-{i}"))))
        .collect();
    documents.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("providers".into()), "stringData": provider_keys}));
    documents.extend((0..tenants).map(|i| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta(format!("t{i}-key")), "stringData": {"apiKey": key(i)}})
    }));
    World::read(documents)
}

/// A key of a tenant, the same in every run.
fn key(tenant: usize) -> String {
    format!("twk_key-of-tenant-number-{tenant:06}")
}

#[test]
fn a_large_namespace_compiles_to_the_same_bytes_in_any_order() {
    let mut world = large(40, 300, 500);
    let compiled = world.compile("edge");
    let json = compiled.snapshot.to_json().unwrap();
    world.reverse();
    let again = world.compile("edge");
    assert_eq!(again.snapshot.to_json().unwrap(), json);
    assert_eq!(again.verdicts, compiled.verdicts);

    let snapshot = checked(&compiled);
    insta::assert_json_snapshot!(
        "large",
        json!({
            "providers": snapshot.providers.len(),
            "routes": snapshot.routes.len(),
            "tenants": snapshot.tenants.len(),
            "verdicts": compiled.verdicts.len(),
            "problems": compiled.verdicts.iter().map(|v| v.problems.len()).sum::<usize>(),
            "bytes": json.len(),
            "digest": digest_hex(&json),
            "one route": snapshot.routes["r299"],
            "one tenant": snapshot.tenants["t499"],
        })
    );
}

static SMALL: LazyLock<World> = LazyLock::new(|| large(6, 20, 10));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is missing, the rest makes a snapshot that a gateway takes, and every object gets one verdict.
    #[test]
    fn any_part_of_a_namespace_compiles(
        kept in proptest::collection::vec(any::<bool>(), 64),
        removed_secrets in proptest::collection::vec(any::<bool>(), 16),
    ) {
        let mut world = SMALL.clone();
        let mut keep = kept.into_iter().cycle();
        world.providers.retain(|_| keep.next().unwrap());
        world.routes.retain(|_| keep.next().unwrap());
        let mut keep = removed_secrets.into_iter().cycle();
        world.secrets.retain(|_| keep.next().unwrap());
        let compiled = world.compile("edge");
        let snapshot = checked(&compiled);
        prop_assert_eq!(
            compiled.verdicts.len(),
            1 + world.providers.len() + world.routes.len() + world.tenants.len()
        );
        for (name, route) in &snapshot.routes {
            prop_assert!(route.backends.iter().any(|backend| backend.weight > 0), "{} has no share", name);
        }
        for verdict in &compiled.verdicts {
            prop_assert!(verdict.served || verdict.kind == Kind::ModelProvider || !verdict.problems.is_empty());
        }
    }
}
