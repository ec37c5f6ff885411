//! A URL taken apart: which store, and where in it.

use object_store::ObjectStoreScheme;
use object_store::path::Path;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use salver_core_status::{Quoted, Status};
use url::{Position, Url};

/// Where a URL leads.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// The URL as it is shown and added to, without a slash at the end.
    pub(crate) shown: String,
    pub(crate) kind: Kind,
    /// What the store is opened with: the URL as far as it names the store.
    pub(crate) root: String,
    /// Where in the store.
    pub(crate) prefix: Path,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    S3,
    Gcs,
    Azure,
    Web,
}

impl Address {
    /// # Errors
    /// INVALID_ARGUMENT that says what is wrong with the URL. No user or password of it is repeated.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        let wrong = |what: &str| Status::invalid_argument(format!("URL {}: {what}", shown(text)));
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment, but a folder was wanted"));
        }
        let unknown = "an s3, gs, az, abfs, http or https URL with a host was wanted";
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong(unknown));
        }
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|error| match url.scheme() {
            "s3" | "gs" | "az" | "abfs" | "abfss" | "http" | "https" => wrong(&error.to_string()),
            _ => wrong(unknown),
        })?;
        let kind = match scheme {
            ObjectStoreScheme::AmazonS3 => Kind::S3,
            ObjectStoreScheme::GoogleCloudStorage => Kind::Gcs,
            ObjectStoreScheme::MicrosoftAzure => Kind::Azure,
            ObjectStoreScheme::Http => Kind::Web,
            _ => return Err(wrong(unknown)),
        };
        // The user of an Azure URL is the container.
        if url.password().is_some() || (kind != Kind::Azure && !url.username().is_empty()) {
            return Err(wrong("has a user or a password, which belong in the environment or in its options"));
        }
        // The clouds' own hosts name the bucket in the path.
        let is_cloud_host = kind != Kind::Web && matches!(url.scheme(), "http" | "https");
        let root = if is_cloud_host { url.as_str() } else { &url[..Position::BeforePath] };
        let shown = text.trim_end_matches('/').to_owned();
        Ok(Self { shown, kind, root: root.to_owned(), prefix })
    }

    /// The URL of a folder right below.
    pub(crate) fn child(&self, name: &str) -> String {
        format!("{}/{}", self.shown, utf8_percent_encode(name, UNSAFE))
    }
}

/// What a URL's path cannot have as it is, or has for something else.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'^')
    .add(b'|')
    .add(b'[')
    .add(b']');

/// A URL for a person, without what comes before an `@` in its host, which may be a password, and after a `?`.
pub(crate) fn shown(url: &str) -> String {
    let (place, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let query = if query.is_empty() { "" } else { "?..." };
    let (scheme, rest) = place.split_once("://").unwrap_or(("", place));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((_, host)) => Quoted(&format!("{scheme}://...@{host}{path}{query}")).to_string(),
        None => Quoted(&format!("{place}{query}")).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_into_store_and_place() {
        for (url, kind, root, prefix) in [
            ("s3://bucket/models/", Kind::S3, "s3://bucket", "models"),
            ("s3://bucket", Kind::S3, "s3://bucket", ""),
            ("gs://bucket/a/b", Kind::Gcs, "gs://bucket", "a/b"),
            ("az://box/a", Kind::Azure, "az://box", "a"),
            (
                "abfs://box@account.dfs.core.windows.net/a",
                Kind::Azure,
                "abfs://box@account.dfs.core.windows.net",
                "a",
            ),
            ("http://127.0.0.1:80/a%20b", Kind::Web, "http://127.0.0.1", "a b"),
            ("https://example.org:1234/a", Kind::Web, "https://example.org:1234", "a"),
            (
                "https://s3.eu-west-1.amazonaws.com/bucket/a",
                Kind::S3,
                "https://s3.eu-west-1.amazonaws.com/bucket/a",
                "a",
            ),
        ] {
            let address = Address::parse(url).unwrap();
            let found = (address.kind, address.root.as_str(), address.prefix.as_ref());
            assert_eq!(found, (kind, root, prefix), "{url}");
        }
    }

    #[test]
    fn a_url_that_names_no_folder_of_a_store_is_refused() {
        for (url, what) in [
            ("", "relative URL without a base"),
            ("models", "relative URL without a base"),
            ("ftp://host/models", "an s3, gs"),
            ("file:///models", "an s3, gs"),
            ("memory:///models", "an s3, gs"),
            ("s3:///models", "an s3, gs"),
            ("http://host/m?signature=x", "has a query"),
            ("http://host/m#top", "has a query or a fragment"),
            ("s3://bucket/a//b", "empty path segment"),
            ("https://host/a%2F%2E%2E%2Fb", ".."),
        ] {
            let message = Address::parse(url).unwrap_err().to_string();
            assert!(message.contains(what), "{url}: {message}");
        }
    }

    #[test]
    fn the_url_of_a_folder_leads_there_whatever_its_name() {
        let address = Address::parse("http://host/models").unwrap();
        for name in ["a", "a b", "100%", "%41", "a?b#c", "\u{e9}", "[x]", "a+b"] {
            let child = Address::parse(&address.child(name)).unwrap();
            assert_eq!(child.prefix.as_ref(), format!("models/{name}"));
        }
    }

    #[test]
    fn what_may_be_secret_is_refused_and_not_repeated() {
        for url in [
            "https://user:secret@host/m",
            "https://secret@host/m",
            "abfs://box:secret@host/m",
            "https://host/m?signature=secret",
            "ftp://user:secret@host",
        ] {
            let message = Address::parse(url).unwrap_err().to_string();
            assert!(message.contains("host") && !message.contains("secret"), "{message}");
        }
    }
}
