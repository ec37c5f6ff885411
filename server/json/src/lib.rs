//! Reads and writes tensors as JSON, in TensorFlow Serving's and the Open Inference Protocol's forms.
