//! What is released stays: the layout of every table, as plugins that exist have it.
//!
//! A failure here is no reason to change a figure. Leave the table as it was, and make a new one.

use std::mem::offset_of;

use salver_core_status::Code;
use salver_core_tensor::DType;
use salver_plugins_abi::*;

/// One line for each table: its size, and the offsets of all its fields.
macro_rules! frozen {
    ($($table:ident $size:literal { $($field:ident: $offset:literal),* })*) => {
        $({
            assert_eq!(size_of::<$table>(), $size, stringify!($table));
            $(assert_eq!(offset_of!($table, $field), $offset, stringify!($table.$field));)*
            // Every field is named: the pattern is not complete otherwise.
            let _ = |table: $table| { let $table { $($field: _),* } = table; };
        })*
    };
}

#[test]
fn no_table_changes() {
    frozen! {
        Str 16 { data: 0, size: 8 }
        Bytes 16 { data: 0, size: 8 }
        TextSink 16 { context: 0, put: 8 }
        ErrorSink 16 { context: 0, fail: 8 }
        Tensor 32 { dtype: 0, rank: 4, shape: 8, data: 16, size: 24 }
        TensorSpec 48 { name: 0, dtype: 16, rank: 20, shape: 24, flags: 32, default_value: 40 }
        Signature 64 { name: 0, method: 16, inputs: 32, input_count: 40, outputs: 48, output_count: 56 }
        Signatures 16 { data: 0, count: 8 }
        Param 56 { name: 0, kind: 16, integer: 24, number: 32, text: 40 }
        HostV1 56 { context: 0, log: 8, metrics: 16, cpu: 24, plugin_path: 32, table: 48 }
        LogV1 24 { context: 0, max_level: 8, write: 16 }
        MetricsV1 24 { context: 0, make: 8, record: 16 }
        CpuV1 16 { context: 0, threads: 8 }
        RunRequest 120 { signature: 0, inputs: 8, input_count: 16, outputs: 24, output_count: 32, deadline_ns: 40, cancelled: 48, trace_id: 56, span_id: 72, trace_flags: 80, request_id: 88, params: 104, param_count: 112 }
        Outputs 24 { tensors: 0, count: 8, owner: 16 }
        ModelV1 32 { signatures: 0, run: 8, release: 16, unload: 24 }
        PluginV1 24 { start: 0, platform_count: 8, platform: 16 }
        PlatformV1 40 { context: 0, name: 8, probe: 24, load: 32 }
        LoadRequest 64 { name: 0, version: 16, directory: 24, options: 40, option_count: 48, cancelled: 56 }
        LoadedModel 16 { model: 0, table: 8 }
        Quantity 48 { device: 0, kind: 16, instance: 32, when: 36, amount: 40 }
        QuantitySink 16 { context: 0, add: 8 }
        PlatformMemoryV1 24 { estimate: 0, resources: 8, trim: 16 }
        StepV1 72 { model: 0, version: 16, name: 24, step: 40, options: 56, option_count: 64 }
        BatchingV1 40 { context: 0, open: 8, run: 16, release: 24, close: 32 }
    }
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
}

#[test]
fn no_name_changes() {
    assert_eq!((ABI_MAJOR, PLUGIN_V1, C_DOOR), (1, "salver.plugin/1", "salver_plugin_table"));
    assert_eq!((PLATFORM_MEMORY_V1, BATCHING_V1), ("salver.platform-memory/1", "salver.batching/1"));
    assert_eq!((note::SECTION, note::OWNER, note::TYPE), (".note.salver", "Salver", 1));
    assert_eq!(rust_door::SYMBOL, "_1as_0lib_1header_0root_bmodule_bloader");
}
