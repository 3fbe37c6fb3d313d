//! The small language of latencies and faults: `name;parameter=value;parameter=value`.

use std::collections::BTreeMap;

use super::latency::MAX_MILLIS;

/// Why a text in that language is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The name is not one that exists.
    #[error("{given:?} is not a {what}; known are {known}")]
    Name {
        /// What was to be named.
        what: &'static str,
        /// What was given.
        given: String,
        /// What exists.
        known: &'static str,
    },
    /// A parameter has a value that does not fit.
    #[error("{name} = {given:?} must be {expected}")]
    Value {
        /// The parameter.
        name: String,
        /// What was given.
        given: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A parameter that this name does not take.
    #[error("{name:?} takes no parameter {parameter:?}")]
    Parameter {
        /// The latency model or fault.
        name: String,
        /// The parameter.
        parameter: String,
    },
}

/// A parsed text, parameters still as text.
pub(super) struct Spec<'a> {
    pub(super) name: &'a str,
    parameters: BTreeMap<&'a str, &'a str>,
}

impl<'a> Spec<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, SpecError> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut parameters = BTreeMap::new();
        for part in parts.filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| SpecError::Value {
                name: name.into(),
                given: part.into(),
                expected: "parameters written name=value",
            })?;
            if parameters.insert(key.trim(), value.trim()).is_some() {
                return Err(SpecError::Value {
                    name: key.trim().into(),
                    given: part.into(),
                    expected: "given once",
                });
            }
        }
        Ok(Self { name, parameters })
    }

    /// Takes a parameter as text.
    pub(super) fn text(&mut self, name: &str) -> Option<&'a str> {
        self.parameters.remove(name)
    }

    /// Takes a parameter as a whole number.
    pub(super) fn whole(&mut self, name: &str) -> Result<Option<u64>, SpecError> {
        let parsed = self.text(name).map(|given| {
            given.parse().map_err(|_| SpecError::Value {
                name: name.into(),
                given: given.into(),
                expected: "a whole number from 0 up",
            })
        });
        parsed.transpose()
    }

    /// Takes a parameter as a finite number that is not negative.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, SpecError> {
        let Some(given) = self.text(name) else { return Ok(None) };
        match given.parse::<f64>() {
            Ok(value) if (0.0..=MAX_MILLIS).contains(&value) => Ok(Some(value)),
            _ => Err(SpecError::Value {
                name: name.into(),
                given: given.into(),
                expected: "a number from 0 to 86400000",
            }),
        }
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), SpecError> {
        match self.parameters.into_keys().next() {
            Some(parameter) => Err(SpecError::Parameter {
                name: self.name.into(),
                parameter: parameter.into(),
            }),
            None => Ok(()),
        }
    }
}
