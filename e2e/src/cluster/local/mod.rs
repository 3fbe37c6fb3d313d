//! The local cluster: a whole Kubernetes on this machine, from processes that this program starts and stops.

mod baseline;
pub mod layout;
mod machine;
mod pki;
mod render;
mod settings;
mod start;
mod stop;
mod sweep;

use std::time::Duration;

use super::error::{ClusterError, Result, file};
use super::parts::Part;
use super::process::{Record, log_tail, spawn_detached};
use layout::Layout;
use settings::Settings;

pub(crate) use start::{import, up};
pub(crate) use stop::down;

/// How long a part may take to end after it was told to.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Whether a part runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartState {
    /// The part.
    pub part: Part,
    /// Its process id, if it runs.
    pub pid: Option<u32>,
}

/// The state of every part.
pub fn parts(layout: &Layout) -> Result<Vec<PartState>> {
    Part::ALL
        .into_iter()
        .map(|part| {
            let record = Record::load(&layout.record(part))?;
            Ok(PartState {
                part,
                pid: record.filter(Record::is_alive).map(|record| record.pid),
            })
        })
        .collect()
}

/// Whether any part runs.
pub(crate) fn is_running(layout: &Layout) -> Result<bool> {
    Ok(parts(layout)?.iter().any(|state| state.pid.is_some()))
}

/// How often the HPA controller of the cluster that was started looks, in seconds.
pub(crate) fn hpa_sync_seconds(layout: &Layout) -> Result<Option<u64>> {
    Ok(Settings::load(layout)?.map(|settings| settings.hpa_sync_seconds))
}

/// Stops one part and returns when its process has ended. A part that does not run is left alone.
pub(crate) async fn stop_part(layout: &Layout, part: Part) -> Result<()> {
    let path = layout.record(part);
    if let Some(record) = Record::load(&path)? {
        record.stop(STOP_GRACE).await;
        std::fs::remove_file(&path).map_err(file("remove", &path))?;
    }
    Ok(())
}

/// Starts one part unless it runs, as it was configured when the cluster was started.
pub(crate) fn start_part(layout: &Layout, part: Part) -> Result<()> {
    let settings = Settings::load(layout)?.ok_or(ClusterError::NotRunning)?;
    launch(&settings, layout, part)
}

fn launch(settings: &Settings, layout: &Layout, part: Part) -> Result<()> {
    let record = layout.record(part);
    if Record::load(&record)?.is_some_and(|record| record.is_alive()) {
        return Ok(());
    }
    let argv = render::command_line(part, settings, layout);
    spawn_detached(&argv, &layout.log(part), &record).map(drop)
}

/// An error if a part that was started has ended.
fn check_alive(layout: &Layout, part: Part) -> Result<()> {
    let log = layout.log(part);
    match Record::load(&layout.record(part))? {
        Some(record) if !record.is_alive() => Err(ClusterError::PartDied {
            part,
            tail: log_tail(&log),
            log,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
