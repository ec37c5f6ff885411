//! The smallest platform plugin in Rust.
//!
//! It serves models of one file, `line.txt`, that holds two numbers, `a` and `b`: `y = a * x + b`. To try it:
//!
//! ```text
//! cargo build --release --package salver-plugins-examples-minimal-rust
//! cp target/release/libsalver_minimal_rust.so <the server's plugin directory>
//! mkdir -p models/line/1 && echo "2 1" > models/line/1/line.txt
//! ```
//!
//! There is a platform, which recognises and loads models; a model, which says what it takes and computes; and the
//! line at the end that makes a plugin of them.

use std::path::Path;

use salver_plugins_sdk::{
    DType, LoadRequest, Model, Platform, Probe, RunRequest, ShapeSpec, Signature, SignatureSet, Status,
    Tensor, TensorSpec,
};

struct Lines;

impl Platform for Lines {
    fn name(&self) -> &str {
        "line"
    }

    fn probe(&self, directory: &Path) -> Probe {
        Probe::by_file(directory, "line.txt")
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        let file = request.directory.join("line.txt");
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Status::not_found(format!("reading {}: {error}", file.display())))?;
        let numbers: Vec<f32> = text.split_whitespace().flat_map(str::parse).collect();
        let [a, b] = numbers[..] else {
            return Err(Status::invalid_argument(format!(
                "{} holds {text:?}, wanted two numbers",
                file.display()
            )));
        };
        let tensor = |name| TensorSpec::new(name, DType::F32, ShapeSpec::any());
        let signature = Signature::predict(vec![tensor("x")], vec![tensor("y")]);
        Ok(Box::new(Line { a, b, signatures: SignatureSet::new(vec![signature])? }))
    }
}

struct Line {
    a: f32,
    b: f32,
    signatures: SignatureSet,
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
    name: "minimal-rust",
    platforms: { "line" => Lines },
}
