//! The script in Redis against the state machine in Rust, on the same made-up histories.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenweir_budget::escrow::{Account, Book, Centre, Head};

use crate::server::{Persistence, Server};
use crate::world::{Operation, Witness, World};

const KEY: &str = "{budget}";

/// The script, with the two things that histories make up given as arguments.
fn script() -> redis::Script {
    let mut text = include_str!("../../src/store/escrow.lua").to_owned();
    for (found, instead) in [
        ("redis.call('TIME')", "{0, tonumber(ARGV[2]) * 1000}"),
        ("string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')", "ARGV[3]"),
    ] {
        assert_eq!(text.matches(found).count(), 1, "{found}");
        text = text.replace(found, instead);
    }
    redis::Script::new(&text)
}

/// Runs every operation in Redis too, from the same state, and compares what it answers and what it leaves.
struct Mirror {
    connection: redis::Connection,
    script: redis::Script,
    operations: usize,
}

impl Mirror {
    fn write(&mut self, book: Option<&Book>) {
        let mut pipe = redis::pipe();
        pipe.del(KEY).ignore();
        if let Some(book) = book {
            let (head, accounts) = book.parts();
            let text = |value: Result<String, serde_json::Error>| value.expect("writes");
            pipe.hset(KEY, "@", text(serde_json::to_string(head))).ignore();
            for (name, account) in accounts {
                pipe.hset(KEY, name, text(serde_json::to_string(account))).ignore();
            }
        }
        pipe.query::<()>(&mut self.connection).expect("Redis answers");
    }

    fn read(&mut self) -> Book {
        let fields: BTreeMap<String, String> = redis::cmd("HGETALL")
            .arg(KEY)
            .query(&mut self.connection)
            .expect("Redis answers");
        let mut head: Option<Head> = None;
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        for (name, text) in fields {
            if name == "@" {
                head = Some(serde_json::from_str(&text).expect("a head"));
            } else {
                accounts.insert(
                    name,
                    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")),
                );
            }
        }
        Book::from_parts(head.expect("a head"), accounts)
    }
}

impl Witness for Mirror {
    fn see(&mut self, operation: &Operation<'_>, centre: Centre<'_>, before: Option<&Book>, after: &Book) {
        self.write(before);
        let (mut asked, expected) = match operation {
            Operation::Sync(reference, message, answer) => (
                json!({"ask": "sync", "reference": reference, "message": message}),
                serde_json::to_value(answer).expect("writes"),
            ),
            Operation::Reconcile(account, holder, at_most, outcome) => (
                json!({"ask": "reconcile", "account": account, "holder": holder, "at_most": at_most}),
                outcome.map_or_else(|error| json!({"refused": format!("{error:?}")}), |()| json!({})),
            ),
            Operation::Restore(account, at_most, outcome) => (
                json!({"ask": "restore", "account": account, "at_most": at_most}),
                outcome.map_or_else(|error| json!({"refused": format!("{error:?}")}), |()| json!({})),
            ),
        };
        asked["durable"] = json!(centre.durable);
        let answer: String = self
            .script
            .key(KEY)
            .arg(asked.to_string())
            .arg(centre.now)
            .arg(centre.server)
            .invoke(&mut self.connection)
            .expect("the script runs");
        let answer: Value = serde_json::from_str(&answer).expect("an answer");
        assert_eq!(answer, expected, "{asked}");
        assert_eq!(&self.read(), after, "{asked}");
        self.operations += 1;
    }
}

#[test]
fn the_script_does_what_the_state_machine_does() {
    let server = Server::start(Persistence::None);
    let mirror = std::cell::RefCell::new(Mirror {
        connection: server.connection(),
        script: script(),
        operations: 0,
    });
    let config = ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let histories = (any::<u64>(), prop::collection::vec(any::<u64>(), 20..90));
    let mut runner = prop::test_runner::TestRunner::new(config);
    runner
        .run(&histories, |(first, words)| {
            let mut mirror = mirror.borrow_mut();
            let mut world = World::new(first);
            for word in words {
                world.step(word, &mut *mirror);
                prop_assert_eq!(world.overspent(), None);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(mirror.borrow().operations > 1_500);
}
