//! What models take, behind its table.

use std::ffi::c_void;

use salver_core_platform::Platform;
use salver_core_resource::{Allocation, Resource};
use salver_core_status::Status;
use salver_plugins_abi as abi;

use crate::{export, guard, model, platform};

/// The table of every plugin: a platform that does not know what its models take says so there.
#[doc(hidden)]
pub const MEMORY_TABLE: abi::PlatformMemoryV1 =
    abi::PlatformMemoryV1 { estimate: Some(estimate), resources: Some(resources), trim: Some(trim) };

unsafe extern "C" fn estimate(
    index: usize,
    request: *const abi::LoadRequest,
    quantities: *const abi::QuantitySink,
    error: *const abi::ErrorSink,
) -> u32 {
    let body = || {
        let platform = platform_at(index)?;
        // SAFETY: the server passes a request that is valid for the call.
        let estimate = unsafe { platform::with_request(&*request, |request| platform.estimate(request)) }?;
        let Some(estimate) = estimate else {
            return Ok(abi::CANNOT_TELL);
        };
        // SAFETY: the server passes a sink for the call.
        unsafe {
            add(quantities, abi::WHEN_LOADING, &estimate.loading);
            add(quantities, abi::WHEN_LOADED, &estimate.loaded);
        }
        Ok(abi::OK)
    };
    // SAFETY: as above.
    unsafe { guard::report(error, body) }
}

unsafe extern "C" fn resources(
    _index: usize,
    model: *mut c_void,
    quantities: *const abi::QuantitySink,
    error: *const abi::ErrorSink,
) -> u32 {
    let body = || {
        // SAFETY: the server passes what was handed over and has not unloaded it.
        let Some(allocation) = (unsafe { model::resources(model) }) else {
            return Ok(abi::CANNOT_TELL);
        };
        // SAFETY: the server passes a sink for the call.
        unsafe { add(quantities, abi::WHEN_LOADED, &allocation) };
        Ok(abi::OK)
    };
    // SAFETY: as above.
    unsafe { guard::report(error, body) }
}

unsafe extern "C" fn trim(index: usize, error: *const abi::ErrorSink) -> u32 {
    let body = || {
        platform_at(index)?.trim();
        Ok(abi::OK)
    };
    // SAFETY: the server passes a sink for the call.
    unsafe { guard::report(error, body) }
}

fn platform_at(index: usize) -> Result<&'static dyn Platform, Status> {
    let platform = export::platform(index);
    platform
        .ok_or_else(|| Status::internal(format!("the server asked for platform {index}, which is not there")))
}

/// # Safety
/// `sink` points to a sink that may be called.
unsafe fn add(sink: *const abi::QuantitySink, when: u32, allocation: &Allocation) {
    for (Resource { device, instance, kind }, amount) in allocation.iter() {
        let instance = match instance {
            None => abi::ANY_INSTANCE,
            // An instance beyond what can be said is beyond what a machine has: the server refuses it.
            Some(instance) => i32::try_from(*instance).unwrap_or(i32::MIN),
        };
        let (device, kind) = (abi::Str::new(device), abi::Str::new(kind));
        let quantity = abi::Quantity { device, kind, instance, when, amount };
        // SAFETY: the caller's promise is this function's; the quantity outlives the call.
        unsafe { ((*sink).add)((*sink).context, &raw const quantity) }
    }
}
