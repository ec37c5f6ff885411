//! Tables, loaded and looked up as the server does.
#![cfg(test)]

use salver_core_platform::{
    Cancellation, LoadRequest, Model, Options, Platform, Probe, RunContext, RunRequest,
};
use salver_core_servable::{ServableId, Version};
use salver_core_status::{Code, Status};
use salver_core_tensor::{DType, Shape, Strings, Tensor};
use salver_platforms_lookup::Lookup;

fn load(table: &str) -> Result<Box<dyn Model>, Status> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("table.csv"), table).unwrap();
    assert!(matches!(Lookup.probe(directory.path()), Probe::Match { .. }));
    let id = ServableId::new("m", Version::new(1).unwrap());
    Lookup.load(&LoadRequest {
        id: &id,
        directory: directory.path(),
        options: &Options::new(),
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    })
}

fn texts(dims: &[i64], texts: &[&str]) -> Tensor {
    Tensor::from_strings(Shape::new(dims).unwrap(), texts.iter().collect::<Strings>()).unwrap()
}

fn run(model: &dyn Model, keys: &Tensor, outputs: &[usize]) -> Result<Vec<Tensor>, Status> {
    let inputs = [Some(keys.view())];
    model.run(&RunRequest { signature: 0, inputs: &inputs, outputs, context: RunContext::default() })
}

const CITIES: &str =
    "city,people,area,country\nLagos,15388000,1171.28,Nigeria\n\"Bath, UK\",94092,28.7,England\n";

#[test]
fn rows_are_found_by_key_in_any_shape_and_columns_have_the_types_of_their_values() {
    let model = load(CITIES).unwrap();
    let signature = &model.signatures().as_slice()[0];
    let types: Vec<_> = signature.outputs.iter().map(|spec| (spec.name.as_str(), spec.dtype)).collect();
    assert_eq!(types, [("people", DType::I64), ("area", DType::F64), ("country", DType::String)]);
    let answers = run(&*model, &texts(&[1, 2], &["Bath, UK", "Lagos"]), &[2, 0, 1]).unwrap();
    let shape = || Shape::new(&[1, 2]).unwrap();
    assert_eq!(answers[0], texts(&[1, 2], &["England", "Nigeria"]));
    assert_eq!(answers[1], Tensor::from_vec(shape(), vec![94_092_i64, 15_388_000]).unwrap());
    assert_eq!(answers[2], Tensor::from_vec(shape(), vec![28.7, 1171.28]).unwrap());
}

#[test]
fn a_key_that_is_not_there_is_named() {
    let error = run(&*load(CITIES).unwrap(), &texts(&[1], &["Paris"]), &[0]).unwrap_err();
    assert_eq!(error, Status::not_found("key `Paris` is not in the table"));
}

#[test]
fn a_table_that_is_torn_or_says_a_thing_twice_is_refused() {
    for table in ["", "a,b\n1\n", "a,b\n1,2\n1,3\n", "a,b,b\n1,2,3\n", "a,b\n1,\u{fffd}\n1,2,3\n"] {
        let error = load(table).err().unwrap();
        assert!([Code::DataLoss, Code::InvalidArgument].contains(&error.code()), "{table:?}: {error}");
    }
}
