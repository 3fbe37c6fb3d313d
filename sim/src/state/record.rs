//! Counts requests and keeps the last of them, so that tests can see what arrived and how it ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Stats, keys};

/// Most bytes of a body that are kept. Recording is for looking at requests, not for storing them.
const MAX_BODY: usize = 64 * 1024;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestOutcome {
    /// It is being answered.
    Active,
    /// Its answer was handed to the connection to the end.
    Completed,
    /// It ended early: the client went away, or a fault broke it off.
    Cancelled,
}

/// A request as the simulator saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRequest {
    /// Counts up from 1 with every request.
    pub number: u64,
    /// When it came, in milliseconds of Unix time.
    pub at_ms: u64,
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// HTTP version: `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Headers by lower-case name; values of one name are joined by a comma, and keys are left out.
    pub headers: BTreeMap<String, String>,
    /// The first 16 hex digits of the SHA-256 of the key it brought.
    pub key_hash: Option<String>,
    /// The body: JSON where it is JSON, else text. Null when it is larger than 64 KiB.
    pub body: serde_json::Value,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// The fault that was applied, as it was written.
    pub fault: Option<String>,
    /// Status of the answer; absent while there is none.
    pub status: Option<u16>,
    /// Tokens sent so far.
    pub tokens_sent: u64,
    /// How it ended.
    pub outcome: RequestOutcome,
}

/// What is known of a request before its body is there.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a http::Method,
    pub(crate) uri: &'a http::Uri,
    pub(crate) version: http::Version,
    pub(crate) headers: &'a HeaderMap,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    at_ms: u64,
    method: http::Method,
    path: String,
    version: http::Version,
    headers: HeaderMap,
    key_hash: Option<String>,
    body: Mutex<Bytes>,
    body_bytes: AtomicUsize,
    fault: Mutex<Option<String>>,
    status: AtomicU64,
    tokens: AtomicU64,
    outcome: AtomicU8,
}

const ACTIVE: u8 = 0;
const COMPLETED: u8 = 1;
const CANCELLED: u8 = 2;

/// Counts and keeps requests.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    capacity: AtomicUsize,
    entries: Mutex<VecDeque<Arc<Entry>>>,
    requests: AtomicU64,
    completed: AtomicU64,
    cancelled: AtomicU64,
}

impl Recorder {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: AtomicUsize::new(capacity),
            ..Self::default()
        }
    }

    pub(super) fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::Relaxed);
        let mut entries = self.entries.lock();
        while entries.len() > capacity {
            entries.pop_front();
        }
    }

    /// Begins a request. It counts as active until the track is completed or dropped.
    pub(crate) fn begin(self: &Arc<Self>, head: &Head<'_>) -> Track {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let capacity = self.capacity.load(Ordering::Relaxed);
        let entry = (capacity > 0).then(|| {
            let entry = Arc::new(Entry::new(number, head));
            let mut entries = self.entries.lock();
            while entries.len() >= capacity {
                entries.pop_front();
            }
            entries.push_back(Arc::clone(&entry));
            entry
        });
        Track {
            recorder: Arc::clone(self),
            entry,
            done: false,
        }
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        let entries: Vec<Arc<Entry>> = self.entries.lock().iter().cloned().collect();
        entries.iter().map(|entry| entry.show()).collect()
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }

    pub(super) fn stats(&self) -> Stats {
        // Ends are read before starts: a request that ends in between may show as active, never as a negative count.
        let completed = self.completed.load(Ordering::Acquire);
        let cancelled = self.cancelled.load(Ordering::Acquire);
        let requests = self.requests.load(Ordering::Acquire);
        Stats {
            requests,
            completed,
            cancelled,
            active: requests.saturating_sub(completed + cancelled),
            ..Stats::default()
        }
    }
}

impl Entry {
    fn new(number: u64, head: &Head<'_>) -> Self {
        Self {
            number,
            at_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            method: head.method.clone(),
            path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            version: head.version,
            headers: head.headers.clone(),
            key_hash: keys::of(head.headers).map(keys::short_hash),
            body: Mutex::default(),
            body_bytes: AtomicUsize::new(0),
            fault: Mutex::default(),
            status: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            outcome: AtomicU8::new(ACTIVE),
        }
    }

    fn show(&self) -> RecordedRequest {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &self.headers {
            if *name == AUTHORIZATION || keys::KEY_HEADERS.contains(&name.as_str()) {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.to_string())
                .and_modify(|values| {
                    values.push_str(", ");
                    values.push_str(&value);
                })
                .or_insert_with(|| value.to_string());
        }
        let body = self.body.lock().clone();
        RecordedRequest {
            number: self.number,
            at_ms: self.at_ms,
            method: self.method.to_string(),
            path: self.path.clone(),
            version: format!("{:?}", self.version),
            headers,
            key_hash: self.key_hash.clone(),
            body_bytes: self.body_bytes.load(Ordering::Relaxed),
            body: if body.is_empty() {
                serde_json::Value::Null
            } else {
                serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into())
            },
            fault: self.fault.lock().clone(),
            status: u16::try_from(self.status.load(Ordering::Relaxed))
                .ok()
                .filter(|status| *status > 0),
            tokens_sent: self.tokens.load(Ordering::Relaxed),
            outcome: match self.outcome.load(Ordering::Acquire) {
                ACTIVE => RequestOutcome::Active,
                COMPLETED => RequestOutcome::Completed,
                _ => RequestOutcome::Cancelled,
            },
        }
    }
}

/// A request in progress. Dropped before it is completed, it counts as cancelled.
#[derive(Debug)]
pub(crate) struct Track {
    recorder: Arc<Recorder>,
    entry: Option<Arc<Entry>>,
    done: bool,
}

impl Track {
    pub(crate) fn body(&self, body: &Bytes) {
        if let Some(entry) = &self.entry {
            entry.body_bytes.store(body.len(), Ordering::Relaxed);
            if body.len() <= MAX_BODY {
                *entry.body.lock() = body.clone();
            }
        }
    }

    pub(crate) fn fault(&self, fault: &str) {
        if let Some(entry) = &self.entry {
            *entry.fault.lock() = Some(fault.to_owned());
        }
    }

    pub(crate) fn status(&self, status: u16) {
        if let Some(entry) = &self.entry {
            entry.status.store(status.into(), Ordering::Relaxed);
        }
    }

    pub(crate) fn tokens(&self, tokens: u64) {
        if let Some(entry) = &self.entry {
            entry.tokens.store(tokens, Ordering::Relaxed);
        }
    }

    /// The answer was handed over to the end.
    pub(crate) fn complete(&mut self) {
        self.end(COMPLETED);
    }

    fn end(&mut self, outcome: u8) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        if let Some(entry) = &self.entry {
            entry.outcome.store(outcome, Ordering::Release);
        }
        let counter = if outcome == COMPLETED {
            &self.recorder.completed
        } else {
            &self.recorder.cancelled
        };
        counter.fetch_add(1, Ordering::Release);
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        self.end(CANCELLED);
    }
}
