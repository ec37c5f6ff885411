//! Which devices there are.

use std::collections::BTreeMap;

use salver_core_status::{Quoted, Status};

use crate::{Allocation, MAIN, Resource};

/// The devices of a machine, and how many instances there are of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices(BTreeMap<String, u32>);

/// The machine's own processor and memory, and nothing else.
impl Default for Devices {
    fn default() -> Self {
        Self([(MAIN.to_owned(), 1)].into())
    }
}

impl Devices {
    /// These devices, so many instances of each, counted from 0.
    pub fn new(instances: impl IntoIterator<Item = (impl Into<String>, u32)>) -> Self {
        Self(instances.into_iter().map(|(device, count)| (device.into(), count)).collect())
    }

    /// Checks that an allocation is of these devices.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming the first device or instance that there is not.
    pub fn check(&self, allocation: &Allocation) -> Result<(), Status> {
        for (resource, _) in allocation.iter() {
            let device = Quoted(&resource.device);
            let Some(count) = self.0.get(&resource.device) else {
                return Err(Status::invalid_argument(format!("there is no device {device}")));
            };
            if let Some(instance) = resource.instance.filter(|instance| instance >= count) {
                return Err(Status::invalid_argument(format!(
                    "there is no instance {instance} of device {device}: there are {count}, counted from 0"
                )));
            }
        }
        Ok(())
    }

    /// The same allocation in normal form: what is of a device of which there is one is bound to it. A sum past what
    /// 64 bits hold stays at the most they hold.
    pub fn normalize(&self, allocation: &Allocation) -> Allocation {
        let only_one = |device: &str| self.0.get(device) == Some(&1);
        let place = |resource: &Resource| match resource.instance {
            None if only_one(&resource.device) => Resource { instance: Some(0), ..resource.clone() },
            _ => resource.clone(),
        };
        let mut normal = Allocation::none();
        for (resource, quantity) in allocation.iter() {
            normal.raise(place(resource), quantity);
        }
        normal
    }

    /// The most that the allocation may take of each instance: what is bound to no instance counts on every one. A sum
    /// past what 64 bits hold stays at the most they hold.
    pub fn overbind(&self, allocation: &Allocation) -> Allocation {
        let mut bound = Allocation::none();
        for (resource, quantity) in allocation.iter() {
            let instances = match resource.instance {
                Some(instance) => instance..instance.saturating_add(1),
                None => 0..self.0.get(&resource.device).copied().unwrap_or(0),
            };
            for instance in instances {
                bound.raise(Resource { instance: Some(instance), ..resource.clone() }, quantity);
            }
        }
        bound
    }
}

impl Allocation {
    fn raise(&mut self, resource: Resource, by: u64) {
        let sum = self.get(&resource).saturating_add(by);
        self.set(resource, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::of;

    fn devices() -> Devices {
        Devices::new([("main", 1), ("gpu", 2)])
    }

    #[test]
    fn an_allocation_of_devices_that_there_are_is_valid_bound_or_not() {
        for valid in ["", "main:0 ram 5", "main ram 5, gpu:0 ram 1, gpu:1 ram 1, gpu ram 1, gpu slots 1"] {
            assert_eq!(devices().check(&of(valid)), Ok(()), "{valid}");
        }
    }

    #[test]
    fn a_device_or_an_instance_that_there_is_not_is_named() {
        let check = |invalid: &str, why: &str| {
            assert_eq!(devices().check(&of(invalid)), Err(Status::invalid_argument(why)));
        };
        check("main:0 ram 5, tpu ram 1", "there is no device `tpu`");
        check("main:1 ram 5", "there is no instance 1 of device `main`: there are 1, counted from 0");
        check(
            "gpu:0 ram 1, gpu:2 ram 1",
            "there is no instance 2 of device `gpu`: there are 2, counted from 0",
        );
    }

    #[test]
    fn the_machine_itself_is_there_by_default() {
        assert_eq!(Devices::default().check(&Allocation::ram_bytes(1)), Ok(()));
        assert!(Devices::default().check(&of("gpu ram 1")).is_err());
    }

    #[test]
    fn in_normal_form_what_is_of_a_single_instance_is_bound_to_it() {
        let check = |given: &str, normal: &str| assert_eq!(devices().normalize(&of(given)), of(normal));
        check("", "");
        check("main ram 5, gpu ram 7", "main:0 ram 5, gpu ram 7");
        check("main ram 5, main:0 ram 2, gpu:1 ram 7", "main:0 ram 7, gpu:1 ram 7");
        check("main:0 ram 0", "");
        check("main ram 18446744073709551615, main:0 ram 2", "main:0 ram 18446744073709551615");
    }

    #[test]
    fn what_is_bound_to_no_instance_may_be_on_any_and_counts_on_each() {
        let check = |given: &str, most: &str| assert_eq!(devices().overbind(&of(given)), of(most));
        check("", "");
        check("main:0 ram 5, gpu:1 ram 7", "main:0 ram 5, gpu:1 ram 7");
        check(
            "main ram 5, gpu ram 7, gpu:1 ram 1, gpu:0 slots 1",
            "main:0 ram 5, gpu:0 ram 7, gpu:1 ram 8, gpu:0 slots 1",
        );
        check(
            "gpu ram 18446744073709551615, gpu:1 ram 2",
            "gpu:0 ram 18446744073709551615, gpu:1 ram 18446744073709551615",
        );
    }
}
