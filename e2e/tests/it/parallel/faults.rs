//! Faults inside one namespace.

use std::time::Duration;

use kube::api::DeleteParams;
use tokenweir_e2e::harness::load::Load;
use tokenweir_e2e::harness::openai::{Chat, Connections, OpenAi};
use tokenweir_e2e::harness::reach;

use crate::support::held::{self, assert_whole, hold, long_chat};
use crate::support::stack::{self, MODEL, Stack};
use crate::support::truth::{self, Watchdog};
use crate::support::{READY, busy};

#[test]
fn a_killed_gateway_pod_disturbs_no_client_of_the_others_and_no_value_is_wrong() {
    busy(async |world| {
        let running = Stack {
            token_ms: 100,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        let pods = stack::ready_pods(&world, 2, READY).await?;
        let (living, dying) = (stack::name(&pods[0]), stack::name(&pods[1]));
        let to_living = reach::pod(&world.client, &world.namespace, &living, 8080).await?;
        let to_dying = reach::pod(&world.client, &world.namespace, &dying, 8080).await?;
        let client = |route: &reach::Route| OpenAi::new(route.url(), &running.acme, Connections::PerRequest);
        let chat = long_chat(25, 100);
        let mut kept = hold(&client(&to_living), &chat, 5).await;
        let lost = hold(&client(&to_dying), &chat, 3).await;
        truth::settle(&world.client, &world.namespace, 2, 8.0).await?;
        let watchdog = Watchdog::start(&world.client, &world.namespace, 2, None);
        let short = Chat {
            limit: Duration::from_secs(10),
            ..Chat::new(MODEL, 3)
        };
        let others = OpenAi::new(to_living.url(), &running.globex, Connections::KeepAlive);
        let beside = Load::closed(&others, &short, 1, Duration::from_mins(1));

        let at_once = DeleteParams {
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        };
        let pods = world.api::<k8s_openapi::api::core::v1::Pod>();
        pods.delete(&dying, &at_once).await.expect("the pod can be killed");
        let replaced = stack::ready_pods(&world, 2, READY).await?;
        assert!(replaced.iter().all(|pod| stack::name(pod) != dying));
        watchdog.rounds(20).await?;
        assert_eq!(kept.running(), 5, "the streams were too short for this machine");
        // Five held streams on the living pod and a short one now and then; three more until the pod was killed.
        watchdog.assert_never_wrong(5.0..=9.0);
        assert_whole(kept, chat.max_tokens).await;
        let broken = held::broken(&lost.outcomes().await);
        assert_eq!(broken.len(), 3, "the killed pod's own streams end with it");
        let tally = beside.finish().await;
        assert_eq!(tally.failures, Vec::<String>::new());
        Ok(())
    });
}
