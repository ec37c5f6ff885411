//! The server's file of batching parameters, in either form.

use std::collections::BTreeMap;
use std::path::Path;

use salver_batching_parameters::Parameters;
use salver_core_status::{Quoted, Status};
use serde::Deserialize;

use super::{of_table, tensorflow};
use crate::file::read_text;

/// What the file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ServerFile {
    pub(super) server: Parameters,
    pub(super) by_platform: BTreeMap<String, Parameters>,
}

/// The file as it is written in TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    batching: Option<toml::Table>,
    #[serde(default)]
    platform: BTreeMap<String, RawPlatform>,
}

/// What is said of one platform.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlatform {
    batching: Option<toml::Table>,
}

impl ServerFile {
    /// Reads a file: one whose name ends in `.toml` has `[batching]` and `[platform.NAME.batching]`, any other is TensorFlow
    /// Serving's text form.
    ///
    /// # Errors
    /// NOT_FOUND where there is none, UNAVAILABLE where it cannot be read, INVALID_ARGUMENT naming what is wrong in it.
    pub(super) fn read(path: &Path) -> Result<Self, Status> {
        let shown = path.display();
        let text =
            read_text(path)?.ok_or_else(|| Status::not_found(format!("there is no file `{shown}`")))?;
        let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        let read = if is_toml {
            Self::of_toml(&text).map_err(Status::invalid_argument)
        } else {
            tensorflow::read(&text).map(|server| Self { server, by_platform: BTreeMap::new() })
        };
        read.map_err(|status| status.context(format_args!("`{shown}`")))
    }

    fn of_toml(text: &str) -> Result<Self, String> {
        let raw: Raw = toml::from_str(text).map_err(|error| error.to_string().trim().replace('\n', " "))?;
        let mut file = Self::default();
        if let Some(table) = &raw.batching {
            file.server = of_table("batching", table)?;
        }
        for (platform, raw) in raw.platform {
            if let Some(table) = &raw.batching {
                let name = format!("platform.{}.batching", Quoted(&platform));
                file.by_platform.insert(platform, of_table(&name, table)?);
            }
        }
        Ok(file)
    }
}
