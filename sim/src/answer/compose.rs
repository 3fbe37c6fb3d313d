//! Decides what an answer is made of.

use serde_json::Value;

use super::{Block, Choice, Finish, Kind, id, instance};
use crate::ask::{Ask, Format, Thinking, ToolChoice};
use crate::behaviour::{Behaviour, OutputTokens, Random, hash};

/// Tokens of a thought that nothing bounds are drawn up to here.
const USUAL_THOUGHT: u64 = 24;

/// The answers to a request.
pub(crate) fn choices(ask: &Ask, behaviour: &Behaviour, hash: u64) -> Vec<Choice> {
    let count = ask.choices.max(1);
    // All choices together stay within what one request may make the simulator hold.
    let most = OutputTokens::LIMIT / count;
    let composer = Composer {
        ask,
        drawn: behaviour.output_tokens.draw(&mut Random::new(hash ^ 0x10)).min(most),
        // A limit of 0 generates one token, as the smallest answer there is.
        limit: ask.max_tokens.map(|limit| limit.clamp(1, most)),
        most,
    };
    (0..count)
        .map(|choice| composer.choice(hash ^ choice.wrapping_mul(0xA24B_AED4_963E_E407)))
        .collect()
}

struct Composer<'a> {
    ask: &'a Ask,
    drawn: u64,
    limit: Option<u64>,
    most: u64,
}

impl Composer<'_> {
    fn choice(&self, seed: u64) -> Choice {
        let mut blocks = Vec::new();
        self.thoughts(seed, &mut blocks);
        let finish = self.rest(seed, &mut blocks);
        self.cut(Choice { blocks, finish })
    }

    fn thoughts(&self, seed: u64, blocks: &mut Vec<Block>) {
        let directives = &self.ask.directives;
        let seed = seed ^ 0x7417;
        let tokens = match (self.ask.thinking, directives.thinking) {
            (Thinking::Never, _) | (Thinking::IfTold, None) => return,
            (Thinking::IfTold, Some(told)) => told.min(self.most),
            (Thinking::UpTo(budget), Some(told)) => told.min(budget).min(self.most),
            (Thinking::UpTo(budget), None) => (8 + Random::new(seed).below(USUAL_THOUGHT - 7)).min(budget),
        };
        if directives.redacted && self.ask.redacts {
            blocks.push(Block::words(Kind::Redacted, seed ^ 1, 8));
        }
        if tokens > 0 {
            blocks.push(Block::words(Kind::Thinking, seed, tokens));
        }
    }

    fn rest(&self, seed: u64, blocks: &mut Vec<Block>) -> Finish {
        let directives = &self.ask.directives;
        if directives.refuse {
            blocks.push(Block::words(Kind::Refusal, seed, directives.tokens.unwrap_or(8)));
            return Finish::Refusal;
        }
        let calls = self.calls(seed);
        if !calls.is_empty() {
            if let Some(tokens) = directives.tokens {
                blocks.push(Block::words(Kind::Text, seed, tokens.min(self.most)));
            }
            blocks.extend(calls);
            return Finish::Calls;
        }
        let (block, finish) = self.text(seed);
        blocks.push(block);
        if directives.filter { Finish::Filter } else { finish }
    }

    fn calls(&self, seed: u64) -> Vec<Block> {
        let ask = self.ask;
        let wanted = match (&ask.tool_choice, ask.directives.calls) {
            (ToolChoice::None, _) | (ToolChoice::Auto, None) => 0,
            (ToolChoice::Auto, Some(told)) => told,
            (_, told) => told.unwrap_or(1).max(1),
        };
        let wanted = if ask.parallel { wanted } else { wanted.min(1) };
        let allowed: Vec<_> = ask
            .tools
            .iter()
            .filter(|tool| match &ask.tool_choice {
                ToolChoice::Function(name) => *name == tool.name,
                _ => true,
            })
            .collect();
        if allowed.is_empty() {
            return Vec::new();
        }
        let usable = (0..wanted).zip(allowed.iter().cycle());
        usable
            .map(|(number, tool)| {
                let seed = hash(seed, &number.to_le_bytes());
                let arguments = match instance::of(&tool.schema, seed) {
                    object @ Value::Object(_) => object.to_string(),
                    _ => "{}".into(),
                };
                let kind = Kind::Call {
                    id: id(seed),
                    name: tool.name.clone(),
                };
                Block::given(kind, &arguments)
            })
            .collect()
    }

    fn text(&self, seed: u64) -> (Block, Finish) {
        let directives = &self.ask.directives;
        let given = match (&directives.say, &self.ask.format) {
            (Some(said), _) => Some(said.clone()),
            (None, Format::Schema(schema)) => Some(instance::of(schema, seed).to_string()),
            (None, Format::Object) => Some(serde_json::json!({"answer": super::Words::new(seed).text(2)}).to_string()),
            (None, Format::Text) => None,
        };
        let tokens = match self.limit {
            Some(limit) if self.ask.ignore_eos => limit,
            _ => directives.tokens.unwrap_or(self.drawn).min(self.most),
        };
        if given.is_none() && self.ask.stops.is_empty() {
            return (Block::words(Kind::Text, seed, tokens), Finish::Stop);
        }
        let text = given.unwrap_or_else(|| super::Words::new(seed).text(tokens));
        match self.stop_in(&text) {
            Some((at, stop)) => (Block::given(Kind::Text, &text[..at]), Finish::Sequence(stop)),
            None => (Block::given(Kind::Text, &text), Finish::Stop),
        }
    }

    /// The first place where the text meets one of the request's stops.
    fn stop_in(&self, text: &str) -> Option<(usize, String)> {
        let stops = self.ask.stops.iter().filter(|stop| !stop.is_empty());
        stops
            .filter_map(|stop| text.find(stop.as_str()).map(|at| (at, stop.clone())))
            .min_by_key(|(at, _)| *at)
    }

    /// Applies the client's limit: what is beyond it is not there.
    fn cut(&self, mut choice: Choice) -> Choice {
        let Some(limit) = self.limit else { return choice };
        let tokens = choice.tokens();
        if tokens > limit {
            let mut left = limit;
            choice.blocks.retain_mut(|block| {
                block.tokens = block.tokens.min(left);
                left -= block.tokens;
                block.tokens > 0
            });
        }
        // vLLM's full length is a cut, too: the model would have gone on.
        if tokens > limit || (self.ask.ignore_eos && tokens == limit) {
            choice.finish = Finish::Length;
        }
        choice
    }
}
