//! Label selectors in the text form of a query string: `a=b,c!=d,e in (f,g),h,!i`.

use std::collections::BTreeSet;

use kube::core::{Expression, Selector};

/// Why a selector does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text ended where more was needed.
    #[error("the selector ends where {0} is needed")]
    Ends(&'static str),
    /// Something else stands where a part belongs.
    #[error("{found:?} stands where {needed} is needed")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What belongs there.
        needed: &'static str,
    },
    /// Not a label key.
    #[error("{0:?} is no label key")]
    Key(String),
    /// Not a label value.
    #[error("{0:?} is no label value")]
    Value(String),
    /// An operator that compares numbers.
    #[error("the operators > and < are not supported")]
    Comparison,
}

/// Parses a selector. Blank text selects everything.
pub fn parse(text: &str) -> Result<Selector, SelectorError> {
    let mut tokens = Tokens { rest: text }.peekable();
    let mut expressions = Vec::new();
    if tokens.peek().is_none() {
        return Ok(Selector::default());
    }
    loop {
        expressions.push(requirement(&mut tokens)?);
        match tokens.next() {
            None => return Ok(expressions.into_iter().collect()),
            Some(Token::Comma) => {}
            Some(other) => return Err(unexpected(&other, "a comma")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Comma,
    Open,
    Close,
    Equal,
    NotEqual,
    Not,
    Greater,
    Less,
}

/// Splits a selector. Blanks separate words.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        const SYMBOLS: [(&str, Token<'static>); 9] = [
            ("==", Token::Equal),
            ("!=", Token::NotEqual),
            ("=", Token::Equal),
            ("!", Token::Not),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
            (">", Token::Greater),
            ("<", Token::Less),
        ];
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return None;
        }
        for (symbol, token) in SYMBOLS {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.rest = rest;
                return Some(token);
            }
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || "=!,()<>".contains(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Token::Word(word))
    }
}

type Peekable<'a> = std::iter::Peekable<Tokens<'a>>;

fn requirement(tokens: &mut Peekable<'_>) -> Result<Expression, SelectorError> {
    match tokens.next() {
        Some(Token::Not) => {
            let Some(Token::Word(key)) = tokens.next() else {
                return Err(SelectorError::Ends("a label key"));
            };
            Ok(Expression::DoesNotExist(checked_key(key)?))
        }
        Some(Token::Word(key)) => {
            let key = checked_key(key)?;
            match tokens.peek().copied() {
                None | Some(Token::Comma) => Ok(Expression::Exists(key)),
                Some(operator) => {
                    tokens.next();
                    operation(key, operator, tokens)
                }
            }
        }
        Some(other) => Err(unexpected(&other, "a label key")),
        None => Err(SelectorError::Ends("a label key")),
    }
}

fn operation(key: String, operator: Token<'_>, tokens: &mut Peekable<'_>) -> Result<Expression, SelectorError> {
    match operator {
        Token::Equal => Ok(Expression::Equal(key, single_value(tokens)?)),
        Token::NotEqual => Ok(Expression::NotEqual(key, single_value(tokens)?)),
        Token::Word("in") => Ok(Expression::In(key, values(tokens)?)),
        Token::Word("notin") => Ok(Expression::NotIn(key, values(tokens)?)),
        Token::Greater | Token::Less => Err(SelectorError::Comparison),
        other => Err(unexpected(&other, "an operator")),
    }
}

/// One value; nothing at all is the empty value.
fn single_value(tokens: &mut Peekable<'_>) -> Result<String, SelectorError> {
    match tokens.peek().copied() {
        None | Some(Token::Comma) => Ok(String::new()),
        Some(Token::Word(value)) => {
            tokens.next();
            checked_value(value)
        }
        Some(other) => Err(unexpected(&other, "a label value")),
    }
}

fn values(tokens: &mut Peekable<'_>) -> Result<BTreeSet<String>, SelectorError> {
    match tokens.next() {
        Some(Token::Open) => {}
        Some(other) => return Err(unexpected(&other, "an opening parenthesis")),
        None => return Err(SelectorError::Ends("an opening parenthesis")),
    }
    let mut found = BTreeSet::new();
    loop {
        let value = match tokens.peek().copied() {
            Some(Token::Word(value)) => {
                tokens.next();
                checked_value(value)?
            }
            _ => String::new(),
        };
        found.insert(value);
        match tokens.next() {
            Some(Token::Comma) => {}
            Some(Token::Close) => return Ok(found),
            Some(other) => return Err(unexpected(&other, "a comma or a closing parenthesis")),
            None => return Err(SelectorError::Ends("a closing parenthesis")),
        }
    }
}

fn unexpected(token: &Token<'_>, needed: &'static str) -> SelectorError {
    let found = match token {
        Token::Word(word) => word,
        Token::Comma => ",",
        Token::Open => "(",
        Token::Close => ")",
        Token::Equal => "=",
        Token::NotEqual => "!=",
        Token::Not => "!",
        Token::Greater => ">",
        Token::Less => "<",
    };
    SelectorError::Unexpected {
        found: found.to_owned(),
        needed,
    }
}

/// A qualified name: an optional DNS prefix with a slash, then a name of up to 63 characters.
fn checked_key(key: &str) -> Result<String, SelectorError> {
    let (prefix, name) = key
        .rsplit_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_ok = prefix.is_none_or(|prefix| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                is_wrapped(
                    part,
                    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
                    |byte| byte == b'-',
                )
            })
    });
    if prefix_ok && is_label_name(name) {
        Ok(key.to_owned())
    } else {
        Err(SelectorError::Key(key.to_owned()))
    }
}

fn checked_value(value: &str) -> Result<String, SelectorError> {
    if value.is_empty() || is_label_name(value) {
        Ok(value.to_owned())
    } else {
        Err(SelectorError::Value(value.to_owned()))
    }
}

fn is_label_name(text: &str) -> bool {
    text.len() <= 63 && is_wrapped(text, |byte| byte.is_ascii_alphanumeric(), |byte| b"-_.".contains(&byte))
}

/// Whether text begins and ends with `edge` and holds nothing but `edge` and `inner`.
fn is_wrapped(text: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if edge(*first) && edge(*last))
        && bytes.iter().all(|byte| edge(*byte) || inner(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt;
    use proptest::prelude::*;

    use super::*;

    fn selects(text: &str) -> bool {
        let labels = [
            ("app", "edge"),
            ("tier", "gold"),
            ("tokenweir.dev/gateway", "edge"),
            ("empty", ""),
        ];
        let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        parse(text).unwrap().matches(&labels)
    }

    #[test]
    fn every_form_selects_as_kubernetes_does() {
        for text in [
            "",
            "  ",
            "app=edge",
            "app==edge",
            "app = edge , tier=gold",
            "app!=other",
            "none!=x",
            "app in (edge,other)",
            "app in (edge)",
            "app notin (a, b)",
            "none notin (a)",
            "app",
            "!none",
            "! none",
            "empty=",
            "empty in ()",
            "tokenweir.dev/gateway=edge,app",
        ] {
            assert!(selects(text), "{text}");
        }
        for text in [
            "app=x",
            "app!=edge",
            "app in (x)",
            "app notin (edge)",
            "none",
            "!app",
            "app=edge,tier=x",
            "app=",
        ] {
            assert!(!selects(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in [
            "=", "a=b c", "a in", "a in (", "a in (b", "a in b", ",", "a,", "a=b,", "a==,=", "!", "a>1", "a<1", "-a=b",
            "a=-b", "a b", "x/y/z=1", "/a=1", "a=b=c", "a=(b)", "a)", "é=1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("a={}", "x".repeat(64))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_prints_back_to_the_same(text in "[a-z=!,() /.]{0,24}") {
            if let Ok(selector) = parse(&text) {
                prop_assert_eq!(parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
