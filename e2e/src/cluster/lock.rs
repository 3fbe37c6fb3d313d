//! A lock between processes, held for as long as a value lives.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::error::{Result, file};

/// Holds a file's lock. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits until the lock is free and takes it. `waiting` is called once if it is not free at once.
    pub(crate) async fn acquire(path: &Path, waiting: impl FnOnce()) -> Result<Self> {
        let held = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(file("open", path))?;
        let mut waiting = Some(waiting);
        loop {
            match held.try_lock() {
                Ok(()) => return Ok(Self { _file: held }),
                Err(TryLockError::WouldBlock) => {
                    if let Some(tell) = waiting.take() {
                        tell();
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(TryLockError::Error(error)) => return Err(file("lock", path)(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_holder_waits_until_the_first_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FileLock::acquire(&path, || panic!("nobody else holds it"))
            .await
            .unwrap();
        let (told, hears) = tokio::sync::oneshot::channel();
        let second = tokio::spawn({
            let path = path.clone();
            async move { FileLock::acquire(&path, || told.send(()).unwrap()).await.map(drop) }
        });
        hears.await.unwrap();
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap().unwrap();
    }
}
