//! What TensorFlow Serving's calls about examples are asked and answer.

use bytes::Bytes;
use salver_core_status::Status;
use salver_core_tensor::Strings;
use salver_proto::tensorflow::serving::input::Kind;
use salver_proto::tensorflow::serving::{
    Class, ClassificationResult, Classifications, Input, Regression, RegressionResult,
};

/// The examples of an input, serialised as they came, and what they have in common; nothing at all where there is no input.
///
/// Shares the memory of the message where there is one example; else they are copied into one buffer.
pub fn decode_examples(input: Option<Input>) -> (Strings, Bytes) {
    let (examples, context) = match input.and_then(|input| input.kind) {
        None => (Vec::new(), Bytes::new()),
        Some(Kind::ExampleList(list)) => (list.examples, Bytes::new()),
        Some(Kind::ExampleListWithContext(list)) => (list.examples, list.context),
    };
    let examples = match examples.as_slice() {
        [one] => Strings::one(one.clone()),
        many => many.iter().collect(),
    };
    (examples, context)
}

/// Classes of examples: of each its labels and scores.
///
/// # Errors
/// INVALID_ARGUMENT for a label that is not UTF-8, which the message has no place for.
pub fn classification_result<'a, Row>(rows: impl Iterator<Item = Row>) -> Result<ClassificationResult, Status>
where
    Row: Iterator<Item = (&'a [u8], f32)>,
{
    let class = |(label, score): (&[u8], f32)| {
        let label = std::str::from_utf8(label)
            .map_err(|_| Status::invalid_argument("a label in the model's output `classes` is not UTF-8"))?;
        Ok(Class { label: label.to_owned(), score })
    };
    let classifications = rows.map(|row| {
        let classes = row.map(class).collect::<Result<_, Status>>()?;
        Ok(Classifications { classes })
    });
    Ok(ClassificationResult { classifications: classifications.collect::<Result<_, Status>>()? })
}

/// Values of examples.
pub fn regression_result(values: &[f32]) -> RegressionResult {
    RegressionResult { regressions: values.iter().map(|&value| Regression { value }).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use salver_core_status::Code;
    use salver_proto::tensorflow::serving::ClassificationRequest;

    /// A `ClassificationRequest` as TensorFlow Serving's Python stubs encode it: two examples of a feature `x` that is 2.0,
    /// and, in common, a feature `y` that is 7.
    const GOLDEN: &[u8] = b"\x0a\x03\x0a\x01m\x12\x39\x12\x37\
        \x0a\x11\x0a\x0f\x0a\x0d\x0a\x01x\x12\x08\x12\x06\x0a\x04\x00\x00\x00\x40\
        \x0a\x11\x0a\x0f\x0a\x0d\x0a\x01x\x12\x08\x12\x06\x0a\x04\x00\x00\x00\x40\
        \x12\x0f\x0a\x0d\x0a\x0b\x0a\x01y\x12\x06\x1a\x04\x0a\x02\x07\x08";

    #[test]
    fn examples_and_their_context_stay_as_they_came() {
        let request = ClassificationRequest::decode(GOLDEN).unwrap();
        let (examples, context) = decode_examples(request.input.clone());
        let example = b"\x0a\x0f\x0a\x0d\x0a\x01x\x12\x08\x12\x06\x0a\x04\x00\x00\x00\x40";
        assert_eq!(examples.iter().collect::<Vec<_>>(), [&example[..], example]);
        assert_eq!(context, &b"\x0a\x0d\x0a\x0b\x0a\x01y\x12\x06\x1a\x04\x0a\x02\x07\x08"[..]);
        assert_eq!(request.encode_to_vec(), GOLDEN);
        let (none, context) = decode_examples(None);
        assert!(none.is_empty() && context.is_empty());
    }

    #[test]
    fn classes_have_labels_of_utf_8() {
        let rows = |label: &'static [u8]| [[(label, 0.5), (b"", 0.0)].into_iter()].into_iter();
        let result = classification_result(rows("é".as_bytes())).unwrap();
        let classes = &result.classifications[0].classes;
        assert_eq!((classes[0].label.as_str(), classes[0].score, classes.len()), ("é", 0.5, 2));
        assert_eq!(classification_result(rows(b"\xff")).unwrap_err().code(), Code::InvalidArgument);
    }
}
