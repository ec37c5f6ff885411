//! The recipe for `plugins/c/salver_plugin.h`: the plugin contract for C and C++, from the Rust one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cbindgen::{Builder, Config};

/// Where the contract is, from the root of the repository.
pub(crate) const CONTRACT: &str = "plugins/abi/src";

/// The files of the contract that C sees, in the order in which the header is best read.
const FILES: [&str; 12] = [
    "code",
    "text",
    "tensor",
    "signature",
    "param",
    "host",
    "model",
    "plugin",
    "memory",
    "batching",
    "source",
    "details",
];

/// How it is written down in C, and what is added by hand.
const SETTINGS: &str = "plugins/c/cbindgen.toml";

/// What it is made into.
const HEADER: &str = "plugins/c/salver_plugin.h";

/// The header, as a path from `root` and its contents.
///
/// # Errors
/// Where the settings or the contract cannot be read.
pub(crate) fn generate(root: &Path) -> anyhow::Result<(PathBuf, Vec<u8>)> {
    let config = Config::from_file(root.join(SETTINGS)).map_err(anyhow::Error::msg);
    let config = config.with_context(|| format!("reading {SETTINGS}"))?;
    let constants = config.export.rename.clone();
    let mut builder = Builder::new().with_config(config);
    for file in FILES {
        builder = builder.with_src(root.join(CONTRACT).join(file).with_extension("rs"));
    }
    let mut header = Vec::new();
    builder.generate().context("making the C header")?.write(&mut header);
    let header = String::from_utf8(header).context("the C header is not UTF-8")?;
    Ok((HEADER.into(), in_words_of_c(&header, &constants).into_bytes()))
}

/// Comments that speak of the contract by its names in C: ``[`ModelV1::release`]`` is `SalverModelV1.release`.
fn in_words_of_c(header: &str, constants: &HashMap<String, String>) -> String {
    let mut text = String::with_capacity(header.len());
    let mut rest = header;
    while let Some((before, quoted)) = rest.split_once('`') {
        let Some((word, after)) = quoted.split_once('`') else {
            break;
        };
        match name_in_c(word, constants) {
            Some(name) => {
                text.push_str(before.strip_suffix('[').unwrap_or(before));
                text.push_str(&name);
                rest = after_link(after);
            }
            None => {
                text.push_str(before);
                text.extend(["`", word, "`"]);
                rest = after;
            }
        }
    }
    text + rest
}

/// What follows a link, of which `rest` begins with the `]` and perhaps the `(target)`.
fn after_link(rest: &str) -> &str {
    let Some(rest) = rest.strip_prefix(']') else {
        return rest;
    };
    let target = rest.strip_prefix('(').and_then(|target| target.split_once(')'));
    target.map_or(rest, |(_, after)| after)
}

/// What a constant, a type or a field of a type is called in the header; nothing for any other word.
fn name_in_c(word: &str, constants: &HashMap<String, String>) -> Option<String> {
    let is_name = word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':');
    let is_type =
        word.starts_with(|first: char| first.is_ascii_uppercase()) && word.contains(char::is_lowercase);
    let of_type = || (is_name && is_type).then(|| format!("Salver{}", word.replace("::", ".")));
    constants.get(word).cloned().or_else(of_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_rust_contract_become_names_of_the_header() {
        let constants = ["F32", "ABSENT"].map(|name| (name.to_owned(), format!("SALVER_{name}")));
        let check = |rust: &str, c: &str| assert_eq!(in_words_of_c(rust, &constants.clone().into()), c);
        check("[`F32`], or `ABSENT`", "SALVER_F32, or SALVER_ABSENT");
        check("one [`Bytes`](crate::Bytes) (16 bytes)", "one SalverBytes (16 bytes)");
        check("given to [`ModelV1::release`].", "given to SalverModelV1.release.");
        for words in ["`out` as `uint32_t`", "by `CLOCK_MONOTONIC`", "`SALVER_OK`, and a lone ` too"] {
            check(words, words);
        }
    }
}
