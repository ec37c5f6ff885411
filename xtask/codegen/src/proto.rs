//! The recipe for `proto/src/gen/`: messages and services from `proto/proto/`, without protoc.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Where the `.proto` files lie, from the root of the repository.
const SOURCES: &str = "proto/proto";

/// Where what is made of them lies.
const GENERATED: &str = "proto/src/gen";

/// The files that hold services, and what comes in files only; what they import comes along.
const ROOTS: [&str; 4] = [
    "inference/grpc_service.proto",
    "tensorflow_serving/apis/model_service.proto",
    "tensorflow_serving/apis/prediction_service.proto",
    "tensorflow_serving/servables/tensorflow/session_bundle_config.proto",
];

/// Fields that share the memory of the message they were decoded from.
const SHARED_BYTES: [&str; 9] = [
    ".inference.InferTensorContents.bytes_contents",
    ".inference.ModelInferRequest.raw_input_contents",
    ".inference.ModelInferResponse.raw_output_contents",
    ".tensorflow.TensorProto.float8_val",
    ".tensorflow.TensorProto.string_val",
    ".tensorflow.TensorProto.tensor_content",
    ".tensorflow.serving.ExampleList.examples",
    ".tensorflow.serving.ExampleListWithContext.examples",
    ".tensorflow.serving.ExampleListWithContext.context",
];

/// The type of messages that are passed on to models as they are.
const PASSED_ON: &str = ".tensorflow.Example";

/// Every generated file, as a path from `root` and its contents.
///
/// # Errors
/// Where a `.proto` file cannot be read or is not valid.
pub(crate) fn generate(root: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut descriptors =
        protox::compile(ROOTS, [root.join(SOURCES)]).context("compiling the .proto files")?;
    let mut files = vec![(Path::new(GENERATED).join("descriptor.bin"), published(&descriptors))];
    for file in &mut descriptors.file {
        let mut documented = Vec::new();
        for (message, index) in file.message_type.iter_mut().zip(0..) {
            list_map_entries(message, &[MESSAGE_OF_FILE, index], &mut documented);
            leave_encoded(message);
        }
        file.source_code_info.get_or_insert_default().location.extend(documented);
    }
    let out = tempfile::tempdir().context("making a temporary directory")?;
    let mut builder = tonic_prost_build::configure()
        .out_dir(out.path())
        .build_transport(false)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]");
    for field in SHARED_BYTES {
        builder = builder.bytes(field);
    }
    builder.compile_fds(descriptors).context("generating messages and services")?;
    for entry in fs::read_dir(out.path())? {
        let entry = entry?;
        files.push((Path::new(GENERATED).join(entry.file_name()), fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}

/// What server reflection shows: the descriptors without comments and places in source files.
fn published(descriptors: &FileDescriptorSet) -> Vec<u8> {
    let mut descriptors = descriptors.clone();
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    descriptors.encode_to_vec()
}

/// The numbers by which a descriptor's path names its parts, from `google/protobuf/descriptor.proto`.
const MESSAGE_OF_FILE: i32 = 4;
const FIELD_OF_MESSAGE: i32 = 2;
const MESSAGE_OF_MESSAGE: i32 = 3;

/// Makes every map a list of its entries, which is the same on the wire: a list keeps the order, allocates once and
/// hashes nothing, and whoever reads it sees a key that is there twice.
///
/// The entries are messages that no source file spells out, and the generator insists on a place for each; so they
/// get one, with a comment.
fn list_map_entries(message: &mut DescriptorProto, path: &[i32], documented: &mut Vec<Location>) {
    if message.options.as_mut().and_then(|options| options.map_entry.take()).is_some() {
        documented.push(comment(path, " One entry of a map."));
        for (field, text) in [" The key.", " The value."].into_iter().enumerate() {
            documented.push(comment(&[path, &[FIELD_OF_MESSAGE, field as i32]].concat(), text));
        }
    }
    for (nested, index) in message.nested_type.iter_mut().zip(0..) {
        list_map_entries(nested, &[path, &[MESSAGE_OF_MESSAGE, index]].concat(), documented);
    }
}

/// Makes every field of [`PASSED_ON`] one of bytes, which is the same on the wire: nobody looks into them.
fn leave_encoded(message: &mut DescriptorProto) {
    for field in message.field.iter_mut().filter(|field| field.type_name() == PASSED_ON) {
        field.set_type(Type::Bytes);
        field.type_name = None;
    }
}

fn comment(path: &[i32], text: &str) -> Location {
    Location { path: path.to_vec(), leading_comments: Some(text.to_owned()), ..Location::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_code_is_what_the_recipe_makes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (path, contents) in generate(&root).unwrap() {
            let committed = fs::read(root.join(&path)).unwrap_or_default();
            assert!(committed == contents, "{} is out of date: run `cargo xtask codegen`", path.display());
        }
    }
}
