//! Connections whose requests never end, in front of the program itself: with a process for each end there are descriptors
//! for ten thousand of them, and the gateway's own can be counted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::control::files::Bench;
use crate::control::http::{chat, exchange, get};
use crate::control::process::Gateway;
use crate::edge::clients::rest_within;

/// Connections whose heads never end.
const HALF_OPEN: u64 = 10_000;
/// Descriptors of this process that are left to the tests beside this one.
const LEFT: u64 = 4_000;
/// Connections that are opened at a time: fewer than a listener has places for in its line.
const AT_A_TIME: usize = 64;
/// Requests of which the median is taken, and how often it is before others count as slowed.
const SAMPLE: usize = 20;
const LOOKS: usize = 10;
/// Longer than it takes until the gateway has cut a head that does not end (20 to 30 s), on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(90);
/// What a connection may cost while its head does not end, in KiB: buffers, task and timers.
const KIB_EACH: u64 = 48;

/// The program, in front of a provider that answers at once.
struct Stand {
    gateway: Gateway,
    base: String,
    key: String,
    telemetry: String,
    _bench: Bench,
}

impl Stand {
    async fn start() -> Self {
        let bench = Bench::new();
        let gateway = bench.start();
        Self {
            base: gateway.data().await,
            key: gateway.key().await,
            telemetry: gateway.telemetry().await,
            gateway,
            _bench: bench,
        }
    }

    /// A sample of `/metrics`; 0 while there is none.
    async fn metric(&self, sample: &str) -> u64 {
        let text = get(&format!("{}/metrics", self.telemetry)).await.body;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until a sample is what it should be.
    async fn until(&self, sample: &str, expected: u64) {
        let begun = Instant::now();
        loop {
            let now = self.metric(sample).await;
            if now == expected {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{sample} is {now}, not {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn process(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.gateway.child.id().unwrap()))
    }

    /// Descriptors that the gateway holds.
    fn descriptors(&self) -> u64 {
        std::fs::read_dir(self.process().join("fd")).unwrap().count() as u64
    }

    /// Its memory, in KiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(self.process().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// How long a request takes: the median of some.
    async fn median(&self) -> Duration {
        let mut times = Vec::with_capacity(SAMPLE);
        for _ in 0..SAMPLE {
            let begun = Instant::now();
            let answer = exchange(chat(&self.base, &self.key, false)).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            times.push(begun.elapsed());
        }
        times.sort();
        times[SAMPLE / 2]
    }

    /// Requests take no longer than when they took `calm`, but for what the rest of the machine does.
    async fn serves_as_before(&self, calm: Duration) {
        let bound = calm * 3 + Duration::from_millis(10);
        let mut fastest = Duration::MAX;
        for _ in 0..LOOKS {
            fastest = fastest.min(self.median().await);
            if fastest <= bound {
                return;
            }
        }
        panic!("a request took {calm:?} before and takes {fastest:?} now");
    }
}

/// How many connections this process has descriptors for.
#[expect(
    clippy::print_stderr,
    reason = "who reads the result must know that it is about fewer"
)]
fn allowed() -> u64 {
    let limit = tokenweir_process::raise_file_limit().unwrap();
    let count = limit.map_or(HALF_OPEN, |limit| limit.saturating_sub(LEFT).min(HALF_OPEN));
    if count < HALF_OPEN {
        eprintln!("only {count} connections of {HALF_OPEN}, as this machine allows a process {limit:?} descriptors");
    }
    assert!(
        count > 0,
        "{limit:?} descriptors are not enough for a single connection"
    );
    count
}

async fn half_open(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begun = b"POST /v1/chat/completions HTTP/1.1\r\nhost:";
    stream.write_all(begun).await.unwrap();
    stream
}

#[tokio::test]
async fn ten_thousand_half_open_connections_slow_nobody_and_are_cut_without_a_trace() {
    let stand = Stand::start().await;
    let address = stand.base.strip_prefix("http://").unwrap().to_owned();
    let calm = stand.median().await;
    // What stays from one request to the next is there now: the connection to the provider, and those of clients to come.
    stand.until("tokenweir_connections", 0).await;
    let (descriptors, resident) = (stand.descriptors(), stand.resident());

    let count = allowed();
    let mut held = Vec::with_capacity(usize::try_from(count).unwrap());
    while (held.len() as u64) < count {
        let more = AT_A_TIME.min(usize::try_from(count).unwrap() - held.len());
        held.extend(join_all((0..more).map(|_| half_open(&address))).await);
    }
    stand.until("tokenweir_connections", count).await;
    assert!(stand.descriptors() >= count, "each of them takes one");
    let each = stand.resident().saturating_sub(resident) / count;
    assert!(each <= KIB_EACH, "a connection costs {each} KiB");

    stand.serves_as_before(calm).await;
    let cut = "tokenweir_connections_cut_total{reason=\"slow_head\"}";
    assert_eq!(stand.metric(cut).await, 0, "all of them were held meanwhile");
    assert_eq!(
        stand.metric("active_executions").await,
        0,
        "none of them counts as a request"
    );

    // Nobody is told anything, as there was no request: their connections end.
    for stream in &mut held {
        assert_eq!(rest_within(stream, PATIENCE).await, "");
    }
    assert_eq!(stand.metric(cut).await, count);
    stand.until("tokenweir_connections", 0).await;
    drop(held);
    stand.serves_as_before(calm).await;
    stand.until("tokenweir_connections", 0).await;
    let begun = Instant::now();
    while stand.descriptors() > descriptors {
        let now = stand.descriptors();
        assert!(
            begun.elapsed() < PATIENCE,
            "there are {now} descriptors, and were {descriptors}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
