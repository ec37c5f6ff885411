//! How much memory the process has.

/// How many bytes of memory the process has now, mapped files among them; `None` where `/proc` does not tell.
pub fn resident_bytes() -> Option<u64> {
    pages(&std::fs::read_to_string("/proc/self/statm").ok()?)?.checked_mul(rustix::param::page_size() as u64)
}

/// The resident pages in `/proc/self/statm`: its second number.
fn pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_what_is_resident() {
        assert_eq!(pages("1000 250 30 4 0 500 0\n"), Some(250));
        assert_eq!((pages("1000"), pages(""), pages("a b")), (None, None, None));
    }
}
