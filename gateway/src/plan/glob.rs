//! Model names with `*` for any characters, none included.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: Box<str>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No star: equality.
    Exact,
    /// A single star alone.
    Everything,
    /// Anything else.
    Stars,
}

impl Glob {
    /// Compiles a pattern. Every string is one.
    pub fn new(pattern: &str) -> Self {
        let kind = match pattern {
            "*" => Kind::Everything,
            _ if pattern.contains('*') => Kind::Stars,
            _ => Kind::Exact,
        };
        Self {
            pattern: pattern.into(),
            kind,
        }
    }

    /// Whether the pattern is a plain name.
    pub fn is_exact(&self) -> bool {
        self.kind == Kind::Exact
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Characters that must be there. More of them make a pattern more specific.
    pub fn literal_len(&self) -> usize {
        self.pattern.bytes().filter(|b| *b != b'*').count()
    }

    /// Whether a name fits. Takes time proportional to the product of both lengths at worst, and no stack.
    pub fn matches(&self, name: &str) -> bool {
        match self.kind {
            Kind::Exact => *self.pattern == *name,
            Kind::Everything => true,
            Kind::Stars => matches_stars(self.pattern.as_bytes(), name.as_bytes()),
        }
    }
}

/// Greedy matching that goes back to the last star only: an earlier one never has to give back what it took.
fn matches_stars(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut last_star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match last_star {
                Some((star, taken)) => {
                    last_star = Some((star, taken + 1));
                    p = star + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, fits) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", false),
            ("*", "", true),
            ("gpt-*", "gpt-", true),
            ("gpt-*", "gp", false),
            ("*-mini", "gpt-5-mini", true),
            ("*-mini", "gpt-5-mini-2", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("**", "x", true),
            ("grün-*", "grün-é", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} on {name}");
        }
    }

    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|n| slow(rest, &name[n..])),
            Some((byte, rest)) => name
                .split_first()
                .is_some_and(|(first, tail)| first == byte && slow(rest, tail)),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(Glob::new(&pattern).matches(&name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
