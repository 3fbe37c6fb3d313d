use std::sync::Mutex;

use super::*;
use tokenweir_config::status::HealthState;
use tokenweir_crds::conditions::{ConditionStatus, Reason};

fn key() -> GatewayKey {
    GatewayKey {
        namespace: "llm".into(),
        name: "edge".into(),
    }
}

fn written(generation: u64) -> Written {
    Written {
        generation,
        digest: format!("digest-{generation}"),
    }
}

fn pod(ready: bool, serving: Option<u64>) -> PodReport {
    PodReport {
        ready,
        serving: serving.map(written),
        ..PodReport::default()
    }
}

fn pods(reports: &[(&str, PodReport)]) -> BTreeMap<String, PodReport> {
    reports
        .iter()
        .map(|(name, report)| ((*name).to_owned(), report.clone()))
        .collect()
}

fn part(name: &str) -> PartKey {
    PartKey {
        kind: Kind::ModelRoute,
        name: name.into(),
    }
}

fn entry(name: &str, fingerprint: u64, since: u64) -> (PartKey, Entry) {
    let entry = Entry {
        observed_generation: Some(1),
        verdict: Verdict {
            kind: Kind::ModelRoute,
            name: name.into(),
            problems: Vec::new(),
            served: true,
        },
        fingerprint: Some(fingerprint),
        since,
        exact: true,
    };
    (part(name), entry)
}

fn seat(generation: u64, entries: &[(PartKey, Entry)]) -> Seat {
    Seat {
        written: Some(written(generation)),
        entries: Arc::new(entries.iter().cloned().collect()),
        ..Seat::default()
    }
}

/// A board and what it told.
fn board() -> (Board, Arc<Mutex<Vec<News>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    (Board::new(move |news| log.lock().unwrap().push(news)), told)
}

fn parts_told(told: &Mutex<Vec<News>>) -> Vec<String> {
    let news = std::mem::take(&mut *told.lock().unwrap());
    news.into_iter()
        .filter_map(|news| match news {
            News::Part { part, .. } => Some(part.name),
            News::Gateway(_) => None,
        })
        .collect()
}

#[test]
fn a_pod_that_serves_an_older_generation_lags_and_one_that_starts_does_not() {
    let liveness = judge(
        &written(7),
        &pods(&[
            ("a", pod(true, Some(7))),
            ("b", pod(true, Some(6))),
            ("c", pod(false, None)),
            ("d", pod(true, None)),
        ]),
    );
    assert_eq!(liveness.lagging, ["b", "d"]);
    assert_eq!(liveness.starting, ["c"]);
    assert_eq!(liveness.share(), "1/3 pods");
    assert!(!liveness.is_live());
    assert_eq!(liveness.floor, 0);
}

#[test]
fn the_same_number_with_another_content_is_not_live() {
    let mut other = written(7);
    other.digest = "other".into();
    let report = PodReport {
        ready: true,
        serving: Some(other),
        ..PodReport::default()
    };
    let liveness = judge(&written(7), &pods(&[("a", report)]));
    assert!(!liveness.is_live());
    assert_eq!(liveness.floor, 6);
}

#[test]
fn without_a_pod_nothing_is_live() {
    assert!(!judge(&written(1), &BTreeMap::new()).is_live());
}

#[test]
fn an_object_that_did_not_change_stays_programmed_through_later_generations() {
    let (board, told) = board();
    board.configured(&key(), seat(1, &[entry("old", 1, 1)]));
    board.observed(&key(), &written(1), &pods(&[("a", pod(true, Some(1)))]));
    parts_told(&told);

    board.configured(&key(), seat(2, &[entry("old", 1, 2), entry("new", 5, 2)]));
    assert_eq!(parts_told(&told), ["new"]);
    board.observed(&key(), &written(2), &pods(&[("a", pod(true, Some(1)))]));
    let state = |name: &str| programmed(&[board.part(&key(), &part(name)).unwrap()], "unused");
    assert_eq!(state("new").status, ConditionStatus::False);
    assert_eq!(state("new").reason, Reason::Pending);
    assert!(state("new").message.contains("not live on a"), "{:?}", state("new"));
    assert!(state("old").is_true());
    assert_eq!(state("old").message, "served by gateway edge since generation 1");

    parts_told(&told);
    board.observed(&key(), &written(2), &pods(&[("a", pod(true, Some(2)))]));
    assert_eq!(parts_told(&told), ["new"]);
    assert!(state("new").is_true());
}

#[test]
fn an_answer_to_an_older_question_is_not_taken_in() {
    let (board, _) = board();
    board.configured(&key(), seat(2, &[]));
    board.observed(&key(), &written(1), &pods(&[("a", pod(true, Some(1)))]));
    assert_eq!(board.seat(&key()).unwrap().liveness, None);
}

#[test]
fn a_refused_configuration_is_told_with_the_words_of_the_pod() {
    let (board, _) = board();
    board.configured(&key(), seat(3, &[entry("chat", 1, 3)]));
    let mut report = pod(true, Some(2));
    report.refused = Some("format 9 is too new".into());
    board.observed(&key(), &written(3), &pods(&[("a", report)]));
    let finding = programmed(&[board.part(&key(), &part("chat")).unwrap()], "unused");
    assert_eq!(finding.reason, Reason::Refused);
    assert!(finding.message.contains("format 9 is too new"));
}

#[test]
fn an_object_that_is_left_out_says_why_and_one_without_gateway_says_so() {
    use tokenweir_crds::compile::Problem;
    use tokenweir_crds::conditions::ConditionType;
    let (key, mut entry) = entry("chat", 1, 1);
    entry.fingerprint = None;
    entry.verdict.problems = vec![Problem {
        condition: ConditionType::ResolvedRefs,
        reason: Reason::ProviderNotFound,
        field: "spec.backends[0].providerRef.name".into(),
        message: "no such provider".into(),
    }];
    let view = Part {
        gateway: "edge".into(),
        entry,
        delivered: true,
        liveness: None,
    };
    let finding = programmed(std::slice::from_ref(&view), "unused");
    assert_eq!(finding.reason, Reason::ProviderNotFound);
    assert!(
        finding.message.contains("spec.backends[0]"),
        "{} {:?}",
        finding.message,
        key
    );
    assert_eq!(programmed(&[], "unused").reason, Reason::NoGateway);
    let idle = Part {
        entry: Entry {
            verdict: Verdict {
                problems: Vec::new(),
                ..view.entry.verdict.clone()
            },
            ..view.entry.clone()
        },
        ..view
    };
    assert_eq!(programmed(&[idle], "no route uses it").message, "no route uses it");
}

#[test]
fn a_forgotten_gateway_is_told_to_all_its_parts() {
    let (board, told) = board();
    board.configured(&key(), seat(1, &[entry("chat", 1, 1)]));
    parts_told(&told);
    board.forget(&key());
    assert_eq!(parts_told(&told), ["chat"]);
    assert!(board.seat(&key()).is_none());
}

#[test]
fn a_provider_that_reads_differently_is_told_with_the_routes_and_nothing_else() {
    let (board, told) = board();
    let of = |kind, name: &str| {
        let (mut part, mut entry) = entry(name, 1, 1);
        part.kind = kind;
        entry.verdict.kind = kind;
        (part, entry)
    };
    let entries = [
        of(Kind::ModelProvider, "openai"),
        of(Kind::ModelProvider, "vllm"),
        of(Kind::ModelRoute, "chat"),
        of(Kind::Tenant, "acme"),
    ];
    board.configured(&key(), seat(1, &entries));
    let report = |name: &str, state| ProviderReport {
        name: name.into(),
        state,
        reason: String::new(),
        since_unix_ms: 1,
    };
    let observe = |state| {
        let pod = PodReport {
            providers: vec![report("openai", state), report("vllm", HealthState::Healthy)],
            ..pod(true, Some(1))
        };
        board.observed(&key(), &written(1), &pods(&[("edge-0", pod)]));
    };
    observe(HealthState::Healthy);
    parts_told(&told);
    observe(HealthState::Healthy);
    assert!(parts_told(&told).is_empty());
    observe(HealthState::Unhealthy);
    assert_eq!(parts_told(&told), ["openai", "chat"]);
    assert_eq!(
        board.provider_reports(&key(), "openai")[0].state,
        HealthState::Unhealthy
    );
    // A new configuration does not make the pods forget.
    board.configured(&key(), seat(2, &entries));
    assert_eq!(board.provider_reports(&key(), "openai").len(), 1);
}
