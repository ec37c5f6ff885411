//! Keeps what is observed and exposes it to Prometheus.
