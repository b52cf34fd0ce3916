//! Where the source stands, and what of it is shipped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::ROOMS;

pub(crate) fn all_rust_files() -> Vec<PathBuf> {
    let rooms = ROOMS
        .iter()
        .map(|(room, _)| *room)
        .chain(["tests", "bench"]);
    rooms
        .flat_map(|room| rust_files(&root().join(room)))
        .collect()
}

/// Without the files that hold tests alone.
pub(crate) fn shipped_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = rust_files(folder);
    files.retain(|file| {
        let name = file
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let in_tests = file.iter().any(|part| part == "tests");
        !in_tests && !matches!(name, "tests" | "testing")
    });
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(listing) = fs::read_dir(folder) else {
        return files;
    };
    for item in listing {
        let path = item.expect("a folder that can be listed").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

pub(crate) fn without_tests(file: &Path) -> String {
    let text = read(file);
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    code.to_owned()
}

pub(crate) fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}
