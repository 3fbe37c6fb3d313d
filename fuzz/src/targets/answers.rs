//! What providers answer, whole and as a stream, told to every client.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use tokenweir_llm::conversation::{Answer, Choice, Event, Finish, Part, PartKind, Request};
use tokenweir_llm::dialect::{
    AnswerError, ChatCompletions, ClientDialect, Completions, Context, Messages, ProviderError, ProviderWire,
    Responses, StreamReader, StreamWriter,
};
use tokenweir_llm::sse::Parser;

use crate::pieces::cuts;
use crate::promises::keeps_its_promises;
use crate::{in_proportion, json};

/// What a client's dialect can do.
struct Client {
    name: &'static str,
    answer: fn(&Answer, &Context) -> Vec<u8>,
    error: fn(&ProviderError) -> Vec<u8>,
    stream: fn(Context) -> Box<dyn StreamWriter>,
    again: Option<Again>,
}

/// How a provider's wire of the same form reads what the client is told.
#[derive(Clone, Copy)]
struct Again {
    answer: fn(&[u8]) -> Result<Answer, AnswerError>,
    stream: fn() -> Box<dyn StreamReader>,
}

impl Client {
    const fn of<D: ClientDialect>(name: &'static str) -> Self {
        Self {
            name,
            answer: D::write_answer,
            error: D::write_error,
            stream: D::stream,
            again: None,
        }
    }

    const fn both<D: ClientDialect + ProviderWire>(name: &'static str) -> Self {
        let mut client = Self::of::<D>(name);
        client.again = Some(Again {
            answer: D::read_answer,
            stream: <D as ProviderWire>::stream,
        });
        client
    }
}

const CLIENTS: [Client; 4] = [
    Client::both::<ChatCompletions>("Chat Completions"),
    Client::of::<Completions>("Completions"),
    Client::of::<Responses>("Responses"),
    Client::both::<Messages>("Messages"),
];

fn context() -> Context {
    let request = Request {
        model: "asked".to_owned(),
        stream: true,
        include_usage: true,
        ..Request::default()
    };
    Context {
        id: "req1".into(),
        now_unix: 1_700_000_000,
        request: Arc::new(request),
    }
}

pub fn run<W: ProviderWire>(body: &[u8], stream: &[u8]) {
    if let Ok(answer) = in_proportion("reading an answer", body.len(), || W::read_answer(body)) {
        for client in &CLIENTS {
            answered(client, &answer, body);
        }
    }
    for status in [400, 500] {
        let error = in_proportion("reading an error", body.len(), || W::read_error(status, body));
        assert!(!error.message.is_empty() && error.message.len() <= 400 + 4 * body.len());
        for client in &CLIENTS {
            json::object(client.name, &(client.error)(&error));
        }
    }
    let events = in_proportion("reading a stream", stream.len(), || read(W::stream(), &[stream]));
    if let Err(broken) = keeps_its_promises(&events) {
        panic!("{broken}: {events:?}");
    }
    for pieces in cuts(stream) {
        let cut = in_proportion("reading a stream in pieces", stream.len(), || {
            read(W::stream(), &pieces)
        });
        assert_eq!(lines(&cut), lines(&events));
    }
    for client in &CLIENTS {
        told(client, &events, stream.len());
    }
}

fn answered(client: &Client, answer: &Answer, source: &[u8]) {
    let length = source.len();
    let body = in_proportion(client.name, length, || (client.answer)(answer, &context()));
    json::made_of(source, client.name, &body);
    assert!(
        body.len() <= 4000 + 100 * length,
        "{}: {length} bytes became {}",
        client.name,
        body.len()
    );
    if let Some(again) = client.again
        && !answer.choices.iter().any(is_odd)
    {
        let shown = String::from_utf8_lossy(&body);
        let second = match (again.answer)(&body) {
            Ok(second) => second,
            Err(error) => panic!("{}: {error}: {shown}", client.name),
        };
        let written = (client.answer)(&second, &context());
        assert_eq!(String::from_utf8_lossy(&written), shown);
        compare(&texts(answer), &texts(&second), |choice, first, second| {
            assert!(
                first == second || one_answer(client, choice),
                "{}: {choice} {first:?}: {shown}",
                client.name
            );
        });
    }
}

/// Text without a letter, a call that cannot be made for want of a name or an id, an end that waits for calls where there are
/// none: no provider answers so, and readers differ in what they make of it.
fn is_odd(choice: &Choice) -> bool {
    let empty = |part: &Part| match &part.kind {
        PartKind::Text { text, .. } | PartKind::Refusal { text } => text.is_empty(),
        PartKind::ToolCall(call) => call.name.is_empty() || call.id.is_empty(),
        _ => false,
    };
    let calls = choice
        .parts
        .iter()
        .any(|part| matches!(part.kind, PartKind::ToolCall(_)));
    let waits = choice.finish == Finish::ToolCalls && !calls;
    waits || choice.parts.iter().any(empty)
}

fn read(mut reader: Box<dyn StreamReader>, pieces: &[&[u8]]) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in pieces {
        reader.push(piece, &mut events);
    }
    reader.finish(&mut events);
    events
}

fn lines(events: &[Event]) -> String {
    events.iter().fold(String::new(), |mut text, event| {
        writeln!(text, "{event:?}").unwrap();
        text
    })
}

/// What a client reads of a stream is a stream of JSON in proportion, and says the same as the provider's.
fn told(client: &Client, events: &[Event], length: usize) {
    let bytes = in_proportion(client.name, length, || {
        let mut writer = (client.stream)(context());
        let mut out = Vec::new();
        for event in events {
            writer.write(event, &mut out);
        }
        out
    });
    assert!(
        bytes.len() <= 4000 + 200 * length,
        "{}: {length} bytes became {}",
        client.name,
        bytes.len()
    );
    let mut parser = Parser::new(usize::MAX);
    parser.push(Bytes::copy_from_slice(&bytes));
    while let Some(event) = parser.next_event().unwrap() {
        match event.data() {
            Some(data) if data == "[DONE]" => {}
            Some(data) => json::object(client.name, data),
            None => panic!("{}: an event says nothing", client.name),
        }
    }
    assert_eq!(parser.finish(), None);
    let Some(again) = client.again else { return };
    let second = read((again.stream)(), &[&bytes]);
    if let Err(broken) = keeps_its_promises(&second) {
        panic!("{}: {broken}: {}", client.name, String::from_utf8_lossy(&bytes));
    }
    let complete = |events: &[Event]| matches!(events.last(), Some(Event::End));
    let shown = String::from_utf8_lossy(&bytes);
    assert_eq!(complete(&second), complete(events), "{}: {shown}", client.name);
    compare(&said(events), &said(&second), |choice, text, again| {
        // Where a stream breaks off within a call, text behind the call still waits.
        let excused = one_answer(client, choice) || !complete(events) && text.starts_with(again);
        assert!(again == text || excused, "{}: {choice} {text:?}: {shown}", client.name);
    });
}

/// Messages have one answer.
fn one_answer(client: &Client, choice: u32) -> bool {
    choice > 0 && client.name == "Messages"
}

/// What a choice says.
#[derive(Default)]
struct Said {
    text: String,
    /// Refusals have no place of their own in Messages, where they are text.
    refusal: String,
}

impl Said {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.refusal.is_empty()
    }

    /// All of it, to be compared. Where it refuses, in no order: dialects differ in where a refusal stands.
    fn all(&self, refuses: bool) -> String {
        let whole = format!("{}{}", self.text, self.refusal);
        if !refuses {
            return whole;
        }
        let mut letters: Vec<char> = whole.chars().collect();
        letters.sort_unstable();
        letters.into_iter().collect()
    }
}

/// Looks at each choice that either of them has, so that nothing is lost and nothing invented.
fn compare(first: &BTreeMap<u32, Said>, second: &BTreeMap<u32, Said>, check: impl Fn(u32, &str, &str)) {
    let choices: BTreeSet<u32> = first.keys().chain(second.keys()).copied().collect();
    for choice in choices {
        let (first, second) = (first.get(&choice), second.get(&choice));
        let refuses = [first, second]
            .into_iter()
            .flatten()
            .any(|said| !said.refusal.is_empty());
        let of = |said: Option<&Said>| said.map(|said| said.all(refuses)).unwrap_or_default();
        check(choice, &of(first), &of(second));
    }
}

/// What each choice of an answer says.
fn texts(answer: &Answer) -> BTreeMap<u32, Said> {
    let said = |choice: &Choice| {
        let mut said = Said::default();
        for part in &choice.parts {
            match &part.kind {
                PartKind::Text { text, .. } => said.text.push_str(text),
                PartKind::Refusal { text } => said.refusal.push_str(text),
                _ => {}
            }
        }
        said
    };
    let all = (0..).zip(answer.choices.iter().map(said));
    all.filter(|(_, said)| !said.is_empty()).collect()
}

/// What each choice says.
fn said(events: &[Event]) -> BTreeMap<u32, Said> {
    let mut all: BTreeMap<u32, Said> = BTreeMap::new();
    for event in events {
        match event {
            Event::Text { choice, text, .. } => all.entry(*choice).or_default().text.push_str(text),
            Event::Refusal { choice, text, .. } => all.entry(*choice).or_default().refusal.push_str(text),
            _ => {}
        }
    }
    all.retain(|_, said| !said.is_empty());
    all
}
