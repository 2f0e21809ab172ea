//! Records what was built: version, git revision and target features, for
//! `--version` and for the header of every journal segment.

use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn main() {
    let mut revision = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    if git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty()) {
        revision.push_str("-dirty");
    }
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=WIRETAPE_REVISION={revision}");
    println!("cargo:rustc-env=WIRETAPE_TARGET={target}");
    println!("cargo:rustc-env=WIRETAPE_TARGET_FEATURES={features}");
    println!("cargo:rerun-if-changed=build.rs");
    // A new commit or a checkout moves one of these; a tree without git simply says "unknown".
    for path in ["HEAD", "index", "logs/HEAD"] {
        if let Some(file) = git(&["rev-parse", "--git-path", path])
            && std::path::Path::new(&file).exists()
        {
            println!("cargo:rerun-if-changed={file}");
        }
    }
}
