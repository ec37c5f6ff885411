//! An adapter that turns everything into one error.

use salver_core_servable::ServableId;
use salver_core_status::Status;

use crate::SourceAdapter;

/// Turns every version's data into the given error: where versions end that nothing here can load.
///
/// Whoever watches then sees why, instead of a stream that nobody serves and nobody misses.
#[derive(Clone, Debug)]
pub struct ErrorInjecting(pub Status);

impl<In, Out> SourceAdapter<In, Out> for ErrorInjecting {
    fn convert(&self, _id: &ServableId, _data: In) -> Result<Out, Status> {
        Err(self.0.clone())
    }
}
