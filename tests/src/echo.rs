//! Models of the echo platform.

/// Returns `x`, FP32 of any number of rows of 2, and in `version` the version that answered, once per row.
pub const TAGGED: &str = r#"
[signatures.serving_default]
inputs = [{ name = "x", dtype = "FP32", shape = [-1, 2] }]
tag = "version"
"#;

/// A model that returns `x`, of the given type and any shape; with more lines for its signature.
pub fn echo_of(dtype: &str, more: &str) -> String {
    format!("[signatures.serving_default]\ninputs = [{{ name = \"x\", dtype = \"{dtype}\" }}]\n{more}\n")
}
