//! How web servers list their folders: by WebDAV, or as a page of links.

use std::sync::OnceLock;

use futures_util::{StreamExt, TryStreamExt};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use object_store::client::{HttpClient, HttpError, HttpErrorKind, HttpRequestBody, HttpResponse};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use salver_core_status::{Code, Status};
use url::Url;

use crate::Limits;
use crate::bucket::{Child, Children, stat};
use crate::explain::{Refused, explain, explain_http};
use crate::index::{Link, links};
use crate::version::too_large;

/// A web server.
pub(crate) struct Web {
    root: Url,
    client: HttpClient,
    /// Found out once: a server that knows the one answers it from then on.
    way: OnceLock<Way>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    WebDav,
    Page,
}

/// A page is read so far.
const MAX_PAGE: usize = 8 << 20;

/// How many objects of one folder are asked for at a time.
const QUESTIONS: usize = 8;

/// So many folders within each other are looked into: links may lead round in circles.
const MAX_DEPTH: usize = 32;

impl Web {
    /// # Errors
    /// INVALID_ARGUMENT where there can be no paths below the URL.
    pub(crate) fn new(root: &str, client: HttpClient) -> Result<Self, Status> {
        let root = Url::parse(root).map_err(|error| Status::invalid_argument(format!("URL: {error}")))?;
        Ok(Self { root, client, way: OnceLock::new() })
    }

    /// What is right in a folder.
    pub(crate) async fn children(&self, store: &dyn ObjectStore, folder: &Path) -> Result<Children, Status> {
        match self.way(folder).await? {
            Way::WebDav => {
                let listed = store.list_with_delimiter(Some(folder)).await;
                let listed = listed.map_err(|error| explain("listing", &error))?;
                Ok(Children::new(folder, listed.common_prefixes, listed.objects))
            }
            Way::Page => self.page(folder).await,
        }
    }

    /// Every object below a folder, found folder by folder: servers do not like to be asked for all at once.
    pub(crate) async fn objects(
        &self,
        store: &dyn ObjectStore,
        folder: &Path,
        limits: Limits,
    ) -> Result<Vec<ObjectMeta>, Status> {
        let mut found = Vec::new();
        let mut folders = vec![(folder.clone(), 0)];
        let mut num_folders = 0;
        while let Some((folder, depth)) = folders.pop() {
            num_folders += 1;
            if depth > MAX_DEPTH || num_folders > limits.objects {
                return Err(too_large(limits));
            }
            let children = match self.children(store, &folder).await {
                // It may go while it is looked into.
                Err(status) if status.code() == Code::NotFound => continue,
                children => children?,
            };
            folders.extend(children.folders.into_iter().map(|(_, path)| (path, depth + 1)));
            if found.len() + children.objects.len() > limits.objects {
                return Err(too_large(limits));
            }
            let metas = children.objects.into_iter().map(|child| async move {
                match child.meta {
                    Some(meta) => Ok(meta),
                    None => stat(store, &child.location).await,
                }
            });
            let metas = futures_util::stream::iter(metas).buffer_unordered(QUESTIONS);
            found.extend(metas.try_collect::<Vec<_>>().await?);
        }
        Ok(found)
    }

    async fn way(&self, folder: &Path) -> Result<Way, Status> {
        if let Some(way) = self.way.get() {
            return Ok(*way);
        }
        let method = Method::from_bytes(b"PROPFIND").unwrap_or_default();
        let way = match self.request(method, folder).await {
            Ok(answer) if answer.status() == StatusCode::MULTI_STATUS => Way::WebDav,
            // Who does not know the method says so in one of many ways, not all of them right.
            Ok(_) => Way::Page,
            Err(error) if was_answered(&error) => Way::Page,
            Err(error) => return Err(explain_http("listing", &error)),
        };
        if way == Way::Page {
            // That there is a page settles it; what else went wrong may be about this folder alone.
            self.page(folder).await?;
        }
        Ok(*self.way.get_or_init(|| way))
    }

    async fn page(&self, folder: &Path) -> Result<Children, Status> {
        let failed = |error: &HttpError| explain_http("listing", error);
        let answer = self.request(Method::GET, folder).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        if !status.is_success() {
            let refused = HttpError::new(HttpErrorKind::Unknown, Refused { status, body: String::new() });
            return Err(failed(&refused));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/html") {
            return Err(Status::failed_precondition(
                "listing: the server neither speaks WebDAV nor answers with a page of links",
            ));
        }
        let mut page = Vec::new();
        let mut chunks = answer.into_body().bytes_stream();
        while let Some(chunk) = chunks.next().await {
            page.extend_from_slice(&chunk.map_err(|error| failed(&error))?);
            if page.len() > MAX_PAGE {
                return Err(Status::resource_exhausted(format!(
                    "listing: the page has more than {MAX_PAGE} bytes"
                )));
            }
        }
        let mut children = Children::default();
        for Link { name, is_folder } in links(&String::from_utf8_lossy(&page)) {
            // Not `join`, which would encode what is no name by the crate's own standards.
            let Ok(location) = Path::parse(format!("{folder}/{name}")) else { continue };
            if is_folder {
                children.folders.push((name, location));
            } else {
                children.objects.push(Child { name, location, meta: None });
            }
        }
        Ok(children)
    }

    async fn request(&self, method: Method, folder: &Path) -> Result<HttpResponse, HttpError> {
        let mut url = self.root.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(folder.parts()).push("");
        }
        let request = http::Request::builder().method(method).uri(url.as_str()).header("Depth", "0");
        let request = request.body(HttpRequestBody::empty());
        self.client.execute(request.map_err(|error| HttpError::new(HttpErrorKind::Request, error))?).await
    }
}

/// Whether it is the server that said no, and neither the network nor time.
fn was_answered(error: &HttpError) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<Refused>())
}
