//! The live table: what is known at one moment, and how it is shown. Pure.

use std::time::Duration;

/// What the adapter reports through the API server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reported {
    /// Requests that wait, over all pods.
    pub queue_depth: f64,
    /// Tokens a second, over all pods and the last second.
    pub token_rate: f64,
    /// Age of the oldest of these values.
    pub age: Duration,
}

/// What is known at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Since the load began.
    pub elapsed: Duration,
    /// Requests of the load that are on their way.
    pub clients: u64,
    /// Requests that wait in the gateway pods, by their own metrics; `None` if a pod did not answer.
    pub queue_depth: Option<f64>,
    /// Tokens a second as the clients see them.
    pub token_rate: f64,
    /// What the adapter reports, or why it reports nothing.
    pub reported: Option<Result<Reported, String>>,
    /// Replicas that the HPA wants.
    pub wanted: i32,
    /// Replicas that the HPA found.
    pub has: i32,
    /// Gateway pods that are ready.
    pub ready: usize,
    /// Gateway pods that exist.
    pub pods: usize,
}

/// Samples so far, for the small graphs.
#[derive(Debug, Clone, Default)]
pub struct History(Vec<Sample>);

/// Values in a graph.
const GRAPH_WIDTH: usize = 40;
/// A line of the block that wrapped would spoil the drawing over it; the narrowest terminals in use have 80 columns.
const BLOCK_WIDTH: usize = 79;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl History {
    /// Adds a sample.
    pub fn push(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// The block for a terminal. `limit` is how long the load may take.
    pub fn block(&self, limit: Duration) -> Vec<String> {
        let Some(last) = self.0.last() else { return Vec::new() };
        let graph = |of: fn(&Sample) -> Option<f64>| graph(self.0.iter().map(of));
        let dots: String = (0..last.pods).map(|n| if n < last.ready { '●' } else { '○' }).collect();
        let lines = vec![
            format!(
                "  load          {:>6} requests on their way, {} s of at most {} s",
                last.clients,
                last.elapsed.as_secs(),
                limit.as_secs()
            ),
            format!(
                "  queue depth   {:>6}  {}",
                number(last.queue_depth),
                graph(|s| s.queue_depth)
            ),
            format!(
                "  tokens/s      {:>6}  {}",
                number(Some(last.token_rate)),
                graph(|s| Some(s.token_rate))
            ),
            format!("  adapter says  {}", reported(last)),
            format!(
                "  HPA           wants {}, has {}  {}",
                last.wanted,
                last.has,
                graph(|s| Some(f64::from(s.wanted)))
            ),
            format!("  pods          {dots}  {} of {} ready", last.ready, last.pods),
        ];
        lines
            .into_iter()
            .map(|line| line.chars().take(BLOCK_WIDTH).collect())
            .collect()
    }

    /// The newest sample in one line, for output that is not a terminal.
    pub fn line(&self) -> String {
        let Some(last) = self.0.last() else {
            return String::new();
        };
        format!(
            "{:>3} s  queue {:>4}  tokens/s {:>6}  adapter: {}  HPA wants {} has {}  pods {}/{} ready",
            last.elapsed.as_secs(),
            number(last.queue_depth),
            number(Some(last.token_rate)),
            reported(last),
            last.wanted,
            last.has,
            last.ready,
            last.pods
        )
    }

    /// The largest number of ready pods that was seen.
    pub fn most_ready(&self) -> usize {
        self.0.iter().map(|sample| sample.ready).max().unwrap_or(0)
    }

    /// The largest queue depth that was seen.
    pub fn deepest(&self) -> f64 {
        self.0
            .iter()
            .filter_map(|sample| sample.queue_depth)
            .fold(0.0, f64::max)
    }

    /// When the HPA first wanted more replicas than at the beginning.
    pub fn first_rise(&self) -> Option<Duration> {
        let start = self.0.first()?.wanted;
        self.0
            .iter()
            .find(|sample| sample.wanted > start)
            .map(|sample| sample.elapsed)
    }

    /// Whether the HPA wants no more than there is and all of it has been ready for the last `samples` samples, after it
    /// wanted more than at the beginning.
    pub fn settled(&self, samples: usize) -> bool {
        let calm = |sample: &Sample| sample.wanted == sample.has && usize::try_from(sample.wanted) == Ok(sample.ready);
        self.first_rise().is_some() && self.0.len() >= samples && self.0.iter().rev().take(samples).all(calm)
    }
}

fn reported(sample: &Sample) -> String {
    match &sample.reported {
        Some(Ok(values)) => format!(
            "queue {}, {} tokens/s, {} old",
            number(Some(values.queue_depth)),
            number(Some(values.token_rate)),
            age(values.age)
        ),
        Some(Err(reason)) => format!("no value ({reason})"),
        None => "not asked yet".to_owned(),
    }
}

fn age(age: Duration) -> String {
    format!("{:.1} s", age.as_secs_f64())
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
}

/// A bar for each of the newest values, scaled to the largest; a gap where there was none.
fn graph(values: impl Iterator<Item = Option<f64>>) -> String {
    let values: Vec<Option<f64>> = values.collect();
    let shown = &values[values.len().saturating_sub(GRAPH_WIDTH)..];
    let most = shown.iter().flatten().copied().fold(1.0, f64::max);
    shown
        .iter()
        .map(|value| {
            let Some(value) = value else { return ' ' };
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of 7 lies in 0..=7: no value is below 0 or above the largest"
            )]
            let step = (value.max(0.0) / most * 7.0).round() as usize;
            BARS[step.min(7)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64, wanted: i32, ready: usize) -> Sample {
        Sample {
            elapsed: Duration::from_secs(seconds),
            clients: 24,
            queue_depth: Some(18.0),
            token_rate: 1240.4,
            reported: Some(Ok(Reported {
                queue_depth: 17.0,
                token_rate: 1200.0,
                age: Duration::from_millis(300),
            })),
            wanted,
            has: i32::try_from(ready).unwrap(),
            ready,
            pods: ready,
        }
    }

    #[test]
    fn a_line_tells_everything_in_one_row() {
        let mut history = History::default();
        history.push(sample(12, 4, 2));
        assert_eq!(
            history.line(),
            " 12 s  queue   18  tokens/s   1240  adapter: queue 17, 1200 tokens/s, 0.3 s old  HPA wants 4 has 2  pods 2/2 ready"
        );
    }

    #[test]
    fn a_block_has_the_same_number_of_lines_whatever_is_known() {
        let mut history = History::default();
        history.push(Sample::default());
        let first = history.block(Duration::from_secs(90));
        history.push(sample(1, 4, 2));
        assert_eq!(history.block(Duration::from_secs(90)).len(), first.len());
    }

    #[test]
    fn a_missing_value_is_not_shown_as_zero() {
        let mut history = History::default();
        history.push(Sample {
            reported: Some(Err("pod edge-1 has no values".to_owned())),
            ..Sample::default()
        });
        let line = history.line();
        assert!(
            line.contains("queue    -") && line.contains("no value (pod edge-1"),
            "{line}"
        );
    }

    #[test]
    fn it_is_settled_once_everything_wanted_is_ready_and_not_before_a_rise() {
        let mut history = History::default();
        history.push(sample(0, 2, 2));
        history.push(sample(1, 2, 2));
        assert!(!history.settled(2));
        history.push(sample(2, 4, 2));
        assert_eq!(history.first_rise(), Some(Duration::from_secs(2)));
        assert!(!history.settled(2));
        history.push(sample(3, 4, 4));
        history.push(sample(4, 4, 4));
        assert!(history.settled(2));
        assert_eq!(history.most_ready(), 4);
    }

    #[test]
    fn graphs_scale_to_their_largest_value_and_show_a_gap_where_there_is_none() {
        assert_eq!(graph([Some(0.0), None, Some(5.0), Some(10.0)].into_iter()), "▁ ▅█");
    }
}
