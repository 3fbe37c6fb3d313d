//! OpenAI's encodings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bpe_openai::Tokenizer;

/// A vocabulary that is public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Of `gpt-3.5-turbo`, `gpt-4` and the embeddings models.
    Cl100k,
    /// Of `gpt-4o` and everything since.
    O200k,
}

/// Names of models, or how they begin, with their encodings, the more exact one first: OpenAI's own list in `tiktoken`, and the
/// models since.
const MODELS: [(&str, Encoding); 14] = [
    ("gpt-4o", Encoding::O200k),
    ("gpt-4.1", Encoding::O200k),
    ("gpt-4.5", Encoding::O200k),
    ("chatgpt-4o", Encoding::O200k),
    ("gpt-5", Encoding::O200k),
    ("gpt-oss", Encoding::O200k),
    ("o1", Encoding::O200k),
    ("o3", Encoding::O200k),
    ("o4-mini", Encoding::O200k),
    ("gpt-4", Encoding::Cl100k),
    ("gpt-3.5", Encoding::Cl100k),
    // As Azure writes it.
    ("gpt-35", Encoding::Cl100k),
    ("text-embedding-3", Encoding::Cl100k),
    ("text-embedding-ada-002", Encoding::Cl100k),
];

static READY: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

impl Encoding {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Cl100k, Self::O200k];

    /// The name that OpenAI gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cl100k => "cl100k_base",
            Self::O200k => "o200k_base",
        }
    }

    /// The encoding of a model, by the provider's name for it. `None`: it is not public, or not known.
    pub fn of_model(model: &str) -> Option<Self> {
        let name = base_name(model);
        let fits = |known: &str| {
            let behind = name.strip_prefix(known)?;
            // `o1` is no beginning of `o100`, and `gpt-4` none of `gpt-4x`.
            behind
                .chars()
                .next()
                .is_none_or(|c| matches!(c, '-' | '.' | ':'))
                .then_some(())
        };
        MODELS
            .iter()
            .find(|(known, _)| fits(known).is_some())
            .map(|(_, encoding)| *encoding)
    }

    /// The encoding itself, if it was read.
    pub(crate) fn ready(self) -> Option<&'static Tokenizer> {
        READY[self as usize].load(Ordering::Acquire).then(|| self.read())
    }

    fn read(self) -> &'static Tokenizer {
        match self {
            Self::Cl100k => bpe_openai::cl100k_base(),
            Self::O200k => bpe_openai::o200k_base(),
        }
    }
}

/// The name without what stands around it: `openai/gpt-5`, `openai.gpt-oss-20b-1:0`, `ft:gpt-4o-2024-08-06:acme::1`.
pub(crate) fn base_name(model: &str) -> &str {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let name = name.rsplit_once("openai.").map_or(name, |(_, name)| name);
    name.strip_prefix("ft:").unwrap_or(name)
}

/// Reads the encodings on a thread of their own, so that no request waits for it. Returns at once.
///
/// Until one is there, and if the thread cannot be started, its models are counted by estimate.
pub fn load() -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("encodings".to_owned()).spawn(|| {
        for encoding in Encoding::ALL {
            encoding.read();
            READY[encoding as usize].store(true, Ordering::Release);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_the_encodings_that_openai_says() {
        for (model, encoding) in [
            ("gpt-4o", Some(Encoding::O200k)),
            ("gpt-4o-mini-2024-07-18", Some(Encoding::O200k)),
            ("gpt-4.1-nano", Some(Encoding::O200k)),
            ("gpt-5.4-mini", Some(Encoding::O200k)),
            ("o1", Some(Encoding::O200k)),
            ("o3-mini", Some(Encoding::O200k)),
            ("openai/gpt-5", Some(Encoding::O200k)),
            ("us.openai.gpt-5.6-sol", Some(Encoding::O200k)),
            ("ft:gpt-4o-2024-08-06:acme::1", Some(Encoding::O200k)),
            ("gpt-4", Some(Encoding::Cl100k)),
            ("gpt-4-0613", Some(Encoding::Cl100k)),
            ("gpt-4-turbo", Some(Encoding::Cl100k)),
            ("gpt-3.5-turbo", Some(Encoding::Cl100k)),
            ("gpt-35-turbo-16k", Some(Encoding::Cl100k)),
            ("text-embedding-3-small", Some(Encoding::Cl100k)),
            ("claude-opus-5", None),
            ("gemini-2.5-pro", None),
            ("gpt-4x", None),
            ("o100", None),
            ("llama-3", None),
            ("", None),
        ] {
            assert_eq!(Encoding::of_model(model), encoding, "{model}");
        }
    }
}
