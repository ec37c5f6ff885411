//! Classify and regress requests of arbitrary bytes: what is read is a message that the protobuf library reads too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use salver_proto::tensorflow::Example;
use salver_server_json::ExamplesRequest;

fuzz_target!(|body: &[u8]| {
    let Ok(request) = ExamplesRequest::read(body) else { return };
    Example::decode(request.context()).expect("the context is a message");
    for example in request.examples().iter() {
        Example::decode(example).expect("an example is a message");
    }
});
