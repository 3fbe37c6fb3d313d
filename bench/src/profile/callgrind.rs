//! What `callgrind` counted: instructions and calls by function.
//!
//! The format is described in Valgrind's manual, "Callgrind Format Specification".

use std::collections::HashMap;

/// Functions that hand out memory: those of the C library, and those of mimalloc that Rust calls.
const ALLOCATORS: [&str; 8] = [
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
    "mi_malloc_aligned",
    "mi_zalloc_aligned",
    "mi_realloc_aligned",
];

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Instructions of each function itself.
    own: HashMap<String, u64>,
    /// How often each was called.
    calls: HashMap<String, u64>,
}

impl Counts {
    /// Reads a dump. Lines that it does not know are left out.
    pub(super) fn parse(dump: &str) -> Self {
        let mut counts = Self::default();
        let mut names = HashMap::new();
        let (mut function, mut called) = (String::new(), String::new());
        // The line behind `calls=` has the cost of what was called, which is counted there.
        let mut of_call = false;
        for line in dump.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = name_of(name, &mut names);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                called = name_of(name, &mut names);
            } else if let Some(number) = line.strip_prefix("calls=") {
                let number = number.split(' ').next().and_then(|number| number.parse::<u64>().ok());
                *counts.calls.entry(called.clone()).or_default() += number.unwrap_or(0);
                of_call = true;
            } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
                && !std::mem::take(&mut of_call)
                && let Some(cost) = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok())
            {
                *counts.own.entry(function.clone()).or_default() += cost;
            }
        }
        counts
    }

    /// All instructions.
    pub(super) fn instructions(&self) -> u64 {
        self.own.values().sum()
    }

    /// Calls for memory. What `realloc` hands out counts too, as it may have moved.
    pub(super) fn allocations(&self) -> u64 {
        let is_one = |name: &str| ALLOCATORS.contains(&name);
        self.calls
            .iter()
            .filter(|(name, _)| is_one(name))
            .map(|(_, calls)| calls)
            .sum()
    }

    /// Instructions by function, the most first.
    pub(super) fn by_function(&self) -> Vec<(String, u64)> {
        sorted(self.own.iter().map(|(name, number)| (short(name), *number)))
    }

    /// Instructions by crate, the most first.
    pub(super) fn by_crate(&self) -> Vec<(String, u64)> {
        sorted(self.own.iter().map(|(name, number)| (crate_of(name), *number)))
    }
}

/// Names stand once as `(7) name`, then as `(7)`.
fn name_of(written: &str, names: &mut HashMap<String, String>) -> String {
    let Some((number, name)) = written.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
        return written.to_owned();
    };
    match name.trim() {
        "" => names.get(number).cloned().unwrap_or_default(),
        name => {
            // Recursion is told apart by a suffix, which does not matter here.
            let name = name.split('\'').next().unwrap_or(name).to_owned();
            names.insert(number.to_owned(), name.clone());
            name
        }
    }
}

fn sorted(all: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut sums: HashMap<String, u64> = HashMap::new();
    for (name, number) in all {
        *sums.entry(name).or_default() += number;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    sums
}

/// A name without the compiler's hash and without what its types are filled with.
fn short(name: &str) -> String {
    let name = match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => path,
        _ => name,
    };
    let mut out = String::new();
    let mut depth = 0_usize;
    for (at, letter) in name.char_indices() {
        match letter {
            // `<A as B>::f` begins with what it is about, which stays.
            '<' if at == 0 => {}
            '>' if depth == 0 => {}
            '<' => depth += 1,
            '>' => depth -= 1,
            _ if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    out
}

/// The crate of a function; what it does, for those of the C library.
fn crate_of(name: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let path = name.trim_start_matches(|letter: char| !is_word(letter));
    let path = path.trim_start_matches("mut ").trim_start_matches("dyn ");
    let word = path.split(|letter: char| !is_word(letter)).next().unwrap_or_default();
    if name.contains("::") {
        return word.to_owned();
    }
    let is_any = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if word.starts_with("mi_")
        || word.starts_with("_mi_")
        || is_any(&["malloc", "free", "calloc", "realloc", "tcache", "unlink_chunk"])
    {
        "memory".to_owned()
    } else if is_any(&["memcpy", "memmove", "memset", "memcmp", "bcmp"]) {
        "copies and comparisons".to_owned()
    } else {
        "libc and the rest".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
version: 1
positions: line
events: Ir
fl=(1) a.rs
fn=(1) hyper::proto::h1::Conn<I,B,T>::poll_read_head::h0123456789abcdef
10 100
+3 20
cfn=(2) malloc
calls=5 7
* 1000
fn=(2)
7 50
fn=(3) <tokenweir_gateway::http::handle::{{closure}} as core::future::Future>::poll
1 30
cfi=(1)
cfn=(2)
calls=2 7
1 400
";

    #[test]
    fn own_costs_and_calls_are_told_apart() {
        let counts = Counts::parse(DUMP);
        assert_eq!((counts.instructions(), counts.allocations()), (200, 7));
        assert_eq!(
            counts.by_function()[0],
            ("hyper::proto::h1::Conn::poll_read_head".to_owned(), 120)
        );
        let crates = counts.by_crate();
        let expected = [("hyper", 120), ("memory", 50), ("tokenweir_gateway", 30)];
        assert_eq!(crates, expected.map(|(name, number)| (name.to_owned(), number)));
    }

    #[test]
    fn memory_is_memory_whichever_allocator_hands_it_out() {
        let dump = "fn=(1) tokenweir_gateway::a\n1 1\ncfn=(2) mi_malloc_aligned\ncalls=3 1\n* 9\nfn=(2)\n1 9\nfn=(3) _mi_page_free\n1 4\n";
        let counts = Counts::parse(dump);
        assert_eq!(counts.allocations(), 3);
        assert_eq!(counts.by_crate()[0], ("memory".to_owned(), 13));
    }

    #[test]
    fn names_lose_their_hash_and_their_type_parameters() {
        assert_eq!(
            short("<alloc::vec::Vec<T,A> as core::ops::Drop>::drop::h00112233445566aa"),
            "alloc::vec::Vec as core::ops::Drop::drop"
        );
        assert_eq!(short("memcpy"), "memcpy");
    }
}
