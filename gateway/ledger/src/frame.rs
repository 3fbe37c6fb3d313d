//! How a row stands in a file: checked, and found again behind what is broken.
//!
//! ```text
//! magic    4  "TWLR"
//! version  1  of the payload
//! length   4  of the payload, little-endian
//! check    4  CRC32C over the salt of the file, version, length and payload, little-endian
//! payload     postcard
//! ```
//!
//! Behind damage the next good frame is looked for. Texts of clients stand in payloads, and one that looked like a frame
//! would be found there and become a row of its own. The salt, random in each file and part of its name, makes such a
//! frame's check wrong, since no client knows it.

use memchr::memmem;

use crate::Row;

/// The version of the payload that is written.
pub const FORMAT: u8 = 1;
/// Bytes that the payload of a row may have; a row with the longest texts has under 5 KiB.
pub const MAX_ROW_BYTES: usize = 8 * 1024;

const MAGIC: [u8; 4] = *b"TWLR";
const HEADER: usize = 13;
/// Bytes that a row takes at most.
pub const MAX_FRAME_BYTES: usize = HEADER + MAX_ROW_BYTES;

/// Why a row cannot be written: it is longer than [`MAX_ROW_BYTES`], or has no encoding.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode a row")]
pub struct EncodeError(#[from] postcard::Error);

/// Appends a row to `to`, or nothing on an error.
pub fn encode(row: &Row, salt: u64, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut buffer = [0; MAX_ROW_BYTES];
    let payload: &[u8] = postcard::to_slice(row, &mut buffer)?;
    let length = u32::try_from(payload.len()).map_err(|_| postcard::Error::SerializeBufferFull)?;
    to.reserve(HEADER + payload.len());
    to.extend_from_slice(&MAGIC);
    to.push(FORMAT);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(&check(salt, FORMAT, length, payload).to_le_bytes());
    to.extend_from_slice(payload);
    Ok(())
}

fn check(salt: u64, version: u8, length: u32, payload: &[u8]) -> u32 {
    let mut check = crc32c::crc32c(&salt.to_le_bytes());
    check = crc32c::crc32c_append(check, &[version]);
    check = crc32c::crc32c_append(check, &length.to_le_bytes());
    crc32c::crc32c_append(check, payload)
}

/// What stands at a place of a file.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// A row, and the bytes it takes.
    Row(Box<Row>, usize),
    /// This many bytes that are no row, with a row behind them.
    Broken(usize),
    /// This many bytes in good order that this version cannot read: of a later format, or not a row.
    Foreign(usize),
    /// All that is left is no whole row.
    Rest,
}

/// Reads what `bytes` begin with. They must reach to the end of what was written, and must not be empty.
pub fn read(bytes: &[u8], salt: u64) -> Found {
    if let Some(found) = read_here(bytes, salt) {
        return found;
    }
    // A frame is at most MAX_ROW_BYTES long, so each place costs at most that much, however the bytes were made.
    for place in memmem::find_iter(bytes.get(1..).unwrap_or_default(), &MAGIC) {
        let place = place + 1;
        if bytes.get(place..).is_some_and(|bytes| read_here(bytes, salt).is_some()) {
            return Found::Broken(place);
        }
    }
    Found::Rest
}

/// The frame that stands exactly here, if its check is right.
fn read_here(bytes: &[u8], salt: u64) -> Option<Found> {
    let (header, behind) = bytes.split_first_chunk::<HEADER>()?;
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (version, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (expected, _) = rest.split_first_chunk::<4>()?;
    if *magic != MAGIC {
        return None;
    }
    let length = u32::from_le_bytes(*length);
    let size = usize::try_from(length).ok().filter(|size| *size <= MAX_ROW_BYTES)?;
    let payload = behind.get(..size)?;
    if check(salt, *version, length, payload) != u32::from_le_bytes(*expected) {
        return None;
    }
    let whole = HEADER + size;
    if *version != FORMAT {
        return Some(Found::Foreign(whole));
    }
    // A payload with bytes left over was not written by this version either.
    Some(match postcard::take_from_bytes::<Row>(payload) {
        Ok((row, [])) => Found::Row(Box::new(row), whole),
        _ => Found::Foreign(whole),
    })
}

#[cfg(test)]
mod tests;
