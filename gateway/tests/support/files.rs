//! Temporary files and directories.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

/// File deleted on drop.
pub struct TempFile {
    pub path: String,
}

impl TempFile {
    pub fn new(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        // Tests replace paths, so none may be a prefix of another.
        let name = format!("sigv4-gateway-{}-{number}.tmp", std::process::id());
        let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), &name].iter().collect();
        fs::write(&path, text).expect("written");
        Self {
            path: path.to_str().expect("UTF-8").to_owned(),
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// Directory deleted on drop, when it must be empty.
pub struct TempDirectory {
    pub path: String,
}

impl TempDirectory {
    pub fn new(name: &str) -> Self {
        let name = format!("sigv4-gateway-{}-{name}", std::process::id());
        let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), &name].iter().collect();
        fs::create_dir(&path).expect("directory created");
        let path = fs::canonicalize(path).expect("a directory");
        Self {
            path: path.to_str().expect("UTF-8").to_owned(),
        }
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        fs::remove_dir(&self.path).expect("empty");
    }
}
