//! Compressed bodies, read up to a size.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use super::{Coding, STEP_BYTES};

/// The largest window that a zstd body may ask for, as a power of two: the 8 MiB that RFC 9659 allows. More would let a
/// few bytes claim much memory.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is larger than allowed.
    #[error("the decompressed body is larger than allowed")]
    TooLarge,
    /// It is not in its coding, or breaks off.
    #[error("the body cannot be decompressed")]
    Malformed,
}

/// Decompresses a body of at most `limit` bytes.
///
/// Costs no more than the limit in memory and time, however much the body claims to hold, and lets others run in between.
pub async fn decode(coding: Coding, body: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
    match coding {
        Coding::Gzip => drain(MultiGzDecoder::new(body), limit).await,
        Coding::Deflate => drain(ZlibDecoder::new(body), limit).await,
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| DecodeError::Malformed)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG)
                .map_err(|_| DecodeError::Malformed)?;
            drain(decoder, limit).await
        }
    }
}

async fn drain(mut decoder: impl Read, limit: usize) -> Result<Bytes, DecodeError> {
    let mut read = Vec::new();
    loop {
        let start = read.len();
        // One byte beyond the limit tells a body that ends there from one that goes on.
        let room = STEP_BYTES.min(limit.saturating_sub(start).saturating_add(1));
        read.resize(start + room, 0);
        let n = decoder.read(&mut read[start..]).map_err(|_| DecodeError::Malformed)?;
        read.truncate(start + n);
        if read.len() > limit {
            return Err(DecodeError::TooLarge);
        }
        if n == 0 {
            return Ok(read.into());
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Gzip, Coding::Deflate, Coding::Zstd];

    fn compressed(coding: Coding, body: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Zstd => zstd::encode_all(body, 3).unwrap(),
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_and_not_beyond() {
        let body = vec![b'x'; 200_000];
        for coding in ALL {
            let small = compressed(coding, &body);
            assert_eq!(decode(coding, &small, body.len()).await.unwrap(), body);
            assert_eq!(decode(coding, &small, body.len() - 1).await, Err(DecodeError::TooLarge));
            assert_eq!(decode(coding, &compressed(coding, b""), 0).await.unwrap(), "");
        }
    }

    #[tokio::test]
    async fn a_bomb_is_given_up_at_the_limit() {
        let bomb = vec![0; 16 * 1024 * 1024];
        for coding in ALL {
            let small = compressed(coding, &bomb);
            assert!(small.len() < 20_000, "{} bytes", small.len());
            assert_eq!(decode(coding, &small, 1_000).await, Err(DecodeError::TooLarge));
        }
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_something_else_is_refused() {
        for coding in ALL {
            let whole = compressed(coding, &b"a body that is long enough to be cut".repeat(10));
            for cut in [1, 4, whole.len() / 2, whole.len() - 1] {
                assert_eq!(
                    decode(coding, &whole[..cut], 10_000).await,
                    Err(DecodeError::Malformed),
                    "{coding:?} at {cut}"
                );
            }
            assert_eq!(
                decode(coding, b"{\"model\":\"m\"}", 10_000).await,
                Err(DecodeError::Malformed)
            );
        }
        let mut damaged = compressed(Coding::Gzip, b"hello");
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(decode(Coding::Gzip, &damaged, 100).await, Err(DecodeError::Malformed));
    }

    #[tokio::test]
    async fn a_frame_that_asks_for_a_huge_window_is_refused() {
        // A frame header with a window of 128 MiB and one empty block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00];
        assert_eq!(decode(Coding::Zstd, &frame, 1_000).await, Err(DecodeError::Malformed));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes, nothing panics and the limit holds.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256), limit in 0_usize..512) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for coding in ALL {
                if let Ok(body) = runtime.block_on(decode(coding, &bytes, limit)) {
                    prop_assert!(body.len() <= limit);
                }
            }
        }
    }
}
