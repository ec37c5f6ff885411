//! Watches buckets for model versions, and brings them to this machine.
