//! One thing that was said by its name, and what it may mean.

use std::fmt;
use std::time::Duration;

use salver_core_platform::OptionValue;
use salver_core_status::{Quoted, Status};

/// One thing that was said.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    /// By its whole name, as it is shown.
    pub(crate) name: &'a str,
    pub(crate) value: &'a OptionValue,
}

impl Said<'_> {
    /// That something else was wanted.
    pub(crate) fn wrong(&self, wanted: impl fmt::Display) -> Status {
        let Self { name, value } = self;
        Status::invalid_argument(format!("{} is {}, {wanted} was wanted", Name(name), Shown(value)))
    }

    /// Puts what was said where it belongs, once: a field may have several names.
    pub(crate) fn put<T>(&self, field: &mut Option<T>, value: Result<T, Status>) -> Result<(), Status> {
        if field.is_some() {
            let message = format!("{} says what is said by another name, one was wanted", Name(self.name));
            return Err(Status::invalid_argument(message));
        }
        *field = Some(value?);
        Ok(())
    }

    pub(crate) fn bool(&self) -> Result<bool, Status> {
        match self.value {
            OptionValue::Bool(value) => Ok(*value),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub(crate) fn whole(&self) -> Result<i64, Status> {
        match self.value {
            OptionValue::Int(value) => Ok(*value),
            _ => Err(self.wrong("a whole number")),
        }
    }

    pub(crate) fn number(&self) -> Result<f64, Status> {
        match self.value {
            OptionValue::Int(value) => Ok(*value as f64),
            OptionValue::Float(value) => Ok(*value),
            _ => Err(self.wrong("a number")),
        }
    }

    pub(crate) fn text(&self) -> Result<String, Status> {
        match self.value {
            OptionValue::Text(value) => Ok(value.clone()),
            _ => Err(self.wrong("a text")),
        }
    }

    /// A number, or several as a text `1,2,4`; an empty text is none.
    pub(crate) fn sizes(&self) -> Result<Vec<i64>, Status> {
        let wanted = "a size, or sizes such as 1,2,4,";
        match self.value {
            OptionValue::Int(value) => Ok(vec![*value]),
            OptionValue::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
            OptionValue::Text(text) => {
                text.split(',').map(|size| size.trim().parse().map_err(|_| self.wrong(wanted))).collect()
            }
            _ => Err(self.wrong(wanted)),
        }
    }

    /// A time with its unit; 0 needs none.
    pub(crate) fn time(&self) -> Result<Duration, Status> {
        let wanted = "a time such as 500us or 2ms";
        match self.value {
            OptionValue::Int(0) => Ok(Duration::ZERO),
            OptionValue::Text(text) => humantime::parse_duration(text.trim()).map_err(|_| self.wrong(wanted)),
            _ => Err(self.wrong(wanted)),
        }
    }

    pub(crate) fn micros(&self) -> Result<Duration, Status> {
        let micros = match self.value {
            OptionValue::Int(value) => u64::try_from(*value).ok(),
            _ => None,
        };
        micros.map(Duration::from_micros).ok_or_else(|| self.wrong("a number of microseconds, 0 or more,"))
    }

    /// One of some words, in upper or lower case, with dashes or underscores.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Status> {
        let said = match self.value {
            OptionValue::Text(text) => text.trim().to_ascii_lowercase().replace('-', "_"),
            _ => String::new(),
        };
        let found = words.iter().find(|(word, _)| *word == said);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(format_args!("one of {}", words.join(", ")))
        })
    }
}

/// A name from outside: as it is where it is one of ours, for which it is quoted.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = self.0.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.".contains(letter));
        if is_plain && self.0.len() <= 80 { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

struct Shown<'a>(&'a OptionValue);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OptionValue::Bool(value) => value.fmt(f),
            OptionValue::Int(value) => value.fmt(f),
            OptionValue::Float(value) => value.fmt(f),
            OptionValue::Text(value) => Quoted(value).fmt(f),
        }
    }
}
