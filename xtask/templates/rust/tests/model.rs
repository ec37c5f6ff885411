//! The platform, used as the server uses it.

use std::path::Path;

use salver_plugins_sdk::{Options, Shape, Tensor, testing};

#[test]
fn the_example_computes_what_its_file_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/example/1");
    let model = testing::load(&@CRATE@::Lines, &directory, &Options::new()).unwrap();
    let x = Tensor::from_vec(Shape::new(&[3]).unwrap(), vec![1.0f32, 2.0, 5.0]).unwrap();
    let y = testing::run(&*model, &[("x", x)]).unwrap();
    assert_eq!(y[0].view().as_slice::<f32>().unwrap(), [3.0, 5.0, 11.0]);
}

#[test]
fn a_directory_without_the_file_is_refused() {
    let error = testing::load(&@CRATE@::Lines, Path::new("/"), &Options::new()).err().unwrap();
    assert!(error.message().contains("@NAME@.txt"), "{error}");
}
