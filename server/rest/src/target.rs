//! The model that a path names.

use percent_encoding::percent_decode_str;
use salver_core_servable::{Version, VersionChoice};

/// A model, and which version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) model: String,
    pub(crate) version: Choice,
}

/// Which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Latest,
    Specific(Version),
    Label(String),
}

impl Target {
    pub(crate) fn choice(&self) -> VersionChoice<'_> {
        match &self.version {
            Choice::Latest => VersionChoice::Latest,
            Choice::Specific(version) => VersionChoice::Specific(*version),
            Choice::Label(label) => VersionChoice::Label(label),
        }
    }
}

/// The name that a part of a path stands for; `None` where it is empty or not UTF-8.
pub(crate) fn name(part: &str) -> Option<String> {
    let decoded = percent_decode_str(part).decode_utf8().ok()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}
