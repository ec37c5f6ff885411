//! Conversions between protobuf messages and core types, and the guard in front of the decoder.
