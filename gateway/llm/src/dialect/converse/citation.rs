//! Sources of a text.

use serde::Serialize;

use super::wire;
use crate::conversation::Citation;

/// Places in documents, in the form of Anthropic, which [`Citation::Document`] holds.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Place<'a> {
    #[serde(rename = "char_location")]
    Char {
        cited_text: &'a str,
        document_index: u64,
        document_title: Option<&'a str>,
        start_char_index: u64,
        end_char_index: u64,
    },
    #[serde(rename = "page_location")]
    Page {
        cited_text: &'a str,
        document_index: u64,
        document_title: Option<&'a str>,
        start_page_number: u64,
        end_page_number: u64,
    },
    #[serde(rename = "content_block_location")]
    ContentBlock {
        cited_text: &'a str,
        document_index: u64,
        document_title: Option<&'a str>,
        start_block_index: u64,
        end_block_index: u64,
    },
    #[serde(rename = "search_result_location")]
    SearchResult {
        cited_text: &'a str,
        source: &'a str,
        title: Option<&'a str>,
        search_result_index: u64,
        start_block_index: u64,
        end_block_index: u64,
    },
}

/// In the shared terms; `None` for a citation that names no place.
pub(super) fn read(citation: &wire::Citation) -> Option<Citation> {
    let cited: String = citation
        .source_content
        .iter()
        .filter_map(|piece| piece.text.as_deref())
        .collect();
    let location = citation.location.as_ref()?;
    let title = citation.title.as_deref();
    if let Some(web) = &location.web {
        return Some(Citation::Url {
            url: web.url.clone()?,
            title: citation.title.clone(),
            range: None,
            cited_text: (!cited.is_empty()).then_some(cited),
        });
    }
    let cited_text = cited.as_str();
    let place = if let Some(span) = &location.document_char {
        Place::Char {
            cited_text,
            document_index: span.document_index,
            document_title: title,
            start_char_index: span.start,
            end_char_index: span.end,
        }
    } else if let Some(span) = &location.document_page {
        Place::Page {
            cited_text,
            document_index: span.document_index,
            document_title: title,
            start_page_number: span.start,
            end_page_number: span.end,
        }
    } else if let Some(span) = &location.document_chunk {
        Place::ContentBlock {
            cited_text,
            document_index: span.document_index,
            document_title: title,
            start_block_index: span.start,
            end_block_index: span.end,
        }
    } else {
        let span = location.search_result.as_ref()?;
        Place::SearchResult {
            cited_text,
            source: citation.source.as_deref().unwrap_or_default(),
            title,
            search_result_index: span.search_result_index,
            start_block_index: span.start,
            end_block_index: span.end,
        }
    };
    serde_json::value::to_raw_value(&place).ok().map(Citation::Document)
}
