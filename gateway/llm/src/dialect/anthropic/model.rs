//! What the models of Anthropic accept, told from their names.
//!
//! The dialect is one, its models differ: what one of them needs, another refuses. A request that is made for a model
//! must be one that it takes, so what the documentation says of each generation stands here. A name of no known
//! generation counts as the newest of its family, and a name without `claude` in it as a server that is compatible with
//! the dialect as it was before models began to differ.

use crate::tokens::Vision;

/// What a model takes of the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Of `temperature`, `top_p` and `top_k`.
    pub(super) sampling: Sampling,
    /// The forms of thinking that can be asked for.
    pub(super) thinking: Thinking,
    /// How thinking is turned off.
    pub(super) off: Off,
    /// The steps of `output_config.effort`.
    pub(super) efforts: Efforts,
    /// Whether a message of the system may stand behind a user's turn.
    pub(super) late_instructions: bool,
    /// Whether `tool_choice` may demand a call.
    pub(in crate::dialect) forced_tools: bool,
    /// A limit on tokens that the model accepts, for requests that give none.
    pub(super) max_tokens: u64,
    /// How large it sees images.
    pub(crate) vision: Vision,
}

/// Which ways to draw tokens are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampling {
    /// All, in any combination.
    Free,
    /// `temperature` or `top_p`, and with thinking none that differs from its default.
    OneOfTwo,
    /// None but the defaults.
    Fixed,
}

/// Which forms of thinking can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// `enabled`, with a budget.
    Budget,
    /// Also `adaptive`.
    Both,
    /// Only `adaptive`.
    Adaptive,
}

/// How thinking is turned off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    /// `disabled`.
    Disabled,
    /// `between_tools`.
    BetweenTools,
    /// It cannot be.
    Never,
}

/// The steps of effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Efforts {
    /// There is no such field.
    None,
    /// `low`, `medium`, `high`, `max`.
    WithoutExtraHigh,
    /// `xhigh` too.
    All,
}

/// Up to Claude 4.6.
const STANDARD: Vision = Vision {
    edge: 1568,
    tokens: 1568,
};

/// From Claude 4.7.
const HIGH_RESOLUTION: Vision = Vision {
    edge: 2576,
    tokens: 4784,
};

/// Servers that are compatible with the dialect; they document what it was before models differed. The limit is one
/// that the smallest contexts bear.
const COMPATIBLE: Abilities = Abilities {
    sampling: Sampling::Free,
    thinking: Thinking::Both,
    off: Off::Disabled,
    efforts: Efforts::None,
    late_instructions: false,
    forced_tools: true,
    max_tokens: 4096,
    vision: HIGH_RESOLUTION,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Haiku,
    Sonnet,
    Opus,
    /// Fable and Mythos, which have one surface.
    Fable,
}

/// Major and minor.
type Version = (u32, u32);

const NEWEST: Version = (u32::MAX, 0);

impl Abilities {
    /// Of the model with this name, however a platform dresses it: `claude-opus-4-5@20251101`,
    /// `us.anthropic.claude-3-7-sonnet-20250219-v1:0`.
    pub(crate) fn of(model: &str) -> Self {
        let Some((family, version)) = generation(model) else {
            return COMPATIBLE;
        };
        if version < (4, 7) {
            older(version)
        } else {
            newer(family, version)
        }
    }
}

fn older(version: Version) -> Abilities {
    let adaptive = version >= (4, 6);
    Abilities {
        sampling: if version >= (4, 1) {
            Sampling::OneOfTwo
        } else {
            Sampling::Free
        },
        thinking: if adaptive { Thinking::Both } else { Thinking::Budget },
        efforts: if adaptive {
            Efforts::WithoutExtraHigh
        } else {
            Efforts::None
        },
        max_tokens: match version {
            (0..=2, _) | (3, 0..=4) => 4096,
            (3, 5..=6) => 8192,
            _ => 32_000,
        },
        vision: STANDARD,
        ..COMPATIBLE
    }
}

fn newer(family: Family, version: Version) -> Abilities {
    let five_and_a_half = version >= (5, 5);
    Abilities {
        sampling: Sampling::Fixed,
        thinking: Thinking::Adaptive,
        off: match family {
            Family::Fable => Off::Never,
            Family::Opus if five_and_a_half => Off::Never,
            Family::Sonnet if five_and_a_half => Off::BetweenTools,
            _ => Off::Disabled,
        },
        efforts: Efforts::All,
        late_instructions: match family {
            Family::Fable => true,
            Family::Opus => version >= (4, 8),
            Family::Sonnet | Family::Haiku => five_and_a_half,
        },
        forced_tools: match family {
            Family::Fable => version < (5, 1),
            Family::Opus | Family::Sonnet => !five_and_a_half,
            Family::Haiku => true,
        },
        max_tokens: 32_000,
        vision: HIGH_RESOLUTION,
    }
}

/// The family and version in a name; `None` if it is none of Anthropic's.
fn generation(model: &str) -> Option<(Family, Version)> {
    let name = model.to_ascii_lowercase();
    let (_, name) = name.rsplit_once("claude")?;
    let mut family = None;
    let mut numbers: Option<Vec<u32>> = None;
    let mut closed = false;
    for word in name.split(|c: char| !c.is_ascii_alphanumeric()) {
        match word {
            "" => {}
            "haiku" => family = Some(Family::Haiku),
            "sonnet" => family = Some(Family::Sonnet),
            "opus" => family = Some(Family::Opus),
            "fable" | "mythos" => family = Some(Family::Fable),
            // A date has eight digits.
            _ if word.len() <= 2 && !closed && word.bytes().all(|byte| byte.is_ascii_digit()) => {
                numbers.get_or_insert_default().extend(word.parse::<u32>().ok());
            }
            _ => closed = true,
        }
        closed |= matches!(&numbers, Some(numbers) if numbers.len() == 2);
    }
    let version = numbers.map_or(NEWEST, |numbers| {
        (
            numbers.first().copied().unwrap_or_default(),
            numbers.get(1).copied().unwrap_or_default(),
        )
    });
    Some((family.unwrap_or(Family::Opus), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_however_a_platform_dresses_them() {
        for (name, expected) in [
            ("claude-opus-4-5", Some((Family::Opus, (4, 5)))),
            ("claude-opus-4-5@20251101", Some((Family::Opus, (4, 5)))),
            ("claude-opus-4-20250514", Some((Family::Opus, (4, 0)))),
            ("anthropic/claude-sonnet-5.5", Some((Family::Sonnet, (5, 5)))),
            (
                "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
                Some((Family::Sonnet, (3, 7))),
            ),
            ("Claude-Haiku-5-v1:0", Some((Family::Haiku, (5, 0)))),
            ("claude-mythos-preview", Some((Family::Fable, NEWEST))),
            ("claude-2.1", Some((Family::Opus, (2, 1)))),
            ("kimi-k2", None),
            ("", None),
        ] {
            assert_eq!(generation(name), expected, "{name}");
        }
    }

    #[test]
    fn generations_differ_as_their_documentation_says() {
        let of = Abilities::of;
        assert_eq!(of("claude-sonnet-4-5").thinking, Thinking::Budget);
        assert_eq!(of("claude-sonnet-4-6").thinking, Thinking::Both);
        assert_eq!(of("claude-opus-4-7").thinking, Thinking::Adaptive);
        assert_eq!(of("claude-sonnet-4-6").efforts, Efforts::WithoutExtraHigh);
        assert_eq!(of("claude-haiku-4-5").efforts, Efforts::None);
        assert_eq!(of("claude-opus-4-6").sampling, Sampling::OneOfTwo);
        assert_eq!(of("claude-opus-4-7").sampling, Sampling::Fixed);
        assert_eq!(of("claude-3-5-haiku-20241022").max_tokens, 8192);
        assert_eq!(of("claude-opus-5").off, Off::Disabled);
        assert_eq!(of("claude-opus-5-5").off, Off::Never);
        assert_eq!(of("claude-sonnet-5-5").off, Off::BetweenTools);
        assert_eq!(of("claude-haiku-5-5").off, Off::Disabled);
        assert_eq!(of("claude-fable-5").off, Off::Never);
        for (name, late, forced) in [
            ("claude-opus-4-7", false, true),
            ("claude-opus-4-8", true, true),
            ("claude-sonnet-5", false, true),
            ("claude-sonnet-5-5", true, false),
            ("claude-haiku-5-5", true, true),
            ("claude-fable-5", true, true),
            ("claude-fable-5-1", true, false),
        ] {
            assert_eq!(
                (of(name).late_instructions, of(name).forced_tools),
                (late, forced),
                "{name}"
            );
        }
        assert_eq!(of("glm-4.6"), COMPATIBLE);
    }
}
