//! Finds, inspects, opens and checks plugin libraries, and presents them as platforms.
