//! A model's options, read.

use std::path::PathBuf;

use ort::session::builder::GraphOptimizationLevel;
use salver_core_platform::{OptionValue, Options};
use salver_core_status::{Quoted, Status};

use crate::files;

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Cpu,
    /// By number.
    Cuda(i32),
}

/// How a model is loaded and run.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) library: Option<String>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) device: Device,
    pub(crate) intra_op_threads: Option<usize>,
    pub(crate) inter_op_threads: Option<usize>,
    pub(crate) parallel: bool,
    pub(crate) optimization: GraphOptimizationLevel,
    pub(crate) spinning: bool,
    pub(crate) memory_arena: bool,
    pub(crate) prepacking: bool,
    /// Entries of ONNX Runtime's session configuration.
    pub(crate) config: Vec<(String, String)>,
}

/// The option that names libraries of operators, which [`Options::files`] reads.
pub(crate) const OPERATOR_LIBRARIES: &str = "operator_libraries";

const KNOWN: [&str; 11] = [
    "library",
    OPERATOR_LIBRARIES,
    "file",
    "device",
    "intra_op_threads",
    "inter_op_threads",
    "execution_mode",
    "graph_optimization",
    "spinning",
    "memory_arena",
    "prepacking",
];

/// What goes before the key of an entry of the session configuration.
const CONFIG: &str = "session_config.";

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming the option, what it is and what was wanted.
    pub(crate) fn read(options: &Options) -> Result<Self, Status> {
        let entries =
            options.iter().filter_map(|(name, value)| Some((name, name.strip_prefix(CONFIG)?, value)));
        let mut known: Vec<&str> = KNOWN.to_vec();
        let mut config = Vec::new();
        for (name, key, value) in entries {
            known.push(name);
            config.push((key.to_owned(), config_text(value)));
        }
        options.only(&known)?;
        Ok(Self {
            library: options.text("library")?.map(str::to_owned),
            file: options.text("file")?.map(files::inside).transpose()?,
            device: options.text("device")?.map_or(Ok(Device::Cpu), read_device)?,
            intra_op_threads: read_threads(options, "intra_op_threads")?,
            inter_op_threads: read_threads(options, "inter_op_threads")?,
            parallel: read_choice(options, "execution_mode", &[("sequential", false), ("parallel", true)])?
                .unwrap_or(false),
            optimization: read_choice(
                options,
                "graph_optimization",
                &[
                    ("all", GraphOptimizationLevel::All),
                    ("extended", GraphOptimizationLevel::Level2),
                    ("basic", GraphOptimizationLevel::Level1),
                    ("disable", GraphOptimizationLevel::Disable),
                ],
            )?
            .unwrap_or(GraphOptimizationLevel::All),
            spinning: options.bool("spinning")?.unwrap_or(false),
            memory_arena: options.bool("memory_arena")?.unwrap_or(false),
            prepacking: options.bool("prepacking")?.unwrap_or(true),
            config,
        })
    }

    /// Whether the graph is changed while it is loaded, and weights with it.
    pub(crate) fn optimizes(&self) -> bool {
        !matches!(self.optimization, GraphOptimizationLevel::Disable)
    }

    /// Whether the model needs threads of its own, since those of the shared pool are not as it wants them.
    pub(crate) fn wants_own_pool(&self) -> bool {
        self.intra_op_threads.is_some() || self.inter_op_threads.is_some() || self.parallel || self.spinning
    }
}

fn wrong(name: &str, found: &str, wanted: &str) -> Status {
    Status::invalid_argument(format!("option {} is {}, wanted {wanted}", Quoted(name), Quoted(found)))
}

fn read_device(text: &str) -> Result<Device, Status> {
    let number = match text {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        _ => text.strip_prefix("cuda:").and_then(|number| number.parse::<u16>().ok()),
    };
    let wanted = "`cpu`, `cuda` or `cuda:` and a number";
    Ok(Device::Cuda(number.ok_or_else(|| wrong("device", text, wanted))?.into()))
}

fn read_threads(options: &Options, name: &str) -> Result<Option<usize>, Status> {
    /// More than any machine runs at once; a typing error must not start a million threads.
    const MOST: i64 = 4096;
    let Some(threads) = options.int(name)? else { return Ok(None) };
    match usize::try_from(threads) {
        Ok(count) if (1..=MOST).contains(&threads) => Ok(Some(count)),
        _ => Err(wrong(name, &threads.to_string(), "1 to 4096")),
    }
}

fn read_choice<T: Clone>(options: &Options, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Status> {
    let Some(text) = options.text(name)? else { return Ok(None) };
    match choices.iter().find(|(choice, _)| *choice == text) {
        Some((_, value)) => Ok(Some(value.clone())),
        None => {
            let names: Vec<_> = choices.iter().map(|(choice, _)| format!("`{choice}`")).collect();
            Err(wrong(name, text, &format!("one of {}", names.join(", "))))
        }
    }
}

/// An option as ONNX Runtime writes it.
fn config_text(value: &OptionValue) -> String {
    match value {
        OptionValue::Bool(value) => u8::from(*value).to_string(),
        OptionValue::Int(value) => value.to_string(),
        OptionValue::Float(value) => value.to_string(),
        OptionValue::Text(value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str, value: OptionValue) -> Options {
        let mut options = Options::new();
        options.set(name, value);
        options
    }

    fn text(text: &str) -> OptionValue {
        OptionValue::Text(text.to_owned())
    }

    #[track_caller]
    fn refused(name: &str, value: OptionValue, message: &str) {
        let status = Settings::read(&options(name, value)).unwrap_err();
        assert!(status.message().starts_with(message), "{status}");
    }

    #[test]
    fn without_options_nothing_spins_nothing_is_kept_and_threads_are_shared() {
        let settings = Settings::read(&Options::new()).unwrap();
        assert!(
            !settings.spinning && !settings.memory_arena && settings.prepacking && !settings.wants_own_pool()
        );
        assert_eq!(settings.device, Device::Cpu);
    }

    #[test]
    fn a_wrong_option_is_told_what_was_wanted() {
        refused(
            "spining",
            OptionValue::Bool(true),
            "unknown option `spining`; there are: library, operator_libraries, file,",
        );
        refused("device", text("gpu"), "option `device` is `gpu`, wanted `cpu`, `cuda` or");
        refused("device", text("cuda:-1"), "option `device` is `cuda:-1`");
        refused(
            "intra_op_threads",
            OptionValue::Int(0),
            "option `intra_op_threads` is `0`, wanted 1 to 4096",
        );
        refused(
            "execution_mode",
            text("fast"),
            "option `execution_mode` is `fast`, wanted one of `sequential`,",
        );
        refused("file", text("../m.onnx"), "option `file` is `../m.onnx`, wanted a path inside");
    }

    #[test]
    fn entries_of_the_session_configuration_pass_under_their_own_key() {
        let settings = Settings::read(&options("session_config.session.x", OptionValue::Bool(true))).unwrap();
        assert_eq!(settings.config, [("session.x".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_device_is_read_with_its_number() {
        for (name, device) in [("cpu", Device::Cpu), ("cuda", Device::Cuda(0)), ("cuda:3", Device::Cuda(3))] {
            assert_eq!(Settings::read(&options("device", text(name))).unwrap().device, device);
        }
    }
}
