//! What a plugin says that its models take, checked.

use std::ffi::c_void;

use salver_core_platform::LoadRequest;
use salver_core_resource::{Allocation, Estimate, Resource};
use salver_core_servable::ServableId;
use salver_core_status::{Quoted, Status};
use salver_plugins_abi as abi;

use crate::inputs::{load_request, params};
use crate::instance::Shown;
use crate::sink::{Failure, Said};

/// The most quantities that are taken from one call.
const COUNT_LIMIT: usize = 256;

/// The longest name of a device or a kind that is taken.
const NAME_LIMIT: usize = 64;

/// A [`abi::PlatformMemoryV1`] whose functions are all there, and which of the plugin's platforms it is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    platform: usize,
    estimate: unsafe extern "C" fn(
        usize,
        *const abi::LoadRequest,
        *const abi::QuantitySink,
        *const abi::ErrorSink,
    ) -> u32,
    resources:
        unsafe extern "C" fn(usize, *mut c_void, *const abi::QuantitySink, *const abi::ErrorSink) -> u32,
    trim: unsafe extern "C" fn(usize, *const abi::ErrorSink) -> u32,
}

impl Memory {
    /// The table for the platform at this position; `None` where it lacks a function.
    pub(crate) fn new(table: &abi::PlatformMemoryV1, platform: usize) -> Option<Self> {
        let abi::PlatformMemoryV1 { estimate, resources, trim } = *table;
        Some(Self { platform, estimate: estimate?, resources: resources?, trim: trim? })
    }

    /// What a model will take; `None` where the plugin cannot tell.
    pub(crate) fn estimate(
        &self,
        plugin: &str,
        request: &LoadRequest<'_>,
    ) -> Result<Option<Estimate>, Failure> {
        let options = params(request.options);
        let table = load_request(request, &options);
        let call = |quantities, error| {
            // SAFETY: all that is passed is alive for the call, and the plugin is started.
            unsafe { (self.estimate)(self.platform, &raw const table, quantities, error) }
        };
        let told = told(plugin, format_args!("estimating model {}", Shown(request.id)), call)?;
        Ok(told.map(|Told { mut loading, loaded, .. }| {
            for (resource, amount) in loaded.iter() {
                loading.set(resource.clone(), amount.max(loading.get(resource)));
            }
            Estimate { loading, loaded }
        }))
    }

    /// What a model takes; `None` where the plugin cannot tell.
    ///
    /// # Safety
    /// `model` was loaded by the platform, and is not unloaded during the call.
    pub(crate) unsafe fn resources(
        &self,
        plugin: &str,
        id: &ServableId,
        model: *mut c_void,
    ) -> Result<Option<Allocation>, Failure> {
        let doing = format_args!("measuring model {}", Shown(id));
        // SAFETY: the model is loaded, by the caller's promise; the sinks are alive for the call.
        let call = |quantities, error| unsafe { (self.resources)(self.platform, model, quantities, error) };
        match told(plugin, doing, call)? {
            Some(told) if !told.loading.is_none() => {
                Err(wrong(plugin, doing, "told what the model takes while it is loaded, when it was"))
            }
            told => Ok(told.map(|told| told.loaded)),
        }
    }

    /// Lets the plugin give memory back.
    pub(crate) fn trim(&self, plugin: &str) -> Result<(), Failure> {
        let mut said = Said::default();
        let sink = said.error_sink();
        // SAFETY: the sink is alive for the call, and the plugin is started.
        match unsafe { (self.trim)(self.platform, &raw const sink) } {
            abi::OK | abi::CANNOT_TELL => Ok(()),
            code => Err(said.failure(plugin, code, format_args!("giving memory back"))),
        }
    }
}

fn wrong(plugin: &str, doing: std::fmt::Arguments<'_>, what: &str) -> Failure {
    Status::internal(format!("plugin {}, {doing}, {what}", Quoted(plugin))).into()
}

/// What a call tells; `None` where it has no answer.
fn told(
    plugin: &str,
    doing: std::fmt::Arguments<'_>,
    call: impl FnOnce(*const abi::QuantitySink, *const abi::ErrorSink) -> u32,
) -> Result<Option<Told>, Failure> {
    let (mut told, mut said) = (Told::default(), Said::default());
    let (quantities, error) = (told.sink(), said.error_sink());
    match call(&raw const quantities, &raw const error) {
        abi::CANNOT_TELL => Ok(None),
        abi::OK => match told.wrong {
            Some(what) => Err(wrong(plugin, doing, &format!("told of {what}"))),
            None => Ok(Some(told)),
        },
        code => Err(said.failure(plugin, code, doing)),
    }
}

/// Where a plugin's quantities are collected.
#[derive(Debug, Default)]
struct Told {
    loading: Allocation,
    loaded: Allocation,
    count: usize,
    /// What was wrong with the first that was, as the end of a sentence. Those after it are not looked at.
    wrong: Option<String>,
}

impl Told {
    /// A sink that writes here, for one call: it must not be used when `self` is gone or borrowed otherwise.
    fn sink(&mut self) -> abi::QuantitySink {
        abi::QuantitySink { context: std::ptr::from_mut(self).cast(), add }
    }

    /// # Safety
    /// What `quantity` points to, where pointers and sizes can be right, is valid during the call.
    unsafe fn add(&mut self, quantity: *const abi::Quantity) -> Result<(), String> {
        self.count += 1;
        if self.count > COUNT_LIMIT {
            return Err(format!("more than {COUNT_LIMIT} quantities"));
        }
        // SAFETY: the caller's promise is this function's, here and below.
        let quantity = unsafe { abi::array(quantity, 1) }.ok().and_then(<[_]>::first);
        let quantity = quantity.ok_or("a quantity that is null or misaligned")?;
        // SAFETY: as above.
        let (device, kind) = unsafe { (name(quantity.device, "device")?, name(quantity.kind, "kind")?) };
        let instance = match quantity.instance {
            abi::ANY_INSTANCE => None,
            number => Some(u32::try_from(number).map_err(|_| {
                format!("instance {number} of device {}, wanted 0 or more, or -1", Quoted(&device))
            })?),
        };
        let resource = Resource { device, instance, kind };
        let allocation = match quantity.when {
            abi::WHEN_LOADING => &mut self.loading,
            abi::WHEN_LOADED => &mut self.loaded,
            when => return Err(format!("{resource} at the unknown time {when}")),
        };
        if allocation.get(&resource) != 0 {
            return Err(format!("{resource} twice"));
        }
        allocation.set(resource, quantity.amount);
        Ok(())
    }
}

/// # Safety
/// As [`abi::Str::bytes`].
unsafe fn name(text: abi::Str, what: &str) -> Result<String, String> {
    if text.size == 0 || text.size > NAME_LIMIT {
        return Err(format!("a {what} whose name has {} bytes, wanted 1 to {NAME_LIMIT}", text.size));
    }
    // SAFETY: the caller's promise is this function's.
    let bytes = unsafe { text.bytes() }.map_err(|_| format!("a {what} whose name is null"))?;
    String::from_utf8(bytes.to_owned()).map_err(|_| format!("a {what} whose name is not UTF-8"))
}

unsafe extern "C" fn add(context: *mut c_void, quantity: *const abi::Quantity) {
    // SAFETY: the plugin passes the sink's context, during the call that was given the sink.
    let told = unsafe { &mut *context.cast::<Told>() };
    if told.wrong.is_none() {
        // SAFETY: the plugin passes a quantity that is valid for the call.
        told.wrong = unsafe { told.add(quantity) }.err();
    }
}
