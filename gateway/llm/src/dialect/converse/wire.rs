//! The shape of answers and of stream events, as far as they are read.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Usage;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) output: Output<'a>,
    pub(super) stop_reason: String,
    pub(super) usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
pub(super) struct Output<'a> {
    #[serde(borrow)]
    pub(super) message: Message<'a>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) content: Vec<Block<'a>>,
}

/// A content block: one of these, or a kind that is not known here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block<'a> {
    pub(super) text: Option<String>,
    #[serde(borrow)]
    pub(super) tool_use: Option<ToolUse<'a>>,
    pub(super) reasoning_content: Option<ReasoningContent>,
    pub(super) citations_content: Option<CitationsContent>,
}

#[derive(Deserialize)]
pub(super) struct ToolUse<'a> {
    #[serde(rename = "toolUseId")]
    pub(super) id: String,
    pub(super) name: String,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    /// The kind of a tool that the provider runs itself.
    pub(super) r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasoningContent {
    pub(super) reasoning_text: Option<ReasoningText>,
    pub(super) redacted_content: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ReasoningText {
    #[serde(default)]
    pub(super) text: String,
    pub(super) signature: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CitationsContent {
    #[serde(default)]
    pub(super) content: Vec<CitedText>,
    #[serde(default)]
    pub(super) citations: Vec<Citation>,
}

#[derive(Deserialize)]
pub(super) struct CitedText {
    pub(super) text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Citation {
    pub(super) title: Option<String>,
    pub(super) source: Option<String>,
    #[serde(default)]
    pub(super) source_content: Vec<CitedText>,
    pub(super) location: Option<Location>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Location {
    pub(super) web: Option<WebLocation>,
    pub(super) document_char: Option<Span>,
    pub(super) document_page: Option<Span>,
    pub(super) document_chunk: Option<Span>,
    #[serde(rename = "searchResultLocation")]
    pub(super) search_result: Option<Span>,
}

#[derive(Deserialize)]
pub(super) struct WebLocation {
    pub(super) url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Span {
    pub(super) document_index: u64,
    pub(super) search_result_index: u64,
    pub(super) start: u64,
    pub(super) end: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
    #[serde(default)]
    cache_details: Vec<CacheDetail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheDetail {
    #[serde(default)]
    ttl: String,
    #[serde(default)]
    input_tokens: u64,
}

impl TokenUsage {
    /// In the shared terms, where input includes what was read from and written to caches.
    pub(super) fn read(&self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_write_input_tokens.unwrap_or(0);
        let for_an_hour = self.cache_details.iter().filter(|detail| detail.ttl == "1h");
        let hour: u64 = for_an_hour
            .map(|detail| detail.input_tokens)
            .fold(0, u64::saturating_add);
        Usage {
            prompt_tokens: self
                .input_tokens
                .map(|rest| rest.saturating_add(cached).saturating_add(written)),
            completion_tokens: self.output_tokens,
            total_tokens: self.total_tokens,
            cached_tokens: self.cache_read_input_tokens,
            cache_write_tokens: self.cache_write_input_tokens,
            cache_write_1h_tokens: (!self.cache_details.is_empty()).then_some(hour),
            ..Usage::default()
        }
    }
}

/// `contentBlockStart`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockStart<'a> {
    #[serde(borrow)]
    pub(super) start: Option<Start<'a>>,
    #[serde(default)]
    pub(super) content_block_index: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start<'a> {
    #[serde(borrow)]
    pub(super) tool_use: Option<ToolUse<'a>>,
}

/// `contentBlockDelta`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockDelta {
    pub(super) delta: Delta,
    #[serde(default)]
    pub(super) content_block_index: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delta {
    pub(super) text: Option<String>,
    pub(super) tool_use: Option<ToolInput>,
    pub(super) reasoning_content: Option<ReasoningDelta>,
    pub(super) citation: Option<Citation>,
}

#[derive(Deserialize)]
pub(super) struct ToolInput {
    #[serde(default)]
    pub(super) input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasoningDelta {
    pub(super) text: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) redacted_content: Option<String>,
}

/// `contentBlockStop`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockStop {
    #[serde(default)]
    pub(super) content_block_index: u32,
}

/// `messageStop`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageStop {
    pub(super) stop_reason: String,
}

/// `metadata`.
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) usage: Option<TokenUsage>,
}
