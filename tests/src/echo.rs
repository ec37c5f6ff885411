//! Models of the echo platform.

/// Returns `x`, FP32 of any number of rows of 2, and in `version` the version that answered, once per row.
pub const TAGGED: &str = r#"
[signatures.serving_default]
inputs = [{ name = "x", dtype = "FP32", shape = [-1, 2] }]
tag = "version"
"#;

/// One more line for a signature: its runs wait until [`Repository::let_go`](crate::Repository::let_go).
pub const HELD: &str = "wait_for = \"go\"\n";

/// A model that returns `x`, of the given type and any shape; with more lines for its signature.
pub fn echo_of(dtype: &str, more: &str) -> String {
    format!("[signatures.serving_default]\ninputs = [{{ name = \"x\", dtype = \"{dtype}\" }}]\n{more}\n")
}
