//! Steps of plugins' models in queues of the server's: what is right arrives, what is wrong is an error, and steps are unloaded.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails ends its test")]

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use salver_core_platform::{
    BatchQueue, Batcher, Model, OptionValue, Options, Platform, RequestContext, RunRequest, StepRequest,
    TraceContext, unbatched,
};
use salver_core_servable::ServableId;
use salver_core_status::{Code, Status};
use salver_core_tensor::{Shape, Tensor};
use salver_plugins_host::{HostServices, PluginMetrics, Plugins};
use support::*;

const DECODE: &str = "salver-plugins-examples-decode";

/// The trace, the name and the flag of each step that was asked for.
type Contexts = Arc<Mutex<Vec<(TraceContext, String, bool)>>>;

/// The model, the name and the options of a queue.
type Said = (String, String, Vec<(String, OptionValue)>);

/// Runs every step on a thread of its own, and notes what it is given.
#[derive(Default)]
struct Elsewhere {
    opened: Mutex<Vec<Said>>,
    contexts: Contexts,
}

struct Queue {
    alone: Box<dyn BatchQueue>,
    contexts: Contexts,
}

impl Batcher for Elsewhere {
    fn open(
        &self,
        model: &ServableId,
        name: &str,
        step: Arc<dyn Model>,
        options: &Options,
    ) -> Result<Box<dyn BatchQueue>, Status> {
        if let Some(refusal) = options.text("refuse")? {
            return Err(Status::invalid_argument(refusal));
        }
        let said = options.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        self.opened.lock().unwrap().push((model.to_string(), name.to_owned(), said));
        let alone = unbatched().open(model, name, step, options)?;
        Ok(Box::new(Queue { alone, contexts: Arc::clone(&self.contexts) }))
    }
}

impl BatchQueue for Queue {
    fn run(&self, request: StepRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let context = request.context;
        let cancelled = context.cancel.is_cancelled();
        self.contexts.lock().unwrap().push((context.trace, context.request_id.to_owned(), cancelled));
        thread::scope(|scope| scope.spawn(|| self.alone.run(request)).join().unwrap())
    }
}

/// The one platform of a copy of this library, whose steps are given to `batcher`.
fn own(library: &Path, batcher: Arc<dyn Batcher>) -> (Arc<dyn Platform>, Arc<Figures>) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("own.so");
    std::fs::copy(library, &copy).unwrap();
    let figures = Arc::new(Figures::default());
    let metrics = Arc::clone(&figures) as Arc<dyn PluginMetrics>;
    let plugin = Plugins::new(HostServices { cpu_threads: 3, metrics, batcher }).open(&copy).unwrap();
    (Arc::clone(&plugin.platforms()[0]), figures)
}

fn small_decoder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("decode.txt"), "width 32 layers 2 vocabulary 32 seed 7").unwrap();
    folder
}

fn decode(model: &dyn Model, first: i32, context: &RequestContext) -> Result<Vec<i32>, Status> {
    let prompt = Tensor::from_vec(Shape::new(&[2]).unwrap(), vec![first, 5]).unwrap();
    let most = Tensor::from_vec(Shape::scalar(), vec![i64::from(first) + 3]).unwrap();
    let inputs = [Some(prompt.view()), Some(most.view())];
    let request = RunRequest { signature: 0, inputs: &inputs, outputs: &[0], context: context.lend() };
    Ok(model.run(&request)?[0].view().as_slice::<i32>().unwrap().to_vec())
}

#[test]
fn steps_of_a_rust_plugin_go_through_the_servers_queue_and_answers_stay_the_same() {
    let folder = small_decoder();
    let (alone, _) = own(&cdylib(DECODE), Arc::clone(unbatched()));
    let alone = load(&*alone, folder.path(), &Options::new()).unwrap();
    let batcher = Arc::new(Elsewhere::default());
    let (platform, _) = own(&cdylib(DECODE), Arc::clone(&batcher) as Arc<dyn Batcher>);
    let mut options = Options::new();
    options.set("step_max_batch_size", OptionValue::Int(9));
    options.set("unrelated", OptionValue::Bool(true));
    let model = load(&*platform, folder.path(), &options).unwrap();
    let said = |name: &str, value| (name.to_owned(), OptionValue::Int(value));
    let wanted = vec![said("max_batch_size", 9), said("num_batch_threads", 3)];
    let mut opened = batcher.opened.lock().unwrap().clone();
    opened[0].2.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(opened, [("m:1".to_owned(), "step".to_owned(), wanted)]);

    let context = RequestContext::default();
    thread::scope(|scope| {
        for first in 1..9 {
            let (model, alone, context) = (&*model, &*alone, &context);
            scope.spawn(move || {
                assert_eq!(decode(model, first, context), decode(alone, first, context));
            });
        }
    });
}

#[test]
fn the_context_of_a_run_reaches_its_steps() {
    let folder = small_decoder();
    let batcher = Arc::new(Elsewhere::default());
    let (platform, _) = own(&cdylib(DECODE), Arc::clone(&batcher) as Arc<dyn Batcher>);
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let trace = TraceContext { trace_id: [3; 16], span_id: [4; 8], flags: 1 };
    let context = RequestContext { trace, request_id: "r-9".to_owned(), ..RequestContext::default() };
    decode(&*model, 1, &context).unwrap();
    context.cancel.cancel();
    assert_eq!(decode(&*model, 1, &context).unwrap_err().code(), Code::Cancelled);
    let seen = batcher.contexts.lock().unwrap();
    assert_eq!(seen.first(), Some(&(trace, "r-9".to_owned(), false)));
    assert_eq!(seen.last(), Some(&(trace, "r-9".to_owned(), true)));
}

#[test]
fn a_queue_that_is_refused_fails_the_load_with_the_servers_words() {
    let folder = small_decoder();
    let (platform, _) = own(&cdylib(DECODE), Arc::new(Elsewhere::default()));
    let mut options = Options::new();
    options.set("step_refuse", OptionValue::Text("no room".to_owned()));
    let refused = load(&*platform, folder.path(), &options).err().unwrap();
    assert_eq!(refused, Status::invalid_argument("no room"));
    assert_the_server_goes_on();
}

/// The platform of `batching.c`.
fn misused() -> (Arc<dyn Platform>, Arc<Figures>) {
    let folder = tempfile::tempdir().unwrap();
    own(&misbehaving("batching", &[], folder.path()), Arc::clone(unbatched()))
}

fn opened(platform: &dyn Platform, how: &str) -> Result<Box<dyn Model>, Status> {
    let mut options = Options::new();
    options.set("how", OptionValue::Text(how.to_owned()));
    load(platform, &std::env::temp_dir(), &options)
}

fn numbers(values: &[i64]) -> Tensor {
    Tensor::from_vec(Shape::new(&[values.len() as i64]).unwrap(), values.to_vec()).unwrap()
}

#[test]
fn a_c_plugin_has_queues_and_its_step_is_unloaded_with_the_model() {
    let (platform, figures) = misused();
    let model = opened(&*platform, "good").unwrap();
    assert_eq!(run(&*model, "good", &[&numbers(&[1, 2])]), Ok(vec![numbers(&[2, 4])]));
    assert_eq!(figures.get("steps"), 1.0);
    drop(model);
    assert_eq!(figures.get("steps"), 0.0);
}

#[test]
fn a_queue_that_cannot_be_is_refused_and_its_step_unloaded() {
    let (platform, figures) = misused();
    let refused = |what: &str| Status::invalid_argument(format!("plugin `batching` {what}"));
    let step = "plugin `batching` loaded step `double` of model `m:1` wrongly";
    for (how, wanted) in [
        ("no_name", refused("named a step with 0 bytes, wanted 1 to 64")),
        ("null_name", refused("gave bytes that are null or misaligned")),
        ("not_utf8", refused("named a step in bytes that are not UTF-8")),
        ("version", refused("named version -1 of a model")),
        ("countless", refused(&format!("gave {} parameters, at most 65536 are read", usize::MAX))),
        ("bad_option", refused("gave a parameter of the unknown kind 99")),
        ("no_run", Status::internal(format!("{step}: its table lacks `run` or `release`"))),
    ] {
        assert_eq!(opened(&*platform, how).err(), Some(wanted), "{how}");
        assert_eq!(figures.get("steps"), 0.0, "{how}");
    }
    // What cannot be reached cannot be unloaded.
    for (how, wanted) in [
        ("null_step", refused("gave null, or what is misaligned, for the step")),
        ("null_table", Status::internal(format!("{step}: its table is null or misaligned"))),
        ("no_unload", Status::internal(format!("{step}: its table lacks `unload`"))),
    ] {
        assert_eq!(opened(&*platform, how).err(), Some(wanted), "{how}");
    }
    let refused = opened(&*platform, "null_place").err().unwrap();
    assert_eq!(refused.message(), "the place for what comes out is null or misaligned");
    assert_the_server_goes_on();
}

#[test]
fn what_a_plugin_must_not_ask_of_a_queue_is_refused_and_the_next_request_is_right() {
    let (platform, figures) = misused();
    let model = opened(&*platform, "good").unwrap();
    let asking = "plugin `batching`, asking for step `double` of model `m:1`,";
    for (signature, wanted) in [
        ("unknown_queue", "plugin `batching` asked for a step of queue 4711, which is not open".to_owned()),
        ("no_signature", format!("{asking} named signature 7, which it has not")),
        ("no_inputs", format!("{asking} gave 0 inputs, wanted 1")),
        ("endless", format!("{asking} gave {} inputs, at most 65536 are read", usize::MAX)),
        ("absent_input", format!("{asking} gave input `x`, which is not optional, as absent")),
        (
            "other_type",
            format!(
                "{asking} gave input `x`, which does not fit: input `x` has data type FP64, the model expects INT64"
            ),
        ),
        (
            "other_rank",
            format!(
                "{asking} gave input `x`, which does not fit: input `x` has shape [1, 1], the model expects [-1]"
            ),
        ),
        ("no_output", format!("{asking} wanted output 5 where there are 1, or twice")),
        ("twice", format!("{asking} wanted output 0 where there are 1, or twice")),
        ("bad_param", format!("{asking} gave a parameter of the unknown kind 99")),
        ("bad_flag", format!("{asking} gave a flag that is misaligned")),
        ("null_request", "plugin `batching` gave null, or what is misaligned, for the request".to_owned()),
        ("null_place", "the place for what comes out is null or misaligned".to_owned()),
        ("null_sink", "it gave no reason".to_owned()),
    ] {
        let status = run(&*model, signature, &[&numbers(&[3])]).unwrap_err();
        assert_eq!(status, Status::invalid_argument(wanted), "{signature}");
        assert_eq!(run(&*model, "good", &[&numbers(&[3])]), Ok(vec![numbers(&[6])]), "{signature}");
    }
    assert_eq!(run(&*model, "releases", &[&numbers(&[3])]), Ok(vec![numbers(&[6])]));
    assert_eq!(run(&*model, "fails", &[&numbers(&[3])]), Err(Status::data_loss("the step failed")));
    assert_eq!(run(&*model, "closed", &[&numbers(&[3])]).unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(run(&*model, "good", &[&numbers(&[3])]).unwrap_err().code(), Code::InvalidArgument);
    drop(model);
    assert_eq!(figures.get("steps"), 0.0);
    assert_the_server_goes_on();
}

#[test]
fn a_model_whose_step_panicked_is_loaded_anew_with_a_queue_of_its_own() {
    let (platform, figures) = misused();
    let model = opened(&*platform, "good").unwrap();
    let status = run(&*model, "panics", &[&numbers(&[3])]).unwrap_err();
    let text = "plugin `batching` panicked running model `m:1`: plugin `batching` panicked running step `double` of \
                model `m:1`: the step threw";
    assert_eq!(status, Status::internal(text));
    // The old one goes when the new one is in its place.
    figures.wait_for("opened", 2.0);
    figures.wait_for("steps", 1.0);
    assert_eq!(run(&*model, "good", &[&numbers(&[3])]), Ok(vec![numbers(&[6])]));
    drop(model);
    assert_eq!(figures.get("steps"), 0.0);
    assert_the_server_goes_on();
}
