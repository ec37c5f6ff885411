//! The platforms that are installed, and the choice of one for a model.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_core_platform::{Options, Platform, Probe};
use salver_core_status::{Quoted, Status};
use salver_plugins_host::{HostServices, Plugins};

/// The platforms a server can load models with.
pub struct Platforms {
    platforms: Vec<Arc<dyn Platform>>,
    options: BTreeMap<String, Options>,
    /// Where plugins were looked for, for the error that says there are none.
    searched: Vec<PathBuf>,
}

impl Platforms {
    /// Platforms that are there already, and their settings by name.
    pub fn new(platforms: Vec<Arc<dyn Platform>>, options: BTreeMap<String, Options>) -> Self {
        Self { platforms, options, searched: Vec::new() }
    }

    /// The platforms of the plugins in these directories. A plugin that cannot be used is logged, and left out.
    pub fn open(directories: &[PathBuf], services: HostServices, options: BTreeMap<String, Options>) -> Self {
        let plugins = Plugins::new(services);
        for (path, error) in plugins.search(directories) {
            tracing::error!(file = %path.display(), %error, "a plugin cannot be used");
        }
        for plugin in plugins.plugins() {
            let inspection = plugin.inspection();
            let names: Vec<_> =
                plugin.platforms().iter().map(|platform| platform.name().to_owned()).collect();
            let (platforms, file) = (names.join(", "), inspection.path.display());
            tracing::info!(name = inspection.name, version = inspection.version, platforms, %file, "plugin ready");
        }
        let platforms = plugins.platforms();
        let unknown =
            options.keys().filter(|name| !platforms.iter().any(|platform| platform.name() == name.as_str()));
        for name in unknown {
            tracing::warn!(platform = %name, "options are given for a platform that is not installed");
        }
        Self { platforms, options, searched: directories.to_vec() }
    }

    /// The platform called `wanted`, or else the only one that recognises the files in `directory`; and its settings.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where no platform is right, or several are, telling what each said.
    pub(crate) fn choose(
        &self,
        directory: &Path,
        wanted: Option<&str>,
    ) -> Result<(&dyn Platform, Options), Status> {
        let platform = match wanted {
            Some(name) => self.named(name)?,
            None => self.recognising(directory)?,
        };
        let options = self.options.get(platform.name()).cloned().unwrap_or_default();
        Ok((platform, options))
    }

    /// Whether there is a platform called `name`.
    ///
    /// # Errors
    /// FAILED_PRECONDITION that says which there are.
    pub(crate) fn check(&self, name: &str) -> Result<(), Status> {
        self.named(name).map(drop)
    }

    /// Gives memory that platforms keep for later back to the operating system.
    pub(crate) fn trim(&self) {
        for platform in &self.platforms {
            platform.trim();
        }
    }

    fn named(&self, name: &str) -> Result<&dyn Platform, Status> {
        let found = self.platforms.iter().find(|platform| platform.name() == name);
        found.map(|platform| &**platform).ok_or_else(|| {
            let name = Quoted(name);
            Status::failed_precondition(format!("platform {name} is not installed; {}", self.installed()))
        })
    }

    fn recognising(&self, directory: &Path) -> Result<&dyn Platform, Status> {
        let shown = directory.display();
        let mut matches: Vec<(&dyn Platform, String)> = Vec::new();
        let mut refusals = String::new();
        for platform in &self.platforms {
            match platform.probe(directory) {
                Probe::Match { file } => matches.push((&**platform, file)),
                Probe::NoMatch { reason } => {
                    // Writing to a String does not fail.
                    let _ = write!(refusals, "; {}: {reason}", platform.name());
                }
            }
        }
        match matches.as_slice() {
            [(platform, _)] => Ok(*platform),
            [] if self.platforms.is_empty() => {
                Err(Status::failed_precondition(format!("nothing can load `{shown}`: {}", self.installed())))
            }
            [] => Err(Status::failed_precondition(format!(
                "no platform recognises the files in `{shown}` ({}){refusals}",
                files_in(directory)
            ))),
            several => {
                let claims: Vec<_> = several
                    .iter()
                    .map(|(platform, file)| format!("{} by `{file}`", platform.name()))
                    .collect();
                Err(Status::failed_precondition(format!(
                    "several platforms recognise `{shown}`: {}; say which with `platform = \"...\"` in `model.toml`",
                    claims.join(", ")
                )))
            }
        }
    }

    fn installed(&self) -> String {
        if self.platforms.is_empty() {
            let searched: Vec<_> = self.searched.iter().map(|path| format!("`{}`", path.display())).collect();
            return format!("no platform plugin is installed; looked in {}", searched.join(", "));
        }
        let names: Vec<_> = self.platforms.iter().map(|platform| platform.name()).collect();
        format!("there are: {}", names.join(", "))
    }
}

/// The names of a few files in a directory, for an error.
fn files_in(directory: &Path) -> String {
    const SHOWN: usize = 8;
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return error.to_string(),
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    match names.len() {
        0 => "the directory is empty".to_owned(),
        count if count <= SHOWN => names.join(", "),
        count => format!("{} and {} more", names.get(..SHOWN).unwrap_or_default().join(", "), count - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_platform::{LoadRequest, Model};

    struct Fake(&'static str, Option<&'static str>);

    impl Platform for Fake {
        fn name(&self) -> &str {
            self.0
        }

        fn probe(&self, _directory: &Path) -> Probe {
            match self.1 {
                Some(file) => Probe::Match { file: file.to_owned() },
                None => Probe::NoMatch { reason: "nothing of mine".to_owned() },
            }
        }

        fn load(&self, _request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
            Err(Status::unimplemented("fake"))
        }
    }

    fn choose(platforms: Vec<Fake>, wanted: Option<&str>) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("weights.bin"), "").unwrap();
        let platforms = platforms.into_iter().map(|fake| Arc::new(fake) as _).collect();
        let platforms = Platforms::new(platforms, BTreeMap::new());
        match platforms.choose(directory.path(), wanted) {
            Ok((platform, _)) => Ok(platform.name().to_owned()),
            Err(status) => Err(status.message().replace(&directory.path().display().to_string(), "DIR")),
        }
    }

    #[test]
    fn the_one_platform_that_recognises_the_files_is_chosen() {
        assert_eq!(choose(vec![Fake("a", None), Fake("b", Some("f"))], None), Ok("b".to_owned()));
    }

    #[test]
    fn what_each_platform_said_is_told_when_none_is_right() {
        assert_eq!(
            choose(vec![Fake("a", None), Fake("b", None)], None).unwrap_err(),
            "no platform recognises the files in `DIR` (weights.bin); a: nothing of mine; b: nothing of mine"
        );
        let none = choose(Vec::new(), None).unwrap_err();
        assert!(none.starts_with("nothing can load `DIR`: no platform plugin is installed"), "{none}");
    }

    #[test]
    fn two_that_recognise_the_files_need_a_word_from_the_model() {
        let both = || vec![Fake("a", Some("x")), Fake("b", Some("y"))];
        assert_eq!(
            choose(both(), None).unwrap_err(),
            "several platforms recognise `DIR`: a by `x`, b by `y`; say which with `platform = \"...\"` in `model.toml`"
        );
        assert_eq!(choose(both(), Some("b")), Ok("b".to_owned()));
        assert_eq!(choose(both(), Some("c")).unwrap_err(), "platform `c` is not installed; there are: a, b");
    }
}
