//! What the C library's allocator keeps, and returns. With glibc; elsewhere nothing is done.

#![expect(unsafe_code, reason = "mallopt and malloc_trim are C functions")]

/// Blocks of at least this size are mapped on their own, and unmapped when freed.
///
/// Measured with a 200 MB ONNX model on glibc 2.36: with it, memory is back to where it was at once; without it, 80 %
/// stays.
#[cfg(target_env = "gnu")]
const MAP_FROM_BYTES: libc::c_int = 1 << 20;

/// Sets the allocator up to return what is freed. Call once, before there are other threads.
pub fn configure() {
    #[cfg(target_env = "gnu")]
    for setting in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt takes two integers, and touches no memory of ours; glibc locks its own state.
        let _is_set = unsafe { libc::mallopt(setting, MAP_FROM_BYTES) };
    }
}

/// Returns what is free to the operating system. Takes milliseconds after a large model: not for a request's thread.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes an integer, and may be called from any thread; it touches free blocks only.
    let _has_returned_any = unsafe { libc::malloc_trim(0) };
}
