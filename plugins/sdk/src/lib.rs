//! Turns a safe `Platform` or `Source` into a plugin library: `export_plugin!`.
//!
//! The author writes a [`Platform`] in a crate of type `cdylib`, and one line that exports it. There is no `unsafe`
//! code to write, and this crate is the only one to depend on.
//!
//! ```
//! use salver_plugins_sdk::{
//!     DType, LoadRequest, Model, Platform, Probe, RunRequest, ShapeSpec, Signature, SignatureSet, Status, Tensor,
//!     TensorSpec,
//! };
//!
//! struct Doubling;
//!
//! impl Platform for Doubling {
//!     fn name(&self) -> &str {
//!         "doubling"
//!     }
//!
//!     fn probe(&self, directory: &std::path::Path) -> Probe {
//!         Probe::by_file(directory, "double.txt")
//!     }
//!
//!     fn load(&self, _request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
//!         let tensor = |name| TensorSpec::new(name, DType::F32, ShapeSpec::any());
//!         let signature = Signature::predict(vec![tensor("x")], vec![tensor("y")]);
//!         Ok(Box::new(Twice(SignatureSet::new(vec![signature])?)))
//!     }
//! }
//!
//! struct Twice(SignatureSet);
//!
//! impl Model for Twice {
//!     fn signatures(&self) -> &SignatureSet {
//!         &self.0
//!     }
//!
//!     fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
//!         let x = request.input(0)?;
//!         let doubled = x.as_slice::<f32>()?.iter().map(|x| 2.0 * x).collect();
//!         Ok(vec![Tensor::from_vec(x.shape().clone(), doubled)?])
//!     }
//! }
//!
//! salver_plugins_sdk::export_plugin! {
//!     name: "doubling",
//!     platforms: { "doubling" => Doubling },
//! }
//! # fn main() {}
//! ```
//!
//! A panic in the author's code is caught at the boundary: the request fails with INTERNAL and the panic's text, and
//! the model is loaded anew. `tracing` events reach the server's log. [`host`] tells what the server offers beside.
//!
//! [`Platform::estimate`] and [`Model::resources`] tell the server what a model takes: it then loads no more at once
//! than fits.
//!
//! A model whose work has a step that costs little more for many requests than for one opens a queue for it with
//! [`LoadRequest::batcher`], and its runs give their steps to the queue; `plugins/examples/decode` is one. On a server that
//! batches no steps, each is run by itself.
//!
//! A plugin may say which models there should be, beside its platforms or without any: a [`Source`] tells its
//! [`Target`], from threads of its own, which versions of a stream there are, as the full set, and in which directory each
//! lies. The server loads and unloads, with whichever platform recognises the files. `plugins/examples/symlinks` is one.
//!
//! **[`Platform::load`] runs on a thread of low priority**, and a thread inherits its priority from the one that starts
//! it. Threads that are to compute answers must therefore be started elsewhere: where the platform is made, or by a
//! thread that was started there. A process without privileges cannot raise a priority again.

#![expect(unsafe_code, reason = "the functions of the plugin's tables are called with pointers")]

#[cfg(panic = "abort")]
compile_error!("a plugin must not be built with panic = \"abort\": a panic would end the server with it");

mod batching;
mod context;
mod details;
mod export;
mod guard;
mod host;
mod inputs;
mod log;
mod memory;
mod model;
mod outputs;
mod platform;
mod said;
mod signatures;
mod source;
pub mod testing;

pub use host::{Host, Metric, host};

pub use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Source, Target};
pub use salver_core_platform::{
    BatchQueue, Batcher, Cancellation, LoadRequest, Model, OptionValue, Options, Platform, Probe, RunContext,
    RunRequest, StepRequest, TraceContext,
};
pub use salver_core_resource::{Allocation, Estimate, GPU, MAIN, RAM_BYTES, Resource};
pub use salver_core_servable::{ServableId, StreamName, Version};
pub use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
pub use salver_core_status::{Code, ErrorCode, Quoted, Status};
pub use salver_core_tensor::{DType, Element, Shape, Strings, StringsView, Tensor, TensorView, bf16, f16};
pub use tracing;

/// What the macro needs, and nobody else.
#[doc(hidden)]
pub mod __private {
    pub use crate::details::DETAILS_TABLE;
    pub use crate::export::{Declaration, plugin_table};
    pub use crate::memory::MEMORY_TABLE;
    pub use crate::source::{Declared, SOURCES_TABLE, declare};
    pub use salver_plugins_abi as abi;
    pub use salver_plugins_abi::rust_door::RustPlugin;

    /// The SDK as a note names it.
    pub const SDK: &str = concat!("rust ", env!("CARGO_PKG_VERSION"));
}

/// Exports platforms and sources as a plugin. Once in a library, at the root of a crate of type `cdylib`.
///
/// `name` is the plugin's; its version is that of the crate. There are `platforms`, `sources`, or both:
///
/// ```text
/// salver_plugins_sdk::export_plugin! {
///     name: "mine",
///     platforms: { "first" => First, "second" => Second::new() },
///     sources: { "shelf": "Says what is on a shelf." => Shelf::open },
/// }
/// ```
///
/// Each platform is given by its name, which it must also return from [`Platform::name`], and an expression that makes
/// it. The expressions are evaluated when the server starts the plugin, after [`host`] is there. Each source is given by
/// its name, what it is in a sentence, and a function from [`Options`] to a [`Source`] or a [`Status`]. Names are of
/// lower-case letters, digits, `-`, `_` and `.`.
#[macro_export]
macro_rules! export_plugin {
    (name: $name:literal, platforms: { $($platforms:tt)+ } $(,)?) => {
        $crate::__export_plugin! { $name, { $($platforms)+ }, {}, ::std::option::Option::None }
    };
    (name: $name:literal, sources: { $($sources:tt)+ } $(,)?) => {
        $crate::__export_plugin! { $name, {}, { $($sources)+ },
            ::std::option::Option::Some(&$crate::__private::SOURCES_TABLE) }
    };
    (name: $name:literal, platforms: { $($platforms:tt)+ }, sources: { $($sources:tt)+ } $(,)?) => {
        $crate::__export_plugin! { $name, { $($platforms)+ }, { $($sources)+ },
            ::std::option::Option::Some(&$crate::__private::SOURCES_TABLE) }
    };
}

/// What [`export_plugin!`] becomes in all of its forms.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    (
        $name:literal,
        { $($first:literal => $first_platform:expr $(, $other:literal => $other_platform:expr)* $(,)?)? },
        {
            $(
                $first_source:literal: $first_about:literal => $first_create:expr
                $(, $other_source:literal: $other_about:literal => $other_create:expr)* $(,)?
            )?
        },
        $sources:expr
    ) => {
        const _: () = {
            enum Plugin {}

            impl $crate::__private::Declaration for Plugin {
                fn platforms() -> ::std::vec::Vec<(&'static str, ::std::boxed::Box<dyn $crate::Platform>)> {
                    ::std::vec![$(
                        ($first, ::std::boxed::Box::new($first_platform) as ::std::boxed::Box<dyn $crate::Platform>)
                        $(, ($other, ::std::boxed::Box::new($other_platform)))*
                    )?]
                }

                fn sources() -> ::std::vec::Vec<$crate::__private::Declared> {
                    ::std::vec![$(
                        $crate::__private::declare($first_source, $first_about, $first_create)
                        $(, $crate::__private::declare($other_source, $other_about, $other_create))*
                    )?]
                }
            }

            impl $crate::__private::RustPlugin for Plugin {
                const TABLE: &'static $crate::__private::abi::PluginV1 =
                    &$crate::__private::plugin_table::<Plugin>();
                const MEMORY: ::std::option::Option<&'static $crate::__private::abi::PlatformMemoryV1> =
                    ::std::option::Option::Some(&$crate::__private::MEMORY_TABLE);
                const SOURCES: ::std::option::Option<&'static $crate::__private::abi::SourcesV1> = $sources;
                const DETAILS: ::std::option::Option<&'static $crate::__private::abi::TensorDetailsV1> =
                    ::std::option::Option::Some(&$crate::__private::DETAILS_TABLE);
            }

            $crate::__private::abi::__rust_door!(Plugin);

            $crate::__private::abi::__note!(NOTE, &[
                "abi=", $crate::__private::abi::note::ABI,
                "\ndoor=rust\nname=", $name,
                "\nversion=", ::std::env!("CARGO_PKG_VERSION"),
                "\ntarget=", $crate::__private::abi::note::TARGET,
                "\nsdk=", $crate::__private::SDK,
                "\nplatforms=", $($first $(, ",", $other)*,)?
                "\nsources=", $($first_source $(, ",", $other_source)*,)? "\n",
            ]);
        };
    };
}
