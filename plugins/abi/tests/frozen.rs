//! What is released stays: the layout of every table, as plugins that exist have it.
//!
//! `layout/v1.txt` has the figures, which `cargo xtask codegen` holds the source against; this is what the compiler says.
//! A failure here is no reason to change a figure. Leave the table as it was, and make a new one.

use std::mem::offset_of;

use salver_core_status::Code;
use salver_core_tensor::DType;
use salver_plugins_abi::*;

/// Every table with all its fields, as the compiler lays them out: lines as in the file of the layout.
macro_rules! tables {
    ($($table:ident { $($field:ident),* })*) => {
        [$(
            vec![
                format!("struct {}: {} bytes, aligned to {}", stringify!($table), size_of::<$table>(), align_of::<$table>()),
                $(format!("{}.{} at {}", stringify!($table), stringify!($field), offset_of!($table, $field)),)*
            ],
        )*]
        .concat()
    };
}

#[test]
fn the_tables_are_where_the_released_layout_says() {
    let mut ours = tables! {
        Str { data, size }
        Bytes { data, size }
        TextSink { context, put }
        ErrorSink { context, fail }
        Tensor { dtype, rank, shape, data, size }
        TensorSpec { name, dtype, rank, shape, flags, default_value }
        Signature { name, method, inputs, input_count, outputs, output_count }
        Signatures { data, count }
        Param { name, kind, integer, number, text }
        HostV1 { context, log, metrics, cpu, plugin_path, table }
        LogV1 { context, max_level, write }
        MetricsV1 { context, make, record }
        CpuV1 { context, threads }
        RunRequest { signature, inputs, input_count, outputs, output_count, deadline_ns, cancelled, trace_id, span_id, trace_flags, request_id, params, param_count }
        Outputs { tensors, count, owner }
        ModelV1 { signatures, run, release, unload }
        PluginV1 { start, platform_count, platform }
        PlatformV1 { context, name, probe, load }
        LoadRequest { name, version, directory, options, option_count, cancelled }
        LoadedModel { model, table }
        Quantity { device, kind, instance, when, amount }
        QuantitySink { context, add }
        PlatformMemoryV1 { estimate, resources, trim }
        StepV1 { model, version, name, step, options, option_count }
        BatchingV1 { context, open, run, release, close }
        SourcesV1 { count, source }
        SourceV1 { context, name, description, create, destroy }
        TargetV1 { context, set_aspired }
        AspiredStream { name, code, message, versions, version_count }
        AspiredVersion { number, revision, code, directory, message }
        TensorDetail { graph_name, flags }
        TensorDetailsV1 { tensor }
    };
    // The prefix of Rust's door aside, which `abi_stable` lays out.
    let is_table = |line: &&str| {
        (line.starts_with("struct ") || line.contains(" at ")) && !line.starts_with("PluginRoot.")
    };
    let place = |line: &str| match line.split_once(": ") {
        Some((place, _)) if line.contains(" at ") => place.to_owned(),
        _ => line.to_owned(),
    };
    let released = include_str!("../layout/v1.txt").lines().filter(|line| !line.starts_with('#'));
    let mut released: Vec<_> = released.filter(is_table).map(place).collect();
    ours.sort();
    released.sort();
    assert_eq!(ours, released);
}

#[test]
fn no_number_changes() {
    for (ours, theirs) in [
        (CANCELLED, Code::Cancelled),
        (UNKNOWN, Code::Unknown),
        (INVALID_ARGUMENT, Code::InvalidArgument),
        (DEADLINE_EXCEEDED, Code::DeadlineExceeded),
        (NOT_FOUND, Code::NotFound),
        (ALREADY_EXISTS, Code::AlreadyExists),
        (PERMISSION_DENIED, Code::PermissionDenied),
        (RESOURCE_EXHAUSTED, Code::ResourceExhausted),
        (FAILED_PRECONDITION, Code::FailedPrecondition),
        (ABORTED, Code::Aborted),
        (OUT_OF_RANGE, Code::OutOfRange),
        (UNIMPLEMENTED, Code::Unimplemented),
        (INTERNAL, Code::Internal),
        (UNAVAILABLE, Code::Unavailable),
        (DATA_LOSS, Code::DataLoss),
        (UNAUTHENTICATED, Code::Unauthenticated),
    ] {
        assert_eq!(ours, theirs as u32);
    }
    let dtypes = [
        BOOL, U8, U16, U32, U64, I8, I16, I32, I64, F16, F32, F64, STRING, BF16, C64, C128, F8E4M3FN,
        F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, QI8, QU8, QI16, QU16, QI32,
    ];
    assert_eq!(dtypes, DType::ALL.map(|dtype| dtype as u32));
    assert_eq!((OK, PANICKED, ABSENT, ANY_RANK, OPTIONAL), (0, 100, 0, -1, 1));
    assert_eq!([PARAM_BOOL, PARAM_INT, PARAM_FLOAT, PARAM_TEXT], [1, 2, 3, 4]);
    assert_eq!(
        [LEVEL_OFF, LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG, LEVEL_TRACE],
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!((CANNOT_TELL, ANY_INSTANCE, WHEN_LOADING, WHEN_LOADED), (101, -1, 1, 2));
    assert_eq!([METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM], [1, 2, 3]);
    assert_eq!((KIND_INPUT, KIND_OUTPUT, SHAPE_IS_ADVISORY), (1, 2, 1));
}

#[test]
fn no_name_changes() {
    assert_eq!((ABI_MAJOR, PLUGIN_V1, C_DOOR), (1, "salver.plugin/1", "salver_plugin_table"));
    assert_eq!((PLATFORM_MEMORY_V1, BATCHING_V1), ("salver.platform-memory/1", "salver.batching/1"));
    assert_eq!((SOURCES_V1, TENSOR_DETAILS_V1), ("salver.sources/1", "salver.tensor-details/1"));
    assert_eq!((note::SECTION, note::OWNER, note::TYPE), (".note.salver", "Salver", 1));
    assert_eq!(rust_door::SYMBOL, "_1as_0lib_1header_0root_bmodule_bloader");
}
