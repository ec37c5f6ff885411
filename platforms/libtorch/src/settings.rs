//! A model's options, read.

use salver_core_platform::Options;
use salver_core_status::{Quoted, Status};
use tch::{Cuda, Device};

/// How a model is loaded and run.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) file: Option<String>,
    pub(crate) device: Place,
    pub(crate) intra_op_threads: Option<usize>,
    pub(crate) inter_op_threads: Option<usize>,
    pub(crate) profiling: bool,
    pub(crate) signature: Option<String>,
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Cpu,
    /// By number.
    Cuda(usize),
}

/// The option that names libraries of operators, which [`Options::files`] reads.
pub(crate) const OPERATOR_LIBRARIES: &str = "operator_libraries";

const KNOWN: [&str; 7] =
    ["file", OPERATOR_LIBRARIES, "device", "intra_op_threads", "inter_op_threads", "profiling", "signature"];

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming the option, what it is and what was wanted.
    pub(crate) fn read(options: &Options) -> Result<Self, Status> {
        options.only(&KNOWN)?;
        Ok(Self {
            file: options.text("file")?.map(str::to_owned),
            device: options.text("device")?.map_or(Ok(Place::Cpu), read_device)?,
            intra_op_threads: read_threads(options, "intra_op_threads")?,
            inter_op_threads: read_threads(options, "inter_op_threads")?,
            profiling: options.bool("profiling")?.unwrap_or(false),
            signature: options.text("signature")?.map(str::to_owned),
        })
    }
}

impl Place {
    /// The device, which must be there.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where it is not.
    pub(crate) fn open(self) -> Result<Device, Status> {
        let Place::Cuda(number) = self else { return Ok(Device::Cpu) };
        let refused = |why: String| {
            Err(Status::failed_precondition(format!("option `device` is `cuda:{number}`, but {why}")))
        };
        if !tch::utils::has_cuda() {
            return refused("this libtorch is built without CUDA, or finds no driver".to_owned());
        }
        match usize::try_from(Cuda::device_count()).unwrap_or(0) {
            count if number < count => Ok(Device::Cuda(number)),
            count => refused(format!("there are {count} such devices")),
        }
    }
}

fn wrong(name: &str, found: impl AsRef<str>, wanted: &str) -> Status {
    Status::invalid_argument(format!(
        "option {} is {}, wanted {wanted}",
        Quoted(name),
        Quoted(found.as_ref())
    ))
}

fn read_device(text: &str) -> Result<Place, Status> {
    let number = match text {
        "cpu" => return Ok(Place::Cpu),
        "cuda" => Some(0),
        _ => text.strip_prefix("cuda:").and_then(|number| number.parse::<u16>().ok()),
    };
    let number = number.ok_or_else(|| wrong("device", text, "`cpu`, `cuda` or `cuda:` and a number"))?;
    Ok(Place::Cuda(number.into()))
}

fn read_threads(options: &Options, name: &str) -> Result<Option<usize>, Status> {
    /// More than any machine runs at once; a typing error must not start a million threads.
    const MOST: i64 = 4096;
    match options.int(name)? {
        None => Ok(None),
        Some(count @ 1..=MOST) => Ok(usize::try_from(count).ok()),
        Some(count) => Err(wrong(name, count.to_string(), &format!("1 to {MOST}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_platform::OptionValue;

    fn read(name: &str, value: OptionValue) -> Result<Settings, String> {
        let mut options = Options::new();
        options.set(name, value);
        Settings::read(&options).map_err(|status| status.to_string())
    }

    #[test]
    fn a_device_is_a_processor_or_a_numbered_gpu() {
        let device = |text: &str| read("device", OptionValue::Text(text.into())).map(|read| read.device);
        assert_eq!(device("cpu"), Ok(Place::Cpu));
        assert_eq!(device("cuda"), Ok(Place::Cuda(0)));
        assert_eq!(device("cuda:3"), Ok(Place::Cuda(3)));
        let wanted = "option `device` is `gpu`, wanted `cpu`, `cuda` or `cuda:` and a number";
        assert_eq!(device("gpu"), Err(wanted.to_owned()));
    }

    #[test]
    fn an_option_that_is_not_there_or_out_of_range_is_named() {
        assert!(read("theads", OptionValue::Int(1)).unwrap_err().contains("unknown option `theads`"));
        let error = read("intra_op_threads", OptionValue::Int(0)).unwrap_err();
        assert_eq!(error, "option `intra_op_threads` is `0`, wanted 1 to 4096");
    }
}
