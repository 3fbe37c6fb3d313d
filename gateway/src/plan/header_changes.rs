//! What a route changes about headers, ready to be applied.

use http::{HeaderMap, HeaderName, HeaderValue};
use tokenweir_config as config;

/// Changes of headers, at least one.
#[derive(Debug)]
pub struct HeaderChanges {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderChanges {
    /// `None` if nothing changes; the error names what is no header.
    pub(super) fn new(source: &config::HeaderChanges) -> Result<Option<Self>, String> {
        let name = |name: &str| {
            let parsed = HeaderName::from_bytes(name.as_bytes());
            parsed.map_err(|_| format!("{name:?} is not the name of a header"))
        };
        let line = |line: &config::HeaderLine| {
            let value = HeaderValue::from_str(&line.value);
            let value = value.map_err(|_| format!("{:?} is not the value of a header", line.value))?;
            Ok((name(&line.name)?, value))
        };
        Ok((!source.is_none()).then_some(Self {
            remove: source
                .remove
                .iter()
                .map(|given| name(given))
                .collect::<Result<_, _>>()?,
            set: source.set.iter().map(line).collect::<Result<_, String>>()?,
            add: source.add.iter().map(line).collect::<Result<_, String>>()?,
        }))
    }

    /// Makes the changes. Names and values are shared, not copied.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name.clone(), value.clone());
        }
    }
}
