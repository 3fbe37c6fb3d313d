//! Which pod served requests that begin alike: it still has what it made of their beginning in its cache.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use memchr::memmem;

use super::hash::Hash64;

/// Length of the pieces that are compared, in bytes of the request: about 250 tokens. What is shorter is not worth a
/// detour.
const PIECE: usize = 1024;
/// Pieces that are looked at: beyond them a conversation is known by its beginning.
const MOST_PIECES: usize = 32;
/// Entries of a table. With requests of ten pieces it remembers some 1,600 conversations, in 128 KiB.
const ENTRIES: usize = 16 * 1024;
/// Bits of an entry that name the pod; the others tell prefixes apart.
const POD_BITS: u32 = 16;

/// How a request begins: a number for each of its first pieces, which stands for all before it too.
#[derive(Debug, PartialEq, Eq)]
pub struct Prefix(Vec<u64>);

impl Prefix {
    /// The beginning of a request's body, from where its conversation begins: clients write the fields before it in one
    /// order, but not with one value. `None` if it is too short to matter.
    pub fn of(body: &[u8]) -> Option<Self> {
        let from = [b"\"messages\"".as_slice(), b"\"prompt\"", b"\"input\""]
            .into_iter()
            .find_map(|field| memmem::find(body, field))
            .unwrap_or(0);
        let mut hash = Hash64::default();
        let pieces: Vec<u64> = body[from..]
            .chunks_exact(PIECE)
            .take(MOST_PIECES)
            .map(|piece| {
                hash = hash.and(piece);
                hash.finish()
            })
            .collect();
        (!pieces.is_empty()).then_some(Self(pieces))
    }
}

/// Which pod served which beginnings last. Old entries are overwritten; a lookup that fails costs one detour.
#[derive(Debug)]
pub struct PrefixTable(Box<[AtomicU64]>);

impl Default for PrefixTable {
    fn default() -> Self {
        Self((0..ENTRIES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl PrefixTable {
    /// The pods that served the longest known beginnings of a request, longest first.
    pub fn pods(&self, prefix: &Prefix) -> impl Iterator<Item = u16> {
        prefix.0.iter().rev().filter_map(|piece| {
            let entry = self.entry(*piece).load(Relaxed);
            (entry >> POD_BITS == piece >> POD_BITS).then_some(low_bits(entry))
        })
    }

    /// A pod serves a request that begins so.
    pub fn served(&self, prefix: &Prefix, pod: u16) {
        for piece in &prefix.0 {
            let entry = (piece >> POD_BITS) << POD_BITS | u64::from(pod);
            self.entry(*piece).store(entry, Relaxed);
        }
    }

    fn entry(&self, piece: u64) -> &AtomicU64 {
        // The low bits choose the place, the high ones are kept to tell prefixes apart.
        &self.0[usize::from(low_bits(piece)) % ENTRIES]
    }
}

#[allow(clippy::cast_possible_truncation)] // takes the low bits on purpose
fn low_bits(number: u64) -> u16 {
    number as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(conversation: &str) -> Option<Prefix> {
        Prefix::of(format!(r#"{{"model":"m","messages":[{{"content":"{conversation}"}}]}}"#).as_bytes())
    }

    #[test]
    fn a_longer_conversation_finds_the_pod_of_its_beginning() {
        let table = PrefixTable::default();
        let (first, other) = ("a".repeat(3_000), "b".repeat(3_000));
        table.served(&prefix(&first).unwrap(), 7);
        table.served(&prefix(&other).unwrap(), 8);
        let longer = prefix(&format!("{first}{other}")).unwrap();
        assert_eq!(table.pods(&longer).next(), Some(7));
        assert_eq!(table.pods(&prefix(&"c".repeat(3_000)).unwrap()).next(), None);
        table.served(&longer, 9);
        assert_eq!(
            table.pods(&prefix(&first).unwrap()).next(),
            Some(9),
            "the last one counts"
        );
    }

    #[test]
    fn fields_before_the_conversation_do_not_matter_and_short_ones_have_no_prefix() {
        let text = "x".repeat(2_000);
        let with = |head: &str| Prefix::of(format!(r#"{{{head}"messages":["{text}"]}}"#).as_bytes());
        assert_eq!(with(r#""seed":1,"#), with(r#""seed":20,"user":"b","#));
        assert!(with("").is_some());
        assert_eq!(prefix("hello"), None);
    }
}
