//! Watches buckets for model versions, and brings them to this machine.
//!
//! A model is a URL with one folder per version, named by its number; a *repository* is a URL whose folders are models,
//! each named by its own. [`ObjectStoreSource`] says which versions there should be, as [`RemoteVersion`]s; whoever
//! loads one has [`Cache::fetch`] bring it to a folder first, and keeps the [`Lease`] until it is unloaded.
//!
//! The conventions are those of `salver-manager-source-file`, and differ where an object store is no disk:
//!
//! - Only what is asked for is looked into: one listing of the model's folders, and one of each version chosen.
//! - A folder is there as long as something is in it. Where there is nothing at all at a model's URL, that is an error,
//!   which changes nothing; a model of a repository that is gone is unloaded.
//! - A version that appears is taken once it was found the same at two looks, `settle` apart, or has the object that
//!   says it is complete. At the first look, what did not change for as long is complete.
//! - A version's revision changes with the names, sizes and ETags of its objects; without ETags, with their times.
//! - A look that fails is repeated, a little later each time, until looks are as far apart as they would be anyway.
//!
//! Credentials and endpoints come from the environment, as the crate `object_store` reads it, or from the options of a
//! [`StoreUrl`].
//!
//! ```no_run
//! use salver_core_loader::{LoadContext, SharedTarget, Source};
//! use salver_core_status::Status;
//! use salver_manager_source_object_store::{
//!     Cache, CacheConfig, Config, Lease, ModelUrl, ObjectStoreSource, RemoteVersion,
//! };
//!
//! fn watch(target: SharedTarget<RemoteVersion>) -> ObjectStoreSource {
//!     let models = vec![ModelUrl::new("digits", "s3://models/digits")];
//!     let mut source = ObjectStoreSource::new(Config { models, ..Config::default() });
//!     source.connect(target);
//!     source
//! }
//!
//! fn open() -> Result<Cache, Status> {
//!     Cache::open(CacheConfig { folder: "/var/cache/salver".into(), max_bytes: Some(200 << 30) })
//! }
//!
//! // In a loader, which keeps the lease beside the servable.
//! fn load(cache: &Cache, version: &RemoteVersion, context: &LoadContext<'_>) -> Result<Lease, Status> {
//!     let lease = cache.fetch(version, context)?;
//!     println!("{} is here now", lease.path().display());
//!     Ok(lease)
//! }
//! ```

mod address;
mod board;
mod bucket;
mod cache;
mod config;
mod connect;
mod explain;
mod index;
mod model;
mod runtime;
mod source;
mod version;
mod watch;
mod web;

pub use cache::{Cache, CacheConfig, Lease};
pub use config::{Config, Limits, ModelUrl, PolicyFor, Settings, StoreUrl};
pub use source::ObjectStoreSource;
pub use version::RemoteVersion;

#[cfg(test)]
mod tests;
