//! The folders of `shared` stand in an order. Each uses the ones above it in `lib.rs`, never the ones below.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn no_folder_of_shared_imports_one_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src");
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    let module = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    let mut rooms: Vec<String> = lib.lines().filter_map(module).collect();
    assert_eq!(rooms, ["table", "api", "lambda", "prelude"]);
    while !rooms.is_empty() {
        let room = rooms.remove(0);
        for file in sources(&src, &room) {
            for line in fs::read_to_string(&file).unwrap().lines() {
                let below = |room: &String| line.contains(&format!("crate::{room}"));
                assert!(!rooms.iter().any(below), "{}: {line}", file.display());
                assert!(!line.contains("crate::{"), "{}: one line for each room: {line}", file.display());
            }
        }
    }
}

fn sources(src: &Path, room: &str) -> Vec<PathBuf> {
    let file = src.join(format!("{room}.rs"));
    if file.exists() {
        return vec![file];
    }
    fs::read_dir(src.join(room)).unwrap().map(|entry| entry.unwrap().path()).collect()
}
