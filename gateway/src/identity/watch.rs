//! Follows the files of sources, such as a secret that Kubernetes replaces.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{task, time};

use crate::gateway::Gateway;

/// Interval at which the files are looked at: some file systems do not report changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// State of some files behind their links. `None` for one that is missing.
#[derive(Clone, PartialEq)]
struct Stamp(Vec<Option<FileState>>);

#[derive(Clone, PartialEq)]
struct FileState {
    len: u64,
    modified: Option<SystemTime>,
    /// Device and number, on Unix.
    place: (u64, u64),
}

impl Stamp {
    fn read(files: &[PathBuf]) -> Self {
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

/// Makes the sources read their files again after a change. A file that is invalid by then changes nothing: the last
/// credentials stay in use, and the file is read again until it is valid.
pub(crate) async fn watch(gateway: Arc<Gateway>) {
    let mut loaded: HashMap<Vec<PathBuf>, Stamp> = HashMap::new();
    let mut reported: HashMap<Vec<PathBuf>, Stamp> = HashMap::new();
    loop {
        let sources = gateway.current().config.identities.file_sources();
        for source in sources {
            let files = source.files.clone();
            let read = task::spawn_blocking(move || Stamp::read(&files));
            let Ok(stamp) = read.await else { continue };
            let previous = loaded.get(&source.files);
            if previous == Some(&stamp) {
                continue;
            }
            let is_change = previous.is_some();
            let name = source.files[0].display();
            match source.check().await {
                Ok(()) => {
                    source.cache.invalidate();
                    if is_change {
                        tracing::info!("{name}: read again after a change");
                    }
                    loaded.insert(source.files.clone(), stamp);
                }
                // Without a change, the requests report the error.
                Err(error) if is_change && reported.get(&source.files) != Some(&stamp) => {
                    tracing::warn!(
                        "{name}: the last credentials stay in use after a change: {error}"
                    );
                    reported.insert(source.files.clone(), stamp);
                }
                Err(_) => {}
            }
        }
        time::sleep(INTERVAL).await;
    }
}
