//! Compressed answers.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Coding, STEP_BYTES};

/// Levels at which text of a model shrinks by about two thirds in a few microseconds a kilobyte. Higher ones take several
/// times as long for some percent.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// Compresses a body piece by piece.
pub struct Encoder(Kind);

enum Kind {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    /// An encoder for a body, whose length helps to choose how much memory is worth it. `None` for codings that are read
    /// only.
    pub fn new(coding: Coding, length: Option<usize>) -> io::Result<Option<Self>> {
        Ok(match coding {
            Coding::Gzip => {
                let level = Compression::new(GZIP_LEVEL);
                Some(Self(Kind::Gzip(GzEncoder::new(Vec::new(), level))))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                let length = length.and_then(|length| u64::try_from(length).ok());
                encoder.set_pledged_src_size(length)?;
                Some(Self(Kind::Zstd(encoder)))
            }
            Coding::Deflate => None,
        })
    }

    /// Takes a piece in, and gives out what is ready; often nothing.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        let ready = match &mut self.0 {
            Kind::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Kind::Zstd(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(ready).into())
    }

    /// The rest.
    pub fn finish(self) -> io::Result<Bytes> {
        match self.0 {
            Kind::Gzip(encoder) => encoder.finish(),
            Kind::Zstd(encoder) => encoder.finish(),
        }
        .map(Bytes::from)
    }
}

/// Compresses a whole body, and lets others run in between. `None` if it does not become smaller by that.
pub async fn encode(coding: Coding, body: &[u8]) -> Option<Bytes> {
    // Encoders fail for want of memory alone, and the body is here.
    let mut encoder = Encoder::new(coding, Some(body.len())).ok()??;
    let mut small = Vec::new();
    for (n, piece) in body.chunks(STEP_BYTES).enumerate() {
        if n > 0 {
            tokio::task::yield_now().await;
        }
        small.extend_from_slice(&encoder.push(piece).ok()?);
    }
    let rest = encoder.finish().ok()?;
    let small = if small.is_empty() {
        rest
    } else {
        small.extend_from_slice(&rest);
        small.into()
    };
    (small.len() < body.len()).then_some(small)
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;

    #[tokio::test]
    async fn what_is_compressed_reads_as_before_whole_and_in_pieces() {
        let body: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| (n / 7).to_string().into_bytes())
            .collect();
        for coding in [Coding::Gzip, Coding::Zstd] {
            let whole = encode(coding, &body).await.unwrap();
            assert!(
                whole.len() < body.len() / 2,
                "{coding:?}: {} of {}",
                whole.len(),
                body.len()
            );
            assert_eq!(decode(coding, &whole, body.len()).await.unwrap(), body);
            let mut encoder = Encoder::new(coding, None).unwrap().unwrap();
            let mut pieces = Vec::new();
            for piece in body.chunks(10_000) {
                pieces.extend_from_slice(&encoder.push(piece).unwrap());
            }
            pieces.extend_from_slice(&encoder.finish().unwrap());
            assert_eq!(decode(coding, &pieces, body.len()).await.unwrap(), body);
        }
    }

    #[tokio::test]
    async fn what_would_grow_is_left_as_it_is() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .take(4_000)
        .collect();
        assert!(encode(Coding::Zstd, &noise).await.is_none());
        assert!(encode(Coding::Gzip, &noise).await.is_none());
        assert!(encode(Coding::Deflate, b"never written").await.is_none());
    }
}
