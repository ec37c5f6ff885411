//! What an open plugin does right.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_core_platform::{CancelFlag, OptionValue, Options, Probe, RequestContext, TraceContext};
use salver_core_status::Code;
use salver_core_tensor::{DType, Shape, Strings, Tensor};
use salver_plugins_host::{Door, HostServices, Plugins, inspect};
use support::*;

const MIRROR: &str = "salver-plugins-misbehaving-panics";

#[test]
fn the_smallest_plugin_in_rust_serves() {
    let path = cdylib("salver-plugins-examples-minimal-rust");
    let inspection = inspect(&path).unwrap();
    assert_eq!((inspection.name.as_str(), inspection.door), ("minimal-rust", Door::Rust));
    assert_eq!((inspection.abi, inspection.platforms), (1, vec!["line".to_owned()]));
    let line = platform(&path);
    assert_serves(&*line, "line.txt");

    let empty = tempfile::tempdir().unwrap();
    assert_eq!(line.probe(empty.path()), Probe::NoMatch { reason: "no file `line.txt`".to_owned() });
    let missing = load(&*line, empty.path(), &Options::new()).err().unwrap();
    assert!(missing.message().contains("line.txt"), "{missing}");
}

#[test]
fn the_smallest_plugin_in_c_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = compile(&plugins_folder().join("c/example/scale.c"), &[], folder.path());
    let inspection = inspect(&path).unwrap();
    assert_eq!((inspection.name.as_str(), inspection.door), ("minimal-c", Door::C));
    let scale = platform(&path);
    assert_serves(&*scale, "scale.txt");

    assert_eq!(scale.probe(folder.path()), Probe::NoMatch { reason: "no file `scale.txt`".to_owned() });
    std::fs::write(folder.path().join("scale.txt"), "two").unwrap();
    assert_eq!(scale.probe(folder.path()), Probe::Match { file: "scale.txt".to_owned() });
    let wrong = load(&*scale, folder.path(), &Options::new()).err().unwrap();
    assert_eq!(wrong.message(), "`scale.txt` does not hold two numbers");
}

#[test]
fn a_plugin_in_cpp_serves_and_what_it_throws_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let source = plugins_folder().join("c/example/offset.cpp");
    let path = compile(
        &source,
        &["-xc++", "-Wpedantic", "-fvisibility=hidden", "-Wl,--no-as-needed", "-lstdc++"],
        folder.path(),
    );
    assert_eq!(inspect(&path).unwrap().name, "minimal-cpp");
    let offset = platform(&path);
    assert_serves(&*offset, "offset.txt");

    assert_eq!(offset.probe(folder.path()), Probe::NoMatch { reason: "no file of offset".to_owned() });
    std::fs::write(folder.path().join("offset.txt"), "two").unwrap();
    let wrong = load(&*offset, folder.path(), &Options::new()).err().unwrap();
    assert_eq!(
        (wrong.code(), wrong.message()),
        (Code::InvalidArgument, "`offset.txt` does not hold two numbers")
    );
}

#[test]
fn the_header_is_c11_and_cpp17() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("include.c");
    std::fs::write(&source, "#include \"salver_plugin.h\"\nSALVER_PLUGIN_NOTE(\"a\", \"1\", \"b\");\n")
        .unwrap();
    for language in ["-xc", "-xc++"] {
        compile(&source, &[language, "-Wpedantic"], folder.path());
    }
}

#[test]
fn a_stripped_library_keeps_its_note_and_serves() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("stripped.so");
    std::fs::copy(cdylib("salver-plugins-examples-minimal-rust"), &copy).unwrap();
    let stripped = std::process::Command::new("strip").arg(&copy).status().unwrap();
    assert!(stripped.success());
    assert_serves(&*platform(&copy), "line.txt");
}

#[test]
fn every_element_type_and_rank_crosses_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let model = load(&*platform(&cdylib(MIRROR)), folder.path(), &Options::new()).unwrap();
    for dtype in DType::ALL {
        for rank in 0..=8 {
            for size in [0, 1, 2] {
                let shape = Shape::new(&vec![size; rank]).unwrap();
                let count = shape.element_count();
                let tensor = match dtype.size() {
                    Some(bytes) => {
                        let value = |at: usize| if dtype == DType::Bool { at % 2 } else { at % 251 } as u8;
                        let bytes: Vec<u8> = (0..count * bytes).map(value).collect();
                        Tensor::from_bytes(dtype, shape, bytes.into()).unwrap()
                    }
                    None => {
                        let strings: Strings =
                            (0..count).map(|at| [b"\0nul\xff", &vec![b'x'; at][..]].concat()).collect();
                        Tensor::from_strings(shape, strings).unwrap()
                    }
                };
                let outputs = run(&*model, dtype.name(), &[&tensor]).unwrap();
                assert_eq!(outputs, [tensor], "{dtype} of rank {rank}");
            }
        }
    }
}

#[test]
fn the_context_of_a_request_reaches_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (platform, figures) = own_platform(&cdylib(MIRROR), folder.path());
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let see = |context: &RequestContext| -> Vec<String> {
        let (position, _) = model.signatures().get("context").unwrap();
        let request = salver_core_platform::RunRequest {
            signature: position,
            inputs: &[None],
            outputs: &[0],
            context: context.lend(),
        };
        let outputs = model.run(&request).unwrap();
        let strings = outputs[0].strings().unwrap();
        strings.iter().map(|element| String::from_utf8(element.to_vec()).unwrap()).collect()
    };
    let mut context = RequestContext {
        deadline: Some(Instant::now() + Duration::from_secs(60)),
        cancel: CancelFlag::new(),
        trace: TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 },
        request_id: "r-7".to_owned(),
        parameters: Options::new(),
    };
    context.parameters.set("a", OptionValue::Bool(true));
    context.parameters.set("b", OptionValue::Int(-5));
    context.parameters.set("c", OptionValue::Float(0.5));
    context.parameters.set("d", OptionValue::Text("x".to_owned()));
    let trace = format!("trace={:?}", context.trace);
    let seen = see(&context);
    assert_eq!(seen[..2], ["id=r-7", "input=0"]);
    assert_eq!(
        seen[2],
        r#"parameters=[("a", Bool(true)), ("b", Int(-5)), ("c", Float(0.5)), ("d", Text("x"))]"#
    );
    assert_eq!(seen[3..6], [trace.as_str(), "late=Some(false)", "cancelled=false"]);
    assert_eq!(seen[6..], ["threads=3", r#"file=Some("own.so")"#]);

    let late = RequestContext { deadline: Some(Instant::now()), ..RequestContext::default() };
    late.cancel.cancel();
    assert_eq!(see(&late)[4..6], ["late=Some(true)", "cancelled=true"]);
    assert_eq!(figures.get("loads"), 1.0);
}

#[test]
fn outputs_stay_where_the_plugin_made_them_and_keep_the_model_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let (platform, figures) = own_platform(&cdylib(MIRROR), folder.path());
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let mut outputs = run(&*model, "FP32", &[&floats(&[1.0, 2.0])]).unwrap();
    let output = outputs.pop().unwrap();
    drop((model, outputs));
    assert_eq!(figures.get("unloads"), 0.0);
    let part = output.fixed().unwrap().slice(4..);
    assert_eq!(part.as_ptr().addr(), output.fixed().unwrap().as_ptr().addr() + 4);
    drop(output);
    assert_eq!((&part[..], figures.get("unloads")), (&2.0f32.to_le_bytes()[..], 0.0));
    drop(part);
    assert_eq!(figures.get("unloads"), 1.0);
}

#[test]
fn many_threads_run_one_model_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = load(&*platform(&cdylib(MIRROR)), folder.path(), &Options::new()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let model = &*model;
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..500 {
                    let tensor = floats(&[thread as f32, round as f32]);
                    let outputs = run(model, "FP32", &[&tensor]).unwrap();
                    assert_eq!(outputs, [tensor]);
                    held.extend(outputs);
                    held.truncate(round % 7);
                }
            });
        }
    });
}

#[test]
fn a_file_is_opened_once_and_a_name_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = cdylib("salver-plugins-examples-minimal-rust");
    let plugins = Plugins::new(HostServices::default());
    let first = plugins.open(&path).unwrap();
    let link = folder.path().join("link.so");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let again = plugins.open(&link).unwrap();
    assert!(Arc::ptr_eq(&first.platforms()[0], &again.platforms()[0]));

    let copy = folder.path().join("copy.so");
    std::fs::copy(&path, &copy).unwrap();
    let error = plugins.open(&copy).unwrap_err().to_string();
    let wanted = format!("`{}` and `{}` are both plugin `minimal-rust`", copy.display(), path.display());
    assert_eq!(error, wanted);

    let other = misbehaving("opening", &[r#"-DNAME="other""#, r#"-DPLATFORMS="x,line""#], folder.path());
    let error = plugins.open(&other).unwrap_err().to_string();
    assert_eq!(error, format!("`{}` and `{}` both have platform `line`", other.display(), path.display()));
    assert_eq!(plugins.plugins().len(), 1);
}

#[test]
fn a_search_opens_what_it_can_and_reports_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(cdylib("salver-plugins-examples-minimal-rust"), folder.path().join("b.so")).unwrap();
    std::fs::write(folder.path().join("a.so"), "not a library").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
    let absent = folder.path().join("absent");
    let plugins = Plugins::new(HostServices::default());
    let failures = plugins.search(&[folder.path(), &absent]);
    let failed: Vec<_> = failures.iter().map(|(path, error)| (path.clone(), error.to_string())).collect();
    assert_eq!(failed.len(), 2);
    let a = folder.path().join("a.so");
    assert_eq!(failed[0].1, format!("`{}` is not a shared library: it is not an ELF file", a.display()));
    assert_eq!(failed[1], (absent.clone(), format!("`{}` cannot be read", absent.display())));
    let names: Vec<_> = plugins.platforms().iter().map(|platform| platform.name().to_owned()).collect();
    assert_eq!(names, ["line"]);
}
