//! What several wires need to know of media and of arguments.

use serde_json::value::RawValue;

/// Media types by the extension of a file's name.
const TYPES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("aac", "audio/aac"),
    ("m4a", "audio/m4a"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
];

/// The media type that the path of a URL tells by its extension.
pub(super) fn type_of_path(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(extension))
        .map(|(_, media_type)| *media_type)
}

/// A media type without its parameters, by the grammar of RFC 9110, section 8.3.1; `None` if it is none. Other signs would
/// end the type early where it is written into an address, and turn the rest into something else.
pub(super) fn plain_type(media_type: &str) -> Option<&str> {
    let plain = media_type.split(';').next()?.trim();
    let (kind, format) = plain.split_once('/')?;
    (is_token(kind) && is_token(format)).then_some(plain)
}

/// Whether it is a token of HTTP: what a media type's two halves are made of.
pub(super) fn is_token(text: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(sign)
}

/// The extension that stands for a media type, without its parameters.
pub(super) fn extension_of_type(media_type: &str) -> Option<&'static str> {
    let plain = match media_type.split(';').next()?.trim() {
        // Common slips that other providers forgive.
        "image/jpg" => "image/jpeg",
        "audio/mp3" => "audio/mpeg",
        "audio/x-wav" | "audio/wave" => "audio/wav",
        other => other,
    };
    TYPES
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(plain))
        .map(|(extension, _)| *extension)
}

/// The arguments of a call as a JSON object; `None` if a model wrote something else.
pub(super) fn arguments(text: &str) -> Option<&RawValue> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    raw.get().starts_with('{').then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_type_by_its_extension_alone() {
        assert_eq!(type_of_path("https://h/a/B.JPG?x=y.png"), Some("image/jpeg"));
        assert_eq!(type_of_path("gs://bucket/report.pdf"), Some("application/pdf"));
        assert_eq!(type_of_path("https://h.png/"), None);
        assert_eq!(type_of_path("https://h/v1beta/files/abc-123"), None);
        assert_eq!(extension_of_type("image/jpeg; q=1"), Some("jpg"));
        assert_eq!(extension_of_type("image/tiff"), None);
    }

    #[test]
    fn a_media_type_is_two_tokens_and_loses_its_parameters() {
        assert_eq!(plain_type("image/svg+xml"), Some("image/svg+xml"));
        assert_eq!(plain_type(" text/plain ; charset=utf-8"), Some("text/plain"));
        for wrong in [
            "",
            "png",
            "image/",
            "/png",
            "image/p,ng",
            "image/png/x",
            "ima\\ge/png",
            "image/p\u{7f}ng",
        ] {
            assert_eq!(plain_type(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn arguments_are_an_object_or_nothing() {
        assert_eq!(arguments("").map(RawValue::get), Some("{}"));
        assert_eq!(arguments(" {\"a\":1} ").map(RawValue::get), Some("{\"a\":1}"));
        for wrong in ["[1]", "\"x\"", "{", "null", "{}{}"] {
            assert!(arguments(wrong).is_none(), "{wrong}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(arguments(&deep).is_some());
    }
}
