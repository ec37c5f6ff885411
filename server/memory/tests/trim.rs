//! Memory that is written to is resident, and once it is freed the operating system has it back.
//!
//! Alone in its process: other tests take memory, too.
#![cfg(all(test, target_os = "linux", target_env = "gnu"))]

use salver_server_memory::{resident_bytes, trim};

#[test]
fn memory_in_small_blocks_is_given_back() {
    let before = resident_bytes().unwrap();
    // Small blocks between the large ones stay, so that what is free is not at the end of the heap, where it is returned
    // without asking.
    let (large, small): (Vec<_>, Vec<_>) = (0..2048).map(|_| (vec![1u8; 64 << 10], vec![1u8; 16])).unzip();
    let full = resident_bytes().unwrap();
    drop(large);
    trim();
    let after = resident_bytes().unwrap();
    let (taken, left) = (full.saturating_sub(before), after.saturating_sub(before));
    assert!(taken > 100 << 20 && left < taken / 4, "{left} of {taken} bytes are left with {}", small.len());
}
