//! Reads the page of links that a web server makes of a folder, as nginx, Apache and Python's `http.server` do.
//!
//! The page is not trusted: of its links, only those to something right below the folder count.

use percent_encoding::percent_decode_str;

use crate::version::check_segment;

/// What a page links to, right below its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Link {
    /// Decoded, and fit to be the name of a file.
    pub(crate) name: String,
    pub(crate) is_folder: bool,
}

/// The links of a page, ordered, none twice. Of a name that is linked to as both, the folder.
pub(crate) fn links(page: &str) -> Vec<Link> {
    let mut links: Vec<Link> = targets(page).filter_map(|target| link(&unescaped(target))).collect();
    links.sort_unstable_by(|one, other| (&one.name, other.is_folder).cmp(&(&other.name, one.is_folder)));
    links.dedup_by(|later, earlier| later.name == earlier.name);
    links
}

/// The values of `href` in every `<a ...>`, as they are written.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        loop {
            let (_, tag) = rest.split_once('<')?;
            rest = tag;
            let is_link = tag.get(..2).is_some_and(|start| {
                let mut bytes = start.bytes();
                bytes.next().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'a'))
                    && bytes.next().is_some_and(|byte| byte.is_ascii_whitespace())
            });
            if !is_link {
                continue;
            }
            let (target, after) = href(tag.get(1..).unwrap_or_default());
            rest = after;
            if target.is_some() {
                return target;
            }
        }
    })
}

/// The value of `href` among a tag's attributes, and what follows.
fn href(attributes: &str) -> (Option<&str>, &str) {
    let mut rest = attributes;
    loop {
        rest = rest.trim_ascii_start();
        let end = rest
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '<'))
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let after = after.trim_ascii_start();
        let Some(value) = after.strip_prefix('=') else {
            // An attribute without a value; a slash; or the end of the tag.
            if after.is_empty() || after.starts_with(['>', '<']) {
                return (None, after);
            }
            rest = after;
            continue;
        };
        let value = value.trim_ascii_start();
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let Some(quoted) = value.get(1..).and_then(|value| value.split_once(quote)) else {
                    return (None, "");
                };
                quoted
            }
            _ => {
                let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len());
                value.split_at(end)
            }
        };
        if name.eq_ignore_ascii_case("href") {
            return (Some(value), after);
        }
        rest = after;
    }
}

/// What a target leads to, if it is right below the folder.
fn link(target: &str) -> Option<Link> {
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let target = target.strip_prefix("./").unwrap_or(target);
    let (name, is_folder) = match target.strip_suffix('/') {
        Some(name) => (name, true),
        None => (target, false),
    };
    // A colon would make a scheme of what is before it, and servers that list such a name encode it.
    if name.contains(['/', ':']) {
        return None;
    }
    let name = percent_decode_str(name).decode_utf8().ok()?;
    check_segment(&name).ok()?;
    Some(Link { name: name.into_owned(), is_folder })
}

/// Text with those character references resolved that servers make of what a name can have.
fn unescaped(text: &str) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        resolved += before;
        let reference = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        match reference.and_then(|(name, after)| Some((character(name)?, after))) {
            Some((character, after)) => {
                resolved.push(character);
                rest = after;
            }
            None => {
                resolved.push('&');
                rest = after;
            }
        }
    }
    resolved + rest
}

fn character(name: &str) -> Option<char> {
    let number = match name {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => name.strip_prefix('#')?,
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn names(page: &str) -> Vec<String> {
        let slash = |link: Link| link.name + if link.is_folder { "/" } else { "" };
        links(page).into_iter().map(slash).collect()
    }

    #[test]
    fn the_pages_of_common_servers_are_read() {
        let python = r#"<!DOCTYPE HTML><html lang="en"><body><h1>Directory listing for /m/</h1><hr><ul>
            <li><a href="1/">1/</a></li><li><a href="a%20%26%20b.txt">a &amp; b.txt</a></li></ul></body></html>"#;
        assert_eq!(names(python), ["1/", "a & b.txt"]);
        let nginx = "<html><body><h1>Index of /m/</h1><hr><pre><a href=\"../\">../</a>\n\
            <a href=\"1/\">1/</a>  22-Nov-2026 20:00  -\n<a href=\"model.toml\">model.toml</a> 22-Nov-2026 12\n";
        assert_eq!(names(nginx), ["1/", "model.toml"]);
        let apache = r#"<table><tr><th><a href="?C=N;O=D">Name</a></th></tr>
            <tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="/">Parent Directory</a>
            <tr><td><A class=x HREF='1/'>1/</A></td></tr><tr><td><a href=weights&#46;bin>weights.bin</a>"#;
        assert_eq!(names(apache), ["1/", "weights.bin"]);
    }

    #[test]
    fn links_to_anything_but_a_child_do_not_count() {
        for target in [
            "",
            ".",
            "..",
            "../",
            "/",
            "/m/1/",
            "//host/1",
            "http://host/1",
            "javascript:x",
            "a/b",
            "%2e%2e/",
            "..%2fetc",
            "a%2Fb",
            "%00",
            "a%0Ab",
            "%ff",
            "?C=M",
            "#top",
            "./",
            "./../",
            "a\\b",
            "./a/b",
        ] {
            assert_eq!(names(&format!("<a href=\"{target}\">x</a>")), [""; 0], "{target}");
        }
    }

    #[test]
    fn a_link_within_a_comment_or_script_or_without_an_end_does_no_harm() {
        for page in
            ["<a", "<a ", "<a href", "<a href=", "<a href=\"1", "<a href=\"1/", "<abbr href=\"1\">", "<é "]
        {
            assert_eq!(names(page), [""; 0], "{page}");
        }
        assert_eq!(names("<a name=x / href=1/>"), ["1/"]);
        assert_eq!(names("<a <a href=1>"), ["1"]);
    }

    proptest! {
        #[test]
        fn every_name_that_a_file_can_have_is_read_back(name in "[^/\\\\\\p{Cc}]{1,20}", is_folder: bool) {
            prop_assume!(name != "." && name != ".." && name.len() <= 255);
            let slash = if is_folder { "/" } else { "" };
            let encoded = utf8_percent_encode(&name, NON_ALPHANUMERIC);
            let page = format!("<p><a title='1>2' href=\"{encoded}{slash}\">x</a>");
            prop_assert_eq!(links(&page), [Link { name, is_folder }]);
        }

        #[test]
        fn no_page_leads_out_of_its_folder(page in "(<a href=|[\"'&#;./%2ea:\\\\?<> ]|\\PC){0,60}") {
            for link in links(&page) {
                prop_assert!(check_segment(&link.name).is_ok());
            }
        }
    }
}
