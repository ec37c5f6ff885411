//! What the server logs, and waiting for it.

#![expect(clippy::expect_used, clippy::panic, reason = "this crate is there for tests alone")]

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The lines of a log, which grow while the server runs.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    is_complete: bool,
}

impl Log {
    /// Follows `source` to its end.
    pub(crate) fn follow(source: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let follower = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                follower.change(|state| state.lines.push(String::from_utf8_lossy(&line).into_owned()));
            }
            follower.change(|state| state.is_complete = true);
        });
        log
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().expect("nobody panics here"));
        self.0.changed.notify_all();
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.0.state.lock().expect("nobody panics here").lines.join("\n")
    }

    /// How many lines there are so far: a place to look from.
    pub fn len(&self) -> usize {
        self.0.state.lock().expect("nobody panics here").lines.len()
    }

    /// Whether nothing was logged yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for a line, from line `from` on, with this message and these fields, and returns its fields.
    ///
    /// # Panics
    /// Where the log ends without it, or it does not come within [`PATIENCE`](crate::PATIENCE).
    pub fn wait(&self, from: usize, message: &str, fields: &[(&str, &str)]) -> Value {
        let deadline = Instant::now() + crate::PATIENCE;
        let mut next = from;
        let mut state = self.0.state.lock().expect("nobody panics here");
        loop {
            while let Some(line) = state.lines.get(next) {
                next += 1;
                if let Some(found) = fields_of(line, message, fields) {
                    return found;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.is_complete || left.is_zero() {
                let log = state.lines.join("\n");
                drop(state);
                panic!("the log has no line `{message}` {fields:?}:\n{log}");
            }
            state = self.0.changed.wait_timeout(state, left).expect("nobody panics here").0;
        }
    }

    /// Waits until the server has closed its log, which it does by ending. Returns whether it did.
    pub(crate) fn wait_for_end(&self, patience: Duration) -> bool {
        let state = self.0.state.lock().expect("nobody panics here");
        let waited = self.0.changed.wait_timeout_while(state, patience, |state| !state.is_complete);
        waited.expect("nobody panics here").0.is_complete
    }
}

/// The fields of a log line, where it is the one wanted.
fn fields_of(line: &str, message: &str, wanted: &[(&str, &str)]) -> Option<Value> {
    let mut line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get_mut("fields")?.take();
    let is = |name: &str, value: &str| fields.get(name).and_then(Value::as_str) == Some(value);
    (is("message", message) && wanted.iter().all(|(name, value)| is(name, value))).then_some(fields)
}
