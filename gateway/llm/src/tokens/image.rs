//! How many tokens an image has, as Anthropic documents it: one for each patch of 28 by 28 pixels begun, after one that
//! is larger than the model sees was scaled down.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::conversation::Source;

/// Pixels of a patch's edge.
const PATCH: u64 = 28;

/// How much of an image is looked at for its size, in characters of base64. Sizes stand in the first bytes, in JPEG
/// behind previews and profiles, which have up to 64 KiB each.
const HEAD: usize = 192 * 1024;

/// Clients leave out padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How large a model sees images: larger ones are scaled down until both limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vision {
    /// Pixels of the long edge.
    pub(crate) edge: u64,
    /// Tokens of one image.
    pub(crate) tokens: u64,
}

impl Vision {
    /// Tokens of an image; the most that one can have if its size is not known.
    pub(super) fn estimate(self, source: &Source) -> u64 {
        image_size(source).map_or(self.tokens, |(width, height)| self.of_size(width, height))
    }

    fn of_size(self, width: u64, height: u64) -> u64 {
        let long = width.max(height).max(1);
        let scaled = |edge: u64| {
            if long > self.edge {
                edge.saturating_mul(self.edge).div_ceil(long)
            } else {
                edge
            }
        };
        let patches = |edge: u64| scaled(edge).div_ceil(PATCH).max(1);
        patches(width).saturating_mul(patches(height)).min(self.tokens)
    }
}

/// Width and height of an image in pixels, where the image is here and of a kind that is known.
pub fn image_size(source: &Source) -> Option<(u64, u64)> {
    let Source::Inline(media) = source else {
        return None;
    };
    let base64 = media.base64.as_bytes();
    let head = base64.get(..HEAD).unwrap_or(base64);
    let size = imagesize::blob_size(&BASE64.decode(head).ok()?).ok()?;
    Some((u64::try_from(size.width).ok()?, u64::try_from(size.height).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conversation::Media;

    const HIGH: Vision = Vision {
        edge: 2576,
        tokens: 4784,
    };
    const STANDARD: Vision = Vision {
        edge: 1568,
        tokens: 1568,
    };

    fn inline(bytes: &[u8]) -> Source {
        Source::Inline(Media {
            media_type: "image/png".to_owned(),
            base64: BASE64.encode(bytes),
        })
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes
    }

    /// Sizes and tokens that Anthropic's documentation and published counts give.
    #[test]
    fn images_cost_what_anthropic_documents() {
        for (vision, width, height, tokens) in [
            (HIGH, 256, 256, 100),
            (HIGH, 1024, 1024, 1369),
            (HIGH, 1920, 1080, 2691),
            (HIGH, 3840, 2160, 4784),
            (STANDARD, 200, 200, 64),
            (STANDARD, 1092, 1092, 1521),
            (STANDARD, 4032, 3024, 1568),
        ] {
            assert_eq!(
                vision.estimate(&inline(&png(width, height))),
                tokens,
                "{width} x {height}"
            );
        }
    }

    #[test]
    fn sizes_are_found_behind_the_preview_of_a_photo() {
        let mut jpeg = b"\xFF\xD8".to_vec();
        for _ in 0..2 {
            jpeg.extend(b"\xFF\xE1\xFF\xFF");
            jpeg.extend(vec![0; 0xFFFD]);
        }
        jpeg.extend(b"\xFF\xC0\x00\x11\x08\x01\x00\x02\x00\x03");
        assert_eq!(HIGH.estimate(&inline(&jpeg)), 19 * 10);
        let gif = b"GIF89a\x00\x01\x00\x01\xF7\x00\x00";
        assert_eq!(HIGH.estimate(&inline(gif)), 100);
    }

    #[test]
    fn an_image_of_unknown_size_counts_as_the_largest() {
        assert_eq!(
            HIGH.estimate(&Source::Url("https://example.com/a.png".to_owned())),
            4784
        );
        assert_eq!(STANDARD.estimate(&inline(b"not an image")), 1568);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic_and_stay_within_the_most(
            start in prop::sample::select(vec!["", "iVBORw0KGgo", "/9j/", "R0lGODlh", "UklGRgAAAABXRUJQVlA4"]),
            rest in "[A-Za-z0-9+/=]{0,200}",
        ) {
            let source = Source::Inline(Media { media_type: String::new(), base64: format!("{start}{rest}") });
            prop_assert!((1..=4784).contains(&HIGH.estimate(&source)));
        }
    }
}
