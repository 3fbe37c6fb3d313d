//! The API server goes away for 20 seconds.

use std::time::{Duration, Instant};

use tokenweir_e2e::cluster::Part;
use tokenweir_e2e::harness::load::Load;
use tokenweir_e2e::harness::openai::{Chat, Connections};
use tokenweir_e2e::harness::{metrics, wait};

use super::programs::{HELD, POLICY, hpa_steady, program_ready};
use crate::support::held::{assert_whole, hold, long_chat};
use crate::support::stack::{self, MODEL, Stack};
use crate::support::truth::{self, Watchdog};
use crate::support::{READY, TestResult, World, alone};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(20);

#[test]
fn clients_notice_nothing_while_the_api_server_is_away_and_no_value_is_wrong_after_it() {
    alone(async |world| {
        if !world.cluster.has_loopback_node_ports() {
            eprintln!("not run: only the local cluster's API server can be stopped");
            return Ok(());
        }
        let running = Stack {
            token_ms: 100,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        let chat = long_chat(75, 100);
        let mut streams = hold(&running.client(Connections::PerRequest), &chat, HELD).await;
        truth::settle(&world.client, &world.namespace, 2, HELD as f64).await?;
        world.apply(POLICY).await?;
        let hpa = hpa_steady(&world).await?;
        let short = Chat {
            limit: Duration::from_secs(20),
            ..Chat::new(MODEL, 3)
        };
        let longest = Duration::from_mins(2);
        let kept = Load::closed(&running.other_client(Connections::KeepAlive), &short, 1, longest);
        let fresh = Load::closed(&running.other_client(Connections::PerRequest), &short, 1, longest);

        world.cluster.stop_part(Part::ApiServer).await?;
        let stopped = Instant::now();
        tokio::time::sleep(AWAY).await;
        let while_away = kept.tally().await.finished.min(fresh.tally().await.finished);
        world.cluster.start_part(Part::ApiServer)?;
        assert!(stopped.elapsed() >= AWAY);
        assert!(
            while_away > 10,
            "clients were not served while the API server was away: {while_away}"
        );

        answers_again(&world).await?;
        let watchdog = Watchdog::start(&world.client, &world.namespace, 2, Some(&hpa));
        watchdog.rounds(80).await?;
        let view = metrics::hpa(&world.client, &world.namespace, &hpa).await?;
        assert_eq!(view.desired, 2, "{view:?}");
        assert_eq!(streams.running(), HELD, "the streams were too short for this machine");
        // Each of the other tenant's two clients has one request on its way. Two pods are measured up to a frame apart, so
        // that a request that has just ended in one and its successor in the other can both be counted.
        watchdog.assert_never_wrong(12.0..=16.0);
        for load in [kept, fresh] {
            let tally = load.finish().await;
            assert_eq!(tally.failures, Vec::<String>::new());
        }
        assert_whole(streams, chat.max_tokens).await;
        for program in ["operator", "adapter"] {
            program_ready(&world, program).await?;
        }
        // The loop goes on: a change is served.
        world.apply(&stack::route("sim-after")).await?;
        stack::ready(&world).await.map(|_| ())
    });
}

/// Waits until the API server answers.
pub async fn api_server_answers(world: &World) -> TestResult {
    wait::poll("the API server to answer", READY, || async {
        let request = http::Request::get("/readyz")
            .body(Vec::new())
            .map_err(|e| e.to_string())?;
        world
            .client
            .request_text(request)
            .await
            .map(|_| ())
            .map_err(|e| e.to_string())
    })
    .await
}

async fn answers_again(world: &World) -> TestResult {
    api_server_answers(world).await?;
    wait::poll("the HPA's metrics to be served", READY, || async {
        let resource = "llmgateways.tokenweir.dev";
        let samples = metrics::of_object(&world.client, &world.namespace, resource, "edge", "in_flight", "").await;
        samples.map(|_| ()).map_err(|e| e.chain())
    })
    .await
}
