//! The inference server: text-to-speech over HTTP on ONNX Runtime.
