//! A source: the versions that a folder of links leads to.
//!
//! A link `digits -> /models/digits/7` says that version 7 of the model `digits` is to be served, from there. Where the link
//! is made to lead elsewhere the versions are swapped, and where it is taken away the model is unloaded. A link that leads to
//! no version changes nothing: the model's status says why.
//!
//! ```text
//! cargo build --release --package salver-plugins-examples-symlinks
//! cp target/release/libsalver_symlinks.so <the server's plugin directory>
//! salver serve --source symlinks:directory=/srv/links,interval_ms=500
//! ln -sfn /models/digits/8 /srv/links/digits
//! ```

mod look;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use look::Links;
use salver_plugins_sdk::{Options, SharedTarget, Source, Status};

salver_plugins_sdk::export_plugin! {
    name: "symlinks",
    sources: { "symlinks": "Serves the versions that the links in a directory lead to." => Symlinks::of },
}

/// Looks at the folder again and again, from when it is connected until it is dropped.
struct Symlinks {
    directory: PathBuf,
    interval: Duration,
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Symlinks {
    /// # Errors
    /// INVALID_ARGUMENT: an option is unknown or of another kind, or `directory` is missing.
    fn of(options: &Options) -> Result<Self, Status> {
        options.only(&["directory", "interval_ms"])?;
        let directory = options.text("directory")?;
        let directory = directory.ok_or_else(|| Status::invalid_argument("option `directory` is missing"))?;
        let interval = u64::try_from(options.int("interval_ms")?.unwrap_or(1000)).unwrap_or(0).max(1);
        Ok(Self { directory: directory.into(), interval: Duration::from_millis(interval), running: None })
    }
}

impl Source<PathBuf> for Symlinks {
    fn connect(&mut self, target: SharedTarget<PathBuf>) {
        let mut links = Links::new(self.directory.clone());
        // At once: the server is ready when what was said by then is loaded.
        links.look(&*target);
        let (stop, stopped) = mpsc::channel();
        let interval = self.interval;
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                // All of it each time: who was refused a name may get it now.
                links.look(&*target);
            }
        });
        self.running = Some((stop, thread));
    }
}

impl Drop for Symlinks {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // However it ended, it has no more to say.
            let _ = thread.join();
        }
    }
}
