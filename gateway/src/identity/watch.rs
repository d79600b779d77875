//! Follows the files of sources, such as a secret that Kubernetes replaces.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::{task, time};

use super::file_stamp::FileStamp;
use crate::gateway::Gateway;

/// Interval at which the files are looked at: some file systems do not report changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// Makes the sources read their files again after a change. A file that is invalid by then changes nothing: the last
/// credentials stay in use, and the file is read again until it is valid.
pub(crate) async fn watch(gateway: Arc<Gateway>) {
    let mut loaded: HashMap<Vec<PathBuf>, FileStamp> = HashMap::new();
    let mut reported: HashMap<Vec<PathBuf>, FileStamp> = HashMap::new();
    loop {
        time::sleep(INTERVAL).await;
        let sources = gateway.current().config.identities.file_sources();
        for source in sources {
            let files = source.files.clone();
            let read = task::spawn_blocking(move || FileStamp::read(&files));
            let Ok(stamp) = read.await else { continue };
            if *loaded.get(&source.files).unwrap_or(&source.stamp) == stamp {
                continue;
            }
            let name = source.files[0].display();
            match source.check().await {
                Ok(()) => {
                    source.cache.invalidate();
                    tracing::info!("{name}: read again after a change");
                    loaded.insert(source.files.clone(), stamp);
                }
                Err(error) if reported.get(&source.files) != Some(&stamp) => {
                    tracing::warn!(
                        "{name}: the last credentials stay in use after a change: {error}"
                    );
                    reported.insert(source.files.clone(), stamp);
                }
                Err(_) => {}
            }
        }
    }
}
