//! Which outputs a model has handed out and not yet had back.

use std::ffi::c_void;

use parking_lot::Mutex;

/// How many parts the ledger has, so that runs at the same time seldom meet.
const PARTS: usize = 16;

/// The owners of outputs that are not yet released.
#[derive(Debug, Default)]
pub(crate) struct Ledger([Mutex<Vec<usize>>; PARTS]);

impl Ledger {
    fn part(&self, owner: *mut c_void) -> &Mutex<Vec<usize>> {
        // Owners are mostly addresses of heap blocks: above the bits of their alignment they are well spread.
        let [first, ..] = &self.0;
        self.0.get((owner.addr() >> 5) % PARTS).unwrap_or(first)
    }

    /// Notes that `owner` is handed out; `false` where it already is.
    #[must_use]
    pub(crate) fn hand_out(&self, owner: *mut c_void) -> bool {
        let mut live = self.part(owner).lock();
        let is_new = !live.contains(&owner.addr());
        if is_new {
            live.push(owner.addr());
        }
        is_new
    }

    /// Forgets `owner`: from here on it may be handed out again.
    pub(crate) fn take_back(&self, owner: *mut c_void) {
        let mut live = self.part(owner).lock();
        if let Some(at) = live.iter().position(|address| *address == owner.addr()) {
            live.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_handed_out_again_only_after_it_is_taken_back() {
        let ledger = Ledger::default();
        let owner = std::ptr::without_provenance_mut(0x40);
        assert!(ledger.hand_out(owner));
        assert!(!ledger.hand_out(owner));
        assert!(ledger.hand_out(std::ptr::without_provenance_mut(0x40 + 32 * PARTS)));
        ledger.take_back(owner);
        assert!(ledger.hand_out(owner));
    }
}
