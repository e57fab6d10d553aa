//! VITS as Piper exports it: symbols to ids, scales, tensors.

use std::collections::BTreeMap;

use ort::{session::SessionInputValue, value::TensorRef};

use crate::{engine::EngineError, text::Symbol};

/// The symbols that mark the beginning and the end of an utterance.
pub const BEGIN: &str = "^";
pub const END: &str = "$";

/// A voice's three scales, in the graph's order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    pub noise: f32,
    pub length: f32,
    pub noise_w: f32,
}

/// The inputs of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct VitsInput {
    pub ids: Vec<i64>,
    pub scales: Scales,
    pub speaker: Option<i64>,
}

impl VitsInput {
    /// The ids of a run's symbols: `^ s1 … sn $`, each symbol's ids from the voice's map. `speed` divides the length.
    ///
    /// A symbol without ids is skipped; when a voice is loaded, its map is verified to contain every symbol.
    pub fn new(
        symbols: &[Symbol],
        map: &BTreeMap<String, Vec<i64>>,
        scales: Scales,
        speed: f32,
        speaker: Option<i64>,
    ) -> Self {
        let names = std::iter::once(BEGIN)
            .chain(symbols.iter().map(|symbol| symbol.name()))
            .chain(std::iter::once(END));
        let ids = names
            .filter_map(|name| map.get(name))
            .flatten()
            .copied()
            .collect();
        Self {
            ids,
            scales: Scales {
                length: scales.length / speed,
                ..scales
            },
            speaker,
        }
    }

    /// Runs `with` on the graph's inputs: the tensors borrow from here.
    pub fn tensors<R>(
        &self,
        with: impl FnOnce(Vec<(&'static str, SessionInputValue<'_>)>) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let failed = |error: ort::Error| EngineError::Run {
            message: error.to_string(),
        };
        let lengths = [i64::try_from(self.ids.len()).unwrap_or(i64::MAX)];
        let scales = [self.scales.noise, self.scales.length, self.scales.noise_w];
        let speaker = self.speaker.map(|speaker| [speaker]);
        let mut inputs: Vec<(&'static str, SessionInputValue<'_>)> = vec![
            (
                "input",
                TensorRef::from_array_view(([1, self.ids.len()], &self.ids[..]))
                    .map_err(failed)?
                    .into(),
            ),
            (
                "input_lengths",
                TensorRef::from_array_view(([1_usize], &lengths[..]))
                    .map_err(failed)?
                    .into(),
            ),
            (
                "scales",
                TensorRef::from_array_view(([3_usize], &scales[..]))
                    .map_err(failed)?
                    .into(),
            ),
        ];
        if let Some(speaker) = &speaker {
            inputs.push((
                "sid",
                TensorRef::from_array_view(([1_usize], &speaker[..]))
                    .map_err(failed)?
                    .into(),
            ));
        }
        with(inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Phone;

    #[test]
    fn ids_stand_between_begin_and_end_and_speed_shortens() {
        let map = [
            ("^", vec![1]),
            ("$", vec![2]),
            (" ", vec![3]),
            ("t", vec![7, 8]),
        ]
        .map(|(name, ids)| (name.to_owned(), ids))
        .into();
        let t = Symbol::Phone(Phone::named("t").unwrap());
        let scales = Scales {
            noise: 0.5,
            length: 1.0,
            noise_w: 0.8,
        };
        let input = VitsInput::new(&[t, Symbol::WordBreak, t], &map, scales, 2.0, Some(4));
        assert_eq!(
            input,
            VitsInput {
                ids: vec![1, 7, 8, 3, 7, 8, 2],
                scales: Scales {
                    length: 0.5,
                    ..scales
                },
                speaker: Some(4)
            }
        );
    }
}
