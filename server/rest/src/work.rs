//! How much work an answer is.

use salver_server_inference::Answer;

/// How many bytes the tensors of an answer have whose names are `wanted`.
pub(crate) fn bytes_of(answer: &Answer, wanted: impl Fn(&str) -> bool) -> usize {
    let tensors = answer.outputs().filter(|(spec, _)| wanted(&spec.name));
    let bytes = tensors.map(|(_, tensor)| match (tensor.fixed(), tensor.strings()) {
        (Some(elements), _) => elements.len(),
        (None, Some(strings)) => strings.view().total_bytes() + strings.len(),
        (None, None) => 0,
    });
    bytes.fold(0, usize::saturating_add)
}
