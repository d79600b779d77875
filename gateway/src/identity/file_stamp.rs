//! Detects changes of files.

use std::{fs, path::PathBuf, time::SystemTime};

/// State of some files behind their links. `None` for one that is missing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileStamp(Vec<Option<FileState>>);

#[derive(Clone, Debug, PartialEq)]
struct FileState {
    len: u64,
    modified: Option<SystemTime>,
    /// Device and number, on Unix.
    place: (u64, u64),
}

impl FileStamp {
    pub(super) fn read(files: &[PathBuf]) -> Self {
        let stamp = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            #[cfg(unix)]
            let place = {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino())
            };
            #[cfg(not(unix))]
            let place = (0, 0);
            Some(FileState {
                len: metadata.len(),
                modified: metadata.modified().ok(),
                place,
            })
        };
        Self(files.iter().map(stamp).collect())
    }
}
