//! What the tree must look like, as tests: the invariants of ARCHITECTURE.md that a compiler
//! does not see.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot read the tree fails.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("target") || path.ends_with("node_modules") {
                // What was built or installed.
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust files below {dir}");
    found
}

/// The part of a file before its tests, which goes into the program.
fn program(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

fn lines_with<'a>(text: &'a str, words: &'a [&str]) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .filter(move |line| words.iter().any(|word| line.contains(word)))
}

#[test]
fn the_core_is_pure() {
    let banned = [
        "std::net",
        "std::fs",
        "std::thread",
        "std::io",
        "std::time",
        "Instant",
        "SystemTime",
        "crossbeam",
        "getrandom",
        "random::",
        "HashMap",
        "HashSet",
        "crate::net",
        "crate::node",
        "crate::wire",
        "crate::ui",
        "crate::thread",
        "crate::sys",
    ];
    for (path, text) in rust_files("src/router") {
        let found: Vec<_> = lines_with(program(&text), &banned).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
        // Arithmetic and names, which touch no file.
        let pure = [
            "crate::files::folder::manifest",
            "crate::files::folder::units",
            "crate::files::merkle",
            "crate::files::names::is_download_of",
        ];
        let files = lines_with(program(&text), &["crate::files"]);
        let found: Vec<_> =
            files.filter(|line| !pure.iter().any(|word| line.contains(word))).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

#[test]
fn dependencies_point_one_way() {
    let all = ["crypto", "router", "wire", "net", "files", "ui", "node", "bridge", "program"];
    let layers: &[(&str, &[&str])] = &[
        ("src/sys", &[&all[..], &["config", "limits", "settings", "thread"]].concat()),
        ("src/crypto", &["router", "wire", "net", "files", "ui", "node", "bridge", "program"]),
        ("src/router", &["wire", "net", "ui", "node", "bridge", "program"]),
        ("src/wire", &["net", "files", "ui", "node", "bridge", "program"]),
        ("src/net", &["ui", "bridge", "program"]),
        ("src/files", &["wire", "net", "ui", "node", "bridge", "program"]),
        ("src/ui", &["wire", "net", "node", "bridge", "program"]),
        ("src/node", &["ui", "bridge", "program"]),
        ("src/bridge", &["wire", "program"]),
    ];
    for (dir, above) in layers {
        for (path, text) in rust_files(dir) {
            for layer in *above {
                let import = format!("crate::{layer}::");
                let words = [import.as_str()];
                let found: Vec<_> = lines_with(program(&text), &words).collect();
                assert!(found.is_empty(), "{} looks up: {found:?}", path.display());
            }
        }
    }
}

/// The machines of the router: folders whose state is their own.
const MACHINES: [&str; 9] =
    ["admission", "desk", "files", "links", "log", "members", "registry", "swarm", "verify"];

/// The structs of a file, each with its fields.
fn structs(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut inside = false;
    for line in program(text).lines() {
        let item = line.trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ");
        if let Some(rest) = item.trim_start_matches("pub ").strip_prefix("struct ") {
            let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            found.push((name, Vec::new()));
            inside = line.ends_with('{');
        } else if line == "}" {
            inside = false;
        } else if let Some((_, fields)) = found.last_mut().filter(|_| inside)
            && !line.trim_start().starts_with("//")
        {
            fields.push(line.trim());
        }
    }
    found
}

/// Whether a type changes itself: some method takes `&mut self`.
fn changes_itself(name: &str, texts: &[&str]) -> bool {
    texts.iter().any(|text| {
        let head = format!("\nimpl {name} {{");
        let mut blocks = text.split(&head).skip(1).map(|rest| rest.split("\n}\n").next().unwrap());
        blocks.any(|block| block.contains("&mut self"))
    })
}

#[test]
fn no_file_outside_a_machine_names_its_fields() {
    for machine in MACHINES {
        let files = rust_files(&format!("src/router/{machine}"));
        let texts: Vec<&str> = files.iter().map(|(_, text)| program(text)).collect();
        for (path, text) in &files {
            let shown = if path.ends_with("mod.rs") {
                &["pub ", "pub(super) ", "pub(crate) ", "pub(in "][..]
            } else {
                &["pub ", "pub(crate) ", "pub(in "][..]
            };
            for (name, fields) in structs(text) {
                let is_shown = |field: &&&str| shown.iter().any(|word| field.starts_with(word));
                let fields: Vec<_> = fields.iter().filter(is_shown).collect();
                assert!(
                    fields.is_empty() || !changes_itself(name, &texts),
                    "{}: {name} changes itself and shows {fields:?}: give it methods",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn machines_do_not_know_the_router_and_form_no_circle() {
    let mut uses = Vec::new();
    for machine in MACHINES {
        for (path, text) in rust_files(&format!("src/router/{machine}")) {
            let found: Vec<_> =
                lines_with(program(&text), &["impl Router", "router::Router", "router::flows"])
                    .collect();
            assert!(found.is_empty(), "{}: {found:?}", path.display());
            for other in MACHINES.iter().filter(|other| **other != machine) {
                let import = [format!("router::{other}::"), format!("router::{other};")];
                let words: Vec<&str> = import.iter().map(String::as_str).collect();
                if lines_with(program(&text), &words).next().is_some() {
                    uses.push((machine, *other));
                }
            }
        }
    }
    // Machines that use no other are taken out, again and again: what is left is a circle.
    let mut left = MACHINES.to_vec();
    while let Some(at) =
        left.iter().position(|of| !uses.iter().any(|(from, to)| from == of && left.contains(to)))
    {
        left.remove(at);
    }
    assert!(left.is_empty(), "these machines use each other: {left:?}, by {uses:?}");
}

/// Whether a line names something that only some systems have, or asks which system this is.
fn names_a_system(line: &str) -> bool {
    let only_theirs = [
        "std::os::",
        "libc",
        "rustix",
        "nix::",
        "signal_hook",
        "if_addrs",
        "dlmalloc",
        "winapi",
        "windows_sys",
    ];
    let systems = ["unix", "windows", "target_os", "target_family", "target_vendor"];
    let asks = || line.contains("cfg") && systems.iter().any(|system| line.contains(system));
    only_theirs.iter().any(|name| line.contains(name)) || asks()
}

#[test]
fn what_differs_between_systems_is_in_one_folder() {
    for line in ["#[cfg(unix)]", "if cfg!(windows) {", "#[cfg(any(test, target_os = \"linux\"))]"] {
        assert!(names_a_system(line), "{line}");
    }
    assert!(names_a_system("use std::os::unix::fs::FileExt;"));
    for (path, text) in rust_files("src") {
        if path.starts_with("src/sys") {
            continue;
        }
        // Tests too: they must run wherever the program does.
        let found: Vec<_> = lines_with(&text, &[""]).filter(|line| names_a_system(line)).collect();
        assert!(found.is_empty(), "{}: {found:?} belongs in src/sys", path.display());
    }
}

#[test]
fn threads_begin_in_one_module_and_channels_are_bounded() {
    for (path, text) in rust_files("src") {
        let text = program(&text);
        if path != Path::new("src/thread.rs") && !path.ends_with("tests.rs") {
            let banned = ["std::thread::spawn", "std::thread::Builder", "use std::thread;"];
            let found: Vec<_> = lines_with(text, &banned).collect();
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
        let found: Vec<_> = lines_with(text, &["unbounded("]).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

/// Threads that may still be blocked when everything else has ended: those that read and write
/// stdin and stdout, the one that wakes the line editor through its external printer, the resolver,
/// and those for signals.
const NEVER_JOINED: [&str; 8] =
    ["answers", "last lines", "leaving", "printer", "resolver", "signals", "stdin", "waker"];

#[test]
fn every_thread_is_joined_but_those_that_nothing_can_wake() {
    let mut found = std::collections::BTreeSet::new();
    for (path, text) in rust_files("src") {
        if path == Path::new("src/thread.rs") {
            continue;
        }
        for call in program(&text).split("spawn_exempt(").skip(1) {
            let name = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            found.insert(name.unwrap_or_else(|| panic!("{}: no name", path.display())).to_owned());
        }
    }
    assert_eq!(found.iter().collect::<Vec<_>>(), NEVER_JOINED.iter().collect::<Vec<_>>());
}

#[test]
fn types_have_names_of_their_own() {
    let mut names = std::collections::BTreeMap::new();
    for (path, text) in rust_files("src") {
        // Here each system has a type of the same name; types of tests do not count.
        if path.starts_with("src/sys") || path.to_string_lossy().contains("test") {
            continue;
        }
        for line in program(&text).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at =
                words.iter().take(3).position(|word| ["struct", "enum", "trait"].contains(word));
            let (Some(at), false) = (at, line.starts_with([' ', '/'])) else { continue };
            let name = words[at + 1].split(|c: char| !c.is_alphanumeric()).next().unwrap();
            let before = names.insert(name.to_owned(), path.clone());
            assert!(before.is_none(), "{name} in {} and {before:?}", path.display());
        }
    }
}

/// Whether a text sets this limit.
fn sets_limit(text: &str, limit: &str) -> bool {
    let literals = text.split("Limits {").skip(1).filter_map(|rest| rest.split('}').next());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let names = |body: &str| body.split(|c| !is_word(c)).any(|word| word == limit);
    text.contains(&format!("limits.{limit} = ")) || literals.into_iter().any(names)
}

#[test]
fn limits_are_what_a_test_or_a_setting_changes() {
    let home = Path::new("src/limits.rs");
    let files = ["src", "tests", "benches", "fuzz"].into_iter().flat_map(rust_files);
    let (own, others): (Vec<_>, Vec<_>) = files.partition(|(path, _)| path == home);
    let (_, text) = &own[0];
    let limits = text.lines().filter_map(|line| line.strip_prefix("    pub ")?.split(':').next());
    let read_only: Vec<_> =
        limits.filter(|limit| !others.iter().any(|(_, text)| sets_limit(text, limit))).collect();
    assert!(read_only.is_empty(), "{read_only:?} belong beside their use");
}

#[test]
fn files_are_short_and_lines_fit() {
    for dir in ["src", "tests", "fuzz", "examples"] {
        for (path, text) in rust_files(dir) {
            let lines = text.lines().count();
            assert!(lines <= 600, "{} has {lines} lines", path.display());
            let long = text.lines().find(|line| line.chars().count() > 100);
            assert!(long.is_none(), "{}: {long:?}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_half_done() {
    for dir in ["src", "tests", "fuzz", "examples"] {
        for (path, text) in rust_files(dir) {
            if path == Path::new("tests/tidy.rs") {
                continue;
            }
            let marks = ["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX"];
            let found: Vec<_> = text
                .lines()
                .filter(|l| marks.iter().any(|m| l.contains(m)) && !l.contains("uXXXX"))
                .collect();
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
    }
}

#[test]
fn no_async_runtime_and_no_openssl() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in ["tokio", "async-std", "smol", "hyper", "reqwest", "openssl-sys"] {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name} is in Cargo.lock");
    }
}

#[test]
fn tests_wait_for_events_and_never_for_time() {
    for (path, text) in rust_files("tests") {
        if path == Path::new("tests/tidy.rs") {
            continue;
        }
        let found: Vec<_> = lines_with(&text, &["sleep("]).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}
