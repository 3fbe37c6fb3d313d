//! The routes of one model name, and which of them takes a request.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use tokenweir_config as config;
use tokenweir_crds::pattern::Pattern;
use tokenweir_llm::request::LONGEST_VALUE;
use tokenweir_llm::{FieldPaths, FieldValue, Peek, RequestError};

use super::glob::Glob;
use super::{PlanError, Route};

/// The routes of one model name or pattern. Never empty.
#[derive(Debug)]
pub struct ModelRoutes {
    /// The one without conditions first.
    routes: Vec<Arc<Route>>,
    has_default: bool,
    /// By their turn.
    entries: Vec<Entry>,
    /// The fields that the entries look at.
    fields: FieldPaths,
}

/// Conditions that all hold for the requests of a route.
#[derive(Debug)]
struct Entry {
    route: Arc<Route>,
    headers: Vec<(HeaderName, Test)>,
    /// By the number of the field's path.
    body: Vec<(usize, Test)>,
}

/// What a value must be.
#[derive(Debug)]
enum Test {
    Present,
    Exact(Box<str>),
    Pattern(Pattern),
}

impl Test {
    fn new(test: &config::ValueTest) -> Result<Self, String> {
        Ok(match test {
            config::ValueTest::Present => Self::Present,
            config::ValueTest::Exact(value) => Self::Exact(value.as_str().into()),
            config::ValueTest::Pattern(given) => {
                Self::Pattern(Pattern::new(given).map_err(|error| format!("{given:?}: {error}"))?)
            }
        })
    }

    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(wanted) => wanted.as_bytes() == value,
            // A worker has other requests too: what is too long for any condition is not searched.
            Self::Pattern(pattern) => value.len() <= LONGEST_VALUE && pattern.fits(value),
        }
    }

    fn holds_for(&self, value: &FieldValue) -> bool {
        match (self, value) {
            (_, FieldValue::Absent) => false,
            (Self::Present, _) => true,
            (_, FieldValue::Opaque) => false,
            (_, FieldValue::Scalar(value)) => self.holds(value.as_bytes()),
        }
    }
}

impl Entry {
    fn new(route: &Arc<Route>, source: &config::RouteMatch, fields: &mut FieldPaths) -> Result<Self, PlanError> {
        let wrong = |why| PlanError::Condition {
            route: route.name.to_string(),
            why,
        };
        let header = |condition: &config::HeaderCondition| {
            let name = HeaderName::from_bytes(condition.name.as_bytes());
            let name = name.map_err(|_| format!("{:?} is not the name of a header", condition.name))?;
            Ok((name, Test::new(&condition.test)?))
        };
        let field = |condition: &config::FieldCondition| Ok((fields.add(&condition.path), Test::new(&condition.test)?));
        Ok(Self {
            route: Arc::clone(route),
            headers: source
                .headers
                .iter()
                .map(header)
                .collect::<Result<_, _>>()
                .map_err(wrong)?,
            body: source.body.iter().map(field).collect::<Result<_, _>>().map_err(wrong)?,
        })
    }

    fn takes_headers(&self, headers: &HeaderMap) -> bool {
        let holds = |(name, test): &(HeaderName, Test)| headers.get_all(name).iter().any(|v| test.holds(v.as_bytes()));
        self.headers.iter().all(holds)
    }

    fn takes_body(&self, values: &[FieldValue]) -> bool {
        let holds = |(field, test): &(usize, Test)| values.get(*field).is_some_and(|value| test.holds_for(value));
        self.body.iter().all(holds)
    }
}

impl ModelRoutes {
    /// The routes of one name.
    pub(super) fn new(routes: &[Arc<Route>]) -> Result<Self, PlanError> {
        let mut defaults = routes.iter().filter(|route| route.source.matches.is_empty());
        let default = defaults.next().map(Arc::clone);
        if let (Some(first), Some(second)) = (&default, defaults.next()) {
            return Err(PlanError::SharedModel {
                first: first.name.to_string(),
                second: second.name.to_string(),
                model: first.model.as_str().to_owned(),
            });
        }
        let mut fields = FieldPaths::default();
        let mut entries = Vec::new();
        for route in routes {
            for source in &route.source.matches {
                entries.push((source.rank, Entry::new(route, source, &mut fields)?));
            }
        }
        entries.sort_by(|(a_rank, a), (b_rank, b)| (a_rank, &a.route.name).cmp(&(b_rank, &b.route.name)));
        let entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
        let has_default = default.is_some();
        let mut all: Vec<Arc<Route>> = default.into_iter().collect();
        for entry in &entries {
            if !all.iter().any(|route| Arc::ptr_eq(route, &entry.route)) {
                all.push(Arc::clone(&entry.route));
            }
        }
        Ok(Self {
            routes: all,
            has_default,
            entries,
            fields,
        })
    }

    /// What clients ask for; `None` only if there is no route at all.
    pub(super) fn model(&self) -> Option<&Glob> {
        self.routes.first().map(|route| &route.model)
    }

    /// The routes, the one without conditions first.
    pub(super) fn all(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// Whether every request for the model is taken by one of them.
    pub(super) fn take_all(&self) -> bool {
        self.has_default
    }

    /// The route that takes a request. The body is looked at only if it comes down to it. The error is the client's: a field
    /// that decides is given twice.
    pub(super) fn find(&self, headers: &HeaderMap, peek: &Peek) -> Result<Option<&Arc<Route>>, RequestError> {
        let mut values: Option<Vec<FieldValue>> = None;
        for entry in &self.entries {
            if !entry.takes_headers(headers) {
                continue;
            }
            if entry.body.is_empty() {
                return Ok(Some(&entry.route));
            }
            let known = match values.take() {
                Some(known) => known,
                None => self.fields.read(peek.body())?,
            };
            if entry.takes_body(&known) {
                return Ok(Some(&entry.route));
            }
            values = Some(known);
        }
        Ok(self.routes.first().filter(|_| self.has_default))
    }
}
