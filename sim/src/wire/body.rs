//! Bodies of answers: at once, or event by event with pauses and faults.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use super::pace::Pace;
use super::script::Script;
use crate::behaviour::{FaultKind, Malformed};
use crate::state::Track;

/// A fault asked for the end of the connection.
#[derive(Debug, thiserror::Error)]
#[error("broken off by a fault")]
pub(crate) struct Broken;

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What a request may do to the connection it came on.
#[derive(Debug, Default)]
pub(crate) struct Line {
    reset: AtomicBool,
    deaf: AtomicBool,
    leaving: AtomicBool,
    at_once: AtomicBool,
    left: Notify,
}

impl Line {
    /// Has the connection end with a TCP reset instead of an orderly close.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    /// Has the connection end as soon as the client sends something again.
    pub(super) fn close_at_next_request(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// Has the connection take no further requests, and end when its requests are answered, or at once.
    pub(super) fn go_away(&self, at_once: bool) {
        self.at_once.fetch_or(at_once, Ordering::Relaxed);
        self.leaving.store(true, Ordering::Release);
        self.left.notify_one();
    }

    /// Waits until the connection is to take no further requests, and tells whether it is to end at once.
    pub(crate) async fn leaving(&self) -> bool {
        while !self.leaving.swap(false, Ordering::AcqRel) {
            self.left.notified().await;
        }
        self.at_once.load(Ordering::Relaxed)
    }
}

/// The body of an answer.
pub(crate) struct SimBody(Inner);

enum Inner {
    Whole { bytes: Option<Bytes>, track: Option<Track> },
    Parts(Box<Parts>),
}

impl SimBody {
    /// Everything at once. The track completes when the connection takes it.
    pub(super) fn whole(bytes: Bytes, track: Option<Track>) -> Self {
        Self(Inner::Whole {
            bytes: Some(bytes),
            track,
        })
    }

    /// Part by part.
    pub(super) fn parts(parts: Parts) -> Self {
        Self(Inner::Parts(Box::new(parts)))
    }
}

/// Where the parts come from.
pub(super) enum Source {
    /// The events of a stream, as they become due.
    Stream { script: Script, pace: Pace },
    /// A body cut in the middle, so that a fault can strike there.
    Halves {
        first: Option<Bytes>,
        second: Option<Bytes>,
    },
}

/// A body that goes out in parts.
pub(super) struct Parts {
    source: Source,
    /// A fault that strikes in the middle.
    fault: Option<FaultKind>,
    /// Silence until then.
    pause: Option<Pin<Box<Sleep>>>,
    /// Taken from the source and not yet sent.
    outgoing: Bytes,
    /// Largest write, and the time between writes.
    drip: Option<(usize, Duration)>,
    /// Let the connection write out each part before the next one.
    flush: bool,
    /// A part was handed over and may still lie in the connection's buffer.
    unflushed: bool,
    ended: bool,
    track: Track,
    line: Arc<Line>,
}

impl Parts {
    pub(super) fn new(source: Source, fault: Option<FaultKind>, flush: bool, track: Track, line: Arc<Line>) -> Self {
        let drip = match fault {
            Some(FaultKind::Split { size }) => Some((size, Duration::ZERO)),
            Some(FaultKind::SlowLoris { interval }) => Some((1, interval)),
            _ => None,
        };
        Self {
            source,
            fault,
            pause: None,
            outgoing: Bytes::new(),
            flush: flush || drip.is_some(),
            drip,
            unflushed: false,
            ended: false,
            track,
            line,
        }
    }

    /// A stream breaks behind so many tokens, a body that is no stream between its halves.
    fn fault_is_due(&self) -> bool {
        let after = match &self.fault {
            Some(
                FaultKind::Hang { after }
                | FaultKind::Reset { after }
                | FaultKind::Close { after }
                | FaultKind::GoAway { after },
            ) => after.unwrap_or(0),
            Some(
                FaultKind::Stall { after, .. } | FaultKind::Malformed { after, .. } | FaultKind::ErrorEvent { after },
            ) => *after,
            _ => return false,
        };
        match &self.source {
            Source::Stream { script, .. } => script.position() >= after,
            Source::Halves { first, second } => first.is_none() && second.is_some(),
        }
    }

    /// Lets a due fault strike. `Ready(None)`: go on with the source.
    fn poll_fault(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        // What was sent before the fault must reach the client: a reset throws away what still lies in a buffer.
        if std::mem::take(&mut self.unflushed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.fault.take() {
            Some(FaultKind::Hang { after }) => {
                self.fault = Some(FaultKind::Hang { after });
                Poll::Pending
            }
            Some(FaultKind::Stall { pause, .. }) => {
                self.pause = Some(Box::pin(sleep_until(Instant::now() + pause)));
                Poll::Ready(None)
            }
            Some(FaultKind::Reset { .. }) => {
                self.line.reset();
                Poll::Ready(Some(Err(Broken)))
            }
            Some(FaultKind::Close { .. }) => Poll::Ready(Some(Err(Broken))),
            Some(FaultKind::GoAway { after }) => {
                self.line.go_away(true);
                // The connection ends before there is more.
                self.fault = Some(FaultKind::Hang { after });
                Poll::Pending
            }
            Some(FaultKind::Malformed { form, .. }) => {
                self.ended |= form == Malformed::Endless;
                let Source::Stream { script, .. } = &self.source else {
                    return Poll::Ready(None);
                };
                Poll::Ready(Some(Ok(match form {
                    Malformed::Json => script.broken_event(),
                    Malformed::Utf8 => Bytes::from_static(b"data: {\"id\":\"\xff\xfe\xc3\x28\"}\n\n"),
                    Malformed::Text => Bytes::from_static(b"upstream connect error\n\nor disconnect\n\n"),
                    Malformed::Endless => vec![b'x'; 1024 * 1024].into(),
                })))
            }
            Some(FaultKind::ErrorEvent { .. }) => match &self.source {
                Source::Stream { script, .. } => {
                    self.ended = true;
                    Poll::Ready(Some(Ok(script.error_event())))
                }
                Source::Halves { .. } => Poll::Ready(Some(Err(Broken))),
            },
            _ => Poll::Ready(None),
        }
    }

    /// The next bytes to send, before they are cut small.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            if self.fault_is_due()
                && let Some(answer) = ready!(self.poll_fault(cx))
            {
                return Poll::Ready(Some(answer));
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let (script, pace) = match &mut self.source {
                Source::Halves { first, second } => {
                    return Poll::Ready(first.take().or_else(|| second.take()).map(Ok));
                }
                Source::Stream { script, pace } => (script, pace),
            };
            if script.waits_for_token() {
                ready!(pace.poll_token(cx));
                script.token_is_due();
            }
            let event = script.next_event();
            self.track.tokens(script.position());
            // A token may have nothing to tell, on a wire that tells whole calls.
            if event.is_some() || !script.waits_for_token() {
                return Poll::Ready(event.map(Ok));
            }
        }
    }
}

impl Parts {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.flush && std::mem::take(&mut self.unflushed) {
            // A pending body makes the connection write out what it holds.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.outgoing.is_empty() && !self.ended {
            match ready!(self.poll_source(cx)) {
                Some(Ok(bytes)) => self.outgoing = bytes,
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                None => self.ended = true,
            }
        }
        if self.outgoing.is_empty() {
            self.track.complete();
            return Poll::Ready(None);
        }
        let Some((size, interval)) = self.drip else {
            self.unflushed = true;
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.outgoing))));
        };
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        self.pause = (!interval.is_zero()).then(|| Box::pin(sleep_until(Instant::now() + interval)));
        self.unflushed = true;
        let part = self.outgoing.split_to(size.min(self.outgoing.len()));
        Poll::Ready(Some(Ok(part)))
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.get_mut().0 {
            Inner::Whole { bytes, track } => {
                if let Some(track) = track {
                    track.complete();
                }
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            Inner::Parts(parts) => parts.poll_part(cx).map(|part| part.map(|part| part.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Inner::Whole { bytes: None, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Inner::Parts(parts) => match &parts.source {
                // Whoever lies about the length does not know it.
                _ if matches!(parts.fault, Some(FaultKind::Length { .. })) => SizeHint::default(),
                Source::Stream { .. } => SizeHint::default(),
                Source::Halves { first, second } => {
                    SizeHint::with_exact([first, second].into_iter().flatten().map(Bytes::len).sum::<usize>() as u64)
                }
            },
        }
    }
}
