//! The input of one run: ids, scales, tensors.

use ort::value::TensorRef;

use crate::engine::{EngineError, Inputs};

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
    ids: Vec<i64>,
    scales: Scales,
}

impl VitsInput {
    /// The input for these ids. `speed` divides the length.
    pub fn new(ids: Vec<i64>, scales: Scales, speed: f32) -> Self {
        Self {
            ids,
            scales: Scales {
                length: scales.length / speed,
                ..scales
            },
        }
    }

    /// Runs `with` on the graph's inputs: the tensors borrow from here. `speaker` is the id of one of several speakers.
    pub fn tensors<R>(
        &self,
        speaker: Option<i64>,
        with: impl FnOnce(Inputs<'_>) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let failed = |error: ort::Error| EngineError::Run {
            message: error.to_string(),
        };
        let lengths = [i64::try_from(self.ids.len()).unwrap_or(i64::MAX)];
        let scales = [self.scales.noise, self.scales.length, self.scales.noise_w];
        let speaker = speaker.map(|speaker| [speaker]);
        let mut inputs: Inputs<'_> = vec![
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

    #[test]
    fn speed_shortens_and_a_speaker_is_an_input_of_its_own() {
        crate::engine::test_library();
        let scales = Scales {
            noise: 0.5,
            length: 1.0,
            noise_w: 0.8,
        };
        let input = VitsInput::new(vec![1, 5, 2], scales, 2.0);
        assert!((input.scales.length - 0.5).abs() < f32::EPSILON);
        let names = |speaker| {
            let names =
                |inputs: Inputs<'_>| Ok(inputs.iter().map(|input| input.0.to_owned()).collect());
            input.tensors::<Vec<String>>(speaker, names).unwrap()
        };
        assert_eq!(names(None), ["input", "input_lengths", "scales"]);
        assert_eq!(names(Some(4))[3], "sid");
    }
}
