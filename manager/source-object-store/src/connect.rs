//! Opens stores, and hears what their servers say that `object_store` does not pass on.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt;
use http::{HeaderMap, Method, StatusCode};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use salver_core_status::{Code, Quoted, Status};

use crate::StoreUrl;
use crate::address::{Address, Kind};
use crate::explain::{self, Refused};

/// A store, and the client to make requests with that it does not know how to.
pub(crate) struct Connection {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Of a web server only.
    pub(crate) client: Option<HttpClient>,
}

/// How long a request may take in all: as long as a large object takes. What stalls ends sooner, by [`READ_TIMEOUT`].
const TIMEOUT: &str = "7days";

/// How long nothing may come.
const READ_TIMEOUT: &str = "30s";

/// Opens the store at an address, without a request. Options count over the environment.
///
/// # Errors
/// INVALID_ARGUMENT that names the option, or says what the store's own settings lack.
pub(crate) fn connect(address: &Address, url: &StoreUrl) -> Result<Connection, Status> {
    // Tries are counted by whoever knows what they are worth, and can be interrupted between them.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let root = &address.root;
    let options = &url.options;
    macro_rules! open {
        ($builder:expr, $key:ty) => {{
            let builder = $builder.with_url(root).with_retry(retry).with_http_connector(Listening);
            let builder = builder
                .with_config(<$key>::Client(ClientConfigKey::Timeout), TIMEOUT)
                .with_config(<$key>::Client(ClientConfigKey::ReadTimeout), READ_TIMEOUT);
            let builder = with_options::<$key, _>(options, builder, |builder, key, value| {
                builder.with_config(key, value)
            })?;
            Arc::new(builder.build().map_err(|error| refuse(address, &error))?) as Arc<dyn ObjectStore>
        }};
    }
    let store = match address.kind {
        Kind::S3 => open!(AmazonS3Builder::from_env(), AmazonS3ConfigKey),
        Kind::Gcs => open!(GoogleCloudStorageBuilder::from_env(), GoogleConfigKey),
        Kind::Azure => open!(MicrosoftAzureBuilder::from_env(), AzureConfigKey),
        Kind::Web => {
            let client = ClientOptions::new()
                .with_allow_http(root.starts_with("http:"))
                .with_config(ClientConfigKey::Timeout, TIMEOUT)
                .with_config(ClientConfigKey::ReadTimeout, READ_TIMEOUT);
            let mut client_options = with_options(options, client, ClientOptions::with_config)?;
            let client = Listening.connect(&client_options).or_else(|error| {
                // A machine without certificates can do without them here.
                client_options =
                    client_options.clone().with_no_system_certificates(root.starts_with("http:"));
                Listening.connect(&client_options).map_err(|_| error)
            });
            let client = client.map_err(|error| refuse(address, &error))?;
            let builder = HttpBuilder::new().with_url(root).with_retry(retry).with_http_connector(Listening);
            let store = builder.with_client_options(client_options).build();
            let store = Arc::new(store.map_err(|error| refuse(address, &error))?);
            return Ok(Connection { store, client: Some(client) });
        }
    };
    Ok(Connection { store, client: None })
}

fn refuse(address: &Address, error: &object_store::Error) -> Status {
    explain::status(
        Code::InvalidArgument,
        format_args!("settings of {}", Quoted(&address.shown)),
        &error.to_string(),
    )
}

fn with_options<K: FromStr, B>(
    options: &BTreeMap<String, String>,
    builder: B,
    with: impl Fn(B, K, String) -> B,
) -> Result<B, Status> {
    options.iter().try_fold(builder, |builder, (name, value)| {
        let key = name.to_ascii_lowercase().parse().map_err(|_| {
            Status::invalid_argument(format!("option {} is none of this kind of URL", Quoted(name)))
        })?;
        Ok(with(builder, key, value.clone()))
    })
}

/// What a server says of the whole of an object's bytes; goes with the answer as one of its extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) md5: Option<[u8; 16]>,
}

impl Declared {
    fn read(headers: &HeaderMap, is_whole: bool) -> Self {
        let mut declared = Self::default();
        let texts = |name: &str| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        // Google: `crc32c=n03x6A==,md5=Ojk9c3dhfxgoKVVHYwFbHQ==`
        for (name, hash) in texts("x-goog-hash").flat_map(pairs) {
            if name == "md5" {
                declared.md5 = decoded(hash);
            }
        }
        for text in texts("x-ms-blob-content-md5") {
            declared.md5 = decoded(text);
        }
        // Of the bytes of this answer.
        for text in texts("content-md5").filter(|_| is_whole) {
            declared.md5 = decoded(text);
        }
        // RFC 9530: `sha-256=:base64:`, and what was before it, `SHA-256=base64`.
        for (name, hash) in texts("repr-digest").chain(texts("digest")).flat_map(pairs) {
            if name.eq_ignore_ascii_case("sha-256") {
                declared.sha256 = decoded(hash.trim_matches(':'));
            }
        }
        for text in texts("x-amz-checksum-sha256") {
            // That of an upload in parts is of their hashes, and says so by their number.
            declared.sha256 = decoded(text);
        }
        declared
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|pair| pair.trim().split_once('='))
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text.trim()).ok()?.try_into().ok()
}

/// Makes clients that listen to what is said beside the bytes.
#[derive(Debug)]
struct Listening;

impl HttpConnector for Listening {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // TLS needs to know whose cryptography to use. A program that has chosen already keeps its choice.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Service(client)))
    }
}

#[derive(Debug)]
struct Service(HttpClient);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_listing = is_listing(&request);
        let mut response = self.0.execute(request).await?;
        let status = response.status();
        if is_listing && !status.is_success() {
            let body = start_of(response.into_body()).await;
            return Err(HttpError::new(HttpErrorKind::Unknown, Refused { status, body }));
        }
        let declared = Declared::read(response.headers(), status == StatusCode::OK);
        response.extensions_mut().insert(declared);
        Ok(response)
    }
}

/// Whether it asks for a list: what went wrong then, `object_store` tells as text only.
fn is_listing(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let is_query = query.split('&').any(|pair| matches!(pair, "list-type=2" | "comp=list"));
    request.method().as_str() == "PROPFIND" || (request.method() == Method::GET && is_query)
}

/// So much of a body as an error's text may have.
async fn start_of(body: HttpResponseBody) -> String {
    const ENOUGH: usize = 4096;
    let mut start = Vec::new();
    let mut chunks = body.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        start.extend_from_slice(&chunk);
        if start.len() >= ENOUGH {
            break;
        }
    }
    String::from_utf8_lossy(&start).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn declared(headers: &[(&'static str, &str)], is_whole: bool) -> Declared {
        let header = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        Declared::read(&headers.iter().map(header).collect(), is_whole)
    }

    #[test]
    fn checksums_are_read_as_the_stores_write_them() {
        let (md5, sha256) = (*b"0123456789abcdef", [7; 32]);
        let (md5_text, sha256_text) = (BASE64.encode(md5), BASE64.encode(sha256));
        let (md5, sha256) = (Some(md5), Some(sha256));
        for header in [
            ("x-goog-hash", format!("crc32c=AAAAAA==, md5={md5_text}")),
            ("x-ms-blob-content-md5", md5_text.clone()),
            ("content-md5", md5_text.clone()),
        ] {
            assert_eq!(
                declared(&[(header.0, &header.1)], true),
                Declared { md5, sha256: None },
                "{header:?}"
            );
        }
        for header in [
            ("repr-digest", format!("sha-256=:{sha256_text}:")),
            ("digest", format!("MD5=x,SHA-256={sha256_text}")),
            ("x-amz-checksum-sha256", sha256_text.clone()),
        ] {
            assert_eq!(
                declared(&[(header.0, &header.1)], true),
                Declared { md5: None, sha256 },
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_checksum_of_something_else_or_of_no_sense_is_none() {
        let md5 = BASE64.encode([1; 16]);
        let sha256_of_parts = BASE64.encode([1; 32]) + "-3";
        assert_eq!(declared(&[("content-md5", &md5)], false), Declared::default());
        assert_eq!(declared(&[("x-amz-checksum-sha256", &sha256_of_parts)], true), Declared::default());
        assert_eq!(declared(&[("x-goog-hash", "md5=!"), ("digest", "sha-256")], true), Declared::default());
    }

    #[test]
    fn an_option_that_does_not_exist_is_refused_by_name() {
        for url in ["s3://b", "gs://b", "http://h", "az://b"] {
            let options = [("aws_acess_key_id".to_owned(), "x".to_owned())].into();
            let url = StoreUrl { url: url.to_owned(), options };
            let address = Address::parse(&url.url).unwrap();
            let status = connect(&address, &url).err().unwrap();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains("`aws_acess_key_id`"), "{status}");
        }
    }

    #[test]
    fn every_kind_of_store_opens_with_the_options_it_needs_and_without_a_request() {
        for (url, options) in [
            ("s3://b/m", [("aws_skip_signature", "true"), ("aws_region", "eu-west-1")]),
            ("gs://b/m", [("google_skip_signature", "true"), ("read_timeout", "5s")]),
            ("az://b/m", [("azure_storage_account_name", "a"), ("azure_skip_signature", "true")]),
            ("abfs://b@a.dfs.core.windows.net/m", [("azure_skip_signature", "true"), ("timeout", "1h")]),
            ("https://h/m", [("proxy_url", "http://proxy:3128"), ("connect_timeout", "1s")]),
        ] {
            let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let url = StoreUrl { url: url.to_owned(), options };
            let address = Address::parse(&url.url).unwrap();
            assert!(connect(&address, &url).is_ok(), "{url:?}");
        }
    }
}
