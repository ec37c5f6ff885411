//! The C-layout contract between the server and a platform plugin.
