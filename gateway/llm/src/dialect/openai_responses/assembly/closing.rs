//! How parts and items end.

use super::super::events::{Log, Piece, Step};
use super::super::item::{Annotation, Content, Item, Status, characters};
use super::super::response::Ending;
use super::{Assembly, Kind, Place, step_of, step_of_thought};
use crate::conversation::Citation;

impl Assembly {
    pub(in crate::dialect::openai_responses) fn end(&mut self, part: u32, log: &mut Log<'_>) {
        let Some(open) = self.open_part(part) else {
            return;
        };
        let kind = self.parts.remove(open).kind;
        let item = match kind {
            Kind::Waiting(_) => return,
            Kind::Text { at, citations } => {
                self.text_done(at, &citations, log);
                at.item
            }
            Kind::Refusal { at } => {
                self.refusal_done(at, log);
                at.item
            }
            Kind::Thought { item } => {
                self.thought_done(item, log);
                item
            }
            Kind::Call { item } => item,
        };
        let last = item + 1 == self.entries.len();
        let entry = &mut self.entries[item];
        entry.open_parts = entry.open_parts.saturating_sub(1);
        if entry.open_parts == 0 && !last {
            self.close(item, Status::Completed, log);
        }
    }

    fn text_done(&mut self, at: Place, citations: &[Citation], log: &mut Log<'_>) {
        let Some((id, part)) = self.content(at) else {
            return;
        };
        if let Content::OutputText { annotations, text, .. } = part {
            let length = characters(text);
            for annotation in citations.iter().filter_map(|source| Annotation::of(source, length)) {
                let step = Step {
                    annotation_index: Some(annotations.len()),
                    annotation: Some(&annotation),
                    ..at.step(id)
                };
                log.emit("response.output_text.annotation.added", step);
                annotations.push(annotation);
            }
        }
        if let Content::OutputText { text, logprobs, .. } = part {
            let step = Step {
                text: Some(text),
                logprobs: Some(logprobs),
                ..at.step(id)
            };
            log.emit("response.output_text.done", step);
        }
        let part = Some(Piece::Content(part));
        log.emit("response.content_part.done", Step { part, ..at.step(id) });
    }

    fn refusal_done(&mut self, at: Place, log: &mut Log<'_>) {
        let Some((id, part)) = self.content(at) else {
            return;
        };
        if let Content::Refusal { refusal } = part {
            let refusal = Some(refusal.as_str());
            log.emit("response.refusal.done", Step { refusal, ..at.step(id) });
        }
        let part = Some(Piece::Content(part));
        log.emit("response.content_part.done", Step { part, ..at.step(id) });
    }

    fn thought_done(&self, item: usize, log: &mut Log<'_>) {
        if let Item::Reasoning { id, summary, .. } = &self.entries[item].item
            && let Some(summary) = summary.first()
        {
            let place = || step_of_thought(id, item);
            let text = Some(summary.text.as_str());
            log.emit("response.reasoning_summary_text.done", Step { text, ..place() });
            let part = Some(Piece::Summary(summary));
            log.emit("response.reasoning_summary_part.done", Step { part, ..place() });
        }
    }

    pub(super) fn close(&mut self, index: usize, status: Status, log: &mut Log<'_>) {
        let entry = &mut self.entries[index];
        if std::mem::replace(&mut entry.closed, true) {
            return;
        }
        let filled = status == Status::Completed && entry.item.complete_arguments();
        entry.item.set_status(status);
        if let Item::FunctionCall { id, arguments, .. } = &entry.item {
            let place = || step_of(id, index);
            if filled {
                let delta = Some(arguments.as_str());
                log.emit("response.function_call_arguments.delta", Step { delta, ..place() });
            }
            let arguments = Some(arguments.as_str());
            log.emit("response.function_call_arguments.done", Step { arguments, ..place() });
        }
        let step = Step {
            output_index: Some(index),
            item: Some(&entry.item),
            ..Step::default()
        };
        log.emit("response.output_item.done", step);
    }

    /// Ends what is open. The last item is where an answer was cut.
    pub(in crate::dialect::openai_responses) fn finish(&mut self, ending: Ending, log: &mut Log<'_>) {
        while let Some(open) = self.parts.first() {
            let part = open.part;
            self.end(part, log);
        }
        let last = self.entries.len().saturating_sub(1);
        for index in 0..self.entries.len() {
            let status = if index == last {
                ending.status
            } else {
                Status::Completed
            };
            self.close(index, status, log);
        }
    }
}
