use serde_json::{Value, json};
use tokenweir_config::Snapshot;
use tokenweir_config::keys::KeyHasher;
use tokenweir_llm::Operation;

use super::*;

const HASH_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// A snapshot with two tenants and routes of every form; `change` edits its JSON.
pub(crate) fn snapshot(change: impl FnOnce(&mut Value)) -> Snapshot {
    let hash = |key: &str| KeyHasher::new(HASH_KEY).unwrap().hash_base64(key.as_bytes());
    let retry = json!({"attempts": 2, "baseMs": 10, "maxMs": 50, "on": ["429", "5xx", "connect", "firstTokenTimeout"]});
    let timeouts = json!({"connectMs": 1000, "firstTokenMs": 2000, "idleMs": 2000, "totalMs": 10_000});
    let mut value = json!({
        "format": 1,
        "generation": 7,
        "gateway": {"namespace": "llm", "name": "edge"},
        "listeners": [{"port": 8080}],
        "admission": {"maxInFlight": 100, "queue": {"maxDepth": 10, "maxWaitMs": 1000, "order": "PriorityFair"}},
        "providers": {
            "any": {
                "kind": "OpenAICompatible",
                "upstream": {"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}},
                "timeouts": timeouts,
            },
            "openai": {
                "kind": "OpenAI",
                "upstream": {"endpoint": {"url": "https://api.example.com/v1"}},
                "models": [{"name": "gpt-5-2026", "aliases": ["gpt-5"]}, {"name": "gpt-mini"}, {"name": "embed"}],
                "timeouts": timeouts,
            },
        },
        "routes": {
            "large": {"model": "assistant-large", "backends": [{"provider": "openai", "model": "gpt-5", "weight": 1}], "retry": retry},
            "gpt": {"model": "gpt-*", "backends": [{"provider": "openai", "weight": 1}], "retry": retry},
            "gpt-mini": {"model": "gpt-m*", "backends": [{"provider": "openai", "weight": 1}], "retry": retry},
            "rest": {"model": "*", "backends": [{"provider": "any", "weight": 1}], "retry": retry},
        },
        "tenants": {
            "acme": {"keys": [{"name": "ci", "hash": hash("acme-key"), "expiresUnix": 2000}], "allowModels": ["*"]},
            "globex": {"keys": [{"name": "ci", "hash": hash("globex-key")}], "allowModels": ["gpt-*"]},
        },
        "keyHashKey": HASH_KEY,
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn plan(change: impl FnOnce(&mut Value)) -> Plan {
    Plan::build(&snapshot(change), None).unwrap()
}

fn unchanged(_: &mut Value) {}

/// The route of a request without anything but a model.
fn route<'a>(plan: &'a Plan, model: &str) -> Option<&'a Arc<Route>> {
    match routed(plan, &[], &json!({"model": model})).unwrap() {
        Routed::To(route) => Some(route),
        Routed::NoMatch | Routed::NoModel => None,
    }
}

fn routed<'a>(plan: &'a Plan, headers: &[(&str, &str)], body: &Value) -> Result<Routed<'a>, RequestError> {
    let mut body = body.clone();
    body["messages"] = json!([]);
    let peek = Peek::parse(Operation::Chat, bytes::Bytes::from(body.to_string())).unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    plan.route(&headers, &peek)
}

#[test]
fn an_exact_name_wins_and_then_the_most_specific_pattern() {
    let plan = plan(unchanged);
    let route = |model: &str| route(&plan, model).map(|route| route.name.to_string());
    assert_eq!(route("assistant-large").as_deref(), Some("large"));
    assert_eq!(route("gpt-mini").as_deref(), Some("gpt-mini"));
    assert_eq!(route("gpt-5").as_deref(), Some("gpt"));
    assert_eq!(route("llama").as_deref(), Some("rest"));
}

#[test]
fn a_route_without_backends_takes_its_requests_from_others_and_is_in_no_list() {
    let plan = plan(|v| v["routes"]["gpt-mini"]["backends"] = json!([]));
    let refusing = route(&plan, "gpt-mini").unwrap();
    assert_eq!((&*refusing.name, refusing.usable("gpt-mini")), ("gpt-mini", 0));
    let acme = &plan.tenants["acme"];
    assert!(
        plan.models(|id| acme.may_use(id))
            .iter()
            .all(|entry| entry.id != "gpt-mini")
    );
    assert_eq!(plan.model("gpt-mini"), None);
    assert!(plan.model("gpt-5").is_some());
}

/// Four routes for `assistant-large`, three of which take only some requests.
fn conditional(v: &mut Value) {
    let route = |matches: Value| {
        let mut route = v["routes"]["large"].clone();
        route["matches"] = matches;
        route
    };
    let team = |test: Value| json!([{"path": "metadata.team", "test": test}]);
    let (red, any, night) = (
        route(json!([
            {"rank": 1, "body": team(json!({"exact": "red"}))},
            {"rank": 0, "headers": [{"name": "x-team", "test": {"exact": "red"}}]},
        ])),
        route(json!([{"rank": 3, "body": team(json!("present"))}])),
        route(
            json!([{"rank": 2, "body": [{"path": "stream", "test": {"exact": "false"}},
            {"path": "user", "test": {"pattern": "night-[0-9]+"}}]}]),
        ),
    );
    v["routes"]["red"] = red;
    v["routes"]["any-team"] = any;
    v["routes"]["night"] = night;
}

#[test]
fn of_the_routes_of_a_name_the_first_in_turn_whose_conditions_hold_takes_a_request() {
    let plan = plan(conditional);
    let route = |headers: &[(&str, &str)], mut body: Value| {
        body["model"] = json!("assistant-large");
        match routed(&plan, headers, &body).unwrap() {
            Routed::To(route) => route.name.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(route(&[], json!({})), "large");
    assert_eq!(
        route(&[("x-team", "red")], json!({"metadata": {"team": "blue"}})),
        "red"
    );
    assert_eq!(
        route(&[("x-team", "blue"), ("x-team", "red")], json!({})),
        "red",
        "any of the values"
    );
    assert_eq!(route(&[("x-team", "reddish")], json!({})), "large");
    assert_eq!(route(&[], json!({"metadata": {"team": "red"}})), "red");
    assert_eq!(route(&[], json!({"metadata": {"team": "blue"}})), "any-team");
    assert_eq!(route(&[], json!({"metadata": {"team": ["list"]}})), "any-team");
    assert_eq!(route(&[], json!({"metadata": {"team": null}})), "large");
    let night = json!({"stream": false, "user": "night-7", "metadata": {"team": "blue"}});
    assert_eq!(route(&[], night), "night");
    assert_eq!(
        route(&[], json!({"stream": false, "user": "night-7 "})),
        "large",
        "all of the value"
    );
    assert_eq!(route(&[], json!({"user": "night-7"})), "large", "both conditions");
}

#[test]
fn what_no_route_of_a_name_takes_goes_to_a_pattern_or_nowhere() {
    let exact_alone = |v: &mut Value| {
        conditional(v);
        v["routes"].as_object_mut().unwrap().remove("large");
    };
    let body = json!({"model": "assistant-large"});
    let with_pattern = plan(exact_alone);
    assert!(matches!(routed(&with_pattern, &[], &body), Ok(Routed::To(route)) if &*route.name == "rest"));
    let without = plan(|v| {
        exact_alone(v);
        v["routes"].as_object_mut().unwrap().remove("rest");
    });
    assert!(matches!(routed(&without, &[], &body), Ok(Routed::NoMatch)));
    assert!(matches!(
        routed(&without, &[], &json!({"model": "other"})),
        Ok(Routed::NoModel)
    ));
    let acme = without.tenants().find(|tenant| &*tenant.name == "acme").unwrap();
    let listed: Vec<&str> = without
        .models(|id| acme.may_use(id))
        .iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(
        listed,
        ["assistant-large", "gpt-5", "gpt-5-2026", "gpt-mini"],
        "as without conditions"
    );
    assert_eq!(without.model("assistant-large").unwrap().owned_by, "openai");
}

#[test]
fn a_key_leads_to_its_tenant_until_it_is_over() {
    let plan = plan(unchanged);
    let tenant = |key: &str, now| {
        plan.keys
            .find(key.as_bytes(), now)
            .map(|caller| caller.tenant.name.to_string())
    };
    assert_eq!(tenant("acme-key", 1_999).as_deref(), Some("acme"));
    assert_eq!(tenant("acme-key", 2_000), None);
    assert_eq!(tenant("globex-key", i64::MAX).as_deref(), Some("globex"));
    assert_eq!(tenant("other", 0), None);
    assert_eq!(tenant("", 0), None);
}

#[test]
fn a_backend_asks_for_the_providers_own_name_of_the_model() {
    let plan = plan(unchanged);
    let model = |asked: &str| route(&plan, asked).unwrap().backends[0].model(asked).map(str::to_owned);
    assert_eq!(model("assistant-large").as_deref(), Some("gpt-5-2026"));
    assert_eq!(model("gpt-5").as_deref(), Some("gpt-5-2026"));
    assert_eq!(model("llama").as_deref(), Some("llama"));
    assert_eq!(model("gpt-9"), None);
    assert_eq!(route(&plan, "gpt-9").unwrap().usable("gpt-9"), 0);
}

#[test]
fn a_key_with_scopes_may_be_used_for_them_and_for_nothing_that_its_tenant_may_not() {
    let plan = plan(|v| {
        v["tenants"]["globex"]["keys"][0]["scopes"] = json!([
            {"area": "chat", "models": "gpt-5*"}, {"area": "embeddings", "models": "*"}, {"area": "models", "models": "gpt-m*"},
        ]);
    });
    let globex = plan.keys.find(b"globex-key", 0).unwrap();
    for operation in Operation::ALL {
        let embeds = operation == Operation::Embeddings;
        assert!(globex.may_use(operation, "gpt-mini"), "{operation:?}");
        assert!(globex.may_use(operation, "gpt-5"), "{operation:?}");
        assert_eq!(globex.may_use(operation, "gpt-4"), embeds, "{operation:?}");
        assert!(
            !globex.may_use(operation, "embed"),
            "its tenant may ask for gpt-* alone"
        );
    }
    assert!(globex.may_see("gpt-4") && !globex.may_see("embed"));
    let acme = plan.keys.find(b"acme-key", 0).unwrap();
    assert!(
        acme.may_use(Operation::Chat, "embed"),
        "without scopes it is what the tenant may do"
    );
}

#[test]
fn what_a_tenant_above_does_not_allow_nobody_below_it_may_use() {
    let plan = plan(|v| {
        v["tenants"]["org"] = json!({"keys": [], "allowModels": ["gpt-*", "assistant-*"]});
        v["tenants"]["globex"]["ancestors"] = json!(["org"]);
        v["tenants"]["globex"]["allowModels"] = json!(["*"]);
        v["tenants"]["acme"]["ancestors"] = json!(["org", "globex"]);
        v["tenants"]["acme"]["allowModels"] = json!(["*-mini", "llama"]);
    });
    let may = |tenant: &str, model: &str| plan.tenants[tenant].may_use(model);
    assert!(may("globex", "gpt-5") && may("globex", "assistant-large") && !may("globex", "llama"));
    assert!(may("acme", "gpt-mini") && !may("acme", "gpt-5") && !may("acme", "llama") && !may("acme", "other-mini"));
    assert!(
        plan.models(|id| may("acme", id))
            .iter()
            .all(|entry| entry.id == "gpt-mini")
    );
}

#[test]
fn the_list_of_models_holds_names_and_what_fits_the_patterns_as_far_as_the_tenant_may() {
    let plan = plan(unchanged);
    let list = |name: &str| {
        let tenant = plan.tenants().find(|tenant| &*tenant.name == name).unwrap();
        plan.models(|id| tenant.may_use(id))
            .iter()
            .map(|entry| entry.id.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list("acme"), ["assistant-large", "gpt-5", "gpt-5-2026", "gpt-mini"]);
    assert_eq!(list("globex"), ["gpt-5", "gpt-5-2026", "gpt-mini"]);
    assert_eq!(plan.model("gpt-5").unwrap().owned_by, "openai");
    assert_eq!(plan.model("gpt-9"), None);
}

#[test]
fn live_state_goes_on_and_limits_move_when_the_configuration_changes() {
    let before = plan(unchanged);
    let next = snapshot(|v| {
        v["providers"]["openai"]["limits"] = json!({"maxInFlight": 1});
        v["tenants"]["acme"]["limits"] = json!({"maxInFlight": 2});
        v["routes"]["large"]["backends"][0]["model"] = json!("gpt-mini");
    });
    let after = Plan::build(&next, Some(&before)).unwrap();
    assert!(Arc::ptr_eq(&before.admission, &after.admission));
    assert!(
        Arc::ptr_eq(&before.providers["any"], &after.providers["any"]),
        "an unchanged provider is the same"
    );
    assert!(Arc::ptr_eq(
        &before.providers["openai"].live,
        &after.providers["openai"].live
    ));
    assert!(Arc::ptr_eq(&before.tenants["acme"].limit, &after.tenants["acme"].limit));
    assert_eq!(before.tenants["acme"].id, after.tenants["acme"].id);
    let claim = |plan: &Plan| {
        let route = route(plan, "assistant-large").unwrap();
        crate::admission::Claim {
            tenant_id: 1,
            tenant: Arc::clone(&plan.tenants["acme"].limit),
            candidates: Arc::clone(&route.candidates),
            usable: route.usable("assistant-large"),
            priority: 0,
            wants: crate::selection::Wants::default(),
            deadline: None,
        }
    };
    let held = after.admission.try_admit(&claim(&before)).unwrap();
    assert!(
        after.admission.try_admit(&claim(&after)).is_none(),
        "the old plan's request counts against the new limit"
    );
    drop(held);
    assert!(after.admission.try_admit(&claim(&after)).is_some());
}

#[test]
fn a_snapshot_that_cannot_be_served_changes_nothing() {
    let before = plan(|v| v["providers"]["openai"]["limits"] = json!({"maxInFlight": 1}));
    let broken = snapshot(|v| {
        v["providers"]["openai"]["limits"] = json!({"maxInFlight": 0});
        v["tenants"]["acme"]["keys"][0]["hash"] = json!("no");
    });
    assert!(matches!(
        Plan::build(&broken, Some(&before)),
        Err(PlanError::KeyHash { .. })
    ));
    assert!(before.providers["openai"].live.limit.has_room());
}

#[test]
fn every_mistake_of_a_snapshot_is_named() {
    let error = |change: fn(&mut Value)| Plan::build(&snapshot(change), None).unwrap_err().to_string();
    for (message, change) in [
        (
            "API-key hashes",
            (|v: &mut Value| v["keyHashKey"] = json!("x")) as fn(&mut Value),
        ),
        ("same API key", |v| {
            v["tenants"]["globex"]["keys"] = v["tenants"]["acme"]["keys"].clone();
        }),
        ("names provider gone", |v| {
            v["routes"]["gpt"]["backends"][0]["provider"] = json!("gone");
        }),
        ("has 65 backends", |v| {
            let backend = v["routes"]["gpt"]["backends"][0].clone();
            v["routes"]["gpt"]["backends"] = json!(vec![backend; 65]);
        }),
        ("both serve the model *", |v| v["routes"]["gpt"]["model"] = json!("*")),
        ("a condition that cannot be checked: \"a b\" is not the name", |v| {
            v["routes"]["gpt"]["matches"] = json!([{"rank": 0, "headers": [{"name": "a b", "test": "present"}]}]);
        }),
        ("a condition that cannot be checked: \"(\": it is not", |v| {
            v["routes"]["gpt"]["matches"] = json!([{"rank": 0, "body": [{"path": "user", "test": {"pattern": "("}}]}]);
        }),
        ("route gpt cannot change headers: \"a b\" is not the name", |v| {
            v["routes"]["gpt"]["requestHeaders"] = json!({"remove": ["a b"]});
        }),
        ("route gpt cannot change headers: \"a\\nb\" is not the value", |v| {
            v["routes"]["gpt"]["responseHeaders"] = json!({"set": [{"name": "a", "value": "a\nb"}]});
        }),
        ("provider openai cannot be called", |v| {
            v["providers"]["openai"]["upstream"] = json!({"endpoint": {"url": "nonsense"}});
        }),
    ] {
        let text = error(change);
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn what_a_provider_said_about_its_limits_holds_for_the_same_place_and_the_same_key_alone() {
    let exhausted = |change: &dyn Fn(&mut Value)| {
        let base = |v: &mut Value| v["providers"]["openai"]["credential"] = json!({"bearer": "one"});
        let first = plan(base);
        let of = |plan: &Plan| Arc::clone(&plan.providers["openai"]);
        let before = of(&first);
        let hour = std::time::Duration::from_hours(1);
        before.live.rates.exhausted(tokio::time::Instant::now() + hour);
        let next = snapshot(|v| {
            base(v);
            change(v);
        });
        let second = Plan::build(&next, Some(&first)).unwrap();
        let after = of(&second);
        // Answers that are still on their way from the old place or for the old key are told apart by the term.
        let same = after.live.is_served(before.term);
        assert!(after.live.is_served(after.term));
        (!after.live.rates.is_unlimited(), same)
    };
    assert_eq!(exhausted(&|_| {}), (true, true));
    assert_eq!(
        exhausted(&|v| v["providers"]["openai"]["timeouts"]["idleMs"] = json!(9)),
        (true, true)
    );
    let moved = json!({"endpoint": {"url": "https://api.example.com/v2"}});
    assert_eq!(
        exhausted(&|v| v["providers"]["openai"]["upstream"] = moved.clone()),
        (false, false)
    );
    let key = json!({"bearer": "two"});
    assert_eq!(
        exhausted(&|v| v["providers"]["openai"]["credential"] = key.clone()),
        (false, false)
    );
    let outlier = json!({"outlier": {"consecutiveErrors": 2, "ejectForMs": 1000}});
    let (still, same) = exhausted(&|v| v["providers"]["openai"]["health"] = outlier.clone());
    assert_eq!((still, same), (true, false), "another rule says nothing about limits");
}
