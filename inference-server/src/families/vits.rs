//! VITS as Piper exports it: symbols to ids, scales, tensors.

use ort::{session::SessionInputValue, value::TensorRef};

use super::alphabet::SymbolIds;
use crate::{engine::EngineError, text::Symbol};

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
    /// The ids of a run's symbols. `speed` divides the length.
    pub fn new(
        symbols: &[Symbol],
        ids: &SymbolIds,
        scales: Scales,
        speed: f32,
        speaker: Option<i64>,
    ) -> Self {
        Self {
            ids: ids.of(symbols),
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
    use crate::{
        text::Phone,
        voices::{VoiceConfig, builtin},
    };

    #[test]
    fn ids_stand_between_begin_and_end_and_speed_shortens() {
        let config = VoiceConfig::parse(builtin::find("rms").unwrap().config).unwrap();
        let t = Symbol::Phone(Phone::named("t").unwrap());
        let scales = Scales {
            noise: 0.5,
            length: 1.0,
            noise_w: 0.8,
        };
        let input = VitsInput::new(
            &[t, Symbol::WordBreak, t],
            &config.ids,
            scales,
            2.0,
            Some(4),
        );
        let [begin, one, gap, other, end] = input.ids[..] else {
            panic!("{:?}", input.ids);
        };
        assert!(one == other && begin != end && gap != one);
        assert_eq!((input.scales.length, input.speaker), (0.5, Some(4)));
    }
}
