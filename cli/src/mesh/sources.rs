//! Documents from files, folders and standard input.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use signet_mesh::Source;

use crate::files;

/// Every text that `paths` name; of a folder, its `.yaml` and `.yml` files.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in yaml_files(path)? {
                sources.push(source(&file)?);
            }
        } else {
            sources.push(source(path)?);
        }
    }
    Ok(sources)
}

fn source(path: &Path) -> anyhow::Result<Source> {
    let name = match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => path.display().to_string(),
    };
    let text = files::read_text(path)?;
    Ok(Source { name, text })
}

fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let mut files = Vec::new();
    for item in fs::read_dir(folder).with_context(unreadable)? {
        let path = item.with_context(unreadable)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml")) {
            files.push(path);
        }
    }
    ensure!(
        !files.is_empty(),
        "{} holds no .yaml or .yml file",
        folder.display()
    );
    files.sort();
    Ok(files)
}
