//! The house rules that a compiler does not know: who may import whom, how long files and functions may be, that
//! every invariant names a test that exists, and words that have no place in the repository.
//!
//! Files and functions that are too long stand in `ratchet.txt` with their length. That list can only shrink: what
//! grows fails, and so does what has become shorter than its entry.

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use scan::{bare, functions, test_names};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const RATCHET: &str = include_str!("ratchet.txt");

/// A file of the repository.
struct File {
    /// Its path from the root, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 9] = [
    "target",
    "node_modules",
    "dist",
    ".git",
    ".cache",
    "demo-data",
    "demo-city-data",
    "test-results",
    ".e2e",
];
/// Endings of text that people write.
const WRITTEN: [&str; 16] = [
    "rs", "toml", "md", "sh", "ts", "js", "mjs", "svelte", "css", "html", "json", "yaml", "yml", "txt",
    "csv", "py",
];

fn collect(folder: &Path, root: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kind = path.symlink_metadata().expect("metadata").file_type();
        if kind.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(&path, root, files);
            }
            continue;
        }
        let relative = path.strip_prefix(root).expect("below the root");
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let written = WRITTEN.contains(&ending.as_str()) || name == "Makefile" || relative.starts_with(".ci");
        if kind.is_file() && written && name != "package-lock.json" {
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.push(File { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

fn files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 30, "the repository was found");
    files
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Who may not name what: the folder, the exceptions within it, and the words.
const DIRECTIONS: [(&str, &[&str], &[&str]); 10] = [
    (
        "config/src/",
        &[],
        &["fengsui_storage", "fengsui_ingest", "fengsui_web", "tokio", "axum", "retina", "std::net::Tcp"],
    ),
    ("storage/src/", &[], &["fengsui_ingest", "fengsui_web", "axum", "retina", "gstreamer", "hyper"]),
    (
        "storage/src/",
        &[],
        &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "tokio::net"],
    ),
    ("ingest/src/", &[], &["fengsui_web", "axum", "hyper"]),
    ("web/relay/src/", &[], &["fengsui_ingest", "fengsui_web", "axum", "hyper", "retina", "gstreamer"]),
    (
        "web/duty/src/",
        &[],
        &["fengsui_ingest", "fengsui_web", "axum", "hyper", "tokio", "std::fs", "std::net"],
    ),
    ("web/src/", &["web/src/node.rs", "web/src/node/"], &["fengsui_ingest"]),
    ("web/src/", &[], &["retina", "gstreamer"]),
    ("", &["tests/"], &["fengsui_tests"]),
    ("storage/verify/", &[], &["fengsui_"]),
];

/// Names in code (not in comments or strings) that the folder of a file may not use.
fn wrong_imports(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    if !file.path.ends_with(".rs") {
        return faults;
    }
    let code = bare(&file.text);
    for (folder, exceptions, words) in DIRECTIONS {
        if !file.path.starts_with(folder)
            || exceptions.iter().any(|exception| file.path.starts_with(exception))
        {
            continue;
        }
        for (number, line) in code.lines().enumerate() {
            for word in words.iter().filter(|word| names(line, word)) {
                faults.push(format!("{}:{}: {folder} may not use {word}", file.path, number + 1));
            }
        }
    }
    faults
}

/// Whether a line of code uses a path that begins with `word`.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().unwrap_or(' ');
        let after = line[at + word.len()..].chars().next().unwrap_or(' ');
        let whole = word.ends_with('_') || word.contains("::") || !(after.is_alphanumeric() || after == '_');
        // A crate is used by `use word` or `word::`; a type by its name alone.
        let used = word.starts_with(char::is_uppercase)
            || word.contains("::")
            || word.ends_with('_')
            || line[at + word.len()..].starts_with("::")
            || line.trim_start().starts_with(&format!("use {word}"));
        let deeper = before == ':' && word.starts_with(char::is_lowercase);
        whole && used && !(before.is_alphanumeric() || before == '_' || deeper)
    })
}

#[test]
fn imports_go_one_way() {
    none(&files().iter().flat_map(wrong_imports).collect::<Vec<_>>());
}

#[test]
fn a_wrong_import_is_seen() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let faults = |path: &str, text: &str| wrong_imports(&file(path, text)).len();
    assert_eq!(faults("web/src/api/cameras.rs", "use fengsui_ingest::Fleet;"), 1);
    assert_eq!(faults("web/src/node.rs", "use fengsui_ingest::Fleet;"), 0);
    assert_eq!(
        faults("web/src/api/cameras.rs", "// fengsui_ingest is told elsewhere\nlet a = \"fengsui_ingest\";"),
        0
    );
    assert_eq!(faults("storage/src/hub/mod.rs", "let s: std::net::TcpStream;"), 1);
    assert_eq!(faults("storage/src/hub/mod.rs", "use std::net::{TcpStream, IpAddr};"), 1);
    assert_eq!(faults("storage/src/lib.rs", "pub fn a() { axum::serve() }"), 1);
    assert_eq!(faults("web/relay/src/link/mod.rs", "use axum::Router;"), 1);
    assert_eq!(faults("ingest/src/lib.rs", "use fengsui_tests::camsim;"), 1);
    assert_eq!(faults("config/src/lib.rs", "use tokio::net::TcpStream;"), 1);
}

/// Lengths above the bounds, by `file PATH` or `function PATH NAME`.
fn too_long(files: &[File]) -> BTreeMap<String, usize> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let counted = ["rs", "ts", "svelte", "mjs", "js", "sh"]
            .iter()
            .any(|ending| file.path.ends_with(&format!(".{ending}")));
        let lines = file.text.lines().count();
        if counted && lines > FILE_LINES_MAX {
            found.insert(format!("file {}", file.path), lines);
        }
        if !file.path.ends_with(".rs") {
            continue;
        }
        for (name, lines) in functions(&file.text) {
            if lines > FUNCTION_LINES_MAX {
                let longest = found.entry(format!("function {} {name}", file.path)).or_default();
                *longest = lines.max(*longest);
            }
        }
    }
    found
}

/// What the list of exceptions and the lengths found have against each other.
fn ratchet_faults(list: &str, found: &BTreeMap<String, usize>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut listed = BTreeMap::new();
    for line in list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match line.rsplit_once(' ').map(|(what, lines)| (what, lines.parse::<usize>())) {
            Some((what, Ok(lines))) => drop(listed.insert(what.to_owned(), lines)),
            _ => faults.push(format!("ratchet.txt: {line:?} is no entry")),
        }
    }
    for (what, lines) in found {
        match listed.get(what) {
            None => faults.push(format!("{what} has {lines} lines: split it")),
            Some(most) if lines > most => {
                faults.push(format!("{what} has grown from {most} to {lines} lines: split it"))
            }
            Some(most) if lines < most => {
                faults.push(format!("{what} has shrunk to {lines} lines: write that into ratchet.txt"))
            }
            Some(_) => {}
        }
    }
    let kept = listed.keys().filter(|what| !found.contains_key(*what));
    faults.extend(kept.map(|what| format!("{what} is short enough now: take it out of ratchet.txt")));
    faults
}

#[test]
fn files_and_functions_are_short_and_exceptions_only_shrink() {
    none(&ratchet_faults(RATCHET, &too_long(&files())));
}

#[test]
fn the_ratchet_turns_one_way() {
    let found = |lines: usize| BTreeMap::from([("file a.rs".to_owned(), lines)]);
    assert_eq!(ratchet_faults("", &found(700)).len(), 1, "a new long file");
    assert_eq!(ratchet_faults("file a.rs 700", &found(700)), Vec::<String>::new());
    assert_eq!(ratchet_faults("file a.rs 700", &found(701)).len(), 1, "grown");
    assert_eq!(ratchet_faults("file a.rs 700", &found(650)).len(), 1, "shrunk, and the list not");
    assert_eq!(ratchet_faults("file a.rs 700", &BTreeMap::new()).len(), 1, "cured, and the list not");
    let long = format!("fn long() {{\n{}}}\nfn short() {{}}\n", "    let a = \"}\"; // }\n".repeat(70));
    let files = [File { path: "a.rs".to_owned(), text: long }];
    assert_eq!(too_long(&files), BTreeMap::from([("function a.rs long".to_owned(), 72)]));
}

/// Paragraphs that state an invariant and do not name a test that exists.
fn baseless(file: &File, tests: &BTreeSet<String>) -> (usize, Vec<String>) {
    let (mut stated, mut faults) = (0, Vec::new());
    let mut number = 1;
    for paragraph in file.text.split("\n\n") {
        for (start, item) in items(paragraph) {
            let plain = item.trim_start_matches(|c: char| !c.is_alphabetic());
            if item.starts_with('#') || !plain.starts_with("Invariant") {
                continue;
            }
            stated += 1;
            let line = number + start;
            let named: Vec<&str> =
                item.split('`').skip(1).step_by(2).filter(|word| looks_like_test(word)).collect();
            if named.is_empty() {
                faults.push(format!("{}:{line}: this invariant names no test", file.path));
            }
            let missing =
                named.iter().filter(|name| !tests.contains(name.rsplit("::").next().unwrap_or(name)));
            faults.extend(missing.map(|name| format!("{}:{line}: there is no test {name}", file.path)));
        }
        number += paragraph.matches('\n').count() + 2;
    }
    (stated, faults)
}

/// A paragraph cut into list items and table rows, each with its first line's offset.
fn items(paragraph: &str) -> Vec<(usize, String)> {
    let mut items: Vec<(usize, String)> = Vec::new();
    for (number, line) in paragraph.lines().enumerate() {
        let begins = line.trim_start().starts_with(['-', '*', '|'])
            || line.trim_start().starts_with(|c: char| c.is_ascii_digit())
            || line.starts_with("Invariant");
        match items.last_mut() {
            Some((_, text)) if !begins => *text = format!("{text}\n{line}"),
            _ => items.push((number, line.to_owned())),
        }
    }
    items
}

/// Test names are sentences: at least three words joined by `_`.
fn looks_like_test(word: &str) -> bool {
    let last = word.rsplit("::").next().unwrap_or(word);
    last.matches('_').count() >= 2
        && last.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let files = files();
    let tests: BTreeSet<String> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .flat_map(|file| test_names(&file.text))
        .collect();
    let mut faults = Vec::new();
    for path in ["ARCHITECTURE.md", "storage/FORMAT.md", "storage/JOURNAL.md", "web/relay/RELAY.md"] {
        let file = files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is missing"));
        let (stated, found) = baseless(file, &tests);
        faults.extend(found);
        if stated == 0 {
            faults.push(format!("{path}: states no invariant"));
        }
    }
    none(&faults);
}

#[test]
fn a_baseless_invariant_is_seen() {
    let tests = BTreeSet::from(["a_torn_tail_is_found".to_owned()]);
    let check = |text: &str| baseless(&File { path: "F.md".to_owned(), text: text.to_owned() }, &tests);
    assert_eq!(check("**Invariant 1.** It holds. Test: `a_torn_tail_is_found`."), (1, vec![]));
    assert_eq!(check("Invariant: it holds.").1, vec!["F.md:1: this invariant names no test"]);
    let text = "## Invariants\n\n- Invariant: it holds,\n  by `a::a_torn_tail_was_found`.\n- Other.";
    assert_eq!(check(text).1, vec!["F.md:3: there is no test a::a_torn_tail_was_found"]);
}

/// Words that have no place here, written so that this file does not hold them.
fn forbidden() -> Vec<(String, &'static str)> {
    let open = "finish it or leave it out";
    let machine = "a path of one machine";
    let registry = "a host of a package registry";
    let maker = "who wrote it does not matter";
    [
        (["TO", "DO"], open),
        (["FIX", "ME"], open),
        (["XX", "X"], open),
        (["/wo", "rk/"], machine),
        (["/ro", "ot/"], machine),
        (["/ho", "me/"], machine),
        (["index.", "crates.io"], registry),
        (["static.", "crates.io"], registry),
        (["registry.", "npmjs"], registry),
        (["pypi", ".org"], registry),
        (["deb.", "debian"], registry),
        (["Cla", "ude"], maker),
        (["Anth", "ropic"], maker),
        (["Open", "AI"], maker),
        (["Chat", "GPT"], maker),
        (["language ", "model"], maker),
        (["Co", "pilot"], maker),
    ]
    .map(|(halves, why)| (halves.concat(), why))
    .to_vec()
}

fn forbidden_words(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    for (word, why) in forbidden() {
        for (number, line) in file.text.lines().enumerate().filter(|(_, line)| holds(line, &word)) {
            faults.push(format!("{}:{}: {why}: {}", file.path, number + 1, line.trim()));
        }
    }
    faults
}

/// Whether a line holds a word that does not go on as a longer one.
fn holds(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().unwrap_or(' ');
        let after = line[at + word.len()..].chars().next().unwrap_or(' ');
        let open = |c: char, edge: char| !edge.is_alphanumeric() || !c.is_alphanumeric();
        open(before, word.chars().next().unwrap_or(' '))
            && open(after, word.chars().next_back().unwrap_or(' '))
    })
}

#[test]
fn nothing_is_left_open_and_nothing_names_this_machine() {
    none(&files().iter().flat_map(forbidden_words).collect::<Vec<_>>());
}

#[test]
fn a_forbidden_word_is_seen() {
    let faults = |text: &str| forbidden_words(&File { path: "a.rs".to_owned(), text: text.to_owned() }).len();
    assert_eq!(faults(&["// TO", "DO: more"].concat()), 1);
    assert_eq!(faults(&["let p = \"/wo", "rk/x\";"].concat()), 1);
    assert_eq!(faults("let prefix = \"/network/\";"), 0);
}

#[test]
fn documents_that_people_look_for_are_there() {
    let root = root();
    let wanted = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "BENCHMARKS.md",
        "LICENSE",
        "storage/FORMAT.md",
        "storage/JOURNAL.md",
        "web/relay/RELAY.md",
        "Makefile",
        ".ci/run",
        "clippy.toml",
        "deny.toml",
        ".config/nextest.toml",
        "rustfmt.toml",
    ];
    let missing: Vec<&str> = wanted.into_iter().filter(|path| !root.join(path).is_file()).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
}

/// A file that no module names is neither compiled nor run, and nobody is told.
#[test]
fn every_rust_file_is_part_of_a_program() {
    let files = files();
    let rust: Vec<&File> = files.iter().filter(|f| f.path.ends_with(".rs")).collect();
    let lost = rust.iter().filter(|f| {
        let path = Path::new(&f.path);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().unwrap_or(Path::new(""));
        let is_root = ["main", "lib", "build"].contains(&stem.as_str())
            || ["src/bin", "fuzz_targets", "benches", "examples"].iter().any(|f| folder.ends_with(f));
        let (owner, name) = if stem == "mod" {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (folder.parent().unwrap_or(Path::new("")), name)
        } else {
            (folder, stem)
        };
        let owners =
            [owner.join("mod.rs"), owner.join("lib.rs"), owner.join("main.rs"), owner.with_extension("rs")];
        let module = format!("mod {name};");
        let names = |line: &str| {
            let line = line.trim();
            line == module || line.starts_with("pub") && line.ends_with(&format!(" {module}"))
        };
        let by_path = format!("#[path = \"{}\"]", path.file_name().unwrap_or_default().display());
        let named = |o: &&&File| {
            let owns = owners.iter().any(|path| Path::new(&o.path) == path) && o.text.lines().any(names);
            owns || Path::new(&o.path).parent() == Some(folder) && o.text.contains(&by_path)
        };
        !is_root && rust.iter().find(named).is_none()
    });
    none(&lost.map(|f| format!("{}: no module names it", f.path)).collect::<Vec<_>>());
}

#[test]
fn every_script_is_well_formed() {
    for file in files().iter().filter(|file| file.path.ends_with(".sh")) {
        let checked =
            std::process::Command::new("bash").arg("-n").arg(root().join(&file.path)).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        assert!(file.text.contains("set -euo pipefail"), "{}: stops at the first failure", file.path);
    }
}
