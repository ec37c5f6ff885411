//! Where work goes that takes long on large bodies.

use salver_core_status::Status;

/// Work on so many bytes takes about a millisecond: less than that is not worth another thread.
const INLINE_BYTES: usize = 256 * 1024;

/// Does work that grows with `bytes`: here where they are few, else on a thread that may block.
///
/// Work that was begun on a thread is finished there, even when the future is dropped.
///
/// # Errors
/// Those of the work; INTERNAL where it was lost, to a panic.
pub async fn on<T: Send + 'static>(
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
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(|error| Status::internal(format!("the request's work was lost: {error}")))
}
