//! Batching parameters as a table of a settings file.

use salver_batching_parameters::Parameters;
use salver_core_platform::{OptionValue, Options};
use salver_core_status::Quoted;

/// Reads a table whose keys are the names of the fields; what is within another field is a table within, and sizes are an
/// array.
///
/// # Errors
/// A sentence that names the key and says what was found and what was wanted.
pub(crate) fn read(table: &toml::Table) -> Result<Parameters, String> {
    let mut options = Options::new();
    flatten("", table, &mut options)?;
    Parameters::from_options(&options).map_err(|status| status.message().to_owned())
}

/// A table within a table has the path of names that [`Parameters::from_options`] wants.
fn flatten(path: &str, table: &toml::Table, options: &mut Options) -> Result<(), String> {
    for (key, value) in table {
        let name = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let value = match value {
            toml::Value::Boolean(value) => OptionValue::Bool(*value),
            toml::Value::Integer(value) => OptionValue::Int(*value),
            toml::Value::Float(value) => OptionValue::Float(*value),
            toml::Value::String(value) => OptionValue::Text(value.clone()),
            toml::Value::Array(values) => OptionValue::Text(sizes(&name, values)?),
            toml::Value::Table(table) => {
                flatten(&name, table, options)?;
                continue;
            }
            toml::Value::Datetime(value) => {
                return Err(format!(
                    "{} is {value}, a number, a text, an array or a table was wanted",
                    Quoted(&name)
                ));
            }
        };
        options.set(name, value);
    }
    Ok(())
}

fn sizes(name: &str, values: &[toml::Value]) -> Result<String, String> {
    let size = |value: &toml::Value| match value {
        toml::Value::Integer(size) => Ok(size.to_string()),
        other => Err(format!(
            "{} has a {} in its array, whole numbers were wanted",
            Quoted(name),
            other.type_str()
        )),
    };
    Ok(values.iter().map(size).collect::<Result<Vec<_>, _>>()?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_batching_parameters::{LevelParameters, Mode, QueuePolicyParameters};
    use std::time::Duration;

    fn read_text(text: &str) -> Result<Parameters, String> {
        read(&toml::from_str(text).unwrap())
    }

    #[test]
    fn keys_are_the_names_of_the_fields() {
        let said = read_text(
            r#"
            mode = "latency-target"
            latency_target = "20ms"
            max_batch_size = 64
            allowed_batch_sizes = [1, 16, 64]
            pad_variable_length_inputs = true
            padding_value = 0.5
            unpad_outputs = { "scores:0" = "tokens" }
            default_queue_policy = { timeout_action = "delay", max_queue_size = 9 }
            [priority_queue_policy.2]
            default_timeout = "1s"
            [levels.2]
            batch_timeout_micros = 70
            "#,
        );
        let said = said.unwrap();
        assert_eq!(
            (said.mode, said.latency_target),
            (Some(Mode::LatencyTarget), Some(Duration::from_millis(20)))
        );
        assert_eq!(said.allowed_batch_sizes, Some(vec![1, 16, 64]));
        assert_eq!(said.unpad_outputs, Some([("scores:0".to_owned(), "tokens".to_owned())].into()));
        assert_eq!(said.default_queue_policy.unwrap().max_queue_size, Some(9));
        let policy = QueuePolicyParameters {
            default_timeout: Some(Duration::from_secs(1)),
            ..QueuePolicyParameters::default()
        };
        assert_eq!(said.priority_queue_policy, Some([(2, policy)].into()));
        let level =
            LevelParameters { batch_timeout: Some(Duration::from_micros(70)), ..LevelParameters::default() };
        assert_eq!(said.levels, Some([(2, level)].into()));
    }

    #[test]
    fn an_empty_array_is_all_sizes() {
        assert_eq!(read_text("allowed_batch_sizes = []").unwrap().allowed_batch_sizes, Some(Vec::new()));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        for (text, part) in [
            ("max_batch_sise = 1", "unknown parameter `max_batch_sise`; max_batch_size was wanted perhaps"),
            ("allowed_batch_sizes = ['a']", "`allowed_batch_sizes` has a string in its array"),
            ("batch_timeout = 2024-01-01", "`batch_timeout` is 2024-01-01"),
            ("batch_timeout = 5", "a time such as 500us or 2ms was wanted"),
            ("levels = { 1 = { mode = 'off' } }", "`levels.1`: unknown parameter `mode`"),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
