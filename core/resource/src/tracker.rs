//! What is taken of what there is.

use salver_core_status::{Quoted, Status};

use crate::algebra::Shortage;
use crate::{Allocation, Resource};

/// Keeps count of what is reserved, and refuses what does not fit beside it.
///
/// A device and kind of which the total names no quantity is not limited. A reservation that leaves the instance open
/// needs room on one instance, and then counts on every one until it is released, as nobody knows which one it takes.
///
/// ```
/// use salver_core_resource::{Allocation, Tracker};
///
/// let mut tracker = Tracker::new(Allocation::ram_bytes(4000))?;
/// tracker.reserve(&Allocation::ram_bytes(3000))?;
/// let refusal = tracker.reserve(&Allocation::ram_bytes(3000)).unwrap_err();
/// assert_eq!(refusal.message(), "main:0 ram_in_bytes: wants 3000, 1000 of 4000 are free");
/// # Ok::<(), salver_core_status::Status>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tracker {
    total: Allocation,
    used: Allocation,
}

impl Tracker {
    /// Nothing reserved yet of `total`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: a resource of the total does not say which instance of the device.
    pub fn new(total: Allocation) -> Result<Self, Status> {
        total.check_bound().map_err(|error| error.context("the total resources"))?;
        Ok(Self { total, used: Allocation::none() })
    }

    /// What there is; what is not in it is not limited.
    pub fn total(&self) -> &Allocation {
        &self.total
    }

    /// What is reserved: the sum of all reservations, bound and unbound apart, limited or not.
    pub fn used(&self) -> &Allocation {
        &self.used
    }

    /// What is left of the total.
    pub fn free(&self) -> Allocation {
        self.room().map(|(place, free)| (place.clone(), free)).collect()
    }

    /// Everything that is limited, and how much of it is left.
    fn room(&self) -> impl Iterator<Item = (&Resource, u64)> {
        self.total.iter().map(|(place, total)| {
            let anywhere = Resource::unbound(&*place.device, &*place.kind);
            let taken = self.used.get(place).saturating_add(self.used.get(&anywhere));
            (place, total.saturating_sub(taken))
        })
    }

    /// Counts `wanted` as used, if there is room for it.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED, with the figures of everything that is short; nothing is reserved then.
    pub fn reserve(&mut self, wanted: &Allocation) -> Result<(), Status> {
        let short: Vec<String> = wanted
            .shortages(|| self.room())
            .filter(|short| self.is_limited(short.resource))
            .map(|short| short.told(&self.total))
            .collect();
        if !short.is_empty() {
            return Err(Status::resource_exhausted(short.join("; ")));
        }
        self.used = sum(&self.used, wanted)?;
        Ok(())
    }

    /// Ends a reservation: the exact inverse of [`reserve`](Tracker::reserve) of the same.
    pub fn release(&mut self, reserved: &Allocation) {
        self.used = self.without(reserved);
    }

    /// Puts what a servable really takes in the place of what was reserved for it, whether there is room or not: it is
    /// taken already.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the sum is past what 64 bits hold. The reservation stands.
    pub fn settle(&mut self, reserved: &Allocation, taken: &Allocation) -> Result<(), Status> {
        self.used = sum(&self.without(reserved), taken)?;
        Ok(())
    }

    fn without(&self, reserved: &Allocation) -> Allocation {
        debug_assert!(self.used.checked_sub(reserved).is_some(), "released what was not reserved");
        self.used.saturating_sub(reserved)
    }

    /// Whether the total names some of this kind on any instance of the device.
    fn is_limited(&self, resource: &Resource) -> bool {
        self.total.iter().any(|(place, _)| place.device == resource.device && place.kind == resource.kind)
    }
}

fn sum(used: &Allocation, more: &Allocation) -> Result<Allocation, Status> {
    used.checked_add(more).ok_or_else(|| {
        let overflows =
            |(resource, quantity): &(&Resource, u64)| used.get(resource).checked_add(*quantity).is_none();
        let name = more.iter().find(overflows).map(|(resource, _)| resource.to_string());
        Status::resource_exhausted(format!(
            "{}: what is reserved is past what 64 bits hold",
            Quoted(&name.unwrap_or_default())
        ))
    })
}

impl Shortage<'_> {
    fn told(&self, total: &Allocation) -> String {
        let Self { resource, wanted, free, place } = self;
        let total = place.map_or(0, |place| total.get(place));
        let mut told = format!("{resource}: wants {wanted}, {free} of {total} are free");
        if let (None, Some(place)) = (resource.instance, place)
            && let Some(instance) = place.instance
        {
            told += &format!(" on {}:{instance}", place.device);
        }
        told
    }
}

#[cfg(test)]
mod tests;
