//! A platform plugin: models of one file, `@NAME@.txt`, that holds two numbers, `a` and `b`: `y = a * x + b`.

use std::path::Path;

use salver_plugins_sdk::{
    DType, LoadRequest, Model, Platform, Probe, RunRequest, ShapeSpec, Signature, SignatureSet, Status, Tensor,
    TensorSpec,
};

const FILE: &str = "@NAME@.txt";

pub struct Lines;

struct Line {
    a: f32,
    b: f32,
    signatures: SignatureSet,
}

impl Platform for Lines {
    fn name(&self) -> &str {
        "@NAME@"
    }

    fn probe(&self, directory: &Path) -> Probe {
        Probe::by_file(directory, FILE)
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        let text = std::fs::read_to_string(request.directory.join(FILE))
            .map_err(|error| Status::not_found(format!("reading `{FILE}`: {error}")))?;
        let numbers: Vec<f32> = text.split_whitespace().flat_map(str::parse).collect();
        let [a, b] = numbers[..] else {
            return Err(Status::invalid_argument(format!("`{FILE}` does not hold two numbers")));
        };
        let tensor = |name| TensorSpec::new(name, DType::F32, ShapeSpec::any());
        let signature = Signature::predict(vec![tensor("x")], vec![tensor("y")]);
        Ok(Box::new(Line { a, b, signatures: SignatureSet::new(vec![signature])? }))
    }
}

impl Model for Line {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let x = request.input(0)?;
        let y = x.as_slice::<f32>()?.iter().map(|x| self.a * x + self.b).collect();
        Ok(vec![Tensor::from_vec(x.shape().clone(), y)?])
    }
}

salver_plugins_sdk::export_plugin! {
    name: "@NAME@",
    platforms: { "@NAME@" => Lines },
}
