//! Whether a graph is VITS as Piper exports it, by its tensors' names, types and ranks.

use ort::value::TensorElementType;

use crate::engine::session::TensorInfo;

/// Why the server cannot run a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model belongs to no supported family: {difference}; expected a Piper voice \
     (inputs input, input_lengths, scales and, with several speakers, sid; output output)"
)]
pub struct UnknownFamily {
    difference: String,
}

/// A tensor that a family requires: name, element type, rank (`None`: any, as exporters differ).
type Wanted = (&'static str, TensorElementType, Option<usize>);

const PIPER_INPUTS: [Wanted; 3] = [
    ("input", TensorElementType::Int64, Some(2)),
    ("input_lengths", TensorElementType::Int64, Some(1)),
    ("scales", TensorElementType::Float32, Some(1)),
];
const PIPER_SPEAKER: Wanted = ("sid", TensorElementType::Int64, Some(1));
const PIPER_OUTPUT: Wanted = ("output", TensorElementType::Float32, None);

fn require(infos: &[TensorInfo], wanted: Wanted) -> Result<(), UnknownFamily> {
    let (name, element, rank) = wanted;
    let difference = match infos
        .iter()
        .find(|info| info.name == name)
        .map(|info| info.kind)
    {
        None => {
            let names: Vec<_> = infos
                .iter()
                .map(|info| info.name.as_str())
                .take(8)
                .collect();
            format!("it has no tensor named {name}, only {}", names.join(", "))
        }
        Some(None) => format!("{name} is not a tensor"),
        Some(Some((found, _))) if found != element => {
            format!("{name} holds {found} instead of {element}")
        }
        Some(Some((_, found))) if rank.is_some_and(|rank| rank != found) => {
            format!("{name} has {found} dimensions")
        }
        Some(Some(_)) => return Ok(()),
    };
    Err(UnknownFamily { difference })
}

/// Whether the graph has a speaker input.
///
/// # Errors
/// When the graph is no such VITS.
pub fn check(inputs: &[TensorInfo], outputs: &[TensorInfo]) -> Result<bool, UnknownFamily> {
    for wanted in PIPER_INPUTS {
        require(inputs, wanted)?;
    }
    require(outputs, PIPER_OUTPUT)?;
    let known = |name: &str| {
        name == PIPER_SPEAKER.0 || PIPER_INPUTS.iter().any(|(wanted, _, _)| *wanted == name)
    };
    if let Some(other) = inputs.iter().find(|info| !known(&info.name)) {
        return Err(UnknownFamily {
            difference: format!("it has an input {} that no Piper voice has", other.name),
        });
    }
    let speaker = inputs.iter().any(|info| info.name == PIPER_SPEAKER.0);
    if speaker {
        require(inputs, PIPER_SPEAKER)?;
    }
    Ok(speaker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, element: TensorElementType, rank: usize) -> TensorInfo {
        TensorInfo {
            name: name.to_owned(),
            kind: Some((element, rank)),
        }
    }

    fn piper() -> (Vec<TensorInfo>, Vec<TensorInfo>) {
        (
            vec![
                tensor("input", TensorElementType::Int64, 2),
                tensor("input_lengths", TensorElementType::Int64, 1),
                tensor("scales", TensorElementType::Float32, 1),
            ],
            vec![tensor("output", TensorElementType::Float32, 4)],
        )
    }

    #[test]
    fn piper_with_and_without_speakers() {
        let (mut inputs, outputs) = piper();
        assert_eq!(check(&inputs, &outputs), Ok(false));
        inputs.push(tensor("sid", TensorElementType::Int64, 1));
        assert_eq!(check(&inputs, &outputs), Ok(true));
    }

    #[test]
    fn what_differs_is_named() {
        let (mut inputs, outputs) = piper();
        inputs.push(tensor("langid", TensorElementType::Int64, 1));
        assert!(
            check(&inputs, &outputs)
                .unwrap_err()
                .to_string()
                .contains("langid")
        );
        let (mut inputs, outputs) = piper();
        inputs.remove(2);
        assert!(
            check(&inputs, &outputs)
                .unwrap_err()
                .to_string()
                .contains("no tensor named scales")
        );
        let (mut inputs, outputs) = piper();
        inputs[0] = tensor("input", TensorElementType::Int32, 2);
        assert!(check(&inputs, &outputs).is_err());
    }
}
