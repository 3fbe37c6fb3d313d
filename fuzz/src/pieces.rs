//! Cuts that follow from the bytes themselves.

/// The bytes one by one, and in pieces of up to 64 whose sizes depend on all of the bytes.
pub fn cuts(bytes: &[u8]) -> [Vec<&[u8]>; 2] {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    let mut random = crc32fast::hash(bytes) | 1;
    while !rest.is_empty() {
        // Marsaglia's xorshift: never 0 again, and cheap.
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let size = 1 + random as usize % 64;
        let (piece, more) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    [bytes.chunks(1).collect(), pieces]
}
