//! TorchScript modules.
//!
//! An archive is a zip file of `data.pkl` (the module's attributes), `code/__torch__.py` (its methods), `constants.pkl`,
//! `version`, and `data/N` (the elements of its tensors): `torch/csrc/jit/docs/serialization.md` of PyTorch. Pickles are
//! those of protocol 2, whose opcodes Python's `pickletools` describes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{WIDTH, all_weights, between, matrix};

/// Writes a TorchScript module of `layers` matrices to `path`.
///
/// # Errors
/// As the file system has them.
pub fn write_torchscript(path: &Path, layers: u64) -> io::Result<()> {
    let mut archive = ZipWriter::new(File::create(path)?);
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut write = |name: &str, bytes: &[u8]| {
        archive.start_file(format!("archive/{name}"), stored)?;
        archive.write_all(bytes)
    };
    write("data.pkl", &attributes(layers))?;
    write("code/__torch__.py", code(layers).as_bytes())?;
    // An empty tuple.
    write("constants.pkl", b"\x80\x02).")?;
    write("version", b"3\n")?;
    for (layer, elements) in all_weights(layers)?.iter().enumerate() {
        write(&format!("data/{layer}"), elements)?;
    }
    archive.finish()?;
    Ok(())
}

fn code(layers: u64) -> String {
    let (mut names, mut attributes, mut body) = (String::new(), String::new(), String::new());
    // Writing to a text cannot fail.
    for layer in 0..layers {
        let (matrix, input, product) = (matrix(layer), between(layer, layers), between(layer + 1, layers));
        let _ = write!(names, "\"{matrix}\", ");
        let _ = writeln!(attributes, "  {matrix} : Tensor");
        let _ =
            writeln!(body, "    {matrix} = self.{matrix}\n    {product} = torch.matmul({input}, {matrix})");
    }
    format!(
        "class M(Module):\n  __parameters__ = [{names}]\n  __buffers__ = []\n{attributes}  training : bool\n  \
         def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n{body}    return y\n"
    )
}

/// A pickle of the module: its class, and a dictionary of what it keeps.
fn attributes(layers: u64) -> Vec<u8> {
    let mut pickle = b"\x80\x02c__torch__\nM\n)\x81}(".to_vec();
    text(&mut pickle, "training");
    pickle.push(b'\x89');
    for layer in 0..layers {
        text(&mut pickle, &matrix(layer));
        // The function that makes a tensor, and what it is called with: where the elements are, which of them is the first,
        // sizes, strides, whether it is trained, and hooks.
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        text(&mut pickle, &layer.to_string());
        text(&mut pickle, "cpu");
        integer(&mut pickle, i32::from(WIDTH) * i32::from(WIDTH));
        pickle.extend(b"tQK\0");
        for pair in [[WIDTH, WIDTH], [WIDTH, 1]] {
            pair.iter().for_each(|number| integer(&mut pickle, (*number).into()));
            pickle.push(b'\x86');
        }
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"ub.");
    pickle
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn integer(pickle: &mut Vec<u8>, number: i32) {
    pickle.push(b'J');
    pickle.extend(number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LAYER_BYTES;

    #[test]
    fn a_module_has_its_code_its_attributes_and_a_file_for_each_matrix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pt");
        write_torchscript(&path, 2).unwrap();
        let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        for layer in 0..2 {
            let size = archive.by_name(&format!("archive/data/{layer}")).unwrap().size();
            assert_eq!(size, LAYER_BYTES);
        }
        let code = io::read_to_string(archive.by_name("archive/code/__torch__.py").unwrap()).unwrap();
        assert!(code.contains("    h1 = torch.matmul(x, w0)\n"), "{code}");
        assert!(code.ends_with("    y = torch.matmul(h1, w1)\n    return y\n"), "{code}");
    }
}
