//! Tokens of an image, by the formulas that OpenAI publishes ("Images and vision", calculating costs).

use crate::encoding::base_name;

/// How a model sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vision {
    /// In tiles of 512 by 512 pixels, after an image was scaled into 2048 by 2048 pixels and its short edge down to 768.
    Tiles {
        /// Tokens of each image, and all of one of low detail.
        base: u64,
        /// Tokens of each tile.
        tile: u64,
    },
    /// In patches of 32 by 32 pixels, of which there are at most 1,536.
    Patches {
        /// Tokens of a hundred patches.
        hundred: u64,
    },
}

/// How models see, by how their names begin, the more exact one first.
const MODELS: [(&str, Vision); 12] = [
    ("gpt-4o-mini", Vision::Tiles { base: 2833, tile: 5667 }),
    ("gpt-4.1-mini", Vision::Patches { hundred: 162 }),
    ("gpt-4.1-nano", Vision::Patches { hundred: 246 }),
    ("o4-mini", Vision::Patches { hundred: 172 }),
    ("gpt-5-mini", Vision::Patches { hundred: 162 }),
    ("gpt-5-nano", Vision::Patches { hundred: 246 }),
    ("gpt-5", Vision::Tiles { base: 70, tile: 140 }),
    ("o1", Vision::Tiles { base: 75, tile: 150 }),
    ("o3", Vision::Tiles { base: 75, tile: 150 }),
    ("gpt-4.1", Vision::Tiles { base: 85, tile: 170 }),
    ("gpt-4o", Vision::Tiles { base: 85, tile: 170 }),
    ("gpt-4", Vision::Tiles { base: 85, tile: 170 }),
];

/// Edge of the square into which an image is scaled, of its short edge after that, and of a tile; in pixels.
const SQUARE: u64 = 2048;
const SHORT: u64 = 768;
const TILE: u64 = 512;
/// Edge of a patch in pixels, and how many there are at most.
const PATCH: u64 = 32;
const PATCHES: u64 = 1536;
/// The largest edge that counts; beyond it images are refused.
const EDGE: u64 = 1 << 20;

impl Vision {
    pub(crate) fn of(model: &str) -> Option<Self> {
        let name = base_name(model);
        MODELS
            .iter()
            .find(|(known, _)| name.starts_with(known))
            .map(|(_, vision)| *vision)
    }

    /// Tokens of an image of a size; the most that one can have if the size is not known.
    pub(crate) fn tokens(self, size: Option<(u64, u64)>, low: bool) -> u64 {
        let Some((width, height)) = size else {
            return if low { self.low() } else { self.most() };
        };
        let (width, height) = (width.clamp(1, EDGE), height.clamp(1, EDGE));
        match self {
            Self::Tiles { .. } if low => self.low(),
            Self::Tiles { base, tile } => base + tile * tiles(width, height),
            Self::Patches { hundred } => (patches(width, height) * hundred).div_ceil(100),
        }
    }

    /// The most tokens that an image can have.
    pub(crate) fn most(self) -> u64 {
        match self {
            // 2,048 by 768 pixels.
            Self::Tiles { base, tile } => base + tile * 8,
            Self::Patches { hundred } => (PATCHES * hundred).div_ceil(100),
        }
    }

    fn low(self) -> u64 {
        match self {
            Self::Tiles { base, .. } => base,
            Self::Patches { .. } => self.most(),
        }
    }
}

fn tiles(width: u64, height: u64) -> u64 {
    let long = width.max(height);
    let (width, height) = if long > SQUARE {
        (scaled(width, SQUARE, long), scaled(height, SQUARE, long))
    } else {
        (width, height)
    };
    let short = width.min(height);
    let (width, height) = if short > SHORT {
        (scaled(width, SHORT, short), scaled(height, SHORT, short))
    } else {
        (width, height)
    };
    width.div_ceil(TILE) * height.div_ceil(TILE)
}

/// An edge scaled by a ratio, to whole pixels begun.
const fn scaled(edge: u64, to: u64, of: u64) -> u64 {
    (edge * to).div_ceil(of)
}

fn patches(width: u64, height: u64) -> u64 {
    let of = |edge: u64| edge.div_ceil(PATCH);
    let all = of(width) * of(height);
    // Larger images are scaled until they fit; how many patches are left then is not published to the last one.
    all.min(PATCHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_the_tokens_of_the_published_examples() {
        let of = |model: &str, width, height, low| Vision::of(model).unwrap().tokens(Some((width, height)), low);
        for (model, width, height, low, tokens) in [
            ("gpt-4o", 1024, 1024, false, 765),
            ("gpt-4o", 2048, 4096, false, 1105),
            ("gpt-4o", 4096, 8192, true, 85),
            ("gpt-4o-mini", 1024, 1024, false, 2833 + 4 * 5667),
            ("gpt-5", 512, 512, false, 210),
            ("o3", 1024, 1024, false, 675),
            ("gpt-4.1-mini", 1024, 1024, false, 1659),
            ("o4-mini", 32, 32, false, 2),
        ] {
            assert_eq!(of(model, width, height, low), tokens, "{model} {width}x{height}");
        }
        assert_eq!(Vision::of("claude-opus-5"), None);
    }

    #[test]
    fn no_size_has_more_than_the_most() {
        for (_, vision) in MODELS {
            for width in [0, 1, 511, 512, 513, 768, 769, 2048, 2049, 10_000, u64::MAX] {
                for height in [0, 1, 511, 512, 513, 768, 769, 2048, 2049, 10_000, u64::MAX] {
                    let tokens = vision.tokens(Some((width, height)), false);
                    assert!(
                        tokens > 0 && tokens <= vision.most(),
                        "{vision:?} {width}x{height}: {tokens}"
                    );
                }
            }
            assert_eq!(vision.tokens(None, false), vision.most());
        }
    }
}
