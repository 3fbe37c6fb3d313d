//! What the figures were measured on.

use std::fmt::Write;

/// CPUs, their model, and the load at the start: a busy machine makes its figures doubtful, so they say so.
pub fn describe() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_ascii_whitespace().next().unwrap_or("unknown");
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{cpus} CPUs ({}), load average before the run {load}",
        model.map_or("unknown", |(_, model)| model.trim())
    );
    text
}
