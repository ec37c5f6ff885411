//! The platform: reads `decode.txt`, and opens the queue of the step.

use std::path::Path;
use std::sync::Arc;

use salver_plugins_sdk::{LoadRequest, Model, OptionValue, Options, Platform, Probe, Quoted, Status, host};

use crate::decode::Decoder;
use crate::network::{MAX_WIDTH, Network, Sizes};
use crate::step::Step;

/// The file a model is recognised by: `width 1024 layers 4 vocabulary 256 seed 7`.
const FILE: &str = "decode.txt";

/// What options of the queue begin with, among the options of the model.
const OF_STEP: &str = "step_";

pub(crate) struct Decoders;

impl Platform for Decoders {
    fn name(&self) -> &str {
        "decode"
    }

    fn probe(&self, directory: &Path) -> Probe {
        Probe::by_file(directory, FILE)
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        let file = request.directory.join(FILE);
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Status::not_found(format!("reading {}: {error}", file.display())))?;
        let sizes = sizes(&text).map_err(|status| status.context(file.display()))?;
        let step = Arc::new(Step::new(Network::new(sizes))?);
        let (vocabulary, state) = (sizes.vocabulary, sizes.layers * sizes.width);
        let queue = request.batcher.open(request.id, "step", step, &queue_options(request.options))?;
        Ok(Box::new(Decoder::new(queue, vocabulary, state)?))
    }
}

/// What the model's options say of the queue, over what is good for most: as many batches at once as there are processors.
fn queue_options(said: &Options) -> Options {
    let mut options = Options::new();
    options.set("num_batch_threads", OptionValue::Int(i64::try_from(host().cpu_threads()).unwrap_or(1)));
    options.set("max_batch_size", OptionValue::Int(64));
    for (name, value) in said.iter() {
        if let Some(name) = name.strip_prefix(OF_STEP) {
            options.set(name, value.clone());
        }
    }
    options
}

fn sizes(text: &str) -> Result<Sizes, Status> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |name: &str, most: usize| {
        let said = words.chunks(2).find_map(|pair| match pair {
            [word, number] if *word == name => Some(*number),
            _ => None,
        });
        let number: Option<usize> = said.and_then(|number| number.parse().ok());
        number.filter(|number| (1..=most).contains(number)).ok_or_else(|| {
            let found = said.map_or("missing".to_owned(), |said| Quoted(said).to_string());
            Status::invalid_argument(format!("{name} is {found}, 1 to {most} was wanted"))
        })
    };
    let width = number("width", MAX_WIDTH)?;
    if width % 2 != 0 {
        return Err(Status::invalid_argument(format!("width is {width}, an even number was wanted")));
    }
    let (layers, vocabulary) = (number("layers", 64)?, number("vocabulary", 65_536)?);
    Ok(Sizes { width, layers, vocabulary, seed: number("seed", usize::MAX)? as u64 })
}
