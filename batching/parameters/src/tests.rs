//! What is filled in, what is refused, and what is over what.

mod arbitrary;
mod options;
mod over;
mod resolve;

use salver_core_platform::{OptionValue, Options};

use crate::{BatchingOptions, Parameters};

/// Options as a person writes them, `name = value` separated by `;`.
fn written(text: &str) -> Options {
    let mut options = Options::new();
    for line in text.split(';').map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=').unwrap();
        let value = value.trim();
        let value = match (value.parse(), value.parse(), value.parse()) {
            (Ok(value), _, _) => OptionValue::Bool(value),
            (_, Ok(value), _) => OptionValue::Int(value),
            (_, _, Ok(value)) => OptionValue::Float(value),
            _ => OptionValue::Text(value.trim_matches('"').to_owned()),
        };
        options.set(name.trim(), value);
    }
    options
}

fn parameters(text: &str) -> Parameters {
    Parameters::from_options(&written(text)).unwrap()
}

fn resolved(text: &str) -> BatchingOptions {
    parameters(text).resolve().unwrap().unwrap()
}
