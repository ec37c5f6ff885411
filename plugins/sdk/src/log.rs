//! `tracing` events of the plugin, written to the server's log.
//!
//! The plugin's copy of `tracing` has statics of its own, so the server's subscriber does not see what happens here.
//! Spans are not forwarded.

use std::fmt::Write as _;

use salver_plugins_abi::{LEVEL_DEBUG, LEVEL_ERROR, LEVEL_INFO, LEVEL_TRACE, LEVEL_WARN, LogV1, Str};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// Sends events from here on to `log`. The first subscriber of a plugin stays: one that the author set is kept.
pub(crate) fn forward_to(log: &'static LogV1) {
    let _ = tracing::subscriber::set_global_default(Forward(log));
}

struct Forward(&'static LogV1);

fn number(level: Level) -> u32 {
    match level {
        Level::ERROR => LEVEL_ERROR,
        Level::WARN => LEVEL_WARN,
        Level::INFO => LEVEL_INFO,
        Level::DEBUG => LEVEL_DEBUG,
        Level::TRACE => LEVEL_TRACE,
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        // Who reads what may change: ask each time.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // SAFETY: the table lives as long as the process.
        let max = unsafe { (self.0.max_level)(self.0.context) };
        metadata.is_event() && number(*metadata.level()) <= max
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        line.message.push_str(&line.fields);
        let metadata = event.metadata();
        let (level, target) = (number(*metadata.level()), Str::new(metadata.target()));
        // SAFETY: the table lives as long as the process, the texts outlive the call.
        unsafe { (self.0.write)(self.0.context, level, target, Str::new(&line.message)) }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// An event as text: its message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
