//! Sources of plugins, as people ask for them.

use salver_core_platform::{OptionValue, Options};
use salver_core_status::Quoted;

use crate::options::value_of;

/// A source that a plugin provides, and its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceEntry {
    /// What the plugin calls it.
    pub name: String,
    /// Its settings.
    pub options: Options,
}

impl SourceEntry {
    /// One without settings.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), options: Options::new() }
    }
}

/// Reads `symlinks:directory=/srv/links,interval_ms=500`. A value is true, false, a number, or else a text; a comma that no
/// `OPTION=` follows is part of it.
pub(crate) fn parse_source(text: &str) -> Result<SourceEntry, String> {
    let wanted = || format!("{} is not of the form NAME[:OPTION=VALUE,...]", Quoted(text));
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() || name.contains(['=', ',']) {
        return Err(wanted());
    }
    let mut values: Vec<(&str, String)> = Vec::new();
    for piece in settings.split(',').filter(|_| !settings.is_empty()) {
        match (piece.split_once('='), values.last_mut()) {
            (Some((option, value)), _) if !option.is_empty() => values.push((option, value.to_owned())),
            (None, Some((_, value))) => value.extend([",", piece]),
            _ => return Err(wanted()),
        }
    }
    let mut options = Options::new();
    for (option, value) in values {
        if options.iter().any(|(known, _)| known == option) {
            return Err(format!("{} gives option {} twice", Quoted(text), Quoted(option)));
        }
        options.set(option, value_of(&value));
    }
    Ok(SourceEntry { name: name.to_owned(), options })
}

/// Shows as it is written.
impl std::fmt::Display for SourceEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        for (position, (option, value)) in self.options.iter().enumerate() {
            write!(f, "{}{option}=", if position == 0 { ':' } else { ',' })?;
            match value {
                OptionValue::Bool(value) => write!(f, "{value}")?,
                OptionValue::Int(value) => write!(f, "{value}")?,
                OptionValue::Float(value) => write!(f, "{value}")?,
                OptionValue::Text(value) => f.write_str(value)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_name_and_settings_of_the_kinds_that_they_look_like() {
        let read = |text: &str| {
            let SourceEntry { name, options } = parse_source(text).unwrap();
            let options = options.iter().map(|(name, value)| (name.to_owned(), value.clone()));
            (name, options.collect::<Vec<_>>())
        };
        assert_eq!(read("shelf"), ("shelf".to_owned(), vec![]));
        assert_eq!(read("shelf:"), ("shelf".to_owned(), vec![]));
        let text = |value: &str| OptionValue::Text(value.to_owned());
        let wanted = vec![
            ("at".to_owned(), text("http://[::1]:80/a,b?c")),
            ("every".to_owned(), OptionValue::Int(5)),
            ("no".to_owned(), text("")),
            ("x".to_owned(), text("y=z")),
        ];
        assert_eq!(read("shelf:at=http://[::1]:80/a,b?c,every=5,no=,x=y=z"), ("shelf".to_owned(), wanted));
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in ["", ":a=1", "a=1", "a,b", "s:a", "s:=1", "s:a=1,=2"] {
            assert!(parse_source(text).unwrap_err().contains("NAME[:OPTION=VALUE,...]"), "{text}");
        }
        assert_eq!(parse_source("s:a=1,a=2").unwrap_err(), "`s:a=1,a=2` gives option `a` twice");
    }

    #[test]
    fn it_shows_as_it_is_written() {
        for text in ["s", "s:a=1", "s:a=/x,y,b=true,c=0.5"] {
            assert_eq!(parse_source(text).unwrap().to_string(), text);
        }
    }
}
