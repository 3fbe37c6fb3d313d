//! What balancing by tokens, and by prefix, is worth: pods of a model server, simulated.
//!
//! `cargo test -p tokenweir-gateway simulation -- --nocapture` prints the figures that `docs/resilience.md` shows.

use std::collections::VecDeque;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng as _};

use super::*;
use crate::selection::Prefix;

/// Length of a step in seconds.
const STEP: f64 = 0.005;
/// Tokens of input that a pod reads in a second.
const READS: f64 = 8_000.0;
/// Tokens that a pod writes in a second for one request, and for all together.
const WRITES_EACH: f64 = 60.0;
const WRITES_ALL: f64 = 900.0;
/// Conversations whose beginnings a pod keeps.
const KEPT: usize = 60;

/// One request of the mix.
#[derive(Clone)]
struct Asked {
    at: f64,
    conversation: usize,
    input: f64,
    /// Of the input, what the turn before it had too.
    repeated: f64,
    output: f64,
    max_tokens: Option<u64>,
    prefix: Option<Arc<Prefix>>,
}

struct Running {
    asked: Asked,
    unread: f64,
    unwritten: f64,
    first_token: Option<f64>,
    _outstanding: Outstanding,
}

#[derive(Default)]
struct Pod {
    running: Vec<Running>,
    kept: VecDeque<usize>,
}

#[derive(Debug, Default)]
struct Figures {
    first_token: Vec<f64>,
    whole: Vec<f64>,
    hits: usize,
}

impl Figures {
    fn quantile(values: &[f64], q: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // an index
        sorted[((sorted.len() - 1) as f64 * q) as usize]
    }

    fn print(&self, name: &str) {
        let q = Self::quantile;
        println!(
            "{name:<22} TTFT p50 {:6.3} s  p95 {:6.3} s   whole p95 {:6.2} s   prefix hits {:4.1}%",
            q(&self.first_token, 0.5),
            q(&self.first_token, 0.95),
            q(&self.whole, 0.95),
            100.0 * self.hits as f64 / self.whole.len() as f64
        );
    }
}

fn exponential(random: &mut StdRng, mean: f64) -> f64 {
    -mean * (1.0 - random.random::<f64>()).ln()
}

/// Conversations of some turns, each of which repeats all before it. Lengths have heavy tails, six in ten requests say how
/// much they want at most, and what they say is up to eight times what they get.
fn mix(seed: u64, count: usize, rate: f64, documents: f64) -> Vec<Asked> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut at = 0.0;
    let mut open: Vec<(usize, f64)> = Vec::new();
    let mut next = 0;
    (0..count)
        .map(|_| {
            at += exponential(&mut random, 1.0 / rate);
            let turn = if open.len() > 80 || (!open.is_empty() && random.random_bool(0.75)) {
                random.random_range(0..open.len())
            } else {
                next += 1;
                open.push((next, 0.0));
                open.len() - 1
            };
            let (conversation, before) = open[turn];
            let document = if random.random_bool(documents) { 24_000.0 } else { 0.0 };
            let input = before + document + 150.0 + exponential(&mut random, 500.0);
            let long = random.random_bool(0.1);
            let output = 10.0 + exponential(&mut random, if long { 1_500.0 } else { 120.0 });
            if input > 6_000.0 {
                open.swap_remove(turn);
            } else {
                open[turn].1 = input + output.min(400.0);
            }
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // some thousand tokens
            let tokens = |tokens: f64| tokens as usize;
            // The same beginning for all turns of a conversation.
            let text = format!("turn {conversation} ").repeat(tokens(input) * 4 / 10 + 1);
            let body = Bytes::from(format!(r#"{{"messages":["{text}"]}}"#));
            let limit = random.random_bool(0.6).then(|| output * random.random_range(1.0..8.0));
            Asked {
                at,
                conversation,
                input,
                repeated: before,
                output,
                max_tokens: limit.map(|limit| tokens(limit) as u64),
                prefix: Prefix::of(&body).map(Arc::new),
            }
        })
        .collect()
}

fn run(mix: &[Asked], pods: usize, wants: impl Fn(&Asked) -> Wants) -> Figures {
    let addresses = (0..pods).map(|n| SocketAddr::from(([10, 0, 0, u8::try_from(n).unwrap()], 80)));
    let ready: Arc<[SocketAddr]> = addresses.collect();
    let balancer = Balancer::default();
    let mut pods: Vec<Pod> = (0..pods).map(|_| Pod::default()).collect();
    let mut figures = Figures::default();
    let mut waiting = mix.iter().cloned().peekable();
    let mut now = 0.0;
    while figures.whole.len() < mix.len() {
        while let Some(asked) = waiting.next_if(|asked| asked.at <= now) {
            let (outstanding, tried) = balancer.choose(&ready, &[], &wants(&asked), None).unwrap();
            let pod = &mut pods[ready.iter().position(|at| *at == tried.address()).unwrap()];
            let warm = pod.kept.contains(&asked.conversation);
            figures.hits += usize::from(warm);
            pod.kept.retain(|kept| *kept != asked.conversation);
            pod.kept.push_back(asked.conversation);
            if pod.kept.len() > KEPT {
                pod.kept.pop_front();
            }
            pod.running.push(Running {
                unread: asked.input - if warm { asked.repeated } else { 0.0 },
                unwritten: asked.output,
                asked,
                first_token: None,
                _outstanding: outstanding,
            });
        }
        for pod in &mut pods {
            step(pod, now, &mut figures);
        }
        now += STEP;
    }
    figures
}

/// A pod reads one input after the other, and writes for all whose input it has read.
fn step(pod: &mut Pod, now: f64, figures: &mut Figures) {
    let mut reads = READS * STEP;
    let reading = pod.running.iter().any(|running| running.unread > 0.0);
    for running in &mut pod.running {
        let read = running.unread.min(reads);
        running.unread -= read;
        reads -= read;
    }
    let writing = pod.running.iter().filter(|running| running.unread <= 0.0).count();
    // Reading slows down the writing of the others.
    let all = WRITES_ALL * if reading { 0.5 } else { 1.0 };
    let each = WRITES_EACH.min(all / writing.max(1) as f64) * STEP;
    for running in pod.running.iter_mut().filter(|running| running.unread <= 0.0) {
        running.unwritten -= each;
        if running.first_token.is_none() {
            running.first_token = Some(now - running.asked.at);
        }
    }
    pod.running.retain(|running| {
        let done = running.unwritten <= 0.0;
        if done {
            figures.first_token.extend(running.first_token);
            figures.whole.push(now - running.asked.at);
        }
        !done
    });
}

fn by_requests(_: &Asked) -> Wants {
    Wants::default()
}

fn by_tokens(asked: &Asked) -> Wants {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // some thousand tokens
    let input = asked.input as u64;
    Wants {
        tokens: input + asked.max_tokens.unwrap_or(512).min(4_096),
        ..Wants::default()
    }
}

fn by_prefix(asked: &Asked) -> Wants {
    Wants {
        prefix: asked.prefix.clone(),
        ..by_tokens(asked)
    }
}

#[test]
fn simulation_tokens_and_prefixes_are_worth_it() {
    let q = Figures::quantile;
    let mut sums = [0.0; 2];
    for seed in [7, 8] {
        println!("chats and documents, seed {seed}");
        let mix = mix(seed, 2_500, 4.0, 0.1);
        for (figures, (name, sum)) in [run(&mix, 4, by_requests), run(&mix, 4, by_tokens)].iter().zip(
            ["outstanding requests", "outstanding tokens"]
                .into_iter()
                .zip(&mut sums),
        ) {
            figures.print(name);
            *sum += q(&figures.first_token, 0.95);
        }
    }
    assert!(
        sums[1] < sums[0] * 0.93,
        "long inputs do not pile up at one pod: {sums:?}"
    );
    println!("chats alone");
    let mix = mix(7, 2_500, 9.0, 0.0);
    let (requests, tokens, prefix) = (
        run(&mix, 4, by_requests),
        run(&mix, 4, by_tokens),
        run(&mix, 4, by_prefix),
    );
    requests.print("outstanding requests");
    tokens.print("outstanding tokens");
    prefix.print("tokens and prefix");
    assert!(
        q(&tokens.whole, 0.95) < q(&requests.whole, 0.95) * 1.1,
        "without long inputs nothing is lost"
    );
    assert!(
        q(&prefix.first_token, 0.5) < q(&tokens.first_token, 0.5) * 0.5,
        "a warm pod answers sooner"
    );
    assert!(prefix.hits > tokens.hits * 3 / 2);
    assert!(
        q(&prefix.whole, 0.95) < q(&tokens.whole, 0.95) * 1.1,
        "no pod is overrun"
    );
}
