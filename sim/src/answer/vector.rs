//! Embeddings: deterministic unit vectors, near for texts that share words.

use crate::behaviour::{Random, hash};

/// The sum of one pseudo-random vector a word, and a small one of the whole text, scaled to length 1.
pub(crate) fn vector(text: &str, seed: u64, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimensions];
    let mut add = |bytes: &[u8], weight: f64| {
        let mut random = Random::new(hash(seed, bytes));
        for x in &mut sum {
            *x += weight * (random.unit() * 2.0 - 1.0);
        }
    };
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        add(word.to_lowercase().as_bytes(), 1.0);
    }
    add(text.as_bytes(), 0.05);
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "embeddings are single precision on the wire"
    )]
    let unit = sum.iter().map(|x| (x / length.max(f64::MIN_POSITIVE)) as f32).collect();
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn vectors_have_length_one_and_are_near_for_near_texts() {
        let of = |text: &str| vector(text, 7, 512);
        let (a, near, far) = (
            of("\"the red fox runs home\""),
            of("\"the red fox runs away\""),
            of("\"budget of last quarter\""),
        );
        assert!((cosine(&a, &a) - 1.0).abs() < 1e-5);
        assert!(cosine(&a, &near) > 0.7, "{}", cosine(&a, &near));
        assert!(cosine(&a, &far).abs() < 0.2, "{}", cosine(&a, &far));
        assert_eq!(a, of("\"the red fox runs home\""));
    }
}
