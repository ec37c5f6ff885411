//! Gives freed memory back to the operating system, and keeps loading out of the way of requests.
//!
//! A framework frees a model's weights to the C library's allocator, which keeps them for later: [`configure`] makes it
//! return large blocks as they are freed, and [`trim`] returns the rest. [`memory_limit`] and [`resident_bytes`] say how
//! much there may be and how much there is.
//!
//! A load reads gigabytes and keeps a processor busy for seconds. Threads that load call [`lower_priority`];
//! [`forget_files`] gives back the page cache that a load has filled.
//!
//! What an operating system lacks or does not allow is left undone: nothing here is needed for a right answer.

mod allocator;
mod files;
mod limit;
mod priority;
mod resident;

pub use allocator::{configure, trim};
pub use files::{directory_size, forget_files};
pub use limit::{Limit, memory_limit};
pub use priority::{Lowered, lower_priority};
pub use resident::resident_bytes;
