//! The REST interfaces of both protocols.
