//! What Triton's `config.pbtxt` says beside batching: what a TorchScript module takes and returns, which it does not say itself,
//! and where an ONNX model's operators are.

use salver_core_platform::{OptionValue, Options};
use salver_core_status::{Quoted, Status};

use crate::text_tree::{Tree, Value, whole};

/// The name of Triton's file beside a model's versions.
pub const TRITON_FILE: &str = "config.pbtxt";

/// Adds to a model's options what the file says of it, its own files do not, and the options do not either.
///
/// # Errors
/// INVALID_ARGUMENT that names the field, what was found and what was wanted.
pub(crate) fn add_options(config: &Tree, options: &mut Options) -> Result<(), Status> {
    let is = |field: &str, wanted: &str| text(config.last(field)).is_some_and(|text| text == wanted);
    if is("backend", "pytorch") || is("platform", "pytorch_libtorch") {
        add_module(config, options)
    } else if is("backend", "onnxruntime") || is("platform", "onnxruntime_onnx") {
        add_operators(config, options)
    } else {
        Ok(())
    }
}

/// The libraries of operators that an ONNX model needs.
fn add_operators(config: &Tree, options: &mut Options) -> Result<(), Status> {
    const OPTION: &str = "operator_libraries";
    let wrong = |what: &str| Status::invalid_argument(format!("model_operations: {what}"));
    let mut libraries = Vec::new();
    for operations in config.all("model_operations") {
        let Value::Tree(operations) = operations else { return Err(wrong("it is not a message")) };
        for library in operations.all("op_library_filename") {
            let library = text(Some(library)).ok_or_else(|| wrong("op_library_filename is not a text"))?;
            libraries.push(library);
        }
    }
    if !libraries.is_empty() && !options.has(OPTION) {
        options.set(OPTION, OptionValue::Text(libraries.join(",")));
    }
    Ok(())
}

/// What a TorchScript module takes and returns, and its file.
fn add_module(config: &Tree, options: &mut Options) -> Result<(), Status> {
    if let Some(file) = text(config.last("default_model_filename"))
        && !options.has("file")
    {
        options.set("file", OptionValue::Text(file.to_owned()));
    }
    if !options.has("signature")
        && let Some(signature) = signature(config)?
    {
        options.set("signature", OptionValue::Text(signature));
    }
    Ok(())
}

/// How many rows a batch has at most; 0 where the model takes no batches.
///
/// # Errors
/// INVALID_ARGUMENT where it is no whole number.
pub(crate) fn max_batch_size(config: &Tree) -> Result<i64, Status> {
    config.last("max_batch_size").map_or(Ok(0), |value| whole("max_batch_size", value))
}

/// What `[signature]` in `model.toml` would say; `None` where no input is there.
fn signature(config: &Tree) -> Result<Option<String>, Status> {
    let is_batched = max_batch_size(config)? > 0;
    let mut signature = toml::Table::new();
    for kind in ["input", "output"] {
        let tensors = config.all(kind).map(|value| tensor(kind, value, is_batched));
        let tensors = in_order(kind, tensors.collect::<Result<_, _>>()?)?;
        match (kind, tensors.is_empty()) {
            ("input", true) => return Ok(None),
            (_, true) => {}
            (_, false) => drop(signature.insert(format!("{kind}s"), toml::Value::Array(tensors))),
        }
    }
    let text = toml::to_string(&signature);
    text.map(Some).map_err(|error| Status::internal(format!("writing a signature: {error}")))
}

/// An input or output: its name, and what is said of it.
fn tensor(kind: &str, value: &Value, is_batched: bool) -> Result<(String, toml::Table), Status> {
    let Value::Tree(said) = value else {
        return Err(Status::invalid_argument(format!("{kind} is not a message")));
    };
    let name = text(said.last("name")).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Status::invalid_argument(format!("an {kind} has no name")))?;
    let refused = |what: String| Status::invalid_argument(format!("{kind} {}: {what}", Quoted(name)));
    if said.last("reshape").is_some() {
        let instead = "say what the module takes under [signature] in `model.toml`";
        return Err(refused(format!("a reshape is not done here; {instead}")));
    }
    let dtype = match said.last("data_type") {
        Some(Value::Word(word)) => word.as_str(),
        _ => return Err(refused("data_type is not there, such as TYPE_FP32 was wanted".to_owned())),
    };
    let dtype = match dtype.strip_prefix("TYPE_") {
        Some("STRING") => "BYTES",
        Some(dtype) => dtype,
        None => {
            return Err(refused(format!("data_type is {}, such as TYPE_FP32 was wanted", Quoted(dtype))));
        }
    };
    let dims = said.all("dims").map(|dim| whole("dims", dim)).collect::<Result<Vec<_>, _>>();
    let dims = dims.map_err(|status| refused(status.message().to_owned()))?;
    // Triton's dimensions are those of one row of a batch.
    let rows = is_batched.then_some(-1);
    let shape = rows.into_iter().chain(dims).map(toml::Value::Integer).collect();
    let mut table = toml::Table::new();
    table.insert("name".to_owned(), name.into());
    table.insert("dtype".to_owned(), dtype.into());
    table.insert("shape".to_owned(), toml::Value::Array(shape));
    Ok((name.to_owned(), table))
}

/// In the order that Triton's names give, where all end in `__` and a position: `INPUT__0`, `INPUT__1`; else as they are
/// written.
fn in_order(kind: &str, tensors: Vec<(String, toml::Table)>) -> Result<Vec<toml::Value>, Status> {
    let position =
        |name: &str| name.rsplit_once("__").and_then(|(_, position)| position.parse::<usize>().ok());
    let positions: Option<Vec<_>> = tensors.iter().map(|(name, _)| position(name)).collect();
    let mut tables: Vec<_> = tensors.into_iter().map(|(_, table)| toml::Value::Table(table)).collect();
    if let Some(positions) = positions {
        let mut placed: Vec<_> = positions.into_iter().zip(tables).collect();
        placed.sort_by_key(|(position, _)| *position);
        if let Some((index, (position, _))) =
            placed.iter().enumerate().find(|(index, (position, _))| index != position)
        {
            return Err(Status::invalid_argument(format!(
                "an {kind} ends in __{position}, one that ends in __{index} was wanted"
            )));
        }
        tables = placed.into_iter().map(|(_, table)| table).collect();
    }
    Ok(tables)
}

fn text(value: Option<&Value>) -> Option<&str> {
    match value? {
        Value::Text(text) => Some(text),
        Value::Word(_) | Value::Tree(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(config: &str) -> Result<Options, String> {
        let mut options = Options::new();
        let config = Tree::read(config)?;
        add_options(&config, &mut options).map_err(|status| status.message().to_owned())?;
        Ok(options)
    }

    #[track_caller]
    fn says(config: &str, wanted: &str) {
        let options = options(config).unwrap();
        let said = options.text("signature").unwrap().unwrap();
        let table = |text| toml::from_str::<toml::Table>(text).unwrap();
        assert_eq!(table(said), table(wanted));
    }

    #[test]
    fn inputs_and_outputs_are_those_of_a_batch_in_the_order_of_their_numbers() {
        says(
            r#"
            name: "detector" platform: "pytorch_libtorch" max_batch_size: 8
            input [
                { name: "INPUT__1" data_type: TYPE_INT64 dims: [ 1 ] },
                { name: "INPUT__0" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, -1, -1 ] }
            ]
            output { name: "OUTPUT__0" data_type: TYPE_FP16 dims: 1000 label_filename: "labels.txt" }
            "#,
            r#"
            inputs = [
                { name = "INPUT__0", dtype = "FP32", shape = [-1, 3, -1, -1] },
                { name = "INPUT__1", dtype = "INT64", shape = [-1, 1] },
            ]
            outputs = [{ name = "OUTPUT__0", dtype = "FP16", shape = [-1, 1000] }]
            "#,
        );
    }

    #[test]
    fn names_of_another_form_stay_as_they_are_written_and_shapes_without_batches_too() {
        says(
            r#"
            backend: "pytorch"
            input { name: "b" data_type: TYPE_STRING dims: [ 2, 3 ] }
            input { name: "a__0" data_type: TYPE_BOOL dims: [ -1 ] }
            "#,
            r#"
            inputs = [{ name = "b", dtype = "BYTES", shape = [2, 3] }, { name = "a__0", dtype = "BOOL", shape = [-1] }]
            "#,
        );
    }

    #[test]
    fn what_the_settings_say_and_other_frameworks_are_left_alone() {
        let module = "backend: 'pytorch' default_model_filename: 'm.pt' input { name: 'x' data_type: TYPE_FP32 dims: 1 }";
        let mut said = Options::new();
        said.set("signature", OptionValue::Text("mine".into()));
        said.set("file", OptionValue::Text("mine.pt".into()));
        let before = said.clone();
        add_options(&Tree::read(module).unwrap(), &mut said).unwrap();
        assert_eq!(said, before);
        assert_eq!(options(module).unwrap().text("file"), Ok(Some("m.pt")));
        for other in ["", "backend: 'onnxruntime'", "platform: 'tensorflow_savedmodel'"] {
            let config =
                format!("{other} input {{ name: 'x' data_type: TYPE_FP32 dims: 1 reshape {{ shape: [] }} }}");
            assert_eq!(options(&config).unwrap(), Options::new(), "{other}");
        }
        assert_eq!(options("backend: 'pytorch'").unwrap(), Options::new());
    }

    #[test]
    fn libraries_of_operators_are_those_of_an_onnx_model() {
        let libraries = "model_operations { op_library_filename: ['/a.so', 'b.so'] }";
        let said = options(&format!("platform: 'onnxruntime_onnx' {libraries}")).unwrap();
        assert_eq!(said.text("operator_libraries"), Ok(Some("/a.so,b.so")));
        let mut own = Options::new();
        own.set("operator_libraries", OptionValue::Text("mine.so".into()));
        add_options(&Tree::read(&format!("backend: 'onnxruntime' {libraries}")).unwrap(), &mut own).unwrap();
        assert_eq!(own.text("operator_libraries"), Ok(Some("mine.so")));
        assert_eq!(options(&format!("backend: 'python' {libraries}")).unwrap(), Options::new());
        let wrong = options("backend: 'onnxruntime' model_operations { op_library_filename: 1 }");
        assert_eq!(wrong.unwrap_err(), "model_operations: op_library_filename is not a text");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_name_of_the_tensor() {
        for (tensor, message) in [
            ("input: 1", "input is not a message"),
            ("input { }", "an input has no name"),
            ("input { name: 'x' }", "input `x`: data_type is not there, such as TYPE_FP32 was wanted"),
            (
                "input { name: 'x' data_type: FP32 }",
                "input `x`: data_type is `FP32`, such as TYPE_FP32 was wanted",
            ),
            (
                "input { name: 'x' data_type: TYPE_FP32 dims: many }",
                "input `x`: dims is `many`, a whole number was wanted",
            ),
            (
                "input { name: 'x' data_type: TYPE_FP32 reshape { } }",
                "input `x`: a reshape is not done here; say what the module takes under [signature] in `model.toml`",
            ),
            (
                "input { name: 'x__1' data_type: TYPE_FP32 dims: 1 }",
                "an input ends in __1, one that ends in __0 was wanted",
            ),
        ] {
            let config = format!("backend: 'pytorch' {tensor}");
            assert_eq!(options(&config).unwrap_err(), message, "{tensor}");
        }
    }
}
