//! Where work goes that takes long on large bodies.

use salver_core_status::Status;
use salver_server_inference::Answer;

/// Work on so many bytes takes about a millisecond: less than that is not worth another thread.
const INLINE_BYTES: usize = 256 * 1024;

/// Does work that grows with `bytes`: here where they are few, else on a thread that may block.
///
/// Work that was begun on a thread is finished there, even when the future is dropped.
pub(crate) async fn on<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    if bytes <= INLINE_BYTES {
        return work();
    }
    apart(work).await?
}

/// Does work on a thread that may block.
///
/// # Errors
/// INTERNAL where the work was lost, to a panic.
pub(crate) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(|error| Status::internal(format!("the request's work was lost: {error}")))
}

/// How many bytes the tensors of an answer have whose names are `wanted`.
pub(crate) fn bytes_of(answer: &Answer, wanted: impl Fn(&str) -> bool) -> usize {
    let tensors = answer.outputs().filter(|(spec, _)| wanted(&spec.name));
    let bytes = tensors.map(|(_, tensor)| match (tensor.fixed(), tensor.strings()) {
        (Some(elements), _) => elements.len(),
        (None, Some(strings)) => strings.view().total_bytes() + strings.len(),
        (None, None) => 0,
    });
    bytes.fold(0, usize::saturating_add)
}
