//! Names from outside, quoted at a bounded length.

use std::fmt;

/// Shows a name in backquotes, cut where it is long: a hostile name must not become a hostile message.
///
/// Control characters are escaped, so that a name cannot forge a line of a log.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

/// How many characters of a name are shown.
const SHOWN: usize = 128;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        let mut rest = self.0.chars();
        for character in rest.by_ref().take(SHOWN) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if !rest.as_str().is_empty() {
            write!(f, "... {} bytes", self.0.len())?;
        }
        f.write_str("`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_its_length_told() {
        let shown = Quoted(&"x".repeat(1000)).to_string();
        assert!(shown.ends_with("... 1000 bytes`") && shown.len() < 200, "{shown}");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(Quoted("a\nb").to_string(), "`a\\nb`");
    }
}
