//! Deterministic randomness. Own code, because answers must not change with the version of a library.

/// SplitMix64 (Steele, Lea, Flood 2014): one multiply-xor chain a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`; 0 when the bound is 0. The bias of the reduction is below 2^-40 for every bound used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the product's upper half is below the bound"
        )]
        let upper = (wide >> 64) as u64;
        upper
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// A 64-bit hash of bytes with a seed: eight bytes a step, finished like a SplitMix64 number.
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed ^ 0x51_7C_C1_B7_27_22_0A_95 ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = (state ^ u64::from_le_bytes(*word)).wrapping_mul(0x9FB2_1C65_1E98_DF25);
        state ^= state >> 32;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    Random::new(state ^ u64::from_le_bytes(last)).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_those_of_the_paper() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn normals_have_mean_zero_and_deviation_one() {
        let mut random = Random::new(1);
        let drawn: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let deviation = (drawn.iter().map(|x| x * x).sum::<f64>() / 20_000.0).sqrt();
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((deviation - 1.0).abs() < 0.03, "{deviation}");
    }

    #[test]
    fn a_hash_depends_on_seed_length_and_every_byte() {
        let base = hash(0, b"0123456789");
        assert_ne!(base, hash(1, b"0123456789"));
        assert_ne!(base, hash(0, b"0123456789\0"));
        for at in 0..10 {
            let mut bytes = *b"0123456789";
            bytes[at] ^= 1;
            assert_ne!(base, hash(0, &bytes), "{at}");
        }
    }
}
