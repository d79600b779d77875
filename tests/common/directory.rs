//! Directories for the files of tests.

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use tower_sigv4::origin::Spool;

/// A directory for the files of one test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "tower-sigv4-{}-{}",
            process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = fs::canonicalize(env::temp_dir())
            .expect("a directory")
            .join(name);
        fs::create_dir(&path).expect("made");
        Self(path)
    }

    pub fn spool(&self) -> Spool {
        Spool::new(&self.0).expect("a directory")
    }

    /// Returns the number of files in the directory, and of its files that this process has open.
    pub fn files(&self) -> (usize, usize) {
        let named = fs::read_dir(&self.0).expect("a directory").count();
        let open = match fs::read_dir("/proc/self/fd") {
            Ok(entries) => entries
                .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
                .filter(|target| target.starts_with(&self.0))
                .count(),
            Err(_) => 0, // not Linux
        };
        (named, open)
    }

    /// Waits for pending reads and writes, and returns `true` if no files are left.
    pub async fn is_clear(&self) -> bool {
        for _ in 0..1000 {
            if self.files() == (0, 0) {
                return true;
            }
            tokio::task::spawn_blocking(|| ()).await.expect("run");
        }
        false
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).expect("empty");
    }
}
