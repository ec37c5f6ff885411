//! Serves a hash map from a file with the manager: look-ups go on while a new version of the file arrives.
//!
//! ```text
//! FileSystemSource --path--> CsvLoader --> AspiredManager --> look-ups
//! ```

#![expect(clippy::print_stdout, reason = "it tells what it does")]

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_core_loader::{Adapted, LoadContext, Loader, Source as _, SourceAdapter};
use salver_core_servable::{Handle, Lookup as _, ServableId, ServableState, VersionChoice};
use salver_core_status::Status;
use salver_manager_aspired::{AspiredManager, Options};
use salver_manager_monitor::{Goal, Monitor};
use salver_manager_source_file::{Config, FileSystemSource, ModelDir, VersionPath};

const NAME: &str = "capitals";

/// What is served. The manager does not care: anything that threads can share will do.
type Capitals = HashMap<String, String>;

/// Owns the life of one version: the manager calls it on its own threads.
struct CsvLoader {
    file: PathBuf,
}

impl Loader for CsvLoader {
    type Servable = Capitals;

    fn load(&mut self, _: &LoadContext<'_>) -> Result<Capitals, Status> {
        let unreadable = |error| Status::unavailable(format!("reading `{}`: {error}", self.file.display()));
        let text = std::fs::read_to_string(&self.file).map_err(unreadable)?;
        let row = |(line, text): (usize, &str)| {
            let row = text.split_once(',').map(|(country, capital)| (country.to_owned(), capital.to_owned()));
            row.ok_or_else(|| Status::invalid_argument(format!("line {} has no comma", line + 1)))
        };
        text.lines().enumerate().map(row).collect()
    }
}

/// From where a version is, which the source tells, to what loads it, which the manager wants.
struct CsvFiles;

impl SourceAdapter<VersionPath, CsvLoader> for CsvFiles {
    fn convert(&self, _: &ServableId, version: VersionPath) -> Result<CsvLoader, Status> {
        Ok(CsvLoader { file: version.path.join("capitals.csv") })
    }
}

/// A version is a folder named by its number. It is filled under another name, and appears at once and whole.
fn publish(model: &Path, version: u32, text: &str) -> std::io::Result<()> {
    let hidden = model.join(".incoming");
    std::fs::create_dir_all(&hidden)?;
    std::fs::write(hidden.join("capitals.csv"), text)?;
    std::fs::rename(hidden, model.join(version.to_string()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let model = tempfile::tempdir()?;
    publish(model.path(), 1, "France,Paris\nKazakhstan,Almaty\n")?;

    // The monitor hears of every change of state; the manager loads, unloads and looks up.
    let monitor = Arc::new(Monitor::default());
    let manager = AspiredManager::start(Options::new(Arc::clone(&monitor) as _))?;
    let mut source = FileSystemSource::new(Config {
        models: vec![ModelDir::new(NAME, model.path())],
        // Versions appear by renaming, so nothing has to settle.
        settle: Duration::ZERO,
        ..Config::default()
    });
    source.connect(Arc::new(Adapted::new(CsvFiles, Arc::clone(&manager) as _)));

    let first = Goal::Latest(NAME.into());
    monitor.wait_until_reached(&[first], ServableState::Available, deadline)?;
    let serving = manager.serving();
    // A look-up takes no lock. The handle keeps its version loaded until it is dropped.
    let old: Handle<Capitals> = serving.get(NAME, VersionChoice::Latest)?;
    println!("{}: {:?}", old.id(), old.get("Kazakhstan"));

    publish(model.path(), 2, "France,Paris\nKazakhstan,Astana\n")?;
    let mut lookups = 0_u64;
    let new = loop {
        let handle = serving.get(NAME, VersionChoice::Latest)?;
        lookups += 1;
        if handle.id() != old.id() {
            break handle;
        }
        if Instant::now() > deadline {
            return Err("version 2 was not loaded".into());
        }
    };
    println!("{}: {:?}, after {lookups} look-ups of which none failed", new.id(), new.get("Kazakhstan"));
    println!("{} is still there for who holds it: {:?}", old.id(), old.get("Kazakhstan"));

    let held = Goal::Version(old.id().clone());
    drop(old);
    for outcome in monitor.wait_until_reached(&[held], ServableState::End, deadline)? {
        println!("{} is unloaded now that nobody does", outcome.id);
    }

    // The source first: nothing is asked for any more. Then everything is unloaded, on the manager's threads.
    drop((source, new));
    println!("everything is unloaded: {}", manager.shut_down(deadline));
    Ok(())
}
