//! A plugin that panics on command, and otherwise answers with what it was asked.
//!
//! Its models have one signature for each element type, called as the type is, whose output is a copy of its input;
//! and `context`, which tells as strings what it saw of the request's context. The request parameter `panic` makes a
//! run panic with that text; the option `panic` makes a load panic, as does a file `panic` in the model's directory. A
//! file `other` makes a load return other signatures. The options `estimate`, `resources` and `trim` make what says or
//! gives back memory `panic`; without them it says what is asserted in `plugins/host/tests/memory.rs`. The options of its
//! source, `create`, `connect` and `drop`, make that panic; without them it says once that there is version 1 of `m`, and
//! counts how many there are as `sources`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use salver_plugins_sdk::{
    Allocation, Aspired, AspiredVersions, Code, DType, Estimate, GPU, LoadRequest, Model, Options, Platform,
    Probe, RAM_BYTES, Resource, RunRequest, Shape, ShapeSpec, SharedTarget, Signature, SignatureSet, Source,
    Status, Strings, Tensor, TensorSpec, Version, host, tracing,
};

struct Panics;

impl Panics {
    /// Those who make it panic look at the answer; some hundred backtraces would bury what else the tests say.
    fn quiet() -> Self {
        std::panic::set_hook(Box::new(|_| {}));
        Self
    }
}

/// Whether giving memory back panics, once.
static TRIM_PANICS: AtomicBool = AtomicBool::new(false);

impl Platform for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn probe(&self, directory: &Path) -> Probe {
        assert!(!directory.join("panic").exists(), "probing `panic`");
        Probe::by_file(directory, "mirror.txt")
    }

    #[expect(clippy::panic, reason = "it is what the plugin is for")]
    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        if let Some(text) = request.options.text("panic")? {
            panic!("{text}");
        }
        assert!(!request.directory.join("panic").exists(), "loading `panic`");
        host().counter("loads", "models loaded").record(1.0);
        tracing::info!(model = %request.id, "loaded");
        let mut signatures: Vec<_> = DType::ALL.into_iter().map(mirror).collect();
        let seen = TensorSpec::new("seen", DType::String, ShapeSpec::of(&[-1]));
        let optional = TensorSpec::new("x", DType::F32, ShapeSpec::any()).optional(None);
        signatures.push(signature("context", vec![optional], vec![seen]));
        if request.directory.join("other").exists() {
            signatures.pop();
        }
        TRIM_PANICS.store(request.options.text("trim")? == Some("panic"), Ordering::Relaxed);
        let resources_panic = request.options.text("resources")? == Some("panic");
        Ok(Box::new(Mirror { signatures: SignatureSet::new(signatures)?, resources_panic }))
    }

    #[expect(clippy::panic, reason = "it is what the plugin is for")]
    fn estimate(&self, request: &LoadRequest<'_>) -> Result<Option<Estimate>, Status> {
        match request.options.text("estimate")? {
            Some("panic") => panic!("estimating `{}`", request.id),
            Some("none") => return Ok(None),
            Some(other) => return Err(Status::invalid_argument(format!("no way to estimate `{other}`"))),
            None => {}
        }
        let mut loaded = Allocation::ram_bytes(100);
        loaded.set(Resource::unbound(GPU, RAM_BYTES), 7);
        let loading = loaded.iter().map(|(resource, amount)| (resource.clone(), 3 * amount)).collect();
        Ok(Some(Estimate { loading, loaded }))
    }

    fn trim(&self) {
        host().counter("trims", "times memory was asked for").record(1.0);
        assert!(!TRIM_PANICS.swap(false, Ordering::Relaxed), "trimming");
    }
}

fn mirror(dtype: DType) -> Signature {
    let tensor = |name| TensorSpec::new(name, dtype, ShapeSpec::any());
    signature(dtype.name(), vec![tensor("x")], vec![tensor("y")])
}

fn signature(name: &str, inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Signature {
    Signature { name: name.to_owned(), method: Signature::PREDICT.to_owned(), inputs, outputs }
}

struct Mirror {
    signatures: SignatureSet,
    resources_panic: bool,
}

impl Drop for Mirror {
    fn drop(&mut self) {
        host().counter("unloads", "models unloaded").record(1.0);
    }
}

impl Model for Mirror {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    #[expect(clippy::panic, reason = "it is what the plugin is for")]
    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        if let Some(text) = request.context.parameters.text("panic")? {
            panic!("{text}");
        }
        if request.signature == DType::ALL.len() {
            return Self::context(request);
        }
        let x = request.input(0)?;
        let shape = x.shape().clone();
        let y = match (x.bytes(), x.strings()) {
            (Some(bytes), _) => Tensor::from_bytes(x.dtype(), shape, bytes.to_vec().into())?,
            (None, strings) => Tensor::from_strings(shape, strings.iter().flat_map(|s| s.iter()).collect())?,
        };
        Ok(vec![y])
    }

    fn resources(&self) -> Option<Allocation> {
        assert!(!self.resources_panic, "measuring");
        Some(Allocation::ram_bytes(90))
    }
}

impl Mirror {
    fn context(request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let context = request.context;
        let seen = [
            format!("id={}", context.request_id),
            format!("input={}", request.inputs.iter().flatten().count()),
            format!("parameters={:?}", context.parameters.iter().collect::<Vec<_>>()),
            format!("trace={:?}", context.trace),
            format!("late={:?}", context.deadline.map(|deadline| deadline <= Instant::now())),
            format!("cancelled={}", context.cancel.is_cancelled()),
            format!("threads={}", host().cpu_threads()),
            format!("file={:?}", host().plugin_path().and_then(Path::file_name)),
        ];
        let strings: Strings = seen.iter().collect();
        let length = i64::try_from(strings.len()).unwrap_or_default();
        Ok(vec![Tensor::from_strings(Shape::new(&[length])?, strings)?])
    }
}

/// A source that panics where its options say so.
struct Fragile {
    panic_when_connected: bool,
    panic_when_dropped: bool,
}

impl Fragile {
    fn of(options: &Options) -> Result<Self, Status> {
        let wants = |name| Ok::<_, Status>(options.text(name)? == Some("panic"));
        assert!(!wants("create")?, "creating a source");
        host().counter("sources", "sources made").record(1.0);
        Ok(Self { panic_when_connected: wants("connect")?, panic_when_dropped: wants("drop")? })
    }
}

impl Source<PathBuf> for Fragile {
    fn connect(&mut self, target: SharedTarget<PathBuf>) {
        assert!(!self.panic_when_connected, "connecting a source");
        let version =
            Version::new(1).map(|version| Aspired { version, revision: 9, data: Ok("/m/1".into()) });
        let said = |stream: &str| AspiredVersions {
            stream: stream.into(),
            versions: Ok(version.clone().into_iter().collect()),
        };
        target.set_aspired(said("m"));
        let refused = target.offer(said("a/b")).err().map(|status| status.code());
        assert_eq!(refused, Some(Code::InvalidArgument), "a slash in a name");
        target.set_aspired(AspiredVersions { stream: "n".into(), versions: Err(Status::data_loss("lost")) });
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        host().counter("sources", "sources made").record(-1.0);
        assert!(!self.panic_when_dropped, "dropping a source");
    }
}

salver_plugins_sdk::export_plugin! {
    name: "panics",
    platforms: { "panics" => Panics::quiet() },
    sources: { "fragile": "Panics where its options say so." => Fragile::of },
}
