//! Adds up what test programs print.

use std::fmt;

use anyhow::ensure;

/// How many tests passed, failed and were skipped, and why those were.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) reasons: Vec<String>,
}

impl Tally {
    /// Reads one line of what a Rust test program prints; most say nothing that counts.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            for part in result.split([';', '.']) {
                match part.trim().split_once(' ') {
                    Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                    Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                    Some((number, "ignored")) => self.skipped += number.parse().unwrap_or(0),
                    _ => {}
                }
            }
        } else if let Some((test, reason)) = line.split_once(" ... ignored") {
            let test = test.trim_start_matches("test ");
            self.reasons.push(format!("{test}: {}", reason.trim_start_matches(", ")));
        }
    }

    /// Prints the sum.
    ///
    /// # Errors
    /// Where a test failed.
    pub(crate) fn conclude(&self) -> anyhow::Result<()> {
        for skipped in &self.reasons {
            println!("skipped: {skipped}");
        }
        println!("{self}");
        ensure!(self.failed == 0, "not every test passed");
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_add_up_and_skips_keep_their_reasons() {
        let mut tally = Tally::default();
        for line in "running 3 tests
test a ... ok
test b::c ... ignored, needs a GPU
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.50s"
            .lines()
        {
            tally.read(line);
        }
        assert_eq!(tally.to_string(), "6 passed, 1 failed, 1 skipped");
        assert_eq!(tally.reasons, ["b::c: needs a GPU"]);
    }

    #[test]
    fn the_word_of_a_test_is_not_taken_for_a_result() {
        let mut tally = Tally::default();
        tally.read("3 passed; 0 failed");
        tally.read("test result_is_ok ... ok");
        assert_eq!(tally, Tally::default());
    }
}
