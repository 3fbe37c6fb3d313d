//! A bound from above, without counting.

use tokenweir_llm::conversation::{Part, PartKind, Request, Source};

use crate::encoding::Encoding;
use crate::image::Vision;

/// The most that an image has with models whose formula is not known here. Those that publish one stay below 17,000.
const IMAGE: u64 = 65_536;

/// What providers put around functions by themselves; the largest that is published, Anthropic's, has 530 tokens.
const FUNCTIONS: u64 = 1024;

/// How many tokens the input of a request can have at most, by the length of its body in bytes.
///
/// A token has at least one byte of text, and a text is never longer than the JSON that carries it; names, quotes and
/// braces of JSON are more bytes than the tokens that stand around messages and functions. Images are bounded by what a
/// model sees at most. `None` where nothing in the request bounds the tokens: files and sound that the provider fetches, and
/// documents that are not text.
pub fn at_most(request: &Request, model: &str, body_bytes: u64) -> Option<u64> {
    let image = Vision::of(model).map_or(IMAGE, Vision::most);
    let own = if request.tools.is_empty() || Encoding::of_model(model).is_some() {
        0
    } else {
        FUNCTIONS
    };
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    let mut bound = body_bytes.saturating_add(own);
    for part in parts {
        bound = bound.saturating_add(beyond_bytes(part, image)?);
        if let PartKind::ToolResult(result) = &part.kind {
            for part in &result.parts {
                bound = bound.saturating_add(beyond_bytes(part, image)?);
            }
        }
    }
    Some(bound)
}

/// What a part can have beyond its bytes; `None` if that has no bound.
fn beyond_bytes(part: &Part, image: u64) -> Option<u64> {
    match &part.kind {
        PartKind::Image { .. } => Some(image),
        PartKind::Document { source, .. } => match source {
            Source::Text(_) => Some(0),
            Source::Inline(media) if media.media_type.starts_with("text/") => Some(0),
            Source::Inline(_) | Source::Url(_) | Source::File(_) => None,
        },
        // A second has at most 32 tokens, and some hundred characters of base64 in the thriftiest codec.
        PartKind::Audio { source } => matches!(source, Source::Inline(_)).then_some(0),
        _ => Some(0),
    }
}
