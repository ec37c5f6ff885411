//! Generates the committed code: messages, services, the C header and the contract's layout.

mod header;
mod layout;
mod proto;

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let check = match env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("unknown argument `{other}`; there is: --check"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().context("finding the repository")?;
    let mut files = proto::generate(&root)?;
    files.push(header::generate(&root)?);
    files.push(layout::generate(&root)?);
    for (path, contents) in files {
        let committed = fs::read(root.join(&path)).unwrap_or_default();
        if committed == contents {
            continue;
        }
        if check {
            bail!("{} is not what its source makes: run `cargo xtask codegen`", path.display());
        }
        fs::write(root.join(&path), contents).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
