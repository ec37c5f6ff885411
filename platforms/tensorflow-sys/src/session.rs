//! Sessions of SavedModels.

use std::ffi::{CStr, CString, c_int};
use std::path::Path;

use crate::api::{Graph, Output, RawSession};
use crate::status::Status;
use crate::tensor::OwnedBuffer;
use crate::{Error, Tensor, TensorFlow};

/// A SavedModel that is loaded. Many threads may run it at once.
pub struct Session {
    api: &'static TensorFlow,
    session: *mut RawSession,
    graph: *mut Graph,
}

// SAFETY: TensorFlow's sessions may be used from any thread, many at once (`tensorflow/core/public/session.h`); the graph is
// only read once the session is loaded, under a lock of its own.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

/// A tensor of a session's graph.
#[derive(Clone, Copy)]
pub struct Port {
    output: Output,
    /// Which graph it is of.
    graph: *mut Graph,
}

// SAFETY: it is a name for a place in a graph, and leads there only through a session that holds that graph.
unsafe impl Send for Port {}
// SAFETY: as above.
unsafe impl Sync for Port {}

impl Session {
    /// Loads the SavedModel in `directory` whose graph has these tags, restores its variables and initialises its tables.
    /// Returns it with its serialised `MetaGraphDef`. `config` is a serialised `ConfigProto`. May take minutes.
    ///
    /// # Errors
    /// What TensorFlow says.
    pub fn load(
        api: &'static TensorFlow,
        directory: &Path,
        tags: &[&str],
        config: &[u8],
    ) -> Result<(Self, Vec<u8>), Error> {
        let functions = &api.functions;
        let text = |text: &str| CString::new(text).map_err(|error| Error::invalid(error.to_string()));
        let directory = directory.to_str().ok_or_else(|| Error::invalid("the path is no UTF-8"))?;
        let directory = text(directory)?;
        let tags: Vec<CString> = tags.iter().map(|tag| text(tag)).collect::<Result<_, _>>()?;
        let tag_pointers: Vec<_> = tags.iter().map(|tag| tag.as_ptr()).collect();
        let tag_count = c_int::try_from(tags.len()).map_err(|error| Error::invalid(error.to_string()))?;
        let (status, meta) = (Status::new(api), OwnedBuffer::empty(api));
        // SAFETY: everything that is passed is alive for the calls, and as long as it says. The options are deleted whether
        // the session was loaded or not; the graph with the session, or here where there is none.
        unsafe {
            let options = (functions.new_session_options)();
            (functions.set_config)(options, config.as_ptr().cast(), config.len(), status.raw);
            if let Err(error) = status.check() {
                (functions.delete_session_options)(options);
                return Err(error);
            }
            let graph = (functions.new_graph)();
            let session = (functions.load_session)(
                options,
                std::ptr::null(),
                directory.as_ptr(),
                tag_pointers.as_ptr(),
                tag_count,
                graph,
                meta.raw,
                status.raw,
            );
            (functions.delete_session_options)(options);
            if let Err(error) = status.check() {
                (functions.delete_graph)(graph);
                return Err(error);
            }
            Ok((Self { api, session, graph }, meta.to_vec()))
        }
    }

    /// The tensor of this name, such as `serving_default_x:0`; `None` where the graph has none.
    pub fn port(&self, name: &str) -> Option<Port> {
        let (operation, index) = name.rsplit_once(':').unwrap_or((name, "0"));
        let (operation, index) = (CString::new(operation).ok()?, index.parse::<c_int>().ok()?);
        let functions = &self.api.functions;
        // SAFETY: the graph and the text are alive.
        let operation = unsafe { (functions.operation_by_name)(self.graph, operation.as_ptr()) };
        if operation.is_null() || index < 0 {
            return None;
        }
        // SAFETY: the operation is the graph's, which is alive.
        let count = unsafe { (functions.operation_num_outputs)(operation) };
        (index < count).then_some(Port { output: Output { operation, index }, graph: self.graph })
    }

    /// Whether the session has a device of this type, such as `GPU`.
    ///
    /// # Errors
    /// What TensorFlow says.
    pub fn has_device(&self, kind: &str) -> Result<bool, Error> {
        let functions = &self.api.functions;
        let status = Status::new(self.api);
        // SAFETY: the session and the status are alive; the list is deleted below, and its texts are not looked at then.
        unsafe {
            let devices = (functions.list_devices)(self.session, status.raw);
            status.check()?;
            let found = (0..(functions.device_count)(devices)).any(|index| {
                let name = (functions.device_type)(devices, index, status.raw);
                !name.is_null() && CStr::from_ptr(name).to_bytes() == kind.as_bytes()
            });
            (functions.delete_devices)(devices);
            Ok(found)
        }
    }

    /// Feeds inputs and fetches outputs, in the order asked for. `options` is a serialised `RunOptions`, or empty.
    ///
    /// # Errors
    /// What TensorFlow says; INTERNAL for ports of another session.
    pub fn run(
        &self,
        options: &[u8],
        inputs: &[(Port, &Tensor)],
        outputs: &[Port],
    ) -> Result<Vec<Tensor>, Error> {
        let ports = inputs.iter().map(|(port, _)| port).chain(outputs);
        if ports.into_iter().any(|port| port.graph != self.graph) {
            return Err(Error::internal("a tensor of another session's graph"));
        }
        let count =
            |length: usize| c_int::try_from(length).map_err(|error| Error::invalid(error.to_string()));
        let (input_count, output_count) = (count(inputs.len())?, count(outputs.len())?);
        let input_ports: Vec<_> = inputs.iter().map(|(port, _)| port.output).collect();
        let input_values: Vec<_> = inputs.iter().map(|(_, tensor)| tensor.raw).collect();
        let output_ports: Vec<_> = outputs.iter().map(|port| port.output).collect();
        let mut output_values = vec![std::ptr::null_mut(); outputs.len()];
        let options = (!options.is_empty()).then(|| OwnedBuffer::of(self.api, options));
        let options = options.as_ref().map_or(std::ptr::null(), |options| options.raw.cast_const());
        let status = Status::new(self.api);
        // SAFETY: the session, the tensors and the arrays are alive for the call, and the arrays as long as it says. The
        // ports are of the session's graph.
        unsafe {
            (self.api.functions.session_run)(
                self.session,
                options,
                input_ports.as_ptr(),
                input_values.as_ptr(),
                input_count,
                output_ports.as_ptr(),
                output_values.as_mut_ptr(),
                output_count,
                std::ptr::null(),
                0,
                std::ptr::null_mut(),
                status.raw,
            );
        }
        // Before the status is looked at: what was made has to be deleted in any case.
        let made = output_values.into_iter().map(|raw| Tensor::from_raw(self.api, raw));
        let made: Vec<_> = made.collect();
        status.check()?;
        made.into_iter().collect::<Option<_>>().ok_or_else(|| Error::internal("an output was not computed"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let functions = &self.api.functions;
        let status = Status::new(self.api);
        // SAFETY: made by `load`, and deleted once; runs borrow the session, so none is under way.
        unsafe {
            (functions.close_session)(self.session, status.raw);
            (functions.delete_session)(self.session, status.raw);
            (functions.delete_graph)(self.graph);
        }
    }
}
