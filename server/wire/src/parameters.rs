//! Parameters of the Open Inference Protocol.

use salver_core_platform::{OptionValue, Options};
use salver_core_status::{Quoted, Status};
use salver_proto::inference::InferParameter;
use salver_proto::inference::infer_parameter::ParameterChoice;

/// Parameters as settings for the model. Of a name that is there twice the last value counts, as in any map.
///
/// # Errors
/// INVALID_ARGUMENT for a parameter without a value, or above what a signed 64-bit integer holds; UNIMPLEMENTED for a
/// request of a sequence.
pub fn decode_parameters(
    entries: impl IntoIterator<Item = (String, Option<InferParameter>)>,
) -> Result<Options, Status> {
    let mut options = Options::new();
    for (name, parameter) in entries {
        let wrong = |what| Status::invalid_argument(format!("parameter {} {what}", Quoted(&name)));
        let choice = parameter.and_then(|parameter| parameter.parameter_choice);
        let value = match choice.ok_or_else(|| wrong("has no value"))? {
            ParameterChoice::BoolParam(value) => OptionValue::Bool(value),
            ParameterChoice::Int64Param(value) => OptionValue::Int(value),
            ParameterChoice::StringParam(value) => OptionValue::Text(value),
            ParameterChoice::DoubleParam(value) => OptionValue::Float(value),
            ParameterChoice::Uint64Param(value) => {
                OptionValue::Int(i64::try_from(value).map_err(|_| wrong("is above 9223372036854775807"))?)
            }
        };
        // The protocol's words for no sequence are 0 and the empty text.
        if name == "sequence_id"
            && !matches!(&value, OptionValue::Int(0))
            && value != OptionValue::Text(String::new())
        {
            return Err(Status::unimplemented(
                "sequences are not supported: parameter `sequence_id` asks for one",
            ));
        }
        options.set(name, value);
    }
    Ok(options)
}

/// Settings as parameters, in order of name.
pub fn encode_parameters(options: &Options) -> impl Iterator<Item = (String, Option<InferParameter>)> {
    options.iter().map(|(name, value)| {
        let choice = match value {
            OptionValue::Bool(value) => ParameterChoice::BoolParam(*value),
            OptionValue::Int(value) => ParameterChoice::Int64Param(*value),
            OptionValue::Float(value) => ParameterChoice::DoubleParam(*value),
            OptionValue::Text(value) => ParameterChoice::StringParam(value.clone()),
        };
        (name.to_owned(), Some(InferParameter { parameter_choice: Some(choice) }))
    })
}

/// Whether none of a tensor's parameters asks for something that is not served: a parameter that changes where the
/// data are, or what they mean, must not be passed over.
///
/// # Errors
/// UNIMPLEMENTED for shared memory and classification, naming the tensor (`kind` is `input` or `output`).
pub fn refuse_unsupported<'a>(
    kind: &str,
    tensor: &str,
    parameters: impl IntoIterator<Item = &'a str>,
) -> Result<(), Status> {
    for parameter in parameters {
        let what = match parameter {
            "shared_memory_region" | "shared_memory_offset" | "shared_memory_byte_size" => "shared memory",
            "classification" => "classification",
            _ => continue,
        };
        return Err(Status::unimplemented(format!(
            "{what} is not supported: {kind} {} asks for it",
            Quoted(tensor)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(choice: ParameterChoice) -> Option<InferParameter> {
        Some(InferParameter { parameter_choice: Some(choice) })
    }

    #[test]
    fn parameters_of_every_kind_become_settings_and_parameters_again() {
        let entries = vec![
            ("bool".to_owned(), parameter(ParameterChoice::BoolParam(true))),
            ("float".to_owned(), parameter(ParameterChoice::DoubleParam(0.5))),
            ("int".to_owned(), parameter(ParameterChoice::Int64Param(-1))),
            ("text".to_owned(), parameter(ParameterChoice::StringParam("x".into()))),
        ];
        let options = decode_parameters(entries.clone()).unwrap();
        assert_eq!(options.int("int"), Ok(Some(-1)));
        assert_eq!(encode_parameters(&options).collect::<Vec<_>>(), entries);
        let unsigned = ("u".to_owned(), parameter(ParameterChoice::Uint64Param(7)));
        assert_eq!(decode_parameters([unsigned]).unwrap().int("u"), Ok(Some(7)));
    }

    #[test]
    fn a_parameter_without_a_value_or_too_large_is_named() {
        let message = |choice| {
            let entry = ("p".to_owned(), choice);
            decode_parameters([entry]).unwrap_err().message().to_owned()
        };
        assert_eq!(message(None), "parameter `p` has no value");
        let large = parameter(ParameterChoice::Uint64Param(u64::MAX));
        assert_eq!(message(large), "parameter `p` is above 9223372036854775807");
    }

    #[test]
    fn a_request_of_a_sequence_is_refused_and_one_of_none_is_not() {
        let of = |choice| decode_parameters([("sequence_id".to_owned(), parameter(choice))]);
        for none in [ParameterChoice::Int64Param(0), ParameterChoice::StringParam(String::new())] {
            assert!(of(none).is_ok());
        }
        for some in [ParameterChoice::Uint64Param(7), ParameterChoice::StringParam("s".to_owned())] {
            assert_eq!(of(some).unwrap_err().code(), salver_core_status::Code::Unimplemented);
        }
    }

    #[test]
    fn what_is_not_served_is_refused_and_not_passed_over() {
        assert_eq!(refuse_unsupported("output", "y", ["binary_data"]), Ok(()));
        let error = refuse_unsupported("output", "y", ["classification"]).unwrap_err();
        assert_eq!(error, Status::unimplemented("classification is not supported: output `y` asks for it"));
        assert!(refuse_unsupported("input", "x", ["shared_memory_region"]).is_err());
    }
}
