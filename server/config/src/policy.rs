//! Which versions of a model to serve, as people write it.

use salver_core_servable::Version;
use salver_core_status::Quoted;
use salver_manager_source_file::VersionPolicy;

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
