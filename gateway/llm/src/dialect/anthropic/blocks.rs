//! Blocks as they are written, in requests and in answers.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::conversation::{CacheControl, Citation};
use crate::dialect::media;

/// A block of a message.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<WireCitation<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<WireCache<'a>>,
    },
    Image {
        source: WireSource<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<WireCache<'a>>,
    },
    Document {
        source: WireSource<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<Enabled>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<WireCache<'a>>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Input<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<WireCache<'a>>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Self>,
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<WireCache<'a>>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
}

impl<'a> Block<'a> {
    /// Text and nothing else.
    pub(super) const fn text(text: &'a str) -> Self {
        Self::Text {
            text,
            citations: Vec::new(),
            cache_control: None,
        }
    }
}

/// A cache mark.
#[derive(Debug, Serialize)]
pub(super) struct WireCache<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
}

impl<'a> From<&'a CacheControl> for WireCache<'a> {
    fn from(cache: &'a CacheControl) -> Self {
        Self {
            r#type: "ephemeral",
            ttl: cache.ttl.as_deref(),
        }
    }
}

/// Where media is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireSource<'a> {
    Base64 {
        media_type: &'a str,
        data: &'a str,
    },
    Text {
        media_type: &'static str,
        data: Cow<'a, str>,
    },
    Url {
        url: &'a str,
    },
    File {
        file_id: &'a str,
    },
}

/// Switches something on.
#[derive(Debug, Serialize)]
pub(super) struct Enabled {
    pub(super) enabled: bool,
}

/// What a function is called with. The dialect has objects only.
#[derive(Debug)]
pub(super) enum Input<'a> {
    Object(&'a RawValue),
    Empty,
    /// What the model wrote instead of an object. Anthropic documents this key for handing such a text back.
    Text(&'a str),
}

impl<'a> Input<'a> {
    /// Reads the arguments of a call.
    pub(super) fn of(arguments: &'a str) -> Self {
        if arguments.trim().is_empty() {
            return Self::Empty;
        }
        media::arguments(arguments).map_or(Self::Text(arguments), Self::Object)
    }
}

impl Serialize for Input<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Empty {}
        #[derive(Serialize)]
        struct Wrapped<'a> {
            #[serde(rename = "INVALID_JSON")]
            text: &'a str,
        }
        match self {
            Self::Object(raw) => raw.serialize(serializer),
            Self::Empty => Empty {}.serialize(serializer),
            Self::Text(text) => Wrapped { text }.serialize(serializer),
        }
    }
}

/// A source of a text.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum WireCitation<'a> {
    Place(&'a RawValue),
    Web(WebCitation<'a>),
}

/// A page of the web.
#[derive(Debug, Serialize)]
pub(super) struct WebCitation<'a> {
    r#type: &'static str,
    cited_text: &'a str,
    /// Ties the citation to a search that Anthropic did; there was none.
    encrypted_index: &'static str,
    title: Option<&'a str>,
    url: &'a str,
}

impl<'a> From<&'a Citation> for WireCitation<'a> {
    fn from(citation: &'a Citation) -> Self {
        match citation {
            Citation::Document(place) => Self::Place(place),
            Citation::Url {
                url, title, cited_text, ..
            } => Self::Web(WebCitation {
                r#type: "web_search_result_location",
                cited_text: cited_text.as_deref().unwrap_or_default(),
                encrypted_index: "",
                title: title.as_deref(),
                url,
            }),
        }
    }
}
