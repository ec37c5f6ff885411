//! Settings for platforms, as people write them.

use std::collections::BTreeMap;

use salver_core_platform::{OptionValue, Options};
use salver_core_status::Quoted;

use crate::{CheckArgs, ModelSettings};

/// One `PLATFORM.OPTION=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformOption {
    pub(crate) platform: String,
    pub(crate) name: String,
    pub(crate) value: OptionValue,
}

/// Reads `onnxruntime.intra_op_threads=2`. The value is true, false, a number, or else a text.
pub(crate) fn parse_platform_option(text: &str) -> Result<PlatformOption, String> {
    let wanted = || format!("{} is not of the form PLATFORM.OPTION=VALUE", Quoted(text));
    let (path, value) = text.split_once('=').ok_or_else(wanted)?;
    let (platform, name) = path.split_once('.').ok_or_else(wanted)?;
    if platform.is_empty() || name.is_empty() {
        return Err(wanted());
    }
    Ok(PlatformOption { platform: platform.to_owned(), name: name.to_owned(), value: value_of(value) })
}

/// The same, as it is written: for a program that hands it on.
pub(crate) fn written_platform_option(text: &str) -> Result<String, String> {
    parse_platform_option(text).map(|_| text.to_owned())
}

impl CheckArgs {
    /// The settings that the model is loaded with by `platform`: those given, and over them those of the `model.toml` beside
    /// the version's directory. Reads that file.
    ///
    /// # Errors
    /// A sentence on the setting or the file at fault.
    pub fn options(&self, platform: &str) -> Result<Options, String> {
        let given = self.platform_option.iter().map(|text| parse_platform_option(text));
        let given = given.collect::<Result<Vec<_>, _>>()?;
        let given = by_platform(given).remove(platform).unwrap_or_default();
        let Some(model) = &self.model else {
            return Ok(given);
        };
        let path = std::path::absolute(model).map_err(|error| format!("`{}`: {error}", model.display()))?;
        let beside = path.parent().unwrap_or(&path);
        let settings = ModelSettings::read(beside).map_err(|status| status.to_string())?;
        Ok(given.overlaid(&settings.options))
    }
}

/// A value of the kind it looks like.
pub(crate) fn value_of(text: &str) -> OptionValue {
    if let Ok(value) = text.parse::<bool>() {
        return OptionValue::Bool(value);
    }
    if let Ok(value) = text.parse::<i64>() {
        return OptionValue::Int(value);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => OptionValue::Float(value),
        _ => OptionValue::Text(text.to_owned()),
    }
}

/// The settings by platform; of the same setting twice the last counts.
pub(crate) fn by_platform(options: impl IntoIterator<Item = PlatformOption>) -> BTreeMap<String, Options> {
    let mut by_platform: BTreeMap<String, Options> = BTreeMap::new();
    for option in options {
        by_platform.entry(option.platform).or_default().set(option.name, option.value);
    }
    by_platform
}

/// A table of a settings file as options.
pub(crate) fn from_table(table: &toml::Table) -> Result<Options, String> {
    let mut options = Options::new();
    for (name, value) in table {
        let value = match value {
            toml::Value::Boolean(value) => OptionValue::Bool(*value),
            toml::Value::Integer(value) => OptionValue::Int(*value),
            toml::Value::Float(value) => OptionValue::Float(*value),
            toml::Value::String(value) => OptionValue::Text(value.clone()),
            other => {
                let kind = other.type_str();
                return Err(format!(
                    "option {} is a {kind}, wanted a bool, a number or a text",
                    Quoted(name)
                ));
            }
        };
        options.set(name, value);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_of_the_kind_it_looks_like() {
        for (text, value) in [
            ("p.a=true", OptionValue::Bool(true)),
            ("p.a=2", OptionValue::Int(2)),
            ("p.a=0.5", OptionValue::Float(0.5)),
            ("p.a=cuda:0", OptionValue::Text("cuda:0".into())),
            ("p.a=", OptionValue::Text(String::new())),
            ("p.a=x=y", OptionValue::Text("x=y".into())),
        ] {
            assert_eq!(parse_platform_option(text).unwrap().value, value, "{text}");
        }
        assert_eq!(parse_platform_option("p.session.a=1").unwrap().name, "session.a");
    }

    #[test]
    fn an_option_without_platform_name_or_value_is_refused() {
        for text in ["", "a=1", ".a=1", "p.=1", "p.a"] {
            assert!(parse_platform_option(text).is_err(), "{text}");
        }
    }
}
