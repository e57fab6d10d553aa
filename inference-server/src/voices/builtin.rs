//! The voice that is compiled into the program. Its origin: voices/rms/README.md.

/// Names of the builtin voices; the first is the default.
pub const NAMES: [&str; 1] = ["rms"];

/// A voice's two files.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    pub model: &'static [u8],
    pub config: &'static [u8],
}

/// The builtin voice of this name.
pub fn find(name: &str) -> Option<Builtin> {
    (name == NAMES[0]).then_some(Builtin {
        model: include_bytes!("../../voices/rms/voice.onnx"),
        config: include_bytes!("../../voices/rms/voice.onnx.json"),
    })
}
