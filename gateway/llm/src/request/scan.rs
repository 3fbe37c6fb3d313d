//! Finds the wanted fields of a JSON object in one pass over a body that may come in pieces: those of the object itself, and
//! those of objects in it that are named too.
//!
//! Everything else is skipped, most of it at the speed of a search for the end of a string. The scanner knows less than
//! a parser: inside skipped values it sees strings, brackets and whether all other bytes are such as JSON has outside
//! strings. So on valid JSON it finds what a parser finds, comments and other inventions of lenient parsers it never
//! mistakes for something else, and a value that is broken inside may get past it, to be refused by the provider. At
//! anything it does not expect it gives up with [`Unusual`], and a parser has the last word.

use std::ops::Range;

use memchr::memchr2;

/// Longest name of a top-level field that is looked at, written with escapes: `max_completion_tokens` in `\u` escapes.
const LONGEST_KEY: usize = 128;

/// Something that the scanner leaves to a parser: broken JSON, a key with escapes, a wanted field given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unusual;

/// Where a scan stands between two pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the opening brace.
    Start,
    /// Behind the opening brace.
    FirstKey,
    /// Behind a comma.
    NextKey,
    /// In the name of a field.
    Key,
    /// Behind the name.
    Colon,
    /// Behind the colon.
    Value,
    /// In a string that is a field's value.
    String { escape: bool },
    /// In a number, `true`, `false` or `null` that is a field's value.
    Scalar,
    /// In an array or object that is a field's value, and in which nothing is wanted.
    Nested,
    /// In a string in it.
    NestedString { escape: bool },
    /// Behind a value.
    Comma,
    /// Behind the closing brace.
    End,
}

/// The names that a scan looks for. An object has a lower number than what is wanted in it.
pub(crate) trait Wanted {
    /// A place for each of them.
    type Places: AsMut<[Option<Range<usize>>]>;

    /// Places of which none is known.
    fn places(&self) -> Self::Places;

    /// The number of a name in the object of a number, or in the one that is scanned; `None` if nobody wants it.
    fn position(&self, within: Option<usize>, name: &[u8]) -> Option<usize>;

    /// Whether something is wanted in the object of this number.
    fn is_entered(&self, _number: usize) -> bool {
        false
    }

    /// The object in which the name of this number is wanted; `None`: the one that is scanned.
    fn around(&self, _number: usize) -> Option<usize> {
        None
    }
}

impl<const N: usize> Wanted for [&str; N] {
    type Places = [Option<Range<usize>>; N];

    fn places(&self) -> Self::Places {
        [const { None }; N]
    }

    fn position(&self, _within: Option<usize>, name: &[u8]) -> Option<usize> {
        self.iter().position(|wanted| wanted.as_bytes() == name)
    }
}

/// A scan for some fields.
#[derive(Debug)]
pub(crate) struct Scanner<'w, W: Wanted + ?Sized> {
    names: &'w W,
    found: W::Places,
    state: State,
    /// Bytes of the pieces before this one.
    base: usize,
    /// Just behind the opening brace.
    inside: usize,
    key: [u8; LONGEST_KEY],
    key_len: usize,
    /// The object that is scanned now; `None`: the whole.
    within: Option<usize>,
    /// The field whose value comes or is being skipped.
    current: Option<usize>,
    value_start: usize,
    /// Open brackets in the value.
    depth: usize,
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields<P> {
    /// Where the value of each wanted field stands.
    pub(crate) values: P,
    /// Just behind the opening brace.
    pub(crate) inside: usize,
}

impl<'w, W: Wanted + ?Sized> Scanner<'w, W> {
    /// A scan for these names.
    pub(crate) fn new(names: &'w W) -> Self {
        Self {
            names,
            found: names.places(),
            state: State::Start,
            base: 0,
            inside: 0,
            key: [0; LONGEST_KEY],
            key_len: 0,
            within: None,
            current: None,
            value_start: 0,
            depth: 0,
        }
    }

    /// Takes the next piece of the body.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<(), Unusual> {
        let mut at = 0;
        while at < piece.len() {
            at = match self.state {
                State::String { escape } => self.string(piece, at, escape)?,
                State::NestedString { escape } => self.nested_string(piece, at, escape),
                State::Nested => self.nested(piece, at)?,
                State::Scalar => self.scalar(piece, at)?,
                State::Key => self.key(piece, at)?,
                State::Start
                | State::FirstKey
                | State::NextKey
                | State::Colon
                | State::Value
                | State::Comma
                | State::End => self.between(piece[at], at)?,
            };
        }
        self.base += piece.len();
        Ok(())
    }

    /// The body is over.
    pub(crate) fn finish(self) -> Result<Fields<W::Places>, Unusual> {
        if self.state != State::End {
            return Err(Unusual);
        }
        Ok(Fields {
            values: self.found,
            inside: self.inside,
        })
    }

    /// One byte outside names and values.
    fn between(&mut self, byte: u8, at: usize) -> Result<usize, Unusual> {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return Ok(at + 1);
        }
        self.state = match (self.state, byte) {
            (State::Start, b'{') => {
                self.inside = self.base + at + 1;
                State::FirstKey
            }
            (State::FirstKey | State::NextKey, b'"') => {
                self.key_len = 0;
                State::Key
            }
            (State::FirstKey | State::Comma, b'}') => self.object_ends(at + 1),
            (State::Colon, b':') => State::Value,
            (State::Comma, b',') => State::NextKey,
            (State::Value, byte) => {
                self.value_start = self.base + at;
                match byte {
                    b'{' if self.current.is_some_and(|field| self.names.is_entered(field)) => self.object_begins()?,
                    b'"' => State::String { escape: false },
                    b'[' | b'{' => {
                        self.depth = 1;
                        State::Nested
                    }
                    b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::Scalar,
                    _ => return Err(Unusual),
                }
            }
            _ => return Err(Unusual),
        };
        Ok(at + 1)
    }

    /// Goes into the value of the current field, in which something is wanted. Its end is noted once it is known.
    fn object_begins(&mut self) -> Result<State, Unusual> {
        self.within = self.current.take();
        let slot = self.within.and_then(|field| self.found.as_mut().get_mut(field));
        match slot.and_then(|slot| slot.replace(self.value_start..self.value_start)) {
            None => Ok(State::FirstKey),
            // Given twice, as below.
            Some(_) => Err(Unusual),
        }
    }

    /// The object that is scanned now ends before `at` of this piece.
    fn object_ends(&mut self, at: usize) -> State {
        let Some(field) = self.within else {
            return State::End;
        };
        if let Some(Some(place)) = self.found.as_mut().get_mut(field) {
            place.end = self.base + at;
        }
        self.within = self.names.around(field);
        State::Comma
    }

    fn key(&mut self, piece: &[u8], at: usize) -> Result<usize, Unusual> {
        let rest = &piece[at..];
        let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let room = self.key.get_mut(self.key_len..).unwrap_or_default();
        // A name that is too long for the room is none of those wanted; what of it is left out does not matter.
        let copied = end.min(room.len());
        room[..copied].copy_from_slice(&rest[..copied]);
        self.key_len += end;
        match rest.get(end) {
            None => {}
            Some(b'"') => {
                let name = self.key.get(..self.key_len);
                self.current = name.and_then(|name| self.names.position(self.within, name));
                self.state = State::Colon;
            }
            // A name with escapes may be a wanted one in disguise.
            Some(_) => return Err(Unusual),
        }
        Ok(at + end + 1)
    }

    fn string(&mut self, piece: &[u8], at: usize, escape: bool) -> Result<usize, Unusual> {
        match string_end(piece, at, escape) {
            Ok(behind) => {
                self.value_ends(behind)?;
                Ok(behind)
            }
            Err(escape) => {
                self.state = State::String { escape };
                Ok(piece.len())
            }
        }
    }

    fn nested_string(&mut self, piece: &[u8], at: usize, escape: bool) -> usize {
        match string_end(piece, at, escape) {
            Ok(behind) => {
                self.state = State::Nested;
                behind
            }
            Err(escape) => {
                self.state = State::NestedString { escape };
                piece.len()
            }
        }
    }

    fn nested(&mut self, piece: &[u8], mut at: usize) -> Result<usize, Unusual> {
        while let Some(byte) = piece.get(at) {
            at += 1;
            match CLASS[usize::from(*byte)] {
                Class::Plain => {}
                Class::Quote => {
                    // The next strings end in this piece nearly always, so the way through the states is saved.
                    match string_end(piece, at, false) {
                        Ok(behind) => at = behind,
                        Err(escape) => {
                            self.state = State::NestedString { escape };
                            return Ok(piece.len());
                        }
                    }
                }
                Class::Open => self.depth += 1,
                Class::Close => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.value_ends(at)?;
                        return Ok(at);
                    }
                }
                Class::Foreign => return Err(Unusual),
            }
        }
        Ok(at)
    }

    fn scalar(&mut self, piece: &[u8], at: usize) -> Result<usize, Unusual> {
        let rest = &piece[at..];
        let is_scalar = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.');
        let end = rest.iter().position(|byte| !is_scalar(byte));
        let Some(end) = end else {
            return Ok(piece.len());
        };
        self.value_ends(at + end)?;
        // What ends it is looked at next: only a comma, a brace or white space may.
        if matches!(rest[end], b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r') {
            Ok(at + end)
        } else {
            Err(Unusual)
        }
    }

    /// The value of the current field ends before `at` of this piece.
    fn value_ends(&mut self, at: usize) -> Result<(), Unusual> {
        self.state = State::Comma;
        let Some(field) = self.current.take() else {
            return Ok(());
        };
        let Some(slot) = self.found.as_mut().get_mut(field) else {
            return Ok(());
        };
        match slot.replace(self.value_start..self.base + at) {
            None => Ok(()),
            // Given twice: which of the two counts is not for the scanner to say.
            Some(_) => Err(Unusual),
        }
    }
}

/// Just behind the end of a string that is open at `at`; an error if it goes on in the next piece, with whether that
/// begins in the middle of an escape.
fn string_end(piece: &[u8], mut at: usize, escape: bool) -> Result<usize, bool> {
    if escape {
        at += 1;
    }
    while let Some(rest) = piece.get(at..) {
        let Some(found) = memchr2(b'"', b'\\', rest) else {
            return Err(false);
        };
        if rest[found] == b'"' {
            return Ok(at + found + 1);
        }
        at += found + 2;
    }
    // The escaped byte is the first one of the next piece.
    Err(true)
}

/// What a byte means outside strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Part of a number or a word, a comma, a colon, white space.
    Plain,
    Quote,
    Open,
    Close,
    /// Nothing that JSON has.
    Foreign,
}

/// The class of each byte.
const CLASS: [Class; 256] = {
    let mut table = [Class::Foreign; 256];
    let plain = b"0123456789+-.eEtrufalsn,: \t\n\r";
    let mut n = 0;
    while n < plain.len() {
        table[plain[n] as usize] = Class::Plain;
        n += 1;
    }
    table[b'"' as usize] = Class::Quote;
    table[b'[' as usize] = Class::Open;
    table[b'{' as usize] = Class::Open;
    table[b']' as usize] = Class::Close;
    table[b'}' as usize] = Class::Close;
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const NAMES: [&str; 3] = ["model", "stream", "messages"];

    /// Scans a body cut into pieces of these sizes, and what is left.
    fn scan(body: &[u8], sizes: &[usize]) -> Result<Fields<[Option<Range<usize>>; 3]>, Unusual> {
        let mut scanner = Scanner::new(&NAMES);
        let mut rest = body;
        for size in sizes {
            let (piece, more) = rest.split_at((*size).min(rest.len()));
            scanner.feed(piece)?;
            rest = more;
        }
        scanner.feed(rest)?;
        scanner.finish()
    }

    fn found(body: &str, field: usize) -> Option<&str> {
        scan(body.as_bytes(), &[]).unwrap().values[field]
            .clone()
            .map(|range| &body[range])
    }

    #[test]
    fn values_are_found_whatever_stands_around_them() {
        let body = r#" { "x" : {"model":"no","a":["]","\"}\\"]} , "model":"m\u0041" ,"stream":true,"y":-1.5e3,"messages":[{"content":"model"}] } "#;
        assert_eq!(found(body, 0), Some(r#""m\u0041""#));
        assert_eq!(found(body, 1), Some("true"));
        assert_eq!(found(body, 2), Some(r#"[{"content":"model"}]"#));
        assert_eq!(found("{}", 0), None);
        assert_eq!(scan(b" {}", &[]).unwrap().inside, 2);
    }

    #[test]
    fn what_a_parser_must_judge_is_left_to_it() {
        for body in [
            "",
            "[]",
            "{",
            "{}x",
            r#"{"model":}"#,
            r#"{"model":"a","model":"b"}"#,
            r#"{"mod\u0065l":"a"}"#,
            r#"{"model":"a" "stream":true}"#,
            r#"{"model":"a",}"#,
            r#"{"messages":[ /* ], "model":"cheap", "y":[ */ ]}"#,
            r#"{"messages":[ // ],
 "model":"cheap" ]}"#,
            r#"{'model':"a"}"#,
            r#"{"x":['],"model":"cheap","y":[']}"#,
            r#"{"x":NaN}"#,
            r#"{"model":tru}x"#,
        ] {
            assert_eq!(scan(body.as_bytes(), &[]), Err(Unusual), "{body}");
        }
    }

    #[test]
    fn depth_and_long_names_cost_nothing_but_their_bytes() {
        let deep = format!(r#"{{"x":{}{},"model":"m"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(found(&deep, 0), Some("\"m\""));
        let long = format!(r#"{{"{}":1,"model":"m"}}"#, "k".repeat(100_000));
        assert_eq!(found(&long, 0), Some("\"m\""));
        assert_eq!(scan(long.as_bytes(), &[3, 50, 70, 99_000]), scan(long.as_bytes(), &[]));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            r#"[\[\]{}",:\\]{0,8}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Vec<(String, Value)>> {
        let name = prop_oneof![
            proptest::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
            "[a-z_]{1,12}",
        ];
        proptest::collection::vec((name, json()), 0..8)
    }

    fn text(fields: &[(String, Value)], pretty: bool) -> String {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| {
                let value = if pretty {
                    format!("{value:#}")
                } else {
                    value.to_string()
                };
                format!("{}:{value}", Value::from(name.as_str()))
            })
            .collect();
        format!("{{{}}}", fields.join(if pretty { " ,\n " } else { "," }))
    }

    proptest! {
        #[test]
        fn on_json_the_scanner_finds_what_a_parser_finds(
            mut fields in object(), pretty: bool, sizes in proptest::collection::vec(0..40_usize, 0..12),
        ) {
            let mut seen = std::collections::HashSet::new();
            fields.retain(|(name, _)| seen.insert(name.clone()));
            let body = text(&fields, pretty);
            let scanned = scan(body.as_bytes(), &sizes).unwrap();
            for (n, name) in NAMES.iter().enumerate() {
                let given = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
                let parsed = scanned.values[n].clone().map(|range| serde_json::from_str::<Value>(&body[range]).unwrap());
                prop_assert_eq!(parsed, given);
            }
        }

        #[test]
        fn a_body_with_a_changed_byte_is_read_as_a_parser_reads_it_or_not_at_all(
            fields in object(), at: proptest::sample::Index, byte: u8, sizes in proptest::collection::vec(0..40_usize, 0..12),
        ) {
            let mut body = text(&fields, false).into_bytes();
            let at = at.index(body.len());
            body[at] = byte;
            let scanned = scan(&body, &sizes);
            prop_assert_eq!(&scanned, &scan(&body, &[]));
            let Ok(Value::Object(parsed)) = serde_json::from_slice::<Value>(&body) else {
                return Ok(());
            };
            if let Ok(scanned) = scanned {
                for (n, name) in NAMES.iter().enumerate() {
                    let found = scanned.values[n].clone().map(|range| serde_json::from_slice::<Value>(&body[range]).unwrap());
                    prop_assert_eq!(found.as_ref(), parsed.get(*name));
                }
            }
        }
    }
}
