//! Serves tables: CSV files whose rows are looked up by key.
//!
//! A model is `table.csv` in the version's directory. Its first line has the names of the columns. The first column is the
//! key, and the one input: BYTES of any shape. Each further column is an output of the same shape: INT64 or FP64 where all
//! of its values are such numbers, else BYTES. A key that is not in the table is NOT_FOUND.
//!
//! This is the book's example of a platform: all of it is here.

use std::collections::HashMap;
use std::path::Path;

use salver_core_platform::{LoadRequest, Model, Platform, Probe, RunRequest};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Strings, Tensor};

const FILE: &str = "table.csv";

/// The platform. It has nothing of its own to keep.
#[derive(Clone, Copy, Debug)]
pub struct Lookup;

/// The values of one column, by row.
enum Column {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<String>),
}

/// A table that is loaded: its columns, and the row of each key.
struct Table {
    signatures: SignatureSet,
    rows: HashMap<Vec<u8>, usize>,
    columns: Vec<Column>,
}

impl Platform for Lookup {
    fn name(&self) -> &str {
        "lookup"
    }

    fn probe(&self, directory: &Path) -> Probe {
        Probe::by_file(directory, FILE)
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        request.options.only(&[])?;
        let path = request.directory.join(FILE);
        let table = Table::read(&path);
        table
            .map(|table| Box::new(table) as _)
            .map_err(|status| status.context(format_args!("`{}`", path.display())))
    }
}

impl Table {
    fn read(path: &Path) -> Result<Self, Status> {
        let wrong = |error: csv::Error| Status::data_loss(error.to_string());
        let mut reader = csv::Reader::from_path(path).map_err(wrong)?;
        let names: Vec<String> = reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect();
        let [key, outputs @ ..] = names.as_slice() else {
            return Err(Status::data_loss("there is no header line"));
        };
        let mut rows = HashMap::new();
        let mut values: Vec<Vec<String>> = vec![Vec::new(); outputs.len()];
        for (row, record) in reader.records().enumerate() {
            let record = record.map_err(wrong)?;
            let mut fields = record.iter();
            let key = fields.next().unwrap_or_default();
            if rows.insert(key.as_bytes().to_vec(), row).is_some() {
                return Err(Status::data_loss(format!("key {} stands in two rows", Quoted(key))));
            }
            // The reader has made sure that every row is as long as the header.
            for (column, value) in values.iter_mut().zip(fields) {
                column.push(value.to_owned());
            }
        }
        let columns: Vec<_> = values.into_iter().map(Column::of).collect();
        let spec = |name: &String, dtype| TensorSpec::new(name, dtype, ShapeSpec::any());
        let outputs = outputs.iter().zip(&columns).map(|(name, column)| spec(name, column.dtype()));
        let signature = Signature::predict(vec![spec(key, DType::String)], outputs.collect());
        Ok(Self { signatures: SignatureSet::new(vec![signature])?, rows, columns })
    }
}

impl Column {
    fn of(values: Vec<String>) -> Self {
        if let Ok(numbers) = values.iter().map(|value| value.parse()).collect() {
            return Column::Int(numbers);
        }
        let floats: Result<_, _> = values.iter().map(|value| value.parse()).collect();
        floats.map_or(Column::Text(values), Column::Float)
    }

    fn dtype(&self) -> DType {
        match self {
            Column::Int(_) => DType::I64,
            Column::Float(_) => DType::F64,
            Column::Text(_) => DType::String,
        }
    }
}

impl Model for Table {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let keys = request.input(0)?;
        let strings = keys.strings().ok_or_else(|| Status::invalid_argument("the keys are no strings"))?;
        let row = |key: &[u8]| {
            let missing = || {
                let key = String::from_utf8_lossy(key);
                Status::not_found(format!("key {} is not in the table", Quoted(&key)))
            };
            self.rows.get(key).copied().ok_or_else(missing)
        };
        let rows: Vec<usize> = strings.iter().map(row).collect::<Result<_, _>>()?;
        let shape = || keys.shape().clone();
        let column = |&output: &usize| {
            let column = self.columns.get(output);
            // Every column has a value in every row.
            Ok(match column.ok_or_else(|| Status::internal(format!("there is no output {output}")))? {
                Column::Int(values) => Tensor::from_vec(shape(), pick(values, &rows))?,
                Column::Float(values) => Tensor::from_vec(shape(), pick(values, &rows))?,
                Column::Text(values) => {
                    Tensor::from_strings(shape(), pick(values, &rows).iter().collect::<Strings>())?
                }
            })
        };
        request.outputs.iter().map(column).collect()
    }
}

fn pick<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().filter_map(|&row| values.get(row).cloned()).collect()
}
