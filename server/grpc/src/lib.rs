//! The gRPC services of both protocols.
