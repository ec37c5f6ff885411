//! Checks of the book: code that a page says it quotes is in the file that it names.
//!
//! A block of code below a line `<!-- from PATH -->` is quoted from the file at that path of the repository, whose lines have
//! it, one after the other, whatever they are indented by.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;

/// Checks every page in `docs`.
pub(super) fn check(root: &Path, findings: &mut Vec<Finding>) -> std::io::Result<()> {
    let docs = root.join("docs");
    if !docs.is_dir() {
        return Ok(());
    }
    let mut pages: Vec<PathBuf> =
        fs::read_dir(docs)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    for page in pages {
        let text = fs::read_to_string(&page)?;
        let file = page.strip_prefix(root).unwrap_or(&page);
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        findings.extend(misquotes(&text, read).into_iter().map(|(line, message)| Finding {
            file: file.to_owned(),
            line,
            message,
        }));
    }
    Ok(())
}

/// The quotes that are not in the files they name, each with its line.
fn misquotes(page: &str, read: impl Fn(&str) -> String) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let Some(path) = line.strip_prefix("<!-- from ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let block = lines.by_ref().skip_while(|(line, _)| !line.starts_with("```")).skip(1);
        let quoted: Vec<_> =
            block.map(|(line, _)| line).take_while(|line| !line.starts_with("```")).map(str::trim).collect();
        let file = read(path);
        let source: Vec<_> = file.lines().map(str::trim).collect();
        if quoted.is_empty() || !source.windows(quoted.len()).any(|window| window == quoted) {
            found.push((number, format!("quotes code that is not in {path}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_lines_of_the_file_it_names() {
        let page = |code: &str| format!("text\n<!-- from a.rs -->\n```rust\n{code}\n```\nmore\n");
        let read = |path: &str| match path {
            "a.rs" => "fn a() {\n    let x = 1;\n}\n".to_owned(),
            _ => String::new(),
        };
        assert_eq!(misquotes(&page("let x = 1;\n}"), read), []);
        assert_eq!(misquotes(&page("let x = 2;"), read), [(2, "quotes code that is not in a.rs".to_owned())]);
        assert_eq!(misquotes("<!-- from b.rs -->\n```\nx\n```\n", read).len(), 1);
        assert_eq!(misquotes("<!-- from a.rs -->\n", read).len(), 1);
    }
}
