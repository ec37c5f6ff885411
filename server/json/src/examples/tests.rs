use super::*;

use proptest::prelude::*;
use prost::Message as _;
use salver_proto::tensorflow::feature::Kind as Values;
use salver_proto::tensorflow::features::FeatureEntry;
use salver_proto::tensorflow::{BytesList, Example, Feature, Features, FloatList, Int64List};

fn read(body: &str) -> Result<ExamplesRequest, Status> {
    ExamplesRequest::read(body.as_bytes())
}

#[track_caller]
fn refused(body: &str, message: &str) {
    assert_eq!(read(body).unwrap_err(), Status::invalid_argument(message), "{body}");
}

fn decoded(example: &[u8]) -> Vec<(String, Option<Values>)> {
    let features = Example::decode(example).unwrap().features.unwrap_or_default();
    features.feature.into_iter().map(|entry| (entry.key, entry.value.unwrap().kind)).collect()
}

/// The one example of `features`.
fn example(features: &str) -> Vec<(String, Option<Values>)> {
    let request = read(&format!(r#"{{"examples": [{features}]}}"#)).unwrap();
    let [one] = &request.examples().iter().collect::<Vec<_>>()[..] else { panic!("{request:?}") };
    decoded(one)
}

fn integers(value: &[i64]) -> Option<Values> {
    Some(Values::Int64List(Int64List { value: value.to_vec() }))
}

fn floats(value: &[f32]) -> Option<Values> {
    Some(Values::FloatList(FloatList { value: value.to_vec() }))
}

fn strings(value: &[&[u8]]) -> Option<Values> {
    Some(Values::BytesList(BytesList { value: value.iter().map(|bytes| bytes.to_vec()).collect() }))
}

#[test]
fn the_kind_of_a_feature_is_that_of_its_values() {
    for (value, wanted) in [
        ("2", integers(&[2])),
        ("[1, -1, true, false]", integers(&[1, -1, 1, 0])),
        ("9223372036854775807", integers(&[i64::MAX])),
        ("2.0", floats(&[2.0])),
        ("[2.5, 1e39, -Infinity, 1e0]", floats(&[2.5, f32::INFINITY, f32::NEG_INFINITY, 1.0])),
        (r#""é""#, strings(&["é".as_bytes()])),
        (r#"["a", {"b64": "/w=="}, ""]"#, strings(&[b"a", b"\xff", b""])),
        ("[]", None),
    ] {
        assert_eq!(example(&format!(r#"{{"x": {value}}}"#)), [("x".to_owned(), wanted)], "{value}");
    }
    assert_eq!(example("{}"), []);
}

#[test]
fn every_example_is_a_message_of_its_own_and_the_context_another() {
    let request = read(
        r#"{"examples": [{"x": 1, "y": ["a"]}, {}, {"x": 2.5}], "context": {"z": 7}, "else": [null],
            "signature_name": "s"} and more"#,
    )
    .unwrap();
    assert_eq!(request.signature_name(), "s");
    let examples: Vec<_> = request.examples().iter().map(|example| decoded(&example)).collect();
    let feature = |name: &str, values| (name.to_owned(), values);
    assert_eq!(examples[0], [feature("x", integers(&[1])), feature("y", strings(&[b"a"]))]);
    assert_eq!(examples[1], []);
    assert_eq!(examples[2], [feature("x", floats(&[2.5]))]);
    assert_eq!(decoded(request.context()), [feature("z", integers(&[7]))]);
    assert!(read(r#"{"examples": [{}]}"#).unwrap().context().is_empty());
}

#[test]
fn what_is_no_example_is_told_where_it_is() {
    refused("[]", "found a list at byte 0, wanted an object");
    refused("{}", "`examples` is not there, wanted a list of objects");
    refused(r#"{"examples": []}"#, "`examples` is empty, wanted at least one");
    refused(r#"{"examples": {}}"#, "`examples`: found an object at byte 13, wanted a list");
    refused(r#"{"examples": [{}, 1]}"#, "example 1: found a number at byte 18, wanted an object");
    refused(
        r#"{"examples": [{"x": [1, 2.5]}]}"#,
        "example 0: feature `x`: its values are integers or booleans, found one of numbers with a fraction or an \
         exponent at byte 24: wanted one kind",
    );
    let wanted = r#"wanted a string, a number, a boolean or {"b64": text}"#;
    refused(
        r#"{"examples": [{"x": null}]}"#,
        &format!("example 0: feature `x`: found null at byte 20, {wanted}"),
    );
    refused(
        r#"{"examples": [{"x": [[1]]}]}"#,
        &format!("example 0: feature `x`: found a list at byte 21, {wanted}"),
    );
    refused(
        r#"{"examples": [{"x": 9223372036854775808}]}"#,
        "example 0: feature `x`: the integer at byte 20 is out of the range of INT64",
    );
    refused(r#"{"context": [], "examples": [{}]}"#, "`context`: found a list at byte 12, wanted an object");
    refused(
        r#"{"examples": [{}], "examples": [{}]}"#,
        "one of `signature_name`, `context` and `examples` is there twice, the second before byte 35",
    );
    refused(
        r#"{"examples": [{"x": {"b65": ""}}]}"#,
        "example 0: feature `x`: the object at byte 20 is no string: it has another key, wanted {\"b64\": text}",
    );
    assert!(read(&format!(r#"{{"examples": [{{"x": {}"#, "[".repeat(100_000))).is_err());
}

#[test]
fn answers_are_tensorflow_serving_s() {
    let rows = [[(&b""[..], 3.0f32)], [(&b"\xff"[..], f32::NAN)]];
    let text = write_classification(rows.into_iter().map(<[_; 1]>::into_iter));
    assert_eq!(text, br#"{"results":[[["",3.0]],[[{"b64":"/w=="},NaN]]]}"#);
    let none: [[(&[u8], f32); 0]; 1] = [[]];
    assert_eq!(write_classification(none.into_iter().map(<[_; 0]>::into_iter)), br#"{"results":[[]]}"#);
    let two = [[(&b"a\"b"[..], 0.5f32), (b"c", 1e-9)]];
    let text = write_classification(two.into_iter().map(<[_; 2]>::into_iter));
    assert_eq!(text, br#"{"results":[[["a\"b",0.5],["c",1e-9]]]}"#);
    assert_eq!(write_regression(&[3.0, -0.25]), br#"{"results":[3.0,-0.25]}"#);
}

fn feature() -> impl Strategy<Value = Option<Values>> {
    let list = |size| 1..=size;
    prop_oneof![
        Just(None),
        prop::collection::vec(any::<i64>(), list(5)).prop_map(|value| integers(&value)),
        prop::collection::vec(any::<f32>().prop_filter("equal to itself", |f| !f.is_nan()), list(5))
            .prop_map(|value| floats(&value)),
        prop::collection::vec(any::<Vec<u8>>(), list(5))
            .prop_map(|value| Some(Values::BytesList(BytesList { value }))),
    ]
}

/// A feature as JSON.
fn json(feature: &Option<Values>, out: &mut Vec<u8>) {
    let list = |out: &mut Vec<u8>, count, write: &mut dyn FnMut(&mut Vec<u8>, usize)| {
        out.push(b'[');
        for index in 0..count {
            if index > 0 {
                out.push(b',');
            }
            write(out, index);
        }
        out.push(b']');
    };
    match feature {
        None => out.extend_from_slice(b"[]"),
        Some(Values::Int64List(l)) => list(out, l.value.len(), &mut |out, at| l.value[at].write(out)),
        Some(Values::FloatList(l)) => list(out, l.value.len(), &mut |out, at| l.value[at].write(out)),
        Some(Values::BytesList(l)) => {
            list(out, l.value.len(), &mut |out, at| write_base64(out, &l.value[at]))
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_the_protobuf_library_writes(
        features in prop::collection::vec(("\\PC{1,200}", feature()), 0..8)
    ) {
        let mut body = b"{\"examples\":[{".to_vec();
        for (index, (name, feature)) in features.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            write_text(&mut body, name);
            body.push(b':');
            json(feature, &mut body);
        }
        body.extend_from_slice(b"}]}");
        let entry = |(key, kind): (String, _)| FeatureEntry { key, value: Some(Feature { kind }) };
        let feature: Vec<_> = features.into_iter().map(entry).collect();
        let features = (!feature.is_empty()).then_some(Features { feature });
        let request = ExamplesRequest::read(&body).unwrap();
        let written = request.examples().get(0).unwrap();
        let decoded = Example::decode(written.clone()).unwrap();
        prop_assert_eq!(&decoded, &Example { features });
        prop_assert_eq!(decoded.encode_to_vec(), written);
    }

    #[test]
    fn no_body_panics(body in "[\\[\\]{}\":,a-z0-9.eE+ -]{0,80}") {
        let _ = ExamplesRequest::read(format!("{{\"examples\": [{{{body}").as_bytes());
        let _ = ExamplesRequest::read(body.as_bytes());
    }
}
