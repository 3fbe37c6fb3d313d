//! How the golden files write down streams in Amazon's binary framing. The fuzz targets do so too.

use tokenweir_llm::dialect::converse::eventstream::encode;

/// Amazon's binary framing, of lines with the event's name (an exception's behind `!`) and its payload.
pub fn frames(text: &str) -> Vec<u8> {
    (text.lines())
        .filter_map(|line| line.split_once(' '))
        .flat_map(|(name, payload)| match name.strip_prefix('!') {
            Some(name) => encode(
                &[(":message-type", "exception"), (":exception-type", name)],
                payload.as_bytes(),
            ),
            None => encode(&[(":message-type", "event"), (":event-type", name)], payload.as_bytes()),
        })
        .collect()
}
