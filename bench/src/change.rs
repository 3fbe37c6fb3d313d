//! How long a changed route takes until every one of several gateways serves it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::fixture::{self, Configuration, KEY, MODEL, Programs};
use crate::load::{Connection, Shape, percentile};
use crate::machine;

/// A change that takes longer than this will not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions to a gateway: the figure may be too high by this, and the questions leave the CPUs alone.
const GAP: Duration = Duration::from_millis(5);
/// The model stands in the first bytes of an answer.
const HEAD: usize = 256;

/// Changes the route of several gateways that serve one folder, and returns the figures as text.
///
/// Each gateway is asked every few milliseconds; a change is served when the answers of all name the new model.
pub async fn measure(programs: &Programs, gateways: usize, changes: usize) -> Result<String, BenchError> {
    let machine = machine::describe();
    let sim = fixture::sim(programs, "", "").await?;
    let configuration = Configuration::write(sim.address)?;
    let mut running = Vec::new();
    for _ in 0..gateways.max(1) {
        running.push(fixture::gateway(programs, "", 1, &configuration).await?);
    }
    let addresses: Vec<SocketAddr> = running.iter().map(|gateway| gateway.server.address).collect();
    let mut times = Vec::new();
    for change in 0..changes.max(1) {
        let model = format!("sim-{change}");
        let began = Instant::now();
        configuration.set_route(&model)?;
        let slowest = served_by_all(&addresses, &model, began).await?;
        times.push(u64::try_from(slowest.as_micros()).unwrap_or(u64::MAX));
    }
    times.sort_unstable();
    let shown = |percent| Duration::from_micros(percentile(&times, percent)).as_secs_f64() * 1000.0;
    Ok(format!(
        "{machine}. {} gateways on one folder, {} changes of a route: served by all after p50 {:.0} ms, p95 {:.0} ms, slowest {:.0} ms.\n",
        running.len(),
        times.len(),
        shown(50),
        shown(95),
        shown(100)
    ))
}

/// Asks all gateways again and again until the answers of each name the model; the time of the last one since `began`.
pub(crate) async fn served_by_all(
    gateways: &[SocketAddr],
    model: &str,
    began: Instant,
) -> Result<Duration, BenchError> {
    let watches: Vec<_> = gateways
        .iter()
        .map(|gateway| tokio::spawn(served(*gateway, model.to_owned(), began)))
        .collect();
    let mut slowest = Duration::ZERO;
    for watch in watches {
        slowest = slowest.max(watch.await.map_err(std::io::Error::other)??);
    }
    Ok(slowest)
}

/// Asks one gateway until its answer names the model; the time since the change.
async fn served(gateway: SocketAddr, model: String, began: Instant) -> Result<Duration, BenchError> {
    let shape = Shape::chat(MODEL, 256, false, 1).with_key(Some(KEY));
    let named = format!("\"model\":\"{model}\"");
    let mut connection = Connection::open(gateway).await?;
    loop {
        let (answer, head) = connection.request_keeping_head(&shape, HEAD).await?;
        if String::from_utf8_lossy(&head).contains(&named) {
            return Ok(answer.done - began);
        }
        if began.elapsed() >= PATIENCE {
            return Err(BenchError::Silent {
                what: format!("{gateway}, asked for {model}"),
                reason: "it serves the route as it was".into(),
            });
        }
        tokio::time::sleep(GAP).await;
    }
}
