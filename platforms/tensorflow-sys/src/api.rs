//! The library and its functions.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::Error;
use crate::status::Status;

/// `TF_Buffer`.
#[repr(C)]
pub(crate) struct Buffer {
    pub(crate) data: *const c_void,
    pub(crate) length: usize,
    deallocator: Option<unsafe extern "C" fn(*mut c_void, usize)>,
}

/// `TF_Output`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub(crate) operation: *mut Operation,
    pub(crate) index: c_int,
}

macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub(crate) struct $name {
            _opaque: [u8; 0],
        }
    )*};
}

opaque!(DeviceList, Graph, Operation, RawSession, RawStatus, RawTensor, SessionOptions);

/// Declares the functions, and the table that is filled with them when the library is opened.
macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        pub(crate) struct Functions {
            $(pub(crate) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// # Safety
            /// The library is TensorFlow's, whose functions have these types.
            unsafe fn of(library: &Library) -> Result<Self, String> {
                $(
                    // SAFETY: the caller's promise.
                    let $field = *unsafe { library.get($symbol.as_bytes()) }
                        .map_err(|_| format!("it has no function `{}`", $symbol))?;
                )*
                Ok(Self { $($field),* })
            }
        }
    };
}

functions! {
    version = "TF_Version": fn() -> *const c_char;

    new_status = "TF_NewStatus": fn() -> *mut RawStatus;
    delete_status = "TF_DeleteStatus": fn(*mut RawStatus);
    get_code = "TF_GetCode": fn(*const RawStatus) -> c_int;
    message = "TF_Message": fn(*const RawStatus) -> *const c_char;

    new_buffer = "TF_NewBuffer": fn() -> *mut Buffer;
    new_buffer_from_string = "TF_NewBufferFromString": fn(*const c_void, usize) -> *mut Buffer;
    delete_buffer = "TF_DeleteBuffer": fn(*mut Buffer);

    allocate_tensor = "TF_AllocateTensor": fn(c_int, *const i64, c_int, usize) -> *mut RawTensor;
    new_tensor = "TF_NewTensor":
        fn(c_int, *const i64, c_int, *mut c_void, usize, unsafe extern "C" fn(*mut c_void, usize, *mut c_void), *mut c_void) -> *mut RawTensor;
    tensor_from_proto = "TF_TensorFromProto": fn(*const Buffer, *mut RawTensor, *mut RawStatus);
    delete_tensor = "TF_DeleteTensor": fn(*mut RawTensor);
    tensor_type = "TF_TensorType": fn(*const RawTensor) -> c_int;
    num_dims = "TF_NumDims": fn(*const RawTensor) -> c_int;
    dim = "TF_Dim": fn(*const RawTensor, c_int) -> i64;
    tensor_byte_size = "TF_TensorByteSize": fn(*const RawTensor) -> usize;
    tensor_data = "TF_TensorData": fn(*const RawTensor) -> *mut c_void;

    string_init = "TF_StringInit": fn(*mut c_void);
    string_copy = "TF_StringCopy": fn(*mut c_void, *const c_char, usize);
    string_data = "TF_StringGetDataPointer": fn(*const c_void) -> *const c_char;
    string_size = "TF_StringGetSize": fn(*const c_void) -> usize;
    string_dealloc = "TF_StringDealloc": fn(*mut c_void);

    new_graph = "TF_NewGraph": fn() -> *mut Graph;
    delete_graph = "TF_DeleteGraph": fn(*mut Graph);
    operation_by_name = "TF_GraphOperationByName": fn(*mut Graph, *const c_char) -> *mut Operation;
    operation_num_outputs = "TF_OperationNumOutputs": fn(*mut Operation) -> c_int;

    new_session_options = "TF_NewSessionOptions": fn() -> *mut SessionOptions;
    set_config = "TF_SetConfig": fn(*mut SessionOptions, *const c_void, usize, *mut RawStatus);
    delete_session_options = "TF_DeleteSessionOptions": fn(*mut SessionOptions);

    load_session = "TF_LoadSessionFromSavedModel":
        fn(*const SessionOptions, *const Buffer, *const c_char, *const *const c_char, c_int, *mut Graph, *mut Buffer, *mut RawStatus) -> *mut RawSession;
    session_run = "TF_SessionRun":
        fn(*mut RawSession, *const Buffer, *const Output, *const *mut RawTensor, c_int, *const Output, *mut *mut RawTensor, c_int, *const *const Operation, c_int, *mut Buffer, *mut RawStatus);
    close_session = "TF_CloseSession": fn(*mut RawSession, *mut RawStatus);
    delete_session = "TF_DeleteSession": fn(*mut RawSession, *mut RawStatus);

    load_library = "TF_LoadLibrary": fn(*const c_char, *mut RawStatus) -> *mut c_void;

    list_devices = "TF_SessionListDevices": fn(*mut RawSession, *mut RawStatus) -> *mut DeviceList;
    device_count = "TF_DeviceListCount": fn(*const DeviceList) -> c_int;
    device_type = "TF_DeviceListType": fn(*const DeviceList, c_int, *mut RawStatus) -> *const c_char;
    delete_devices = "TF_DeleteDeviceList": fn(*mut DeviceList);
}

/// TensorFlow's library, open to the end of the process.
pub struct TensorFlow {
    pub(crate) functions: Functions,
}

impl TensorFlow {
    /// Opens the library at `path`, `libtensorflow_cc.so.2` or `libtensorflow.so.2`. What it needs lies beside it. Takes half
    /// a second; a process should do it once.
    ///
    /// # Errors
    /// What the dynamic linker says, or which function is missing.
    pub fn open(path: &Path) -> Result<&'static Self, String> {
        // SAFETY: it is the caller's choice which library's code is run; what it runs when it is opened registers its
        // kernels, and needs nothing of us.
        let library = unsafe { Library::open(Some(path.as_os_str()), RTLD_NOW | RTLD_LOCAL) };
        let library = library.map_err(|error| {
            // The reason is in the source: the error itself says only which function failed.
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            reason.unwrap_or_else(|| error.to_string())
        })?;
        // SAFETY: a library that has all of these symbols is TensorFlow's.
        let functions = unsafe { Functions::of(&library) }?;
        // Never closed: its threads run on.
        std::mem::forget(library);
        Ok(Box::leak(Box::new(Self { functions })))
    }

    /// Opens a library of operators and kernels, which stays open: graphs that are loaded from now on may have them.
    ///
    /// # Errors
    /// What TensorFlow says, or the dynamic linker.
    pub fn load_operators(&'static self, path: &Path) -> Result<(), Error> {
        let path =
            CString::new(path.as_os_str().as_bytes()).map_err(|error| Error::invalid(error.to_string()))?;
        let status = Status::new(self);
        // SAFETY: the text and the status are alive. It is the caller's choice which library's code is run. The handle that
        // is returned is never given back, since it owns nothing but a copy of the library's list of operators.
        let _library = unsafe { (self.functions.load_library)(path.as_ptr(), status.raw) };
        status.check()
    }

    /// What it calls its version, such as `2.21.0`.
    pub fn version(&self) -> String {
        // SAFETY: the function takes nothing, and returns a text that stays.
        unsafe { CStr::from_ptr((self.functions.version)()) }.to_string_lossy().into_owned()
    }

    /// Keeps TensorFlow from writing anything but errors to the standard error, unless somebody has decided what it writes:
    /// it warns of every request that fails, which is told to whoever made it.
    /// Before the library is opened, and before there are many threads: it changes the process's environment.
    pub fn quiet() {
        const VARIABLE: &str = "TF_CPP_MIN_LOG_LEVEL";
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            if std::env::var_os(VARIABLE).is_none() {
                // SAFETY: nothing else in the server changes the environment but plugins that start, one after the other.
                // A C function that reads it meanwhile, on a thread that is there already, sees the old list or the new
                // one: glibc makes a new list for the first variable that a process adds, and leaves the old one as it is.
                unsafe { std::env::set_var(VARIABLE, OsStr::new("2")) };
            }
        });
    }
}

impl std::fmt::Debug for TensorFlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorFlow").field("version", &self.version()).finish_non_exhaustive()
    }
}
