//! Sizes in bytes, as people write them.

/// Reads `67108864`, `64MiB`, `64M` (the same), `1GiB` or `1GB` (ten to the ninth).
pub(crate) fn parse_bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().map_err(|_| format!("`{text}` does not begin with a whole number"))?;
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        other => {
            return Err(format!("`{other}` is not a unit: wanted KiB, MiB, GiB, KB, MB or GB"));
        }
    };
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is more than can be addressed"))
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, bytes) in
            [("10", 10), ("1KiB", 1024), ("64 MiB", 64 << 20), ("2g", 2 << 30), ("3MB", 3_000_000)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "1XB", "99999999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
