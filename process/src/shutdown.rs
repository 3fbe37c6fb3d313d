//! Signals to cancellation.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that is cancelled by the first SIGTERM or SIGINT.
///
/// A second signal ends the process at once with the exit code 130, so that a person at a terminal is never held by a
/// drain that takes long.
pub fn shutdown_on_signals() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cancel = token.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {
                    if cancel.is_cancelled() {
                        std::process::exit(130);
                    }
                }
            }
            tracing::info!("shutdown requested");
            cancel.cancel();
        }
    });
    Ok(token)
}
