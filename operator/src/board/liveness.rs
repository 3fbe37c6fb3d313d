//! From the answers of pods to "live on 3/3 pods".

use std::collections::BTreeMap;

use tokenweir_config::status::ProviderReport;

use super::Written;

/// What one pod said, or that it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodReport {
    /// Kubernetes says that it is ready, so clients may reach it.
    pub ready: bool,
    /// Generation and digest that it serves; absent: no answer, or no configuration yet.
    pub serving: Option<Written>,
    /// Why it refused a configuration, if it refused the one that was asked about.
    pub refused: Option<String>,
    /// How it sees its providers.
    pub providers: Vec<ProviderReport>,
}

/// What all pods together say about one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Liveness {
    /// Pods that serve it.
    pub live: usize,
    /// Pods that count: those that may serve clients.
    pub counted: usize,
    /// Pods that count and do not serve it.
    pub lagging: Vec<String>,
    /// Pods that have not begun to serve anything. They will begin with the newest configuration, so they hold nothing up.
    pub starting: Vec<String>,
    /// Pods that refuse it, with their words.
    pub refused: Vec<(String, String)>,
    /// The oldest generation that any counted pod serves; 0 where one serves none or no pod counts.
    pub floor: u64,
}

impl Liveness {
    /// Every pod that clients may reach serves the configuration, and there is one.
    pub fn is_live(&self) -> bool {
        self.counted > 0 && self.live == self.counted
    }

    /// `2/3 pods`
    pub fn share(&self) -> String {
        let noun = if self.counted == 1 { "pod" } else { "pods" };
        format!("{}/{} {noun}", self.live, self.counted)
    }
}

/// Judges which pods serve `written`.
pub fn judge(written: &Written, pods: &BTreeMap<String, PodReport>) -> Liveness {
    let mut liveness = Liveness::default();
    let mut floor: Option<u64> = None;
    for (name, pod) in pods {
        if let Some(words) = &pod.refused {
            liveness.refused.push((name.clone(), words.clone()));
        }
        if !pod.ready && pod.serving.is_none() {
            liveness.starting.push(name.clone());
            continue;
        }
        liveness.counted += 1;
        let reached = match &pod.serving {
            Some(serving) if serving == written => {
                liveness.live += 1;
                serving.generation
            }
            // Equal numbers with another content are not the same generation.
            Some(serving) => serving.generation.min(written.generation.saturating_sub(1)),
            None => 0,
        };
        if pod.serving.as_ref() != Some(written) {
            liveness.lagging.push(name.clone());
        }
        floor = Some(floor.map_or(reached, |floor| floor.min(reached)));
    }
    liveness.floor = floor.unwrap_or(0);
    liveness
}
