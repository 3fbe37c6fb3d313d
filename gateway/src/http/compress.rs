//! Answers that go compressed.

use http::{HeaderMap, HeaderValue, Response, header};

use crate::encoding::{Coding, Encoder, encode};
use crate::relay::GatewayBody;

/// Smaller answers fit into one packet, compressed or not.
const LEAST_BYTES: usize = 1024;

/// Compresses an answer, unless it is small, a stream, or compressed already. What is sent whole is compressed whole; what
/// is passed on as it comes, as it comes.
pub async fn compress(coding: Coding, response: Response<GatewayBody>) -> Response<GatewayBody> {
    if !is_compressible(response.headers()) {
        return response;
    }
    let (mut head, mut body) = response.into_parts();
    let compressed = match body.as_whole() {
        Some(whole) if whole.len() > LEAST_BYTES => match encode(coding, whole).await {
            Some(smaller) => {
                body = GatewayBody::whole(smaller);
                true
            }
            None => false,
        },
        Some(_) => false,
        None => match Encoder::new(coding, None) {
            Ok(Some(encoder)) => body.compress(encoder),
            Ok(None) | Err(_) => false,
        },
    };
    if compressed {
        head.headers
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        head.headers.append(header::VARY, header::ACCEPT_ENCODING.into());
    }
    Response::from_parts(head, body)
}

fn is_compressible(headers: &HeaderMap) -> bool {
    let text = |value: &HeaderValue| {
        let value = value.as_bytes();
        let begins = |start: &[u8]| {
            value
                .get(..start.len())
                .is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
        };
        (begins(b"application/json") || begins(b"text/")) && !begins(b"text/event-stream")
    };
    let kept = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("no-transform"));
    headers.get(header::CONTENT_TYPE).is_some_and(text)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.get(header::CACHE_CONTROL).is_some_and(kept)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::encoding::decode;

    fn answer(content_type: &'static str, body: &'static str) -> Response<GatewayBody> {
        let mut response = Response::new(GatewayBody::whole(body.into()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    fn long() -> &'static str {
        Box::leak(r#"{"content":"the same again and again"}"#.repeat(50).into_boxed_str())
    }

    #[tokio::test]
    async fn a_long_answer_is_compressed_and_says_so() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let response = compress(coding, answer("application/json; charset=utf-8", long())).await;
            assert_eq!(response.headers()[header::CONTENT_ENCODING], coding.name());
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(decode(coding, &body, 10_000).await.unwrap(), long());
        }
    }

    #[tokio::test]
    async fn what_is_small_a_stream_compressed_or_not_to_be_touched_goes_as_it_is() {
        let mut encoded = answer("application/json", long());
        encoded
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        let mut fixed = answer("application/json", long());
        fixed.headers_mut().insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-transform"),
        );
        for response in [
            answer("application/json", r#"{"small":true}"#),
            answer("text/event-stream", long()),
            answer("image/png", long()),
            encoded,
            fixed,
        ] {
            let before = response.headers().clone();
            let length = response.body().as_whole().unwrap().len();
            let after = compress(Coding::Zstd, response).await;
            assert_eq!(*after.headers(), before);
            assert_eq!(after.body().as_whole().unwrap().len(), length);
        }
    }
}
