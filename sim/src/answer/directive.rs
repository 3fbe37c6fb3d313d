//! What the text of the last message may ask of the answer: `[[sim:calls=2;thinking=20]]`.

/// Directives of a request. They stand in the prompt, since a prompt passes every gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    /// `tokens=N`: tokens of the text.
    pub(crate) tokens: Option<u64>,
    /// `calls=N`: calls of so many functions.
    pub(crate) calls: Option<u64>,
    /// `thinking=N`: tokens of thought, where the wire lets the model think.
    pub(crate) thinking: Option<u64>,
    /// `redacted`: a thought that is only shown encrypted comes first.
    pub(crate) redacted: bool,
    /// `refuse`: a refusal.
    pub(crate) refuse: bool,
    /// `filter`: the provider's filter cuts the answer.
    pub(crate) filter: bool,
    /// `say=TEXT`: this text; the last directive, since the text may hold semicolons.
    pub(crate) say: Option<String>,
}

/// A directive that does not exist, or whose value does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no directive for the simulator; known are tokens=, calls=, thinking=, redacted, refuse, filter, say="
)]
pub(crate) struct UnknownDirective(String);

const OPEN: &str = "[[sim:";

/// More calls than any model makes at once; keeps a request from making the simulator hold gigabytes.
const MAX_CALLS: u64 = 128;

impl Directives {
    /// Reads the last directives in a text.
    pub(crate) fn parse(text: &str) -> Result<Self, UnknownDirective> {
        let mut found = Self::default();
        let Some((_, behind)) = text.rsplit_once(OPEN) else {
            return Ok(found);
        };
        let Some((mut rest, _)) = behind.split_once("]]") else {
            return Err(UnknownDirective(behind.chars().take(40).collect()));
        };
        while !rest.is_empty() {
            if let Some(said) = rest.strip_prefix("say=") {
                found.say = Some(said.to_owned());
                break;
            }
            let (one, further) = rest.split_once(';').unwrap_or((rest, ""));
            found.take(one.trim())?;
            rest = further.trim_start();
        }
        Ok(found)
    }

    fn take(&mut self, directive: &str) -> Result<(), UnknownDirective> {
        let unknown = || UnknownDirective(directive.to_owned());
        let Some((name, value)) = directive.split_once('=') else {
            match directive {
                "redacted" => self.redacted = true,
                "refuse" => self.refuse = true,
                "filter" => self.filter = true,
                _ => return Err(unknown()),
            }
            return Ok(());
        };
        let value: u64 = value.parse().map_err(|_| unknown())?;
        match name {
            "tokens" if value > 0 => self.tokens = Some(value),
            "calls" if value <= MAX_CALLS => self.calls = Some(value),
            "thinking" => self.thinking = Some(value),
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_directives_count_and_mistakes_are_named() {
        let none = Directives::parse("nothing [[here]]").unwrap();
        assert_eq!(none, Directives::default());
        let some = Directives::parse("[[sim:refuse]] x [[sim:calls=2; thinking=9;redacted;say=a; b=c]] y").unwrap();
        assert_eq!(
            some,
            Directives {
                calls: Some(2),
                thinking: Some(9),
                redacted: true,
                say: Some("a; b=c".into()),
                ..Directives::default()
            }
        );
        for wrong in ["[[sim:cals=2]]", "[[sim:calls=x]]", "[[sim:tokens=0]]", "[[sim:calls=2"] {
            assert!(Directives::parse(wrong).is_err(), "{wrong}");
        }
    }
}
