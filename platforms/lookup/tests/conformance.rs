//! Tables do what every platform's models must. Alone in its process, whose threads and memory are looked at.
#![cfg(test)]

use std::sync::Arc;

use salver_core_tensor::{Shape, Strings, Tensor};
use salver_platforms_conformance::{Outcome, Subject, cases};
use salver_platforms_lookup::Lookup;

#[test]
fn tables_do_what_every_model_must() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("table.csv"), "key,price,name\na,1.5,tea\nb,2,salt\n").unwrap();
    let keys =
        Tensor::from_strings(Shape::new(&[2]).unwrap(), ["b", "a"].iter().collect::<Strings>()).unwrap();
    let subject = Subject {
        model: Some(folder.path().to_owned()),
        inputs: vec![("key".to_owned(), keys)],
        ..Subject::new(Arc::new(Lookup), 0)
    };
    let identity = ["element-types", "ranks", "empty-dimensions", "dynamic-shapes", "strings"];
    for case in cases() {
        let wanted = if identity.contains(&case.name) {
            // What is looked up is not what was asked for.
            Outcome::Skipped("needs models that return their input".to_owned())
        } else {
            Outcome::Passed
        };
        assert_eq!(case.run(&subject), wanted, "{}", case.name);
    }
}
