//! Adds up what test programs print.

use std::fmt;

use anyhow::ensure;

/// How many tests passed, failed and were skipped, what those that failed said, and why others were skipped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    skipped: u64,
    reasons: Vec<String>,
    /// What stands under `failures:` in the words of each test program, line by line.
    failures: Vec<String>,
    in_failures: bool,
}

impl Tally {
    /// Reads one line of what a Rust test program prints; most say nothing that counts.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.in_failures = false;
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
        } else if self.in_failures {
            self.failures.push(line.to_owned());
        } else {
            self.in_failures = line == "failures:";
        }
    }

    /// Counts what failed without being a test.
    pub(super) fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    /// Prints what failed, what was skipped, and the sum.
    ///
    /// # Errors
    /// Where a test failed.
    pub(crate) fn conclude(&self) -> anyhow::Result<()> {
        for line in &self.failures {
            println!("{line}");
        }
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
    fn what_failed_is_kept_and_what_passed_is_not() {
        let mut tally = Tally::default();
        for line in "running 2 tests
test a ... ok
test b ... FAILED

failures:

---- b stdout ----
no such file
failures:
    b

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 1 test
test c ... ok"
            .lines()
        {
            tally.read(line);
        }
        tally.fail("end to end: no bundle".to_owned());
        let failures =
            ["", "---- b stdout ----", "no such file", "failures:", "    b", "", "end to end: no bundle"];
        assert_eq!(tally.failures, failures);
        assert_eq!(tally.to_string(), "1 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn the_word_of_a_test_is_not_taken_for_a_result() {
        let mut tally = Tally::default();
        tally.read("3 passed; 0 failed");
        tally.read("test result_is_ok ... ok");
        assert_eq!(tally, Tally::default());
    }
}
