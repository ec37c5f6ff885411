//! Names of what is measured, and the observer it is reported to.
