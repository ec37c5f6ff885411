//! A model's options, read.

use prost::Message;
use salver_core_platform::Options;
use salver_core_status::{Quoted, Status};

use crate::meta::{ConfigProto, GpuOptions};

/// How a model is loaded and run.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) library: Option<String>,
    pub(crate) tags: Vec<String>,
    /// The number of a GPU; `None` for the processor.
    pub(crate) gpu: Option<u16>,
    /// Whether a request's tensors must have the shapes that signatures say.
    pub(crate) check_shapes: bool,
    intra_op_threads: Option<i32>,
    inter_op_threads: Option<i32>,
}

/// The option that names libraries of operators, which [`Options::files`] reads.
pub(crate) const OPERATOR_LIBRARIES: &str = "operator_libraries";

const KNOWN: [&str; 7] =
    ["library", OPERATOR_LIBRARIES, "tags", "device", "check_shapes", "intra_op_threads", "inter_op_threads"];

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming the option, what it is and what was wanted.
    pub(crate) fn read(options: &Options) -> Result<Self, Status> {
        options.only(&KNOWN)?;
        let tags = options.text("tags")?.unwrap_or("serve");
        Ok(Self {
            library: options.text("library")?.map(str::to_owned),
            tags: tags.split(',').map(|tag| tag.trim().to_owned()).collect(),
            gpu: options.text("device")?.map_or(Ok(None), read_device)?,
            check_shapes: options.bool("check_shapes")?.unwrap_or(false),
            intra_op_threads: read_threads(options, "intra_op_threads")?,
            inter_op_threads: read_threads(options, "inter_op_threads")?,
        })
    }

    /// A serialised `ConfigProto`.
    pub(crate) fn config(&self, cpu_threads: usize) -> Vec<u8> {
        let budget = i32::try_from(cpu_threads).unwrap_or(i32::MAX);
        let config = ConfigProto {
            // Without this, TensorFlow takes a GPU where there is one.
            device_count: if self.gpu.is_some() {
                Default::default()
            } else {
                [("GPU".to_owned(), 0)].into()
            },
            intra_op_parallelism_threads: self.intra_op_threads.unwrap_or(budget),
            inter_op_parallelism_threads: self.inter_op_threads.unwrap_or(budget),
            use_per_session_threads: self.inter_op_threads.is_some(),
            gpu_options: self
                .gpu
                .map(|number| GpuOptions { allow_growth: true, visible_device_list: number.to_string() }),
            // For what a GPU has no kernel for, and for a graph that names devices of the machine it was trained on.
            allow_soft_placement: true,
        };
        config.encode_to_vec()
    }
}

fn wrong(name: &str, found: impl AsRef<str>, wanted: &str) -> Status {
    Status::invalid_argument(format!(
        "option {} is {}, wanted {wanted}",
        Quoted(name),
        Quoted(found.as_ref())
    ))
}

fn read_device(text: &str) -> Result<Option<u16>, Status> {
    let number = match text {
        "cpu" => return Ok(None),
        "cuda" => Some(0),
        _ => text.strip_prefix("cuda:").and_then(|number| number.parse().ok()),
    };
    let number = number.ok_or_else(|| wrong("device", text, "`cpu`, `cuda` or `cuda:` and a number"))?;
    Ok(Some(number))
}

fn read_threads(options: &Options, name: &str) -> Result<Option<i32>, Status> {
    /// More than any machine runs at once; a typing error must not start a million threads.
    const MOST: i64 = 4096;
    match options.int(name)? {
        None => Ok(None),
        Some(count @ 1..=MOST) => Ok(i32::try_from(count).ok()),
        Some(count) => Err(wrong(name, count.to_string(), &format!("1 to {MOST}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_platform::OptionValue;

    #[test]
    fn options_out_of_range_are_named() {
        let read = |name: &str, value| {
            let mut options = Options::new();
            options.set(name, value);
            Settings::read(&options).map_err(|status| status.to_string())
        };
        let error = read("inter_op_threads", OptionValue::Int(-1)).unwrap_err();
        assert_eq!(error, "option `inter_op_threads` is `-1`, wanted 1 to 4096");
        let error = read("device", OptionValue::Text("tpu".into())).unwrap_err();
        assert_eq!(error, "option `device` is `tpu`, wanted `cpu`, `cuda` or `cuda:` and a number");
        let tags = read("tags", OptionValue::Text("serve, gpu".into())).unwrap().tags;
        assert_eq!(tags, ["serve", "gpu"]);
    }
}
