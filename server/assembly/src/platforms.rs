//! The platforms and sources that are installed, and the choice of a platform for a model.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_core_platform::{OptionValue, Options, Platform, Probe};
use salver_core_status::{Quoted, Status};
use salver_plugins_host::{HostServices, PluginSource, Plugins, SourceKind};
use salver_plugins_isolated::{Isolation, Program};
use salver_server_config::SourceEntry;

/// The setting of a platform or a model that says where its code is run, and its values.
const ISOLATION: &str = "isolation";
const NONE: &str = "none";
const PROCESS: &str = "process";

/// The platforms a server can load models with, and the sources that came with them.
pub struct Platforms {
    platforms: Vec<Installed>,
    sources: Vec<SourceKind>,
    options: BTreeMap<String, Options>,
    /// Where plugins were looked for, for the error that says there are none.
    searched: Vec<PathBuf>,
}

/// A platform, where its code is run.
struct Installed {
    name: String,
    /// In this process.
    here: Option<Arc<dyn Platform>>,
    /// In processes of its own.
    apart: Option<Arc<dyn Platform>>,
}

impl Installed {
    /// What recognises its models.
    fn probing(&self) -> Option<&dyn Platform> {
        self.here.as_deref().or(self.apart.as_deref())
    }
}

impl Platforms {
    /// Platforms that are there already, and their settings by name.
    pub fn new(platforms: Vec<Arc<dyn Platform>>, options: BTreeMap<String, Options>) -> Self {
        let installed = |platform: Arc<dyn Platform>| Installed {
            name: platform.name().to_owned(),
            here: Some(platform),
            apart: None,
        };
        let platforms = platforms.into_iter().map(installed).collect();
        Self { platforms, sources: Vec::new(), options, searched: Vec::new() }
    }

    /// The platforms and sources of the plugins in these directories. A plugin that cannot be used is logged, and left out. `worker` is
    /// what is started for platforms and models that are to be run in processes of their own; without it, none can be.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where a platform's `isolation` is none; RESOURCE_EXHAUSTED where no thread can be started.
    pub fn open(
        directories: &[PathBuf],
        services: HostServices,
        mut options: BTreeMap<String, Options>,
        worker: Option<Program>,
    ) -> Result<Self, Status> {
        let mut kept_apart = Vec::new();
        for (name, options) in &mut options {
            let isolated =
                is_isolated(options).map_err(|status| status.context(format_args!("platform {name}")))?;
            // Put back for the models of plugins that are open all the same.
            if isolated == Some(true) {
                options.set(ISOLATION, OptionValue::Text(PROCESS.to_owned()));
                kept_apart.push(name.clone());
            }
        }
        let isolation = worker.map(|program| Isolation::new(program, services.clone())).transpose()?;
        // Without workers their models are refused, which is said model by model.
        let plugins = Plugins::new(services);
        let plugins = if isolation.is_some() { plugins.keep_apart(kept_apart) } else { plugins };
        for (path, error) in plugins.search(directories) {
            tracing::error!(file = %path.display(), %error, "a plugin cannot be used");
        }
        for plugin in plugins.plugins() {
            let inspection = plugin.inspection();
            let names: Vec<_> =
                plugin.platforms().iter().map(|platform| platform.name().to_owned()).collect();
            let (platforms, sources) = (names.join(", "), inspection.sources.join(", "));
            let sources = Some(sources).filter(|sources| !sources.is_empty());
            let (name, version, file) = (&inspection.name, &inspection.version, inspection.path.display());
            tracing::info!(name, version, platforms, sources, %file, "plugin ready");
        }
        let mut platforms = Vec::new();
        for plugin in plugins.plugins() {
            for here in plugin.platforms() {
                let (name, file) = (here.name().to_owned(), &plugin.inspection().path);
                let apart = isolation.as_ref().map(|at| at.platform(&name, file, Some(Arc::clone(here))));
                platforms.push(Installed { name, here: Some(Arc::clone(here)), apart });
            }
        }
        for plugin in plugins.apart() {
            let (names, file) = (plugin.platforms.join(", "), plugin.path.display());
            let (name, version) = (plugin.name, plugin.version);
            tracing::info!(name, version, platforms = names, %file, "plugin ready, in processes of its own");
            for name in plugin.platforms {
                let apart = isolation.as_ref().map(|at| at.platform(&name, &plugin.path, None));
                platforms.push(Installed { name, here: None, apart });
            }
        }
        for name in options.keys().filter(|name| !platforms.iter().any(|platform| platform.name == **name)) {
            tracing::warn!(platform = %name, "options are given for a platform that is not installed");
        }
        Ok(Self { platforms, sources: plugins.sources(), options, searched: directories.to_vec() })
    }

    /// Makes a source, and starts it.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where no plugin has one of this name, telling which there are; else what the plugin says.
    pub(crate) fn source(&self, entry: &SourceEntry) -> Result<PluginSource, Status> {
        let name = Quoted(&entry.name);
        let Some(kind) = self.sources.iter().find(|kind| kind.name() == entry.name) else {
            let names: Vec<_> = self.sources.iter().map(SourceKind::name).collect();
            let there = match names.is_empty() {
                true => "there is none".to_owned(),
                false => format!("there are: {}", names.join(", ")),
            };
            return Err(Status::failed_precondition(format!("source {name} is not installed; {there}")));
        };
        kind.create(&entry.options).map_err(|status| status.context(format_args!("source {name}")))
    }

    /// The platform called `wanted`, or else the only one that recognises the files in `directory`; and its settings,
    /// under those of the model.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where no platform is right, or several are, telling what each said; and where its code cannot be
    /// run where the settings want it.
    pub(crate) fn choose(
        &self,
        directory: &Path,
        wanted: Option<&str>,
        of_model: &Options,
    ) -> Result<(&dyn Platform, Options), Status> {
        let installed = match wanted {
            Some(name) => self.named(name)?,
            None => self.recognising(directory)?,
        };
        let mut options = self.options.get(&installed.name).cloned().unwrap_or_default().overlaid(of_model);
        let (place, why_not) = match is_isolated(&mut options)? {
            Some(true) => (&installed.apart, "this program runs no platform in a process of its own"),
            Some(false) | None => (&installed.here, "the server runs all of it in processes of its own"),
        };
        match place {
            Some(platform) => Ok((&**platform, options)),
            None => {
                let name = Quoted(&installed.name);
                Err(Status::failed_precondition(format!(
                    "platform {name} is not there as `isolation` wants: {why_not}"
                )))
            }
        }
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
        // A process that has ended has given everything back.
        for platform in self.platforms.iter().filter_map(|installed| installed.here.as_ref()) {
            platform.trim();
        }
    }

    fn named(&self, name: &str) -> Result<&Installed, Status> {
        let found = self.platforms.iter().find(|platform| platform.name == name);
        found.ok_or_else(|| {
            let name = Quoted(name);
            Status::failed_precondition(format!("platform {name} is not installed; {}", self.installed()))
        })
    }

    fn recognising(&self, directory: &Path) -> Result<&Installed, Status> {
        let shown = directory.display();
        let mut matches: Vec<(&Installed, String)> = Vec::new();
        let mut refusals = String::new();
        for platform in &self.platforms {
            match platform.probing().map(|probing| probing.probe(directory)) {
                Some(Probe::Match { file }) => matches.push((platform, file)),
                Some(Probe::NoMatch { reason }) => {
                    // Writing to a String does not fail.
                    let _ = write!(refusals, "; {}: {reason}", platform.name);
                }
                None => {}
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
                let claims: Vec<_> =
                    several.iter().map(|(platform, file)| format!("{} by `{file}`", platform.name)).collect();
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
        let names: Vec<_> = self.platforms.iter().map(|platform| platform.name.as_str()).collect();
        format!("there are: {}", names.join(", "))
    }
}

/// Whether the settings want the code to be run in a process of its own; the word is taken out of them.
fn is_isolated(options: &mut Options) -> Result<Option<bool>, Status> {
    match options.remove(ISOLATION) {
        None => Ok(None),
        Some(OptionValue::Text(text)) if text == PROCESS => Ok(Some(true)),
        Some(OptionValue::Text(text)) if text == NONE => Ok(Some(false)),
        Some(other) => Err(Status::invalid_argument(format!(
            "option `{ISOLATION}` is {other:?}, wanted `{NONE}` or `{PROCESS}`"
        ))),
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
        choose_for(platforms, wanted, Options::none())
    }

    fn choose_for(platforms: Vec<Fake>, wanted: Option<&str>, of_model: &Options) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("weights.bin"), "").unwrap();
        let platforms = platforms.into_iter().map(|fake| Arc::new(fake) as _).collect();
        let platforms = Platforms::new(platforms, BTreeMap::new());
        match platforms.choose(directory.path(), wanted, of_model) {
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
    fn a_model_that_wants_a_process_of_its_own_is_refused_where_there_are_none() {
        let choose = |isolation: &str| {
            let mut options = Options::new();
            options.set(ISOLATION, OptionValue::Text(isolation.to_owned()));
            choose_for(vec![Fake("a", Some("x"))], None, &options)
        };
        assert_eq!(choose("none"), Ok("a".to_owned()));
        assert_eq!(
            choose("process").unwrap_err(),
            "platform `a` is not there as `isolation` wants: this program runs no platform in a process of its own"
        );
        assert_eq!(
            choose("thread").unwrap_err(),
            "option `isolation` is Text(\"thread\"), wanted `none` or `process`"
        );
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
