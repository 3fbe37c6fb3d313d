//! Which providers a route uses by their regions.

use super::Problem;
use crate::api::{RegionMode, Selection};
use crate::conditions::Reason;

/// The regions that a route wants. None by default.
#[derive(Default)]
pub(super) struct Regions<'a> {
    mode: RegionMode,
    /// The nearest first.
    wanted: Vec<&'a str>,
}

impl<'a> Regions<'a> {
    /// What a route wants at a gateway, whose region may be known.
    pub(super) fn of(selection: &'a Selection, gateway: Option<&'a str>) -> Self {
        let wanted = match selection.regions.as_slice() {
            [] => gateway.into_iter().collect(),
            given => given.iter().map(String::as_str).collect(),
        };
        Self {
            mode: selection.region,
            wanted,
        }
    }

    /// How far a provider in a region is, 0 for the nearest; `None` if nothing may be sent there.
    pub(super) fn distance(&self, region: Option<&str>) -> Option<u32> {
        let place = self.wanted.iter().position(|wanted| Some(*wanted) == region);
        match self.mode {
            RegionMode::Any => Some(0),
            RegionMode::Prefer => u32::try_from(place.unwrap_or(self.wanted.len())).ok(),
            RegionMode::Require => place.map(|_| 0),
        }
    }

    /// What is wrong if there is no region to go by.
    pub(super) fn missing(&self, gateway: &str) -> Option<Problem> {
        let needed = self.mode != RegionMode::Any && self.wanted.is_empty();
        needed.then(|| {
            let message = format!(
                "LLMGateway {gateway} has no region and the route names none; give spec.region there or selection.regions here"
            );
            Problem::invalid(Reason::Invalid, "spec.selection.region", message)
        })
    }

    /// What is wrong if no target is left; `None` if there is no region to go by.
    pub(super) fn nobody(&self) -> Option<Problem> {
        if self.wanted.is_empty() {
            return None;
        }
        let message = format!(
            "none of the route's providers is in {}; add one that is, or give the region of one by ModelProvider.spec.region",
            self.wanted.join(", ")
        );
        Some(Problem::invalid(Reason::Invalid, "spec.selection.region", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distances(mode: RegionMode, regions: &[&str], gateway: Option<&str>) -> [Option<u32>; 4] {
        let selection = Selection {
            region: mode,
            regions: regions.iter().map(|region| (*region).to_owned()).collect(),
            ..Selection::default()
        };
        let regions = Regions::of(&selection, gateway);
        [Some("eu"), Some("us"), Some("ap"), None].map(|region| regions.distance(region))
    }

    #[test]
    fn a_preference_is_an_order_and_a_requirement_a_border() {
        use RegionMode::{Any, Prefer, Require};
        assert_eq!(distances(Any, &[], Some("eu")), [Some(0); 4]);
        assert_eq!(distances(Prefer, &[], Some("us")), [Some(1), Some(0), Some(1), Some(1)]);
        assert_eq!(
            distances(Prefer, &["us", "eu"], Some("ap")),
            [Some(1), Some(0), Some(2), Some(2)]
        );
        assert_eq!(distances(Prefer, &[], None), [Some(0); 4]);
        assert_eq!(
            distances(Require, &["us", "eu"], Some("ap")),
            [Some(0), Some(0), None, None]
        );
        assert_eq!(distances(Require, &[], None), [None; 4]);
    }
}
