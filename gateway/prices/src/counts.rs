//! The tokens of an attempt, each counted once.

use serde::{Deserialize, Serialize};

/// What a provider reported, as in OpenAI's API: `input` includes what was read from and written to caches and what is sound,
/// `output` includes reasoning and sound. A count that was not reported is `None`, which is not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reported {
    /// Tokens of the input.
    pub input: Option<u64>,
    /// Tokens generated.
    pub output: Option<u64>,
    /// Both together.
    pub total: Option<u64>,
    /// Of the input, tokens read from the provider's cache.
    pub cached: Option<u64>,
    /// Of the input, tokens written to the provider's cache.
    pub cache_write: Option<u64>,
    /// Of those written, tokens that stay for an hour.
    pub cache_write_1h: Option<u64>,
    /// Of the input, tokens of sound.
    pub input_audio: Option<u64>,
    /// Of the output, tokens of hidden reasoning.
    pub reasoning: Option<u64>,
    /// Of the output, tokens of sound.
    pub output_audio: Option<u64>,
}

/// How much of each kind an attempt used. No token is in two of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Tokens of the input that are none of the kinds below.
    pub input: u64,
    /// Tokens read from the provider's cache.
    pub cached: u64,
    /// Tokens written to the provider's cache, without those that stay for an hour.
    pub cache_write: u64,
    /// Tokens written to the provider's cache for an hour.
    pub cache_write_1h: u64,
    /// Tokens of sound in the input.
    pub input_audio: u64,
    /// Generated tokens that are none of the kinds below.
    pub output: u64,
    /// Generated tokens of hidden reasoning.
    pub reasoning: u64,
    /// Generated tokens of sound.
    pub output_audio: u64,
    /// Images of the input.
    pub images: u64,
}

impl Counts {
    /// Parts what a provider reported into kinds. `None` where it reported neither input nor output nor total: then nothing
    /// is known, which is not the same as nothing used.
    ///
    /// Where one of input and output is missing, it is what the other leaves of the total. Where parts are more than their
    /// whole, the parts are believed, except for sound: a token of sound that came from a cache is in both counts of its
    /// provider and counts here as sound, whose price is the higher one.
    pub fn of(reported: &Reported) -> Option<Self> {
        let Reported {
            input,
            output,
            total,
            cached,
            cache_write,
            cache_write_1h,
            input_audio,
            reasoning,
            output_audio,
        } = *reported;
        if input.is_none() && output.is_none() && total.is_none() {
            return None;
        }
        let of = |count: Option<u64>| count.unwrap_or(0);
        let rest = |other: Option<u64>| of(total).saturating_sub(of(other));
        let input = input.unwrap_or_else(|| rest(output));
        let output = output.unwrap_or_else(|| rest(Some(input)));

        let written = of(cache_write).max(of(cache_write_1h));
        let all = input.max(of(cached).saturating_add(written)).max(of(input_audio));
        let audio = of(input_audio).min(all - written.min(all));
        let cached = of(cached).min(all.saturating_sub(written).saturating_sub(audio));
        let generated = output.max(of(reasoning).saturating_add(of(output_audio)));
        Some(Self {
            input: all.saturating_sub(written).saturating_sub(audio).saturating_sub(cached),
            cached,
            cache_write: written - of(cache_write_1h),
            cache_write_1h: of(cache_write_1h),
            input_audio: audio,
            output: generated.saturating_sub(of(reasoning)).saturating_sub(of(output_audio)),
            reasoning: of(reasoning),
            output_audio: of(output_audio),
            images: 0,
        })
    }

    /// Tokens of the input, with what caches had: what decides on the tier of the price.
    pub fn input_tokens(&self) -> u64 {
        [
            self.input,
            self.cached,
            self.cache_write,
            self.cache_write_1h,
            self.input_audio,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Tokens generated.
    pub fn output_tokens(&self) -> u64 {
        [self.output, self.reasoning, self.output_audio]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reported(input: u64, output: u64) -> Reported {
        Reported {
            input: Some(input),
            output: Some(output),
            ..Reported::default()
        }
    }

    #[test]
    fn a_token_is_in_one_kind_alone() {
        let all = Reported {
            cached: Some(10),
            cache_write: Some(30),
            cache_write_1h: Some(20),
            input_audio: Some(5),
            reasoning: Some(7),
            output_audio: Some(3),
            ..reported(100, 50)
        };
        assert_eq!(
            Counts::of(&all),
            Some(Counts {
                input: 55,
                cached: 10,
                cache_write: 10,
                cache_write_1h: 20,
                input_audio: 5,
                output: 40,
                reasoning: 7,
                output_audio: 3,
                images: 0,
            })
        );
    }

    #[test]
    fn nothing_reported_is_not_zero() {
        assert_eq!(Counts::of(&Reported::default()), None);
        assert_eq!(Counts::of(&reported(0, 0)), Some(Counts::default()));
    }

    #[test]
    fn what_is_missing_is_what_the_total_leaves() {
        let total = |input, output| Reported {
            input,
            output,
            total: Some(100),
            ..Reported::default()
        };
        for (input, output, expected) in [
            (Some(60), None, (60, 40)),
            (None, Some(40), (60, 40)),
            (None, None, (100, 0)),
            (Some(200), None, (200, 0)),
        ] {
            let counts = Counts::of(&total(input, output)).unwrap();
            assert_eq!((counts.input, counts.output), expected);
        }
    }

    #[test]
    fn sound_from_a_cache_is_counted_once() {
        let both = Reported {
            cached: Some(80),
            input_audio: Some(60),
            ..reported(100, 0)
        };
        let counts = Counts::of(&both).unwrap();
        assert_eq!((counts.input_audio, counts.cached, counts.input), (60, 40, 0));
    }

    #[test]
    fn parts_above_their_whole_are_believed() {
        let more = Reported {
            cached: Some(1000),
            cache_write: Some(500),
            reasoning: Some(90),
            ..reported(10, 20)
        };
        let counts = Counts::of(&more).unwrap();
        assert_eq!((counts.input, counts.cached, counts.cache_write), (0, 1000, 500));
        assert_eq!((counts.output, counts.reasoning), (0, 90));
    }

    proptest! {
        #[test]
        fn kinds_add_up_to_at_least_what_was_reported(
            input: Option<u64>, output: Option<u64>, total: Option<u64>, cached: Option<u64>, cache_write: Option<u64>,
            cache_write_1h: Option<u64>, input_audio: Option<u64>, reasoning: Option<u64>, output_audio: Option<u64>,
        ) {
            let reported = Reported {
                input, output, total, cached, cache_write, cache_write_1h, input_audio, reasoning, output_audio,
            };
            if let Some(counts) = Counts::of(&reported) {
                prop_assert!(counts.input_tokens() >= input.unwrap_or(0));
                prop_assert!(counts.output_tokens() >= output.unwrap_or(0));
            }
        }

        #[test]
        fn consistent_reports_are_parted_without_a_token_more(
            kinds in prop::array::uniform8(0..1_000_000_u64),
        ) {
            let [plain, cached, five, hour, audio, out, reasoning, out_audio] = kinds;
            let counts = Counts {
                input: plain, cached, cache_write: five, cache_write_1h: hour, input_audio: audio,
                output: out, reasoning, output_audio: out_audio, images: 0,
            };
            let reported = Reported {
                cached: Some(cached), cache_write: Some(five + hour), cache_write_1h: Some(hour), input_audio: Some(audio),
                reasoning: Some(reasoning), output_audio: Some(out_audio),
                ..reported(plain + cached + five + hour + audio, out + reasoning + out_audio)
            };
            prop_assert_eq!(Counts::of(&reported), Some(counts));
        }
    }
}
