//! From one measurement to the next: which scopes changed, encoded once for all readers.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tokenweir_signals::{Scope, Values};

use crate::meter::Measurement;

/// One measurement, ready to be sent.
#[derive(Debug)]
pub(super) struct Encoded {
    head: Head,
    /// Whether the frame must be full for every reader, because the scopes have changed.
    must_be_full: bool,
    /// The scopes that changed since the measurement before.
    changed: Box<RawValue>,
    /// All of them, encoded when the first reader needs it: rare.
    measurement: Measurement,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    measured_unix_ms: u64,
    generation: u64,
    draining: bool,
}

/// [`tokenweir_signals::Frame`] with scopes that are already encoded.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    seq: u64,
    measured_unix_ms: u64,
    generation: u64,
    draining: bool,
    full: bool,
    scopes: &'a RawValue,
}

impl Encoded {
    pub(super) fn new(
        measurement: Measurement,
        before: Option<&Encoded>,
        draining: bool,
    ) -> Result<Self, serde_json::Error> {
        let known = before.map(|before| &before.measurement);
        let must_be_full = known.is_none_or(|known| {
            known.generation != measurement.generation || !known.values.keys().eq(measurement.values.keys())
        });
        let changed: Vec<(&Scope, &Values)> = measurement
            .values
            .iter()
            .filter(|(scope, values)| known.is_none_or(|known| known.values.get(scope) != Some(values)))
            .collect();
        Ok(Self {
            head: Head {
                measured_unix_ms: measurement.measured_unix_ms,
                generation: measurement.generation,
                draining,
            },
            must_be_full,
            changed: serde_json::value::to_raw_value(&changed)?,
            measurement,
        })
    }

    /// The line for a reader that has got `seq` frames before.
    pub(super) fn line(&self, seq: u64) -> Result<Bytes, serde_json::Error> {
        let full = seq == 0 || self.must_be_full;
        let all = if full {
            let scopes: Vec<(&Scope, &Values)> = self.measurement.values.iter().collect();
            Some(serde_json::value::to_raw_value(&scopes)?)
        } else {
            None
        };
        let Head {
            measured_unix_ms,
            generation,
            draining,
        } = self.head;
        let scopes = all.as_deref().unwrap_or(&self.changed);
        let mut line = serde_json::to_vec(&Line {
            seq,
            measured_unix_ms,
            generation,
            draining,
            full,
            scopes,
        })?;
        line.push(b'\n');
        Ok(line.into())
    }
}

#[cfg(test)]
mod tests {
    use tokenweir_signals::{Frame, PodSignals};

    use super::*;

    fn measurement(generation: u64, at: u64, depths: &[(&str, u64)]) -> Measurement {
        let values = depths
            .iter()
            .map(|(tenant, depth)| {
                (
                    Scope::tenant(*tenant),
                    Values {
                        queue_depth: *depth,
                        ..Values::default()
                    },
                )
            })
            .collect();
        Measurement {
            measured_unix_ms: at,
            generation,
            values,
        }
    }

    fn frame(encoded: &Encoded, seq: u64) -> Frame {
        serde_json::from_slice(&encoded.line(seq).unwrap()).unwrap()
    }

    #[test]
    fn a_reader_knows_after_each_frame_what_was_measured_and_gets_only_what_changed() {
        let first = Encoded::new(measurement(1, 10, &[("a", 1), ("b", 2)]), None, false).unwrap();
        let second = Encoded::new(measurement(1, 20, &[("a", 1), ("b", 3)]), Some(&first), true).unwrap();
        let mut reader = PodSignals::default();
        reader.apply(frame(&first, 0)).unwrap();
        let delta = frame(&second, 1);
        assert_eq!(delta.scopes.len(), 1);
        assert!(!delta.full);
        reader.apply(delta).unwrap();
        assert_eq!(reader.scopes, second.measurement.values);
        assert_eq!((reader.measured_unix_ms, reader.draining), (20, true));
    }

    #[test]
    fn a_late_reader_begins_with_a_full_frame() {
        let first = Encoded::new(measurement(1, 10, &[("a", 1), ("b", 2)]), None, false).unwrap();
        let second = Encoded::new(measurement(1, 20, &[("a", 1), ("b", 2)]), Some(&first), false).unwrap();
        assert_eq!(frame(&second, 5).scopes.len(), 0);
        let begin = frame(&second, 0);
        assert!(begin.full);
        assert_eq!(begin.scopes.len(), 2);
    }

    #[test]
    fn a_change_of_configuration_makes_the_next_frame_full_and_drops_what_is_gone() {
        let first = Encoded::new(measurement(1, 10, &[("a", 1), ("b", 2)]), None, false).unwrap();
        let second = Encoded::new(measurement(2, 20, &[("a", 1)]), Some(&first), false).unwrap();
        let mut reader = PodSignals::default();
        reader.apply(frame(&first, 0)).unwrap();
        reader.apply(frame(&second, 1)).unwrap();
        assert_eq!(reader.generation, 2);
        assert_eq!(reader.scopes.keys().collect::<Vec<_>>(), [&Scope::tenant("a")]);
    }
}
