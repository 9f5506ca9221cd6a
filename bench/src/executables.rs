//! The executables that are measured: built here as cargo builds them, or taken from where SAM and cargo-lambda put
//! theirs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Builds the release binaries, all in one go so that what they have in common is compiled once.
pub fn build(names: &[&str]) -> Result<PathBuf, String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "--locked"]).current_dir(workspace());
    for name in names {
        command.args(["--package", name]);
    }
    let status = command.status().map_err(|error| format!("cargo does not start: {error}"))?;
    if !status.success() {
        return Err("the functions do not compile".to_owned());
    }
    Ok(target().join("release"))
}

/// What cargo-lambda sets in the release profile of whoever says nothing else.
const CARGO_LAMBDA_S_PROFILE: [&str; 4] =
    ["strip=\"symbols\"", "lto=\"thin\"", "codegen-units=1", "panic=\"abort\""];

/// Builds the stock function, which is outside the workspace, as cargo-lambda does.
pub fn build_stock() -> Result<PathBuf, String> {
    let target = target().join("stock");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "--locked", "--target-dir"]).arg(&target);
    for setting in CARGO_LAMBDA_S_PROFILE {
        command.arg("--config").arg(format!("profile.release.{setting}"));
    }
    // From its own directory, where its `.cargo/config.toml` is.
    let status = command.current_dir(workspace().join("bench/stock")).status();
    if !status.map_err(|error| format!("cargo does not start: {error}"))?.success() {
        return Err("the stock function does not compile".to_owned());
    }
    Ok(target.join("release"))
}

/// Where the executable of this name is: `NAME` as cargo leaves it, or `NAME/bootstrap` as cargo-lambda does.
pub fn find(directories: &[PathBuf], name: &str) -> Result<PathBuf, String> {
    let candidates = directories
        .iter()
        .flat_map(|directory| [directory.join(name).join("bootstrap"), directory.join(name)]);
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| format!("there is no executable {name} in {directories:?}"))
}

/// The size of the deployment package: the deflated executable. A zip file's own headers, some 150 bytes, are left out.
pub fn zip_size(executable: &Path) -> Result<usize, String> {
    let read = || -> std::io::Result<usize> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&fs::read(executable)?)?;
        Ok(encoder.finish()?.len())
    };
    read().map_err(|error| format!("{}: {error}", executable.display()))
}

pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Cargo's target directory: this program is in it.
pub fn target() -> PathBuf {
    let executable = std::env::current_exe().ok();
    let profile = executable.as_deref().and_then(Path::parent);
    let profile = profile.filter(|profile| profile.ends_with("release") || profile.ends_with("debug"));
    profile.and_then(Path::parent).map_or_else(|| workspace().join("target"), Path::to_path_buf)
}
