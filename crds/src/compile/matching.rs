//! Which requests for one model go to which of its routes.

use std::cmp::Reverse;
use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};

use tokenweir_config::{FieldCondition, HeaderCondition, Route, RouteMatch, ValueTest};

use super::Problem;
use crate::api::{self, MatchType};
use crate::conditions::Reason;
use crate::pattern::Pattern;

/// What clients of HTTP/1.1 alone send as a header.
const HOST: &str = "host";

/// One of a route's entries, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    index: usize,
    conditions: Conditions,
}

/// What must hold for a request, in an order in which equal conditions are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Conditions {
    headers: Vec<HeaderCondition>,
    body: Vec<FieldCondition>,
}

/// The entries of a route that can be used: none for a route that takes every request. `None` if it has entries and all are
/// wrong, as it must not take requests that it did not ask for.
pub(super) fn entries(given: &[api::RouteMatch], problems: &mut Vec<Problem>) -> Option<Vec<Entry>> {
    let mut usable = Vec::new();
    for (index, entry) in given.iter().enumerate() {
        if let Some(conditions) = conditions(index, entry, problems) {
            usable.push(Entry { index, conditions });
        }
    }
    (given.is_empty() || !usable.is_empty()).then_some(usable)
}

/// `None` if one of them is wrong: without it the rest would take more than was asked for.
fn conditions(index: usize, entry: &api::RouteMatch, problems: &mut Vec<Problem>) -> Option<Conditions> {
    let at = format!("spec.match[{index}]");
    if entry.headers.is_empty() && entry.body.is_empty() {
        // The schema refuses it; an object from before a change of the schema may still have it.
        let message = "neither headers nor body is given; leave match out to take every request";
        problems.push(Problem::invalid(Reason::Invalid, at, message));
        return None;
    }
    let before = problems.len();
    let mut found = Conditions::default();
    for (n, header) in entry.headers.iter().enumerate() {
        let name = header.name.to_ascii_lowercase();
        if name == HOST {
            // The schema refuses it; an object from before a change of the schema may still have it.
            let message = "HTTP/2 has no such header; choose one that clients send with any protocol";
            problems.push(Problem::invalid(
                Reason::Invalid,
                format!("{at}.headers[{n}].name"),
                message,
            ));
            continue;
        }
        let field = format!("{at}.headers[{n}].value");
        if let Some(test) = test(header.match_type, header.value.as_deref(), field, problems) {
            found.headers.push(HeaderCondition { name, test });
        }
    }
    for (n, body) in entry.body.iter().enumerate() {
        let field = format!("{at}.body[{n}].value");
        if let Some(test) = test(body.match_type, body.value.as_deref(), field, problems) {
            let path = body.path.clone();
            found.body.push(FieldCondition { path, test });
        }
    }
    found.headers.sort();
    found.headers.dedup();
    found.body.sort();
    found.body.dedup();
    (problems.len() == before).then_some(found)
}

fn test(kind: MatchType, value: Option<&str>, field: String, problems: &mut Vec<Problem>) -> Option<ValueTest> {
    let why = match (kind, value) {
        (MatchType::Present, None) => return Some(ValueTest::Present),
        (MatchType::Exact, Some(value)) => return Some(ValueTest::Exact(value.to_owned())),
        (MatchType::RegularExpression, Some(value)) => match Pattern::new(value) {
            Ok(_) => return Some(ValueTest::Pattern(value.to_owned())),
            Err(error) => format!("{value:?}: {error}"),
        },
        // The schema refuses the rest.
        (MatchType::Present, Some(_)) => "type Present compares nothing; leave value out".to_owned(),
        (MatchType::Exact | MatchType::RegularExpression, None) => "nothing to compare with; give a value".to_owned(),
    };
    problems.push(Problem::invalid(Reason::Invalid, field, why));
    None
}

/// Which requests are taken already, while routes come in the order of their age.
pub(super) struct Claims<'a> {
    gateway: &'a str,
    owners: HashMap<(&'a str, Conditions), &'a str>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(gateway: &'a str) -> Self {
        Self {
            gateway,
            owners: HashMap::new(),
        }
    }

    /// What a route gets of the requests for its model; `None` if older routes take all of them.
    ///
    /// Only what no request could ever reach is a conflict. Where two routes fit one request for different reasons,
    /// precedence decides.
    pub(super) fn claim(
        &mut self,
        route: &'a str,
        model: &'a str,
        entries: Vec<Entry>,
        problems: &mut Vec<Problem>,
    ) -> Option<Vec<RouteMatch>> {
        let gateway = self.gateway;
        if entries.is_empty() {
            let owner = *self.owners.entry((model, Conditions::default())).or_insert(route);
            if owner == route {
                return Some(Vec::new());
            }
            let message = format!(
                "model {model:?} is already served by ModelRoute {owner} at LLMGateway {gateway}; choose another name, add \
                 backends there, or say by match which requests this route takes"
            );
            problems.push(Problem::invalid(Reason::Conflict, "spec.model", message));
            return None;
        }
        let mut own = Vec::new();
        for Entry { index, conditions } in entries {
            match self.owners.entry((model, conditions.clone())) {
                Slot::Vacant(free) => {
                    free.insert(route);
                    own.push(RouteMatch {
                        rank: 0,
                        headers: conditions.headers,
                        body: conditions.body,
                    });
                }
                // Said twice by one route, it is still the same.
                Slot::Occupied(taken) if *taken.get() == route => {}
                Slot::Occupied(taken) => {
                    let message = format!(
                        "ModelRoute {} takes the same requests for model {model:?} at LLMGateway {gateway}; change one of both",
                        taken.get()
                    );
                    problems.push(Problem::invalid(
                        Reason::Conflict,
                        format!("spec.match[{index}]"),
                        message,
                    ));
                }
            }
        }
        (!own.is_empty()).then_some(own)
    }
}

/// Gives each entry its turn among those for the same model: more headers first, then more fields of the body, then the
/// older route, then as it was written.
pub(super) fn rank<'a>(routes_by_age: impl Iterator<Item = &'a str>, served: &mut BTreeMap<String, Route>) {
    let mut all: Vec<_> = Vec::new();
    for (age, name) in routes_by_age.enumerate() {
        let Some(route) = served.get(name) else { continue };
        all.extend(route.matches.iter().enumerate().map(|(place, entry)| {
            let specific = (Reverse(entry.headers.len()), Reverse(entry.body.len()));
            (route.model.clone(), specific, age, place, name)
        }));
    }
    all.sort();
    let mut turn = (None, 0);
    for (model, _, _, place, name) in all {
        turn = match turn {
            (Some(last), rank) if last == model => (Some(model), rank + 1),
            _ => (Some(model), 0),
        };
        if let Some(entry) = served.get_mut(name).and_then(|route| route.matches.get_mut(place)) {
            entry.rank = turn.1;
        }
    }
}
