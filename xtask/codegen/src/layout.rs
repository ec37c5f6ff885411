//! The recipe for `plugins/abi/layout/`: the plugin contract in figures, which released plugins are built on.
//!
//! One fact a line: the size of a table, the place and type of a field, the value of a constant. A line that is there is
//! never changed or taken away; where the contract says otherwise, the recipe fails and names the line.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{fs, iter};

use anyhow::{Context, bail, ensure};
use quote::ToTokens;
use syn::{Expr, Fields, Item, ItemConst, ItemStruct, Type, Visibility};

use crate::header::CONTRACT;

/// The files of the contract, in the order in which one builds on the other.
const FILES: [&str; 14] = [
    "code",
    "text",
    "tensor",
    "signature",
    "param",
    "host",
    "model",
    "plugin",
    "memory",
    "batching",
    "source",
    "details",
    "note",
    "rust_door",
];

/// The major version of the contract that the file is of.
const LAYOUT: &str = "plugins/abi/layout/v1.txt";

const HEADING: &str = "\
# The plugin contract in figures, for machines of 64 bits: sizes, places and types of fields, values of constants.
# Made by `cargo xtask codegen`. Lines are added here; one that is there is never changed and never taken away, because
# plugins that exist are built on it. A new ability is a new table. Where nothing is released yet, delete the lines by hand.
";

/// The file, as a path from `root` and its contents.
///
/// # Errors
/// Where the contract cannot be read, or lacks a line that is there already.
pub(crate) fn generate(root: &Path) -> anyhow::Result<(PathBuf, Vec<u8>)> {
    let mut contract = Contract::default();
    for file in FILES {
        let path = root.join(CONTRACT).join(file).with_extension("rs");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        contract.read(&text).with_context(|| format!("reading {}", path.display()))?;
    }
    let released = fs::read_to_string(root.join(LAYOUT)).unwrap_or_default();
    keeps(&released, &contract.lines)?;
    let lines = contract.lines.iter().flat_map(|line| [line.as_str(), "\n"]);
    Ok((LAYOUT.into(), iter::once(HEADING).chain(lines).collect::<String>().into_bytes()))
}

/// Checks that every released line is still true.
fn keeps(released: &str, lines: &[String]) -> anyhow::Result<()> {
    let now: BTreeSet<_> = lines.iter().map(String::as_str).collect();
    for (line, number) in released.lines().zip(1..).filter(|(line, _)| !line.starts_with('#')) {
        let about = |line: &str| line.split([':', '=']).next().unwrap_or_default().to_owned();
        let instead =
            lines.iter().find(|other| about(other) == about(line)).map_or("nothing", String::as_str);
        ensure!(
            now.contains(line),
            "{LAYOUT}:{number}: `{line}` is released, and the contract now says `{instead}`: leave the table as it \
             was, and make a new one"
        );
    }
    Ok(())
}

/// What is known of the contract so far.
#[derive(Default)]
struct Contract {
    /// Size and alignment of each table.
    tables: HashMap<String, (u64, u64)>,
    lines: Vec<String>,
}

impl Contract {
    fn read(&mut self, text: &str) -> anyhow::Result<()> {
        for item in syn::parse_file(text)?.items {
            match item {
                Item::Const(constant) if is_public(&constant.vis) => self.constant(&constant),
                Item::Struct(table) if is_table(&table) => self.table(&table)?,
                Item::Type(alias) if matches!(*alias.ty, Type::BareFn(_)) => {
                    self.lines.push(format!("type {} = {}", alias.ident, shown(&alias.ty)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A constant that is written out; one that is computed follows from others.
    fn constant(&mut self, constant: &ItemConst) {
        let value = match &*constant.expr {
            Expr::Lit(_) | Expr::Unary(_) => shown(&constant.expr),
            _ => return,
        };
        self.lines.push(format!("const {}: {} = {value}", constant.ident, shown(&constant.ty)));
    }

    fn table(&mut self, table: &ItemStruct) -> anyhow::Result<()> {
        let name = table.ident.to_string();
        let Fields::Named(fields) = &table.fields else {
            bail!("`{name}` has no names for its fields");
        };
        let (mut end, mut alignment, mut lines) = (0u64, 1, Vec::new());
        for field in &fields.named {
            let field_name = field.ident.as_ref().context("a field without a name")?;
            let (size, aligned) =
                self.size(&field.ty).with_context(|| format!("in `{name}.{field_name}`"))?;
            let at = end.next_multiple_of(aligned);
            lines.push(format!("{name}.{field_name} at {at}: {}", shown(&field.ty)));
            end = at + size;
            alignment = alignment.max(aligned);
        }
        let size = end.next_multiple_of(alignment);
        self.tables.insert(name.clone(), (size, alignment));
        // A table that `abi_stable` calls a prefix grows at its end, and says by itself how far it goes.
        if !table.attrs.iter().any(|attribute| shown(attribute).contains("Prefix")) {
            self.lines.push(format!("struct {name}: {size} bytes, aligned to {alignment}"));
        }
        self.lines.append(&mut lines);
        Ok(())
    }

    /// Size and alignment of a type, on a machine of 64 bits.
    fn size(&self, ty: &Type) -> anyhow::Result<(u64, u64)> {
        let figures = match ty {
            Type::Ptr(_) | Type::BareFn(_) => (8, 8),
            Type::Array(array) => {
                let (size, alignment) = self.size(&array.elem)?;
                (size * shown(&array.len).parse::<u64>().context("the length of an array")?, alignment)
            }
            other => match shown(other).as_str() {
                "u8" => (1, 1),
                "u32" | "i32" => (4, 4),
                "u64" | "i64" | "f64" | "usize" => (8, 8),
                // A function or null.
                option if option.starts_with("Option<unsafe extern \"C\" fn(") => (8, 8),
                name => *self.tables.get(name).with_context(|| format!("what size is `{name}`?"))?,
            },
        };
        Ok(figures)
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether it is laid out as in C, and known in full.
fn is_table(item: &ItemStruct) -> bool {
    let is_c = |attribute: &syn::Attribute| shown(attribute).starts_with("#[repr(C");
    is_public(&item.vis) && item.generics.params.is_empty() && item.attrs.iter().any(is_c)
}

/// Source code in one line, with spaces where a person would put them.
fn shown(code: &impl ToTokens) -> String {
    let text = code.to_token_stream().to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    [
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" :", ":"),
        (" ,", ","),
        (",)", ")"),
        (", >", ">"),
        (",>", ">"),
        ("* ", "*"),
        ("& ", "&"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
        ("# [", "#["),
        (" [", "["),
        ("- >", "->"),
        ("->", " ->"),
        ("  ->", " ->"),
        (":[", ": ["),
        ("- 1", "-1"),
    ]
    .iter()
    .fold(text, |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut contract = Contract::default();
        contract.read(text).unwrap();
        contract.lines
    }

    const TABLE: &str = "#[repr(C)] pub struct A { pub a: u32, pub b: *const u8, pub c: [u8; 3], }\n\
        #[repr(C)] pub struct B { pub run: Option<unsafe extern \"C\" fn(a: *const A, n: u32,) -> u32>, pub a: A }\n\
        pub const ONE: u32 = 1; pub const NONE: i32 = -1; const HIDDEN: u32 = 1;";

    #[test]
    fn a_table_is_laid_out_as_in_c() {
        let wanted = [
            "struct A: 24 bytes, aligned to 8",
            "A.a at 0: u32",
            "A.b at 8: *const u8",
            "A.c at 16: [u8; 3]",
            "struct B: 32 bytes, aligned to 8",
            "B.run at 0: Option<unsafe extern \"C\" fn(a: *const A, n: u32) -> u32>",
            "B.a at 8: A",
            "const ONE: u32 = 1",
            "const NONE: i32 = -1",
        ];
        assert_eq!(lines(TABLE), wanted);
    }

    #[test]
    fn what_is_released_may_get_company_but_not_change() {
        let released = lines(TABLE).join("\n");
        keeps(&released, &lines(&format!("{TABLE} pub const TWO: u32 = 2;"))).unwrap();
        let check = |from: &str, to: &str, message: &str| {
            let error = keeps(&released, &lines(&TABLE.replace(from, to))).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{LAYOUT}:{message}: leave")), "{error}");
        };
        check(
            "a: u32",
            "a: u64",
            "2: `A.a at 0: u32` is released, and the contract now says `A.a at 0: u64`",
        );
        check(
            "ONE: u32 = 1",
            "ONE: u32 = 7",
            "8: `const ONE: u32 = 1` is released, and the contract now says `const ONE: u32 = 7`",
        );
        check(
            "n: u32,",
            "n: i32",
            "6: `B.run at 0: Option<unsafe extern \"C\" fn(a: *const A, n: u32) -> u32>` is released, and the contract \
             now says `B.run at 0: Option<unsafe extern \"C\" fn(a: *const A, n: i32) -> u32>`",
        );
        check(
            "pub const ONE: u32 = 1;",
            "",
            "8: `const ONE: u32 = 1` is released, and the contract now says `nothing`",
        );
    }
}
