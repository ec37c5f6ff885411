//! One store, as this crate asks it: what is in a folder, what is below it, one object's bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use salver_core_status::{Code, Quoted, Status};
use tokio::sync::Semaphore;

use crate::address::{Address, Kind};
use crate::connect::connect;
use crate::explain::explain;
use crate::runtime::Runtime;
use crate::version::too_large;
use crate::web::Web;
use crate::{Limits, StoreUrl};

/// A store that is open.
pub(crate) struct Bucket {
    pub(crate) runtime: Runtime,
    identity: String,
    store: Arc<dyn ObjectStore>,
    /// Of a web server, how it lists.
    web: Option<Web>,
    /// Azure lists tags without the quotes that it wants them back in.
    quotes_tags: bool,
    /// How many models may be looked at at a time; each store for itself, so that one that hangs delays no other.
    pub(crate) looks: Semaphore,
}

/// What is right in a folder.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// Each with its last part, ordered by that.
    pub(crate) folders: Vec<(String, Path)>,
    pub(crate) objects: Vec<Child>,
}

/// An object right in a folder.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) location: Path,
    /// Where the listing tells; see [`Bucket::stat`].
    pub(crate) meta: Option<ObjectMeta>,
}

/// How often a request that may work next time is made before its failure is told.
const TRIES: u32 = 3;

impl Bucket {
    pub(crate) fn open(address: &Address, url: &StoreUrl, runtime: Runtime) -> Result<Self, Status> {
        let connection = connect(address, url)?;
        let web = connection.client.map(|client| Web::new(&address.root, client)).transpose()?;
        let quotes_tags = address.kind == Kind::Azure;
        // Buckets of one name are not the same bucket everywhere.
        let endpoints = url.options.iter().filter(|(key, _)| key.ends_with("endpoint"));
        let endpoints = endpoints.map(|(_, value)| format!(" at {value}"));
        let identity = address.root.clone() + &endpoints.collect::<String>();
        Ok(Self { web, quotes_tags, ..Self::of(identity, connection.store, runtime) })
    }

    /// A store that is no web server's.
    pub(crate) fn of(identity: String, store: Arc<dyn ObjectStore>, runtime: Runtime) -> Self {
        const LOOKS: usize = 16;
        Self { runtime, identity, store, web: None, quotes_tags: false, looks: Semaphore::new(LOOKS) }
    }

    /// What its objects are told from another store's by.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// What is right in a folder.
    ///
    /// # Errors
    /// NOT_FOUND where there is nothing at all: a store knows no empty folders. Else as [`explain`].
    pub(crate) async fn children(&self, folder: &Path) -> Result<Children, Status> {
        let listed = patiently(|| async {
            match &self.web {
                Some(web) => web.children(&*self.store, folder).await,
                None => self
                    .store
                    .list_with_delimiter(Some(folder))
                    .await
                    .map_err(|error| explain("listing", &error))
                    .map(|listed| Children::new(folder, listed.common_prefixes, listed.objects)),
            }
        });
        let listed = listed.await?;
        if listed.folders.is_empty() && listed.objects.is_empty() {
            return Err(Status::not_found("nothing is there"));
        }
        Ok(listed)
    }

    /// Every object below a folder; none where there is no folder.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED past the limit on their number. Else as [`explain`].
    pub(crate) async fn objects(&self, folder: &Path, limits: Limits) -> Result<Vec<ObjectMeta>, Status> {
        patiently(|| async {
            if let Some(web) = &self.web {
                return web.objects(&*self.store, folder, limits).await;
            }
            let mut found = Vec::new();
            // What stands for folders comes on top, and is left out later.
            let most = limits.objects.saturating_mul(2);
            let mut listed = self.store.list(Some(folder));
            while let Some(meta) = listed.try_next().await.map_err(|error| explain("listing", &error))? {
                found.push(meta);
                if found.len() > most {
                    return Err(too_large(limits));
                }
            }
            Ok(found)
        })
        .await
    }

    /// What there is to know of an object in a listing that did not tell.
    pub(crate) async fn stat(&self, child: &Child) -> Result<ObjectMeta, Status> {
        match &child.meta {
            Some(meta) => Ok(meta.clone()),
            None => patiently(|| stat(&*self.store, &child.location)).await,
        }
    }

    /// The whole of a small object.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it is larger than `most` bytes. Else as [`explain`].
    pub(crate) async fn read(&self, meta: &ObjectMeta, most: u64) -> Result<Vec<u8>, Status> {
        let shown = Quoted(meta.location.as_ref());
        if meta.size > most {
            let size = meta.size;
            return Err(Status::invalid_argument(format!("{shown} has {size} bytes, at most {most} may be")));
        }
        patiently(|| async {
            let doing = || format!("reading {shown}");
            let options = GetOptions::default();
            let got = self.store.get_opts(&meta.location, options).await;
            let mut chunks = got.map_err(|error| explain(doing(), &error))?.into_stream();
            let mut bytes = Vec::new();
            while let Some(chunk) = chunks.next().await {
                bytes.extend_from_slice(&chunk.map_err(|error| explain(doing(), &error))?);
                if bytes.len() as u64 > most {
                    return Err(Status::invalid_argument(format!("{shown} has more than {most} bytes")));
                }
            }
            Ok(bytes)
        })
        .await
    }

    /// Starts to read an object. Once: whoever reads keeps what came, and tries again from there.
    pub(crate) async fn get(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    /// A tag of a listing, as it is asked for.
    pub(crate) fn condition(&self, e_tag: &str) -> String {
        if self.quotes_tags && !e_tag.starts_with(['"', 'W']) {
            format!("\"{e_tag}\"")
        } else {
            e_tag.to_owned()
        }
    }
}

/// One object, as its own answer tells.
pub(crate) async fn stat(store: &dyn ObjectStore, location: &Path) -> Result<ObjectMeta, Status> {
    let options = GetOptions { head: true, ..GetOptions::default() };
    let got = store.get_opts(location, options).await;
    Ok(got.map_err(|error| explain(format_args!("asking for {}", Quoted(location.as_ref())), &error))?.meta)
}

impl Children {
    /// Of what a store lists: what is elsewhere is left out, and so is what stands for the folder itself.
    pub(crate) fn new(folder: &Path, folders: Vec<Path>, objects: Vec<ObjectMeta>) -> Self {
        let mut folders: Vec<_> =
            folders.into_iter().filter_map(|path| Some((last_part(folder, &path)?, path))).collect();
        folders.sort_unstable();
        let child = |meta: ObjectMeta| {
            let name = last_part(folder, &meta.location)?;
            Some(Child { name, location: meta.location.clone(), meta: Some(meta) })
        };
        Self { folders, objects: objects.into_iter().filter_map(child).collect() }
    }

    pub(crate) fn object(&self, name: &str) -> Option<&Child> {
        self.objects.iter().find(|child| child.name == name)
    }
}

/// The last part of the path of something right in a folder.
fn last_part(folder: &Path, path: &Path) -> Option<String> {
    let mut parts = path.prefix_match(folder)?;
    let name = parts.next()?.as_ref().to_owned();
    parts.next().is_none().then_some(name)
}

/// Tries again, a little later, what failed for a reason that may pass.
async fn patiently<T, F: Future<Output = Result<T, Status>>>(request: impl Fn() -> F) -> Result<T, Status> {
    let mut tried = 1;
    loop {
        match request().await {
            Err(status) if status.code() == Code::Unavailable && tried < TRIES => {
                tokio::time::sleep(Duration::from_millis(100) * 4_u32.pow(tried)).await;
                tried += 1;
            }
            outcome => return outcome,
        }
    }
}

/// The stores that are open, each once for all the models in it.
pub(crate) struct Buckets {
    runtime: Runtime,
    open: Mutex<BTreeMap<StoreUrl, Arc<Bucket>>>,
}

impl Buckets {
    pub(crate) fn new(runtime: Runtime) -> Self {
        Self { runtime, open: Mutex::default() }
    }

    /// The store that an address is in, opened with the options of `url`.
    pub(crate) fn open(&self, address: &Address, url: &StoreUrl) -> Result<Arc<Bucket>, Status> {
        let key = StoreUrl { url: address.root.clone(), options: url.options.clone() };
        let mut open = self.open.lock();
        if let Some(bucket) = open.get(&key) {
            return Ok(Arc::clone(bucket));
        }
        let bucket = Arc::new(Bucket::open(address, url, self.runtime.clone())?);
        open.insert(key, Arc::clone(&bucket));
        Ok(bucket)
    }

    /// Takes a store for the one that an address is in.
    #[cfg(test)]
    pub(crate) fn insert(&self, root: &str, store: Arc<dyn ObjectStore>) {
        let bucket = Bucket::of(root.to_owned(), store, self.runtime.clone());
        self.open.lock().insert(root.into(), Arc::new(bucket));
    }
}
