//! The files of a spool: their names, their order, and making them durable.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A segment's name: `NUMBER-SALT.rows`, both of 16 hexadecimal digits. Segments are read in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub number: u64,
    pub salt: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}.rows", self.number, self.salt)
    }
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let (number, salt) = text.strip_suffix(".rows")?.split_once('-')?;
        let hex = |digits: &str| (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?;
        Some(Self {
            number: hex(number)?,
            salt: hex(salt)?,
        })
    }
}

/// Makes a folder that nobody else may look into: rows name people.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The spool's lock, or none if another process has it. It ends with the file that is returned.
pub(super) fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The segments of a folder with their lengths, in order. Other files are not looked at.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(Name, u64)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(Name::parse) {
            segments.push((name, entry.metadata()?.len()));
        }
    }
    segments.sort_by_key(|(name, _)| name.number);
    Ok(segments)
}

/// Makes a new segment, so that it is there after a crash.
pub(super) fn create(folder: &Path, name: Name) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(name.to_string()))?;
    sync_folder(folder)?;
    Ok(file)
}

/// Asks the disk to keep the names in a folder.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a whole file durably; one of that name is replaced.
pub(super) fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    make_folder(folder)?;
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join(name))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_others_are_not() {
        let name = Name {
            number: 0x1f,
            salt: u64::MAX,
        };
        assert_eq!(name.to_string(), "000000000000001f-ffffffffffffffff.rows");
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        for other in [
            "lock",
            "1-2.rows",
            "000000000000001f-ffffffffffffffff",
            "-.rows",
            ".rows",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_is_locked_for_as_long_as_the_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(held.is_some());
        assert!(lock(folder.path()).unwrap().is_none());
        drop(held);
        assert!(lock(folder.path()).unwrap().is_some());
    }
}
