//! Which headers pass from the client to a provider and back.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The request's id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Which provider answered.
pub const X_PROVIDER: HeaderName = HeaderName::from_static("x-tokenweir-provider");
/// How many tries the answer took; only there if it was more than one.
pub const X_ATTEMPTS: HeaderName = HeaderName::from_static("x-tokenweir-attempts");
/// Fields of the request that the provider has never seen, as it has no words for them and the route says to drop such.
pub const X_DROPPED: HeaderName = HeaderName::from_static("x-tokenweir-dropped");
/// The provider's own id of the request, for its support.
pub const X_PROVIDER_REQUEST_ID: HeaderName = HeaderName::from_static("x-tokenweir-provider-request-id");

/// How the names of the gateway's own headers begin.
const OWN: &str = "x-tokenweir-";
/// The request's id as Anthropic's clients look for it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The request's id at Amazon.
const X_AMZN_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// Which version of Anthropic's API is spoken; its clients always say it.
pub const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The version for clients of another dialect, and the only one since 2023.
pub const DEFAULT_ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
/// How long the whole request may take, in seconds: from a client, and to a model server in the cluster.
pub const X_REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");
/// After how long OpenAI's and Anthropic's clients for Node, and those for Python, no longer wait for an answer to begin.
const CLIENT_TIMEOUTS: [HeaderName; 2] = [
    HeaderName::from_static("x-stainless-timeout"),
    HeaderName::from_static("x-stainless-read-timeout"),
];
/// More than this, in seconds, is no limit.
const LONGEST_TIMEOUT: f64 = 1e6;

/// How long the client waits for the whole answer, as far as it says so. What the clients' own libraries say is about the
/// beginning of an answer, which for one in one piece is its end too.
pub fn client_timeout(headers: &HeaderMap, stream: bool) -> Option<Duration> {
    // Most clients say nothing of it, which a look at the names tells sooner than a search for each.
    if !headers.keys().any(|name| name.as_str().ends_with("-timeout")) {
        return None;
    }
    let asked = [X_REQUEST_TIMEOUT];
    let implied = if stream { &[][..] } else { &CLIENT_TIMEOUTS[..] };
    asked
        .iter()
        .chain(implied)
        .filter_map(|name| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok())
        .filter(|seconds| (f64::MIN_POSITIVE..=LONGEST_TIMEOUT).contains(seconds))
        .map(Duration::from_secs_f64)
        .min()
}

/// A time in seconds, to the millisecond, as a header.
pub fn seconds(time: Duration) -> HeaderValue {
    HeaderValue::from_str(&format!("{:.3}", time.as_secs_f64())).unwrap_or(HeaderValue::from_static("0"))
}

/// Most bytes of a list of fields, whose names the client chooses.
const LONGEST_LIST: usize = 1_024;
/// What stands between two names.
const SEPARATOR: &str = ", ";
/// What stands at the end of a list that would be longer.
const MORE: &str = ", ...";
/// What a header, or the list in it, cannot hold; besides all that is not ASCII.
const UNLISTED: &AsciiSet = &CONTROLS.add(b' ').add(b',').add(b'%');

/// Names of fields as a header: `tools[0].strict, top_k`. Bytes that a header or the list cannot hold are written as in
/// URLs (`%2C`); a list that would be too long ends early, with `...`.
pub fn list(fields: &[Box<str>]) -> HeaderValue {
    let mut list = String::new();
    for field in fields {
        let name = Cow::from(utf8_percent_encode(field, UNLISTED));
        if list.len() + SEPARATOR.len() + name.len() + MORE.len() > LONGEST_LIST {
            list.push_str(MORE);
            break;
        }
        if !list.is_empty() {
            list.push_str(SEPARATOR);
        }
        list.push_str(&name);
    }
    HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static(""))
}

/// The client's headers that a provider may see.
///
/// Left out, besides those of the connection: what proves the client to the gateway (`authorization`, keys, cookies);
/// what would choose an account at the provider, as the account is the gateway's; where the client comes from; and
/// `accept-encoding` and `content-encoding`, as the gateway reads the bodies of both sides: a request goes decompressed, and
/// the answer is to come as it is.
pub fn to_provider(client: &HeaderMap) -> HeaderMap {
    let listed = client.get(header::CONNECTION);
    // Room for what is added: host, length, id, trace context, credential, encoding.
    let mut headers = HeaderMap::with_capacity(client.len() + 6);
    for (name, value) in client {
        if !stays_here(name) && !listed.is_some_and(|list| lists(list, name)) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Makes headers that a provider may see into those for a provider in a cloud, in place.
///
/// Left out is what clouds act on: a client could choose who is billed, and what is not signed is refused. The type of the
/// body is that of the gateway's own, as it wrote the body.
pub fn to_cloud(headers: &mut HeaderMap) {
    let of_clouds: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz") || name.as_str().starts_with("x-goog-"))
        .cloned()
        .collect();
    for name in of_clouds {
        headers.remove(name);
    }
    headers.remove(header::CONTENT_ENCODING);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// Takes out what only the client's own API knows, for a provider that speaks another one.
pub fn to_other_dialect(headers: &mut HeaderMap) {
    let foreign: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("anthropic-") || name.as_str().starts_with("openai-"))
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

fn stays_here(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "accept-encoding"
            | "api-key"
            | "authorization"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "cookie"
            | "expect"
            | "forwarded"
            | "host"
            | "keep-alive"
            | "openai-organization"
            | "openai-project"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "x-api-key"
            | "x-real-ip"
            | "x-request-id"
            | "x-request-timeout"
    ) || name.starts_with("x-forwarded-")
        || name.starts_with(OWN)
}

/// Makes a provider's headers into those of the answer, in place.
///
/// Taken out, besides those of the connection: cookies and alternative services, which would be the provider's between
/// itself and the client, the length, which is known from the body, and all that only the gateway may say to clients. The
/// provider's own request id moves to [`X_PROVIDER_REQUEST_ID`].
pub fn to_client(headers: &mut HeaderMap) {
    if let Some(listed) = headers.remove(header::CONNECTION) {
        let names: Vec<HeaderName> = headers.keys().filter(|name| lists(&listed, name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
    // A look at the few names that are there takes less than a search for each of those that may not be. Each turn takes one
    // of a closed list out, so there are no more turns than it has names.
    while let Some(name) = headers.keys().find(|name| ends_here(name)).cloned() {
        headers.remove(name);
    }
    // Of these a provider can think up any number, so they are looked for once. Without one there is no list to allocate.
    let forged: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(OWN))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    for name in [X_AMZN_REQUEST_ID, REQUEST_ID, X_REQUEST_ID] {
        if let Some(id) = headers.remove(name) {
            headers.insert(X_PROVIDER_REQUEST_ID, id);
        }
    }
}

/// Whether a provider's header is about its connection to the gateway alone: those of RFC 9110, section 7.6.1, some that
/// older software sends in their place, and those named at [`to_client`].
fn ends_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "set-cookie"
            | "alt-svc"
            | "content-length"
    )
}

/// Whether a `connection` header lists another one.
fn lists(connection: &HeaderValue, name: &HeaderName) -> bool {
    connection
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_provider_sees_neither_the_clients_key_nor_headers_of_its_connection() {
        let client = map(&[
            ("authorization", "Bearer twk_secret"),
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("content-type", "application/json"),
            ("accept-encoding", "gzip"),
            ("content-encoding", "gzip"),
            ("cookie", "a=b"),
            ("openai-organization", "org-x"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-custom", "kept"),
            ("tracestate", "kept=1"),
            ("te", "trailers"),
        ]);
        let expected = map(&[
            ("content-type", "application/json"),
            ("x-custom", "kept"),
            ("tracestate", "kept=1"),
        ]);
        assert_eq!(to_provider(&client), expected);
    }

    #[test]
    fn headers_of_the_clients_own_api_do_not_reach_a_provider_of_another_dialect() {
        let mut headers = map(&[
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "x"),
            ("openai-beta", "y"),
            ("content-type", "application/json; charset=utf-8"),
            ("x-custom", "kept"),
        ]);
        to_other_dialect(&mut headers);
        assert_eq!(
            headers,
            map(&[("content-type", "application/json"), ("x-custom", "kept")])
        );
    }

    #[test]
    fn a_client_says_how_long_it_waits_in_seconds() {
        let timeout = |headers: &[(&'static str, &'static str)], stream| {
            client_timeout(&map(headers), stream).map(|timeout| timeout.as_millis())
        };
        assert_eq!(timeout(&[("x-request-timeout", "1.5")], true), Some(1_500));
        assert_eq!(timeout(&[("x-stainless-timeout", "600")], false), Some(600_000));
        assert_eq!(
            timeout(&[("x-stainless-read-timeout", "60")], true),
            None,
            "it ends no stream"
        );
        let both = [("x-request-timeout", "3"), ("x-stainless-read-timeout", "2")];
        assert_eq!(
            (timeout(&both, false), timeout(&both, true)),
            (Some(2_000), Some(3_000))
        );
        for nonsense in ["", "0", "-1", "soon", "NaN", "inf", "1e300"] {
            assert_eq!(timeout(&[("x-request-timeout", nonsense)], false), None, "{nonsense}");
        }
        assert_eq!(seconds(Duration::from_millis(1_234)), "1.234");
    }

    #[test]
    fn a_list_of_fields_is_a_header_whatever_the_client_calls_them() {
        let listed = |fields: &[&str]| {
            let fields: Vec<Box<str>> = fields.iter().map(|field| Box::from(*field)).collect();
            list(&fields).to_str().unwrap().to_owned()
        };
        assert_eq!(listed(&["tools[0].strict", "top_k"]), "tools[0].strict, top_k");
        assert_eq!(listed(&["a,b\r\nc%", "ü"]), "a%2Cb%0D%0Ac%25, %C3%BC");
        let long = "x".repeat(200);
        let many = listed(&[&*long; 32]);
        assert!(many.len() <= LONGEST_LIST && many.ends_with("x, ..."), "{many}");
        assert_eq!(listed(&[&"\n".repeat(2_000)]), ", ...");
    }

    #[test]
    fn limits_and_unknown_headers_of_a_provider_reach_the_client() {
        let mut headers = map(&[
            ("retry-after", "3"),
            ("x-ratelimit-remaining-requests", "0"),
            ("openai-processing-ms", "12"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("trailer", "x-late"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("set-cookie", "__cf_bm=1"),
            ("alt-svc", "h3"),
            ("content-length", "10"),
            ("x-tokenweir-provider", "another"),
            ("x-tokenweir-provider-request-id", "req_forged"),
            ("x-tokenweir-new", "1"),
            ("x-request-id", "req_provider"),
        ]);
        to_client(&mut headers);
        let expected = map(&[
            ("retry-after", "3"),
            ("x-ratelimit-remaining-requests", "0"),
            ("openai-processing-ms", "12"),
            ("x-tokenweir-provider-request-id", "req_provider"),
        ]);
        assert_eq!(headers, expected);
    }
}
