//! Where an answer is from: pages that it was grounded on, and works that it quotes at length.

use super::wire::Candidate;
use crate::conversation::Citation;

/// One source, and the bytes of the answer's text that it stands behind; `None`: all.
pub(super) struct Found {
    url: String,
    title: Option<String>,
    pub(super) range: Option<(u64, u64)>,
}

impl Found {
    /// As a citation with a range in characters.
    pub(super) fn citation(&self, range: Option<(u64, u64)>) -> Citation {
        Citation::Url {
            url: self.url.clone(),
            title: self.title.clone(),
            range,
            cited_text: None,
        }
    }
}

/// The sources of a candidate, in its order.
pub(super) fn of(candidate: &Candidate<'_>) -> Vec<Found> {
    let quoted = candidate.citation_metadata.iter().flat_map(|all| &all.citations);
    let mut found: Vec<Found> = quoted
        .filter_map(|source| {
            Some(Found {
                url: source.uri.clone()?,
                title: source.title.clone(),
                range: source.end_index.map(|end| (source.start_index, end)),
            })
        })
        .collect();
    let Some(grounding) = &candidate.grounding_metadata else {
        return found;
    };
    let page = |index: usize, range| {
        let web = grounding.grounding_chunks.get(index)?.web.as_ref()?;
        Some(Found {
            url: web.uri.clone()?,
            title: web.title.clone(),
            range,
        })
    };
    if grounding.grounding_supports.is_empty() {
        found.extend((0..grounding.grounding_chunks.len()).filter_map(|index| page(index, None)));
    }
    for support in &grounding.grounding_supports {
        let segment = support.segment.as_ref();
        let range = segment.and_then(|segment| Some((segment.start_index, segment.end_index?)));
        found.extend(
            support
                .grounding_chunk_indices
                .iter()
                .filter_map(|&index| page(index, range)),
        );
    }
    found
}

/// How many characters the first bytes of a text are; `None` if they end within one or behind the text.
pub(super) fn characters(text: &str, bytes: u64) -> Option<u64> {
    let head = text.get(..usize::try_from(bytes).ok()?)?;
    Some(head.chars().count() as u64)
}
