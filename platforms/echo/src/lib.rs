//! A platform whose models return their inputs, for tests and load.
//!
//! A model is one file, `echo.toml`; an empty one is the null model, which takes nothing and returns nothing.
//!
//! ```toml
//! # All of it is optional. Loading waits for a file to be there, takes a while, or fails:
//! load = { wait_for = "/run/go", delay_ms = 100, fail = "DATA_LOSS the disk is on fire" }
//!
//! [signatures.serving_default]
//! inputs = [
//!     { name = "x", dtype = "FP32", shape = [-1, 3] },   # no `shape`: any
//!     { name = "bias", dtype = "FP32", shape = [], optional = true, default = 0.5 },
//! ]
//! outputs = { y = "x" }           # output `y` is input `x`; left out, each input is returned under its own name
//! tag = "version"                 # one more output, INT64 [-1]: the model's version, once per row of the first input
//! wait_for = "go"                 # each run waits until this file is there, in the version's directory or elsewhere,
//! delay_ms = 5                    # takes at least so long from then, and heeds deadline and cancellation all the while;
//! fail = "UNAVAILABLE out of tea" # and fails
//! ```
//!
//! Outputs come in the alphabetical order of their names where `outputs` is given, else in the order of the inputs; the
//! tag is the last.

mod config;
mod model;
mod wait;

use std::path::Path;

use salver_core_platform::{LoadRequest, Model, Platform, Probe};
use salver_core_status::{Quoted, Status};

use crate::config::Config;
use crate::model::EchoModel;

/// The file that makes a directory an echo model.
const FILE: &str = "echo.toml";

/// The echo platform. It has no options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Echo {
    /// The platform.
    pub fn new() -> Self {
        Self
    }
}

impl Platform for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn probe(&self, directory: &Path) -> Probe {
        Probe::by_file(directory, FILE)
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        request.options.only(&[])?;
        let path = request.directory.join(FILE);
        let at_fault = Quoted(&path.to_string_lossy()).to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&error).context(&at_fault))?;
        let config = Config::parse(&text).map_err(|status| status.context(&at_fault))?;
        config.load.wait(request.directory).for_load(request.cancel)?;
        if let Some(failure) = config.load.failure().map_err(|status| status.context(&at_fault))? {
            return Err(failure);
        }
        let model = EchoModel::new(&config, request.directory, request.id.version.number())
            .map_err(|status| status.context(&at_fault))?;
        Ok(Box::new(model))
    }
}

fn unreadable(error: &std::io::Error) -> Status {
    match error.kind() {
        std::io::ErrorKind::NotFound => Status::not_found("no such file"),
        _ => Status::failed_precondition(error.to_string()),
    }
}
