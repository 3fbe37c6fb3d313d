//! How many files a process may have open.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the number of files that this process, and those it starts, may have open to what the machine allows. Returns
/// that number; `None`: no bound.
///
/// A connection is a file, and a request through a gateway is two. Shells and service managers commonly allow a program
/// 1,024 unless it asks for more.
pub fn raise_file_limit() -> io::Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_the_machine_allows() {
        let allowed = raise_file_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, allowed);
    }
}
