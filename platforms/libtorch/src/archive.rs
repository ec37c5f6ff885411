//! What a module's archive says of `forward`.
//!
//! A TorchScript file is a zip archive of one folder: `data.pkl`, a pickle whose first global is the module's class, and
//! `code/`, in which the class of `__torch__.a.b.C` is written in `code/__torch__/a/b.py`
//! (`torch/csrc/jit/docs/serialization.md` of PyTorch). libtorch's C++ interface knows the schema of a method; its C
//! interface, which we have, does not.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

/// An argument of `forward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) kind: ArgumentKind,
    /// It may be left out: it has a default, which libtorch fills in.
    pub(crate) has_default: bool,
}

/// The type of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentKind {
    Tensor,
    Int,
    Float,
    Bool,
    /// A tensor, or none.
    OptionalTensor,
    /// What no request can carry, as it is written.
    Other(String),
}

impl ArgumentKind {
    pub(crate) fn is_number(&self) -> bool {
        matches!(self, ArgumentKind::Int | ArgumentKind::Float | ArgumentKind::Bool)
    }
}

/// The most of a file in the archive that is read.
const MOST: u64 = 64 << 20;

/// The arguments of `forward` without `self`, in order.
///
/// # Errors
/// What is not as expected of an archive.
pub(crate) fn forward(file: &Path) -> Result<Vec<Argument>, String> {
    let opened = File::open(file).map_err(|error| error.to_string())?;
    let mut archive =
        ZipArchive::new(opened).map_err(|error| format!("not a TorchScript archive: {error}"))?;
    let names = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned()));
    let names: Vec<String> = names.collect();
    let data = names.iter().find(|name| name.ends_with("/data.pkl"));
    let data = data.ok_or("not a TorchScript archive: there is no `data.pkl`")?.clone();
    let root = data.trim_end_matches("data.pkl").to_owned();
    let pickle = read(&mut archive, &data)?;
    let (module, class) =
        class_of(&pickle).ok_or("not a TorchScript module: `data.pkl` names no class of `__torch__`")?;
    let code = format!("{root}code/{}.py", module.replace('.', "/"));
    let code = String::from_utf8(read(&mut archive, &code)?)
        .map_err(|_| format!("the code of `{module}.{class}` is no text"))?;
    declaration(&code, &class).map(arguments).ok_or_else(|| format!("`{module}.{class}` has no `forward`"))
}

fn read(archive: &mut ZipArchive<File>, name: &str) -> Result<Vec<u8>, String> {
    let member = archive.by_name(name).map_err(|error| format!("`{name}`: {error}"))?;
    let mut bytes = Vec::new();
    member.take(MOST).read_to_end(&mut bytes).map_err(|error| format!("`{name}`: {error}"))?;
    Ok(bytes)
}

/// The module and the name of the first class of `__torch__` that a pickle names: opcode `c`, GLOBAL, is followed by
/// two lines (Python's `pickletools`).
fn class_of(pickle: &[u8]) -> Option<(String, String)> {
    const GLOBAL: &[u8] = b"c__torch__";
    let at = pickle.windows(GLOBAL.len()).position(|window| window == GLOBAL)?;
    let mut lines = pickle.get(at + 1..)?.split(|&byte| byte == b'\n');
    let text = |line: &[u8]| std::str::from_utf8(line).ok().map(str::to_owned);
    Some((text(lines.next()?)?, text(lines.next()?)?))
}

/// What stands between the brackets after `def forward` in a class.
fn declaration<'a>(code: &'a str, class: &str) -> Option<&'a str> {
    let start = code.find(&format!("class {class}("))?;
    let body = code.get(start..)?;
    let end = body.get(1..)?.find("\nclass ").map_or(body.len(), |end| end + 1);
    let body = body.get(..end)?;
    let after = body.get(body.find("def forward(")? + "def forward(".len()..)?;
    let mut depth = 1_u32;
    let close = after.char_indices().find(|(_, letter)| {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    after.get(..close.0)
}

/// `self, x: Tensor, sr: int=16000`, without `self`.
fn arguments(declaration: &str) -> Vec<Argument> {
    let mut depth = 0_u32;
    let parts = declaration.split(|letter| {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    let parts = parts.skip(1).map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, kind) = part.split_once(':').unwrap_or((part, "Tensor"));
            let (kind, has_default) = kind.split_once('=').map_or((kind, false), |(kind, _)| (kind, true));
            let kind = match kind.trim() {
                "Tensor" => ArgumentKind::Tensor,
                "int" => ArgumentKind::Int,
                "float" => ArgumentKind::Float,
                "bool" => ArgumentKind::Bool,
                "Optional[Tensor]" => ArgumentKind::OptionalTensor,
                other => ArgumentKind::Other(other.to_owned()),
            };
            Argument { name: name.trim().to_owned(), kind, has_default }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_forward_are_those_of_the_right_class() {
        let code = "class A(Module):\n  def forward(self: __torch__.A,\n    y: int) -> int:\n    return y\n\
                    class B(Module):\n  def other(self, z: Tensor) -> Tensor:\n    return z\n  \
                    def forward(self: __torch__.B,\n    x: Tensor,\n    pair: Tuple[Tensor, int],\n    sr: int=16000,\n    \
                    state: Optional[Tensor]=None) -> Tensor:\n    return x\n";
        let declared = arguments(declaration(code, "B").unwrap());
        let argument = |name: &str, kind, has_default| Argument { name: name.to_owned(), kind, has_default };
        let wanted = [
            argument("x", ArgumentKind::Tensor, false),
            argument("pair", ArgumentKind::Other("Tuple[Tensor, int]".to_owned()), false),
            argument("sr", ArgumentKind::Int, true),
            argument("state", ArgumentKind::OptionalTensor, true),
        ];
        assert_eq!(declared, wanted);
    }

    #[test]
    fn the_module_s_class_is_the_first_that_the_pickle_names() {
        let pickle = b"\x80\x02c__torch__.vad.model\nMerge\nq\x00)\x81}c__torch__\nOther\n";
        assert_eq!(class_of(pickle), Some(("__torch__.vad.model".to_owned(), "Merge".to_owned())));
        assert_eq!(class_of(b"\x80\x02}."), None);
    }

    #[test]
    fn what_is_no_archive_is_said_so() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.pt");
        std::fs::write(&file, "weights").unwrap();
        assert!(forward(&file).unwrap_err().starts_with("not a TorchScript archive"));
    }
}
