//! The contracts of the lifecycle: loaders, sources, source adapters and their targets.
//!
//! ```text
//! Source<Path> --> SourceAdapter<Path, Loader> --> Target<Loader> (the manager)
//! ```
//!
//! A source says which versions of a stream there should be, each time as the full set; what is left out is to be
//! unloaded. An adapter turns what the source knows of a version into what the next stage needs. The manager, a
//! target, loads and unloads. Errors travel along as data, so that a path that cannot be read and a file that cannot
//! be loaded look alike to whoever watches.

mod context;
mod inject;

use std::sync::{Arc, Weak};

pub use context::LoadContext;
pub use inject::ErrorInjecting;
pub use salver_core_cancel::{CancelFlag, Cancellation};
use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::{ServableId, StreamName, Version};
use salver_core_status::Status;

/// Owns the life of one servable version.
///
/// The manager asks for the [`estimate`](Loader::estimate), calls [`load`](Loader::load) until it succeeds or is not
/// to be tried again, asks to [`measure`](Loader::measure) what came of it, and calls [`unload`](Loader::unload) once
/// with it, after the last handle is gone. Never two of these at a time; all on threads that may block, and not
/// necessarily on the same one.
pub trait Loader: Send + 'static {
    /// What requests are given.
    type Servable: Send + Sync + 'static;

    /// What loading and serving will take: upper bounds. Before each attempt to load; nothing, unless it is said.
    ///
    /// # Errors
    /// Whatever prevents it; it then counts as a failed attempt to load.
    fn estimate(&mut self, id: &ServableId) -> Result<Estimate, Status> {
        let _ = id;
        Ok(Estimate::default())
    }

    /// Makes the servable. May take minutes; should look at `context.cancel` now and then and give up when it is set.
    ///
    /// # Errors
    /// Whatever prevents it; the version then ends with that status, or is tried again. Nothing is left behind that
    /// would prevent another attempt.
    fn load(&mut self, context: &LoadContext<'_>) -> Result<Self::Servable, Status>;

    /// What the servable takes now that it is loaded, at most what was estimated, all of it bound to devices; `None`:
    /// the estimate stands.
    fn measure(&self, servable: &Self::Servable) -> Option<Allocation> {
        let _ = servable;
        None
    }

    /// Frees the servable.
    fn unload(&mut self, servable: Self::Servable) {
        drop(servable);
    }
}

/// What a source knows of one version: data to load it from, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aspired<D> {
    /// The version.
    pub version: Version,
    /// Changes when the stored data do, and only then. A version that failed is tried again when its revision
    /// differs; one that is loaded stays as it is.
    pub revision: u64,
    /// What to load it from, or what is wrong.
    pub data: Result<D, Status>,
}

/// The full set of versions that one stream should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AspiredVersions<D> {
    /// The stream. Streams that a source never names are not touched.
    pub stream: StreamName,
    /// The versions wanted, no version twice; **a version left out is to be unloaded**, an empty set unloads all.
    ///
    /// An error says that the source cannot tell. What is loaded then stays loaded, and the error is shown.
    pub versions: Result<Vec<Aspired<D>>, Status>,
}

/// Whoever is told which versions there should be.
///
/// Thread-safe. Returns at once: work that takes time is done later, elsewhere. Repeating a call is harmless; of
/// several calls for one stream the last counts.
pub trait Target<D>: Send + Sync + 'static {
    /// Says which versions one stream should have.
    fn set_aspired(&self, aspired: AspiredVersions<D>);

    /// The same, for a source that wants to know whether it counts, as far as the target can tell at once.
    ///
    /// # Errors
    /// ALREADY_EXISTS: the stream is another source's. Nothing was changed; it may count when it is said again later.
    fn offer(&self, aspired: AspiredVersions<D>) -> Result<(), Status> {
        self.set_aspired(aspired);
        Ok(())
    }
}

/// A target that any number of sources can share.
pub type SharedTarget<D> = Arc<dyn Target<D>>;

/// For a source that is to outlive its target: from the target's end on, nobody is told.
impl<D: 'static, T: Target<D>> Target<D> for Weak<T> {
    fn set_aspired(&self, aspired: AspiredVersions<D>) {
        if let Some(target) = self.upgrade() {
            target.set_aspired(aspired);
        }
    }

    fn offer(&self, aspired: AspiredVersions<D>) -> Result<(), Status> {
        self.upgrade().map_or(Ok(()), |target| target.offer(aspired))
    }
}

/// Says which versions there should be.
///
/// Stateless as seen from the target: each call names one stream and its full set. Dropping the source stops it: no
/// call is made afterwards, and nothing is unloaded by that.
pub trait Source<D> {
    /// Connects the source to its target and starts it.
    fn connect(&mut self, target: SharedTarget<D>);
}

/// Turns what one stage knows of a version into what the next stage needs.
///
/// Errors pass through: a version that arrives with an error leaves with it.
pub trait SourceAdapter<In, Out>: Send + Sync + 'static {
    /// Converts one version's data.
    ///
    /// # Errors
    /// The version is passed on with the error.
    fn convert(&self, id: &ServableId, data: In) -> Result<Out, Status>;
}

/// A target that adapts and passes on: `source.connect(Arc::new(Adapted::new(adapter, target)))`.
pub struct Adapted<A, Out> {
    adapter: A,
    next: SharedTarget<Out>,
}

impl<A, Out> Adapted<A, Out> {
    /// Puts `adapter` before `next`.
    pub fn new(adapter: A, next: SharedTarget<Out>) -> Self {
        Self { adapter, next }
    }
}

impl<A, Out> Adapted<A, Out> {
    fn adapt<In>(&self, aspired: AspiredVersions<In>) -> AspiredVersions<Out>
    where
        A: SourceAdapter<In, Out>,
    {
        let AspiredVersions { stream, versions } = aspired;
        let versions = versions.map(|versions| {
            let convert = |Aspired { version, revision, data }| {
                let id = ServableId::new(stream.clone(), version);
                let data = data.and_then(|data| self.adapter.convert(&id, data));
                Aspired { version, revision, data }
            };
            versions.into_iter().map(convert).collect()
        });
        AspiredVersions { stream, versions }
    }
}

impl<A, In, Out> Target<In> for Adapted<A, Out>
where
    A: SourceAdapter<In, Out>,
    In: 'static,
    Out: 'static,
{
    fn set_aspired(&self, aspired: AspiredVersions<In>) {
        self.next.set_aspired(self.adapt(aspired));
    }

    fn offer(&self, aspired: AspiredVersions<In>) -> Result<(), Status> {
        self.next.offer(self.adapt(aspired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Halve;

    impl SourceAdapter<u32, u32> for Halve {
        fn convert(&self, id: &ServableId, data: u32) -> Result<u32, Status> {
            if data.is_multiple_of(2) {
                Ok(data / 2)
            } else {
                Err(Status::invalid_argument(format!("{id} is odd")))
            }
        }
    }

    #[derive(Default)]
    struct Record(Mutex<Vec<AspiredVersions<u32>>>);

    impl Target<u32> for Record {
        fn set_aspired(&self, aspired: AspiredVersions<u32>) {
            self.0.lock().unwrap().push(aspired);
        }
    }

    fn aspired(number: i64, data: Result<u32, Status>) -> Aspired<u32> {
        Aspired { version: Version::new(number).unwrap(), revision: 5, data }
    }

    #[test]
    fn an_adapter_converts_each_version_and_lets_errors_pass() {
        let record = Arc::new(Record::default());
        let adapted = Adapted::new(Halve, Arc::clone(&record) as SharedTarget<u32>);
        let lost = Status::data_loss("lost");
        let versions = Ok(vec![aspired(1, Ok(4)), aspired(2, Ok(3)), aspired(3, Err(lost.clone()))]);
        adapted.set_aspired(AspiredVersions { stream: "m".into(), versions });
        let odd = Status::invalid_argument("m:2 is odd");
        let wanted = Ok(vec![aspired(1, Ok(2)), aspired(2, Err(odd)), aspired(3, Err(lost))]);
        assert_eq!(record.0.lock().unwrap()[..], [AspiredVersions { stream: "m".into(), versions: wanted }]);
    }

    #[test]
    fn trouble_with_a_whole_stream_passes_through() {
        let record = Arc::new(Record::default());
        let adapted = Adapted::new(Halve, Arc::clone(&record) as SharedTarget<u32>);
        let trouble =
            AspiredVersions { stream: "m".into(), versions: Err(Status::not_found("no directory")) };
        adapted.set_aspired(trouble.clone());
        assert_eq!(record.0.lock().unwrap()[..], [trouble]);
    }

    #[test]
    fn an_injected_error_takes_the_place_of_data_and_of_no_other_error() {
        let record = Arc::new(Record::default());
        let nowhere = Status::internal("no platform found for model");
        let adapted: Adapted<_, u32> =
            Adapted::new(ErrorInjecting(nowhere.clone()), Arc::clone(&record) as SharedTarget<u32>);
        let lost = Status::data_loss("lost");
        let versions = Ok(vec![aspired(1, Ok(4)), aspired(2, Err(lost.clone()))]);
        adapted.set_aspired(AspiredVersions { stream: "m".into(), versions });
        let wanted = Ok(vec![aspired(1, Err(nowhere)), aspired(2, Err(lost))]);
        assert_eq!(record.0.lock().unwrap()[..], [AspiredVersions { stream: "m".into(), versions: wanted }]);
    }

    #[test]
    fn a_target_that_is_gone_is_told_nothing_and_one_that_is_there_is_told() {
        let record = Arc::new(Record::default());
        let weak: SharedTarget<u32> = Arc::new(Arc::downgrade(&record));
        let adapted = Adapted::new(Halve, weak);
        let set = AspiredVersions { stream: "m".into(), versions: Ok(vec![aspired(1, Ok(4))]) };
        adapted.set_aspired(set.clone());
        let wanted = AspiredVersions { stream: "m".into(), versions: Ok(vec![aspired(1, Ok(2))]) };
        assert_eq!(record.0.lock().unwrap()[..], [wanted]);
        assert_eq!(Arc::strong_count(&record), 1, "an adapter keeps no weak target alive");
        drop(record);
        adapted.set_aspired(set);
    }

    #[test]
    fn whether_a_set_counts_is_passed_back_by_who_stands_between() {
        struct Refuses;
        impl Target<u32> for Refuses {
            fn set_aspired(&self, _: AspiredVersions<u32>) {}
            fn offer(&self, _: AspiredVersions<u32>) -> Result<(), Status> {
                Err(Status::already_exists("it is another's"))
            }
        }
        let refuses = Arc::new(Refuses);
        let weak: SharedTarget<u32> = Arc::new(Arc::downgrade(&refuses));
        let adapted = Adapted::new(Halve, weak);
        let set = || AspiredVersions { stream: "m".into(), versions: Ok(vec![aspired(1, Ok(4))]) };
        assert_eq!(adapted.offer(set()), Err(Status::already_exists("it is another's")));
        drop(refuses);
        assert_eq!(adapted.offer(set()), Ok(()));
        assert_eq!(Record::default().offer(set()), Ok(()), "who cannot tell does not refuse");
    }
}
