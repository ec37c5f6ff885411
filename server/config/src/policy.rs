//! Which versions of a model to serve, as people write it.

use clap::ValueEnum;
use salver_core_servable::Version;
use salver_core_status::Quoted;
use salver_manager_policy::Policy;
use salver_manager_source_file::VersionPolicy;
use serde::Deserialize;

/// In which order versions come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transition {
    /// The new before the old goes: there is always one, and for a while both take memory.
    AvailabilityPreserving,
    /// The old goes before the new comes: never both at once, and for a while none.
    ResourcePreserving,
}

impl From<Transition> for Policy {
    fn from(transition: Transition) -> Self {
        match transition {
            Transition::AvailabilityPreserving => Policy::AvailabilityPreserving,
            Transition::ResourcePreserving => Policy::ResourcePreserving,
        }
    }
}

/// Reads `stable=3`.
pub(crate) fn parse_label(text: &str) -> Result<(String, Version), String> {
    let (label, version) = text.split_once('=').unwrap_or((text, ""));
    match version.trim().parse().ok().and_then(Version::new) {
        Some(version) if !label.is_empty() => Ok((label.to_owned(), version)),
        _ => Err(format!("{} is not of the form LABEL=VERSION", Quoted(text))),
    }
}

/// Reads `latest`, `latest:3`, `all` or `specific:1,7`.
pub(crate) fn parse_policy(text: &str) -> Result<VersionPolicy, String> {
    let (kind, rest) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
    match (kind.trim(), rest) {
        ("latest", None) => Ok(VersionPolicy::Latest(1)),
        ("latest", Some(count)) => match count.trim().parse() {
            Ok(count) if count > 0 => Ok(VersionPolicy::Latest(count)),
            _ => Err(format!("{} is not a number of versions, 1 or more", Quoted(count))),
        },
        ("all", None) => Ok(VersionPolicy::All),
        ("specific", Some(versions)) => {
            let version = |text: &str| {
                let number = text.trim().parse().ok();
                number
                    .and_then(Version::new)
                    .ok_or_else(|| format!("{} is not a version number", Quoted(text)))
            };
            Ok(VersionPolicy::Specific(versions.split(',').map(version).collect::<Result<_, _>>()?))
        }
        _ => Err(format!(
            "{} is not a version policy: wanted latest, latest:N, all or specific:V,V",
            Quoted(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        assert_eq!(parse_policy("latest"), Ok(VersionPolicy::Latest(1)));
        assert_eq!(parse_policy("latest:3"), Ok(VersionPolicy::Latest(3)));
        assert_eq!(parse_policy("all"), Ok(VersionPolicy::All));
        assert_eq!(
            parse_policy("specific:1, 7"),
            Ok(VersionPolicy::Specific(vec![Version::new(1).unwrap(), Version::new(7).unwrap()]))
        );
        for text in ["", "newest", "latest:0", "latest:x", "all:1", "specific", "specific:", "specific:-1"] {
            assert!(parse_policy(text).is_err(), "{text}");
        }
    }
}
