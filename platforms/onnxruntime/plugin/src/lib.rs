//! The ONNX Runtime platform as a plugin library.
