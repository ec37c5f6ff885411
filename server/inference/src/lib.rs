//! Resolves, checks and runs a request, free of transport.
