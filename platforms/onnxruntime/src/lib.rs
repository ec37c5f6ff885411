//! Serves ONNX models through ONNX Runtime.
