//! What a plugin logs appears in the server's log.

#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

mod support;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use salver_core_platform::Options;
use support::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the events of plugins, each as one line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "salver_plugin"
    }

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                write!(self.0, " {field}={value:?}").unwrap();
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

#[test]
fn an_event_of_a_plugin_is_one_of_the_server_s_with_the_plugin_s_name() {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (platform, _) = own_platform(&cdylib("salver-plugins-misbehaving-panics"), folder.path());
    load(&*platform, folder.path(), &Options::new()).unwrap();
    let wanted = r#"INFO message=loaded model=m:1 plugin="panics" module=salver_misbehaving_panics"#;
    assert_eq!(*lines.0.lock().unwrap(), [wanted]);
}
