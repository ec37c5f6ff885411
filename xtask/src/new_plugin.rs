//! `cargo xtask new-plugin`: a folder that is a platform plugin already, to be made into another.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::workspace::root;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the plugin and its platform are called: lower-case letters, digits and hyphens
    name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// Where to put the folder, which must not be there. Default: the name, in the working directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Two traits and a macro
    Rust,
    /// One file and one header
    C,
    /// Two classes and two headers
    Cpp,
}

/// A file of a new folder: where it goes, and what is in it, with `@WORDS@` to be replaced.
type File = (&'static str, &'static str);

const RUST: [File; 4] = [
    ("Cargo.toml", include_str!("../templates/rust/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../templates/rust/src/lib.rs")),
    ("tests/model.rs", include_str!("../templates/rust/tests/model.rs")),
    ("README.md", include_str!("../templates/rust/README.md")),
];

const C: [File; 4] = [
    ("@NAME@.c", include_str!("../templates/c/plugin.c")),
    ("salver_plugin.h", include_str!("../../plugins/c/salver_plugin.h")),
    ("test.sh", include_str!("../templates/c/test.sh")),
    ("README.md", include_str!("../templates/c/README.md")),
];

const CPP: [File; 5] = [
    ("@NAME@.cpp", include_str!("../templates/cpp/plugin.cpp")),
    ("salver_plugin.h", include_str!("../../plugins/c/salver_plugin.h")),
    ("salver_plugin.hpp", include_str!("../../plugins/c/salver_plugin.hpp")),
    ("test.sh", include_str!("../templates/c/test.sh")),
    ("README.md", include_str!("../templates/c/README.md")),
];

/// A model to try it with, in every language.
const MODEL: File = ("models/example/1/@NAME@.txt", "2 1\n");

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    check(&args.name)?;
    let out = std::path::absolute(args.out.clone().unwrap_or_else(|| PathBuf::from(&args.name)))?;
    if out.exists() {
        bail!("{} is there already", out.display());
    }
    write(&args.name, args.lang, &out)?;
    println!("{}: its README.md says how to go on", out.display());
    Ok(())
}

/// The name becomes a platform's, a crate's and a file's.
fn check(name: &str) -> anyhow::Result<()> {
    let is_word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) || !name.chars().all(is_word) {
        bail!("`{name}` is no name: lower-case letters, digits and hyphens were wanted, a letter first");
    }
    Ok(())
}

fn write(name: &str, language: Language, out: &Path) -> anyhow::Result<()> {
    let (files, compile): (&[File], _) = match language {
        Language::Rust => (&RUST, String::new()),
        Language::C => (&C, format!("cc -std=c11 -O2 -shared -fPIC -I . -o lib{name}.so {name}.c")),
        Language::Cpp => (
            &CPP,
            format!("c++ -std=c++17 -O2 -shared -fPIC -fvisibility=hidden -I . -o lib{name}.so {name}.cpp"),
        ),
    };
    let sdk = root().join("plugins/sdk");
    let sdk = sdk.to_str().context("the path of this repository is no text")?;
    let filled = |text: &str| {
        text.replace("@NAME@", name)
            .replace("@CRATE@", &name.replace('-', "_"))
            .replace("@SDK@", sdk)
            .replace("@COMPILE@", &compile)
            .replace("@LANGUAGE@", if language == Language::Cpp { "C++" } else { "C" })
    };
    for (place, content) in files.iter().chain([&MODEL]) {
        let path = out.join(filled(place));
        fs::create_dir_all(path.parent().unwrap_or(out))?;
        fs::write(&path, filled(content)).with_context(|| format!("writing {}", path.display()))?;
    }
    if language == Language::Rust {
        // The versions that the SDK is tested with, and so none to look for.
        fs::copy(root().join("Cargo.lock"), out.join("Cargo.lock")).context("copying Cargo.lock")?;
        fs::write(out.join(".gitignore"), "/target\n/plugins\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_left_to_be_replaced() {
        for language in [Language::Rust, Language::C, Language::Cpp] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("half-plus-two");
            write("half-plus-two", language, &out).unwrap();
            let mut folders = vec![out];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        let text = fs::read_to_string(&path).unwrap();
                        let left = text.split('@').skip(1).find(|word| {
                            word.len() > 2 && word.chars().take(3).all(|letter| letter.is_ascii_uppercase())
                        });
                        assert_eq!(left, None, "{}", path.display());
                    }
                }
            }
        }
    }

    #[test]
    fn an_author_in_rust_starts_from_fewer_than_60_lines() {
        assert!(RUST[1].1.lines().count() < 60);
    }

    #[test]
    fn a_name_that_cannot_be_a_crate_s_is_refused() {
        assert!(check("half-plus-2").is_ok());
        for name in ["", "2half", "Half", "half plus", "../half", "half_plus"] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
