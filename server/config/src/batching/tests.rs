//! Which of all that is said counts.

use std::path::PathBuf;

use proptest::prelude::*;
use salver_core_status::Code;
use tempfile::TempDir;

use super::*;
use crate::ServeConfig;

/// A directory with files, and one of a version in it.
struct Models {
    directory: TempDir,
}

impl Models {
    fn new(files: &[(&str, &str)]) -> Self {
        let models = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(models.path("3")).unwrap();
        for (name, text) in files {
            std::fs::write(models.path(name), text).unwrap();
        }
        models
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What flags ask for; `DIR` stands for the directory.
    fn config(&self, flags: &[&str]) -> Result<BatchingConfig, String> {
        let directory = self.directory.path().display().to_string();
        let flags = flags.iter().map(|flag| flag.replace("DIR", &directory));
        let config = ServeConfig::from_flags(["--model-repository=/m".to_owned()].into_iter().chain(flags));
        config.map(|config| config.batching)
    }

    /// How version 3 of the model is batched on platform `echo`.
    fn options(&self, flags: &[&str]) -> Result<Option<BatchingOptions>, Status> {
        let model = ModelSettings::read(self.directory.path())?;
        let config = self.config(flags).map_err(Status::internal)?;
        config.options_for("echo", &model, Version::new(3).unwrap(), &self.path("3"))
    }

    /// The largest batch, the batches that may wait and the threads; `None` where version 3 is not batched.
    fn sizes(&self, flags: &[&str]) -> Option<(usize, usize, usize)> {
        let options = self.options(flags).unwrap()?;
        let level = &options.queue.levels[0];
        Some((level.max_batch_size, level.max_enqueued_batches, options.pool.threads))
    }
}

#[test]
fn nothing_is_batched_unless_somebody_says_so() {
    let models = Models::new(&[]);
    assert_eq!(models.config(&[]), Ok(BatchingConfig::default()));
    assert_eq!(models.options(&[]), Ok(None));
    assert_eq!(models.options(&["--enable_batching=false"]), Ok(None));
    assert_eq!(models.options(&["--enable_batching="]), Ok(None));
    let defaults = Parameters::default().resolve();
    for flag in ["--enable-batching", "--enable_batching=true", "--enable_batching=1"] {
        assert_eq!(models.options(&[flag]), defaults, "{flag}");
    }
}

#[test]
fn a_table_of_the_model_turns_batching_on_and_mode_off_turns_it_off() {
    let models = Models::new(&[("model.toml", "[batching]\n")]);
    assert_eq!(models.options(&[]), Parameters::default().resolve());
    let models = Models::new(&[("model.toml", "[batching]\nmode = 'off'\n")]);
    assert_eq!(models.options(&["--enable-batching"]), Ok(None));
}

#[test]
fn the_nearest_to_the_version_counts() {
    let server = "[batching]\nmax_batch_size = 1\nmax_enqueued_batches = 1\nnum_batch_threads = 1\n\
                  [platform.echo.batching]\nmax_batch_size = 2\nmax_enqueued_batches = 2\n\
                  [platform.other.batching]\nmax_batch_size = 3\n";
    let flags = ["--enable-batching", "--batching-parameters-file=DIR/server.toml"];
    let models = Models::new(&[("server.toml", server)]);
    assert_eq!(models.sizes(&flags), Some((2, 2, 1)));

    let model = "[batching]\nmax_batch_size = 4\n";
    let models = Models::new(&[("server.toml", server), ("model.toml", model)]);
    assert_eq!(models.sizes(&flags), Some((4, 2, 1)));

    let model = "[batching]\nmax_batch_size = 4\n[version.3.batching]\nmax_batch_size = 5\n";
    let models = Models::new(&[("server.toml", server), ("model.toml", model)]);
    assert_eq!(models.sizes(&flags), Some((5, 2, 1)));

    let model = "[batching]\nmax_batch_size = 4\n[version.2.batching]\nmax_batch_size = 5\n";
    let models = Models::new(&[("server.toml", server), ("model.toml", model)]);
    assert_eq!(models.sizes(&flags), Some((4, 2, 1)));
}

#[test]
fn a_version_s_table_turns_batching_on_for_it_alone() {
    let models = Models::new(&[("model.toml", "[version.3.batching]\nmax_batch_size = 5\n")]);
    assert_eq!(models.sizes(&[]).map(|sizes| sizes.0), Some(5));
    let models = Models::new(&[("model.toml", "[version.4.batching]\nmax_batch_size = 5\n")]);
    assert_eq!(models.options(&[]), Ok(None));
}

#[test]
fn what_flags_say_is_over_the_file_and_turns_batching_on() {
    let text = "[batching]\nmax_batch_size = 1\n[platform.echo.batching]\nmax_batch_size = 2\nmax_enqueued_batches = 2\n";
    let models = Models::new(&[("server.toml", text)]);
    let flags = [
        "--batching-parameters-file=DIR/server.toml",
        "--batching=max_batch_size=7",
        "--batching",
        "num_batch_threads=1",
    ];
    assert_eq!(models.sizes(&flags), Some((7, 2, 1)));
    let models = Models::new(&[]);
    assert_eq!(models.sizes(&["--batching=max_batch_size=7", "--batching=max_batch_size=8"]).unwrap().0, 8);
    assert_eq!(models.sizes(&["--batching=allowed_batch_sizes=1,8,32"]).unwrap().0, 32);
    let config = models.config(&["--batching=latency_target=20ms"]).unwrap();
    assert_eq!(config.server.latency_target, Some(std::time::Duration::from_millis(20)));
}

#[test]
fn a_file_of_tensorflow_serving_s_is_read_whatever_it_is_called() {
    let text =
        "max_batch_size { value: 16 } max_enqueued_batches { value: 7 } num_batch_threads { value: 2 }";
    for name in ["batching.config", "batching_parameters.txt", "b.pbtxt", "batching"] {
        let models = Models::new(&[(name, text)]);
        let flag = format!("--batching_parameters_file=DIR/{name}");
        assert_eq!(models.sizes(&["--enable_batching", &flag]), Some((16, 7, 2)), "{name}");
    }
}

#[test]
fn a_version_s_file_replaces_all_but_the_pool_s_settings() {
    let flags = [
        "--enable_batching",
        "--batching=max_batch_size=7",
        "--batching=num_batch_threads=3",
        "--enable_per_model_batching_parameters",
    ];
    let file =
        ("3/batching_params.pbtxt", "max_enqueued_batches { value: 4 } num_batch_threads { value: 9 }");
    assert_eq!(Models::new(&[file]).sizes(&flags), Some((1000, 4, 3)));
    assert_eq!(Models::new(&[file]).sizes(&flags[..3]), Some((7, 10, 3)));
    let model =
        ("model.toml", "[batching]\nmax_batch_size = 6\n[version.3.batching]\nbatch_timeout = '1ms'\n");
    assert_eq!(Models::new(&[file, model]).sizes(&flags), Some((1000, 4, 3)));
    assert_eq!(Models::new(&[model]).sizes(&flags), Some((6, 10, 3)));
}

#[test]
fn a_version_without_a_file_is_not_batched_where_versions_have_files() {
    let flags = ["--enable_batching", "--enable_per_model_batching_parameters=true"];
    assert_eq!(Models::new(&[]).options(&flags), Ok(None));
    let models = Models::new(&[("3/batching_params.pbtxt", "max_batch_size: 8")]);
    let status = models.options(&flags).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("3/batching_params.pbtxt`: Error parsing text-format"), "{status}");
}

#[test]
fn what_triton_s_file_says_is_over_what_the_server_says() {
    let flags = ["--enable-batching", "--batching=allowed_batch_sizes=2,4", "--batching=num_batch_threads=3"];
    let models = Models::new(&[("config.pbtxt", "max_batch_size: 8 dynamic_batching { }")]);
    assert_eq!(models.sizes(&flags), Some((8, 100_000, 3)));
    assert!(models.sizes(&[]).is_some());
    let models = Models::new(&[("config.pbtxt", "max_batch_size: 8")]);
    assert_eq!(models.options(&flags), Ok(None));
}

#[test]
fn what_does_not_go_together_is_told_with_the_field_when_the_model_is_loaded() {
    let models =
        Models::new(&[("model.toml", "[batching]\nmax_batch_size = 8\nallowed_batch_sizes = [2, 4]\n")]);
    let status = models.options(&[]).unwrap_err();
    let message = "batching: allowed_batch_sizes ends with 4, max_batch_size (8) was wanted";
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, message));
}

#[test]
fn flags_that_cannot_be_are_refused_with_their_names() {
    let models = Models::new(&[
        ("good.pbtxt", ""),
        ("bad.pbtxt", "max_batch_size: 8"),
        ("bad.toml", "[batching]\nmax_batchsize = 8\n"),
        ("unknown.toml", "[bathing]\n"),
        ("platform.toml", "[platform.echo.batching]\nmax_batch_size = 0\n"),
        ("platforms.toml", "[platform.echo.batching]\nmode = 1\n"),
    ]);
    for (flags, message) in [
        (
            &["--batching_parameters_file=DIR/good.pbtxt"][..],
            "--batching-parameters-file is given without --enable-batching",
        ),
        (
            &["--enable_per_model_batching_parameters"],
            "--enable-per-model-batching-parameters is given without --enable-batching",
        ),
        (
            &["--enable-batching=false", "--batching=max_batch_size=1"],
            "--batching is given and --enable-batching is false",
        ),
        (&["--enable-batching=maybe"], "`maybe` is not true or false"),
        (&["--batching=fast"], "`fast` is not of the form NAME=VALUE"),
        (&["--batching=speed=1"], "--batching: unknown parameter `speed`; there are: mode, max_batch_size"),
        (&["--batching=max_batch_size=0"], "batching: max_batch_size is 0, 1 to 2147483647 was wanted"),
        (
            &["--enable-batching", "--batching-parameters-file=/no/file"],
            "--batching-parameters-file: there is no file `/no/file`",
        ),
        (&["--enable-batching", "--batching-parameters-file=DIR"], "is not a file"),
        (
            &["--enable-batching", "--batching-parameters-file=DIR/bad.pbtxt"],
            "bad.pbtxt`: Error parsing text-format",
        ),
        (
            &["--enable-batching", "--batching-parameters-file=DIR/bad.toml"],
            "bad.toml`: [batching]: unknown parameter `max_batchsize`; max_batch_size was wanted perhaps",
        ),
        (&["--enable-batching", "--batching-parameters-file=DIR/unknown.toml"], "unknown field `bathing`"),
        (
            &["--enable-batching", "--batching-parameters-file=DIR/platform.toml"],
            "batching of platform `echo`: max_batch_size is 0",
        ),
        (
            &["--enable-batching", "--batching-parameters-file=DIR/platforms.toml"],
            "platforms.toml`: [platform.`echo`.batching]: mode is 1, one of off",
        ),
    ] {
        let error = models.config(flags).unwrap_err();
        assert!(error.contains(message), "{flags:?}: {error}");
    }
}

/// Pieces of all forms, so that more than their first letter is read.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = [
        "max_batch_size",
        "dynamic_batching",
        "batching",
        "value",
        "levels.2",
        "priority_queue_policy",
        "key",
        "allowed_batch_sizes",
        "batch_timeout",
        "preferred_batch_size",
        "priority_levels",
        "default_queue_policy",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        ":",
        "=",
        ",",
        ";",
        ".",
        "\"",
        "'",
        "\\",
        "#",
        "\n",
        " ",
        "-",
        "1",
        "0x7",
        "99999999999999999999",
        "true",
        "\"2ms\"",
        "é",
        "1979-05-27",
        "nan",
        "inf",
        "DELAY",
    ];
    let pieces = proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40);
    prop_oneof![4 => pieces.prop_map(|pieces| pieces.concat()), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused(text in any_text()) {
        for read in [parse_tensorflow_batching, parse_triton_batching] {
            match read(&text) {
                Ok(parameters) => drop(parameters.resolve()),
                Err(status) => prop_assert_eq!(status.code(), Code::InvalidArgument),
            }
        }
        if let Ok(settings) = ModelSettings::of_text(&text) {
            drop(settings.batching.map(|said| said.resolve()));
        }
        drop(parse_batching(&text));
        if let Ok(config) = Tree::read(&format!("backend: 'pytorch' input {{ {text} }}")) {
            drop(crate::triton::add_options(&config, &mut salver_core_platform::Options::new()));
        }
    }

    #[test]
    fn a_triton_file_keeps_its_batching_whatever_else_is_in_it(
        before in proptest::collection::vec("[a-c]+", 0..3), value in "[a-z0-9{}\\[\\]#:;,.]{0,12}", size in 1..1000_i64
    ) {
        let others: String = before.iter().map(|name| format!("{name} {{ x: '{value}' }}\n")).collect();
        let text = format!("{others}max_batch_size: {size}\n{others}dynamic_batching {{ }}\n{others}");
        let said = parse_triton_batching(&text);
        prop_assert_eq!(said.map(|said| said.max_batch_size), Ok(Some(size)));
    }
}
