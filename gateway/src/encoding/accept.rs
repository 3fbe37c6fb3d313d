//! What a client takes.

use http::{HeaderMap, header};

use super::Coding;

/// Weights are counted in thousandths, which is as fine as they may be.
const WHOLE: u16 = 1_000;

/// The coding in which a client wants its answer most, of those that are written; `None`: it is to go as it is. Of equal
/// ones zstd, which is smaller in less time.
pub fn accepted(headers: &HeaderMap) -> Option<Coding> {
    let (mut zstd, mut gzip, mut identity, mut any) = (None, None, None, None);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for item in value.as_bytes().split(|byte| *byte == b',') {
            let mut parts = item.split(|byte| *byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            // What has a weight that is none is as if it were not there.
            let Some(weight) = parts.next().map_or(Some(WHOLE), weight) else {
                continue;
            };
            match Coding::of_name(name) {
                Some(Coding::Zstd) => zstd = Some(weight),
                Some(Coding::Gzip) => gzip = Some(weight),
                None if name == b"*" => any = Some(weight),
                None if name.eq_ignore_ascii_case(b"identity") => identity = Some(weight),
                Some(Coding::Deflate) | None => {}
            }
        }
    }
    let zstd = zstd.or(any).unwrap_or(0);
    let gzip = gzip.or(any).unwrap_or(0);
    let (coding, weight) = if zstd >= gzip {
        (Coding::Zstd, zstd)
    } else {
        (Coding::Gzip, gzip)
    };
    (weight > 0 && weight >= identity.unwrap_or(0)).then_some(coding)
}

/// `q=0.5` in thousandths.
fn weight(parameter: &[u8]) -> Option<u16> {
    let parameter = parameter.trim_ascii();
    let (name, value) = parameter.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, fraction) = match value {
        [b'0'] | [b'0', b'.'] => return Some(0),
        [b'1'] | [b'1', b'.'] => return Some(WHOLE),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = match fraction.get(place) {
            Some(digit @ b'0'..=b'9') => u16::from(digit - b'0'),
            Some(_) => return None,
            None => 0,
        };
        thousandths = thousandths * 10 + digit;
    }
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(WHOLE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(value: &str) -> Option<Coding> {
        let value = HeaderValue::from_str(value).unwrap();
        accepted(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
    }

    #[test]
    fn the_heaviest_wins_and_of_equal_ones_zstd() {
        assert_eq!(accepted(&HeaderMap::new()), None);
        for (value, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip, deflate", Some(Coding::Gzip)),
            ("zstd;q=0.5, gzip;q=0.8", Some(Coding::Gzip)),
            ("zstd; q=0.8 , gzip;Q=0.799", Some(Coding::Zstd)),
            ("*", Some(Coding::Zstd)),
            ("*;q=0.1, zstd;q=0", Some(Coding::Gzip)),
            ("gzip;q=1.000", Some(Coding::Gzip)),
        ] {
            assert_eq!(of(value), coding, "{value}");
        }
    }

    #[test]
    fn what_is_not_wanted_or_not_understood_is_not_sent() {
        for value in [
            "",
            "identity",
            "br",
            "deflate",
            "gzip;q=0",
            "gzip;q=0.000",
            "*;q=0",
            "gzip;q=2",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;q=",
            "gzip;level=1",
            "gzip;q=0.5, identity",
            "identity;q=1, *;q=0",
        ] {
            assert_eq!(of(value), None, "{value:?}");
        }
    }
}
