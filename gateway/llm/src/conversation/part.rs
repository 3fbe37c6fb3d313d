//! What messages are made of.

use super::{Json, Named};

/// A piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// A mark that asks the provider to cache everything up to here.
    pub cache: Option<CacheControl>,
    /// Where the client wrote it: `messages[2].content[0]`. Empty in answers.
    pub at: Box<str>,
}

/// The kinds of pieces.
#[derive(Debug, Clone, PartialEq)]
pub enum PartKind {
    /// Text, in answers with where it is from.
    Text {
        /// The text.
        text: String,
        /// Sources of it.
        citations: Vec<Citation>,
    },
    /// An image.
    Image {
        /// Where it is.
        source: Source,
        /// How closely to look: `low`, `high`, `auto`.
        detail: Option<Named<String>>,
    },
    /// A document, such as a PDF.
    Document {
        /// Where it is.
        source: Source,
        /// Its file name or title.
        name: Option<String>,
        /// Whether the answer may cite it.
        citations: bool,
    },
    /// Sound. `source` holds the media type, such as `audio/wav`.
    Audio {
        /// Where it is.
        source: Source,
    },
    /// The model calls a function.
    ToolCall(ToolCall),
    /// What a function gave.
    ToolResult(ToolResult),
    /// What the model thought.
    Thinking {
        /// The thought, or its summary; may be empty when only the signature is given.
        text: String,
        /// The provider's proof that the thought is its own. Only of use to the provider that gave it.
        signature: Option<String>,
    },
    /// A thought that only its provider can read.
    RedactedThinking {
        /// Encrypted.
        data: String,
    },
    /// The model refuses, in its own words.
    Refusal {
        /// The words.
        text: String,
    },
}

/// Where media is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Here.
    Inline(Media),
    /// Elsewhere; the provider fetches it.
    Url(String),
    /// At the provider, by its id.
    File(String),
    /// Plain text that serves as a document.
    Text(String),
}

/// Bytes with their type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Such as `image/png`.
    pub media_type: String,
    /// Base64, as it was given.
    pub base64: String,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Ties the result to it.
    pub id: String,
    /// Which function.
    pub name: String,
    /// JSON text; empty stands for no arguments. A model may write what is not JSON.
    pub arguments: String,
    /// The provider's proof of the thought behind the call.
    pub signature: Option<String>,
}

/// What a function gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call.
    pub id: String,
    /// Text, images and documents.
    pub parts: Vec<Part>,
    /// Whether the function failed; `None` where the dialect does not say.
    pub is_error: Option<bool>,
}

/// Asks the provider to cache everything up to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheControl {
    /// How long: `5m` or `1h`; `None`: the provider's default.
    pub ttl: Option<String>,
}

/// Where a text is from.
#[derive(Debug, Clone)]
pub enum Citation {
    /// A page of the web.
    Url {
        /// Its address.
        url: String,
        /// Its title.
        title: Option<String>,
        /// The characters of the text that it stands behind, from and up to; `None`: all.
        range: Option<(u64, u64)>,
        /// What was cited.
        cited_text: Option<String>,
    },
    /// A place in a document of the request, in the dialect of Anthropic, whose forms (`char_location`, `page_location`,
    /// `content_block_location`, `search_result_location`) no other client dialect has.
    Document(Json),
}

impl PartialEq for Citation {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Url {
                    url,
                    title,
                    range,
                    cited_text,
                },
                Self::Url {
                    url: u,
                    title: t,
                    range: r,
                    cited_text: c,
                },
            ) => (url, title, range, cited_text) == (u, t, r, c),
            (Self::Document(one), Self::Document(other)) => one.get() == other.get(),
            _ => false,
        }
    }
}

impl Part {
    /// A piece with its place.
    pub fn new(kind: PartKind, at: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            cache: None,
            at: at.into(),
        }
    }

    /// Text without citations.
    pub fn text(text: impl Into<String>, at: impl Into<Box<str>>) -> Self {
        let kind = PartKind::Text {
            text: text.into(),
            citations: Vec::new(),
        };
        Self::new(kind, at)
    }
}
