//! Sessions of the engine on small graphs: named inputs, and outputs of any type.

use ort::value::TensorRef;
use tts_server::engine::{
    Cancel, EngineError, Model, Session, SessionOptions, environment::environment,
};
use tts_tests::graph::{Element, Graph};

/// Doubles `values`, and says how many there are; `flag` is passed on.
fn graph() -> Graph {
    Graph::new("outputs")
        .input("values", Element::Float, &["N"])
        .input("flag", Element::Bool, &["1"])
        .output("doubled", Element::Float, &["N"])
        .output("shape", Element::Int64, &["1"])
        .output("passed", Element::Bool, &["1"])
        .apply("Sum", &["values", "values"], "doubled")
        .apply("Shape", &["values"], "shape")
        .apply("Identity", &["flag"], "passed")
}

#[test]
fn a_session_has_named_inputs_and_outputs_of_several_types() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, graph().model()).unwrap();
    let model = Model::File(file.path().to_owned());
    let mut session = Session::load(&model, &SessionOptions::default()).unwrap();
    let names: Vec<_> = session
        .outputs()
        .into_iter()
        .map(|info| info.name)
        .collect();
    assert_eq!(names, ["doubled", "shape", "passed"]);

    environment().unwrap();
    let (values, flag) = ([1.0_f32, 2.5, -3.0], [true]);
    // In another order than the graph's.
    let inputs = vec![
        (
            "flag",
            TensorRef::from_array_view(([1_usize], &flag[..]))
                .unwrap()
                .into(),
        ),
        (
            "values",
            TensorRef::from_array_view(([3_usize], &values[..]))
                .unwrap()
                .into(),
        ),
    ];
    let cancel = Cancel::new().unwrap();
    let outputs = session.run(inputs, &cancel).unwrap();
    assert_eq!(
        outputs.tensor::<f32>("doubled").unwrap(),
        (&[3][..], &[2.0, 5.0, -6.0][..])
    );
    assert_eq!(
        outputs.tensor::<i64>("shape").unwrap(),
        (&[1][..], &[3][..])
    );
    assert_eq!(outputs.tensor::<bool>("passed").unwrap().1, [true]);
    for error in [
        outputs.tensor::<f32>("shape").unwrap_err(),
        outputs.tensor::<f32>("nothing").unwrap_err(),
    ] {
        assert!(matches!(error, EngineError::Run { .. }), "{error}");
    }
}
