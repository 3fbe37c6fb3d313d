//! The shape of answers, as far as it is read. Unknown fields pass unseen.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Usage;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply<'a> {
    #[serde(borrow, default)]
    pub(super) candidates: Vec<Candidate<'a>>,
    pub(super) prompt_feedback: Option<PromptFeedback>,
    pub(super) usage_metadata: Option<UsageMetadata>,
    pub(super) model_version: Option<String>,
    pub(super) response_id: Option<String>,
    /// In a stream an error comes in place of an answer.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    pub(super) block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    /// Absent for the first one: zeros are left out on this wire.
    #[serde(default)]
    pub(super) index: u32,
    #[serde(borrow)]
    pub(super) content: Option<Content<'a>>,
    pub(super) finish_reason: Option<String>,
    #[serde(borrow)]
    pub(super) logprobs_result: Option<&'a RawValue>,
    pub(super) citation_metadata: Option<CitationMetadata>,
    pub(super) grounding_metadata: Option<GroundingMetadata>,
}

#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    pub(super) parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) thought: bool,
    pub(super) thought_signature: Option<String>,
    #[serde(borrow)]
    pub(super) function_call: Option<FunctionCall<'a>>,
    pub(super) inline_data: Option<InlineData>,
}

#[derive(Deserialize)]
pub(super) struct FunctionCall<'a> {
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(borrow)]
    pub(super) args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InlineData {
    #[serde(default)]
    pub(super) mime_type: String,
    #[serde(default)]
    pub(super) data: String,
}

#[derive(Deserialize)]
pub(super) struct CitationMetadata {
    /// Vertex AI says `citations`, the Gemini API `citationSources`.
    #[serde(default, alias = "citationSources")]
    pub(super) citations: Vec<CitationSource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CitationSource {
    #[serde(default)]
    pub(super) start_index: u64,
    pub(super) end_index: Option<u64>,
    pub(super) uri: Option<String>,
    pub(super) title: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroundingMetadata {
    #[serde(default)]
    pub(super) grounding_chunks: Vec<GroundingChunk>,
    #[serde(default)]
    pub(super) grounding_supports: Vec<GroundingSupport>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroundingChunk {
    #[serde(alias = "retrievedContext")]
    pub(super) web: Option<WebSource>,
}

#[derive(Deserialize)]
pub(super) struct WebSource {
    pub(super) uri: Option<String>,
    pub(super) title: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroundingSupport {
    pub(super) segment: Option<Segment>,
    #[serde(default)]
    pub(super) grounding_chunk_indices: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Segment {
    #[serde(default)]
    pub(super) start_index: u64,
    pub(super) end_index: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageMetadata {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    total_token_count: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Vec<ModalityCount>,
    #[serde(default)]
    candidates_tokens_details: Vec<ModalityCount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModalityCount {
    #[serde(default)]
    modality: String,
    #[serde(default)]
    token_count: u64,
}

impl UsageMetadata {
    /// In the shared terms. Zeros are left out on this wire, so once there is any count, what is absent is zero; only
    /// what a part of the input or output is stays unknown.
    pub(super) fn read(&self) -> Usage {
        if self.prompt_token_count.is_none()
            && self.total_token_count.is_none()
            && self.candidates_token_count.is_none()
        {
            // Vertex AI sends the kind of traffic alone before the end of a stream.
            return Usage::default();
        }
        let sum = |a: Option<u64>, b: Option<u64>| Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0)));
        Usage {
            prompt_tokens: sum(self.prompt_token_count, self.tool_use_prompt_token_count),
            completion_tokens: sum(self.candidates_token_count, self.thoughts_token_count),
            total_tokens: self.total_token_count,
            cached_tokens: self.cached_content_token_count,
            cache_write_tokens: None,
            cache_write_1h_tokens: None,
            input_audio_tokens: audio(&self.prompt_tokens_details),
            reasoning_tokens: self.thoughts_token_count,
            output_audio_tokens: audio(&self.candidates_tokens_details),
        }
    }
}

fn audio(details: &[ModalityCount]) -> Option<u64> {
    let mut counts = details
        .iter()
        .filter(|count| count.modality == "AUDIO")
        .map(|count| count.token_count)
        .peekable();
    counts.peek()?;
    Some(counts.fold(0, u64::saturating_add))
}
