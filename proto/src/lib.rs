//! The messages and services on the wire: TensorFlow Serving's and the Open Inference Protocol's.
