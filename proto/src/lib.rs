//! The messages and services on the wire: TensorFlow Serving's and the Open Inference Protocol's.
//!
//! The `.proto` files in `proto/` are written for Salver; field numbers and names are those of the originals, so that
//! their clients find the same bytes. Modules are named after protobuf packages. What is generated from the files is
//! in `src/gen/`, made by `cargo xtask codegen`; building this crate needs no protoc.
//!
//! Four things are not as a generator makes them by default: maps are lists of entries, in the order of the wire;
//! tensor contents are [`bytes::Bytes`], which share the memory they were decoded from; so are the examples of an `Input`,
//! which models are given as they are; and services are behind the features `client` and `server`.

/// TensorFlow's own messages.
pub mod tensorflow {
    include!("gen/tensorflow.rs");

    /// Status codes.
    pub mod error {
        include!("gen/tensorflow.error.rs");
    }

    /// TensorFlow Serving's services and messages.
    #[cfg_attr(feature = "server", expect(clippy::allow_attributes, reason = "generated"))]
    #[cfg_attr(
        any(feature = "client", feature = "server"),
        expect(clippy::allow_attributes_without_reason, reason = "generated")
    )]
    pub mod serving {
        include!("gen/tensorflow.serving.rs");
    }
}

/// The Open Inference Protocol.
#[cfg_attr(feature = "server", expect(clippy::allow_attributes, reason = "generated"))]
#[cfg_attr(
    any(feature = "client", feature = "server"),
    expect(clippy::allow_attributes_without_reason, reason = "generated")
)]
pub mod inference {
    include!("gen/inference.rs");
}

/// Every `.proto` file here as an encoded `google.protobuf.FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptor.bin");

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use tensorflow::serving::{
        ModelSpec, PredictRequest, model_spec::VersionChoice, predict_request::InputsEntry,
    };

    /// A `PredictRequest` as TensorFlow Serving's Python stubs encode it: model `m`, version 3, input `x` of one
    /// float 2.0.
    const GOLDEN: &[u8] = b"\x0a\x07\x0a\x01m\x12\x02\x08\x03\
        \x12\x13\x0a\x01x\x12\x0e\x08\x01\x12\x04\x12\x02\x08\x01\x2a\x04\x00\x00\x00\x40";

    #[test]
    fn maps_are_lists_that_look_like_maps_on_the_wire() {
        let request = PredictRequest::decode(GOLDEN).unwrap();
        let spec = ModelSpec {
            name: "m".into(),
            signature_name: String::new(),
            version_choice: Some(VersionChoice::Version(3)),
        };
        assert_eq!(request.model_spec, Some(spec));
        let [InputsEntry { key, value: Some(x) }] = &request.inputs[..] else { panic!("{request:?}") };
        assert_eq!((key.as_str(), &x.float_val[..]), ("x", &[2.0f32][..]));
        assert_eq!(request.encode_to_vec(), GOLDEN);
    }

    #[test]
    fn tensor_contents_share_the_memory_of_the_message() {
        let contents = bytes::Bytes::from_static(b"0123456789");
        let request =
            inference::ModelInferRequest { raw_input_contents: vec![contents], ..Default::default() };
        let message = bytes::Bytes::from(request.encode_to_vec());
        let range = message.as_ptr_range();
        let decoded = inference::ModelInferRequest::decode(message.clone()).unwrap();
        assert!(range.contains(&decoded.raw_input_contents[0].as_ptr()));
    }

    #[test]
    fn the_descriptors_name_every_service() {
        let descriptors = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let services: Vec<_> = descriptors
            .file
            .iter()
            .flat_map(|file| {
                file.service.iter().map(|service| format!("{}.{}", file.package(), service.name()))
            })
            .collect();
        assert_eq!(
            services,
            [
                "inference.GRPCInferenceService",
                "tensorflow.serving.ModelService",
                "tensorflow.serving.PredictionService"
            ]
        );
    }
}
