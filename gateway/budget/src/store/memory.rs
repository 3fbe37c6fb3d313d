//! The embedded store: the memory of one process.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Store, StoreError};
use crate::amount::Amount;
use crate::clock::Clock;
use crate::escrow::{AccountRef, Answer, Book, Centre, Standing, Sync as Message};

/// Keeps budgets in memory, for a single replica. It begins empty with each start of the process, so what was spent before is
/// known only if somebody tells: a budget that is not registered is taken for spent.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    books: Mutex<HashMap<String, Book>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            books: Mutex::new(HashMap::new()),
        }
    }

    fn with<T>(&self, budget: &str, act: impl FnOnce(&mut Book, Centre<'_>) -> T) -> T {
        let centre = self.centre();
        let mut books = self.books.lock();
        if let Some(book) = books.get_mut(budget) {
            return act(book, centre);
        }
        act(
            books
                .entry(budget.to_owned())
                .or_insert_with(|| Book::found_missing(centre)),
            centre,
        )
    }

    fn centre(&self) -> Centre<'static> {
        Centre {
            server: "memory",
            durable: true,
            now: self.clock.wall(),
        }
    }
}

impl Store for MemoryStore {
    async fn register(&self, budget: &str) -> Result<(), StoreError> {
        let centre = self.centre();
        self.books
            .lock()
            .entry(budget.to_owned())
            .or_insert_with(|| Book::registered(centre));
        Ok(())
    }

    async fn sync(&self, budget: &str, reference: &AccountRef, message: &Message) -> Result<Answer, StoreError> {
        Ok(self.with(budget, |book, centre| book.sync(reference, message, centre)))
    }

    async fn standing(&self, budget: &str, account: &str) -> Result<Option<Standing>, StoreError> {
        Ok(self.with(budget, |book, centre| book.standing(account, centre)))
    }

    async fn reconcile(&self, budget: &str, account: &str, holder: &str, at_most: Amount) -> Result<(), StoreError> {
        self.with(budget, |book, centre| book.reconcile(account, holder, at_most, centre))?;
        Ok(())
    }

    async fn restore(&self, budget: &str, account: &str, at_most: Amount) -> Result<(), StoreError> {
        self.with(budget, |book, centre| book.restore(account, at_most, centre))?;
        Ok(())
    }
}
