//! Requests: read from a client's dialect, written for every wire.

use tokenweir_llm::RequestError;
use tokenweir_llm::conversation::{Part, PartKind, Report, Request, Unsupported};
use tokenweir_llm::dialect::{
    ChatCompletions, ChatFlavor, ClientDialect, Converse, Gemini, Messages, ProviderWire, Target,
};

use crate::{in_proportion, json};

type Read = fn(&[u8]) -> Result<Request, RequestError>;

/// A wire and a model behind it.
struct Place {
    name: &'static str,
    target: Target<'static>,
    write: fn(&Request, &Target<'_>, &mut Report) -> Vec<u8>,
    /// How a client's dialect of the same form reads what is written.
    read: Option<Read>,
}

impl Place {
    const fn of<W: ProviderWire>(model: &'static str, chat: ChatFlavor) -> Self {
        let target = Target {
            model,
            max_tokens: Some(8192),
            chat,
        };
        Self {
            name: W::NAME,
            target,
            write: W::write_request,
            read: None,
        }
    }

    const fn both<D: ProviderWire + ClientDialect>(model: &'static str, chat: ChatFlavor) -> Self {
        let mut place = Self::of::<D>(model, chat);
        place.read = Some(D::read_request);
        place
    }

    fn written(&self, request: &Request) -> (Vec<u8>, Result<(), Unsupported>) {
        let mut report = Report::about(self.name);
        let body = (self.write)(request, &self.target, &mut report);
        (body, report.finish())
    }
}

/// Models of each wire that differ in what they can do.
const PLACES: [Place; 8] = [
    Place::both::<ChatCompletions>("gpt-5", ChatFlavor::OpenAi),
    Place::both::<ChatCompletions>("llama-3", ChatFlavor::Compatible),
    Place::both::<Messages>("claude-opus-4-5", ChatFlavor::OpenAi),
    Place::both::<Messages>("claude-3-haiku", ChatFlavor::OpenAi),
    Place::of::<Converse>("anthropic.claude-opus-4-5-20251101-v1:0", ChatFlavor::OpenAi),
    Place::of::<Converse>("amazon.nova-pro-v1:0", ChatFlavor::OpenAi),
    Place::of::<Gemini>("gemini-3-pro", ChatFlavor::OpenAi),
    Place::of::<Gemini>("gemini-2.5-flash", ChatFlavor::OpenAi),
];

pub fn run(read: Read, body: &[u8]) {
    let request = match in_proportion("reading", body.len(), || read(body)) {
        Ok(request) => request,
        Err(error) => {
            assert!(error.to_string().len() < 400, "{error}");
            return;
        }
    };
    for place in &PLACES {
        let (written, report) = in_proportion(place.name, body.len(), || place.written(&request));
        json::made_of(body, place.name, &written);
        assert!(
            written.len() <= 4000 + 100 * body.len(),
            "{} bytes became {}",
            body.len(),
            written.len()
        );
        match (report, place.read) {
            (Err(unsupported), _) => {
                assert!(
                    !unsupported.fields.is_empty() && unsupported.to_string().len() < 8000,
                    "{unsupported}"
                );
            }
            (Ok(()), Some(read)) => keeps_its_meaning(place, read, &request, &written),
            (Ok(()), None) => {}
        }
    }
}

/// Nothing was reported as lost, so what was written says it all: it is read again and written the same, and it has
/// every text.
fn keeps_its_meaning(place: &Place, read: Read, request: &Request, written: &[u8]) {
    let shown = String::from_utf8_lossy(written);
    let again = match read(written) {
        Ok(again) => again,
        Err(error) => panic!("{}: {error}: {shown}", place.name),
    };
    let (second, report) = place.written(&again);
    // An id that looks like one of the gateway's own making is written as another, so that none is taken for it.
    if !shown.contains("\"esc_") {
        assert_eq!(String::from_utf8_lossy(&second), shown, "{}", place.name);
    }
    assert_eq!(report, Ok(()), "{}: {shown}", place.name);
    let said = texts(&again).concat();
    // Anthropic refuses text that is blank, so it is left out there.
    for text in texts(request).into_iter().filter(|text| !text.trim().is_empty()) {
        assert!(said.contains(text), "{}: {text:?} is not in {shown}", place.name);
    }
}

fn texts(request: &Request) -> Vec<&str> {
    fn of(parts: &[Part]) -> impl Iterator<Item = &str> {
        parts.iter().filter_map(|part| match &part.kind {
            PartKind::Text { text, .. } => Some(&**text),
            _ => None,
        })
    }
    request.messages.iter().flat_map(|message| of(&message.parts)).collect()
}
