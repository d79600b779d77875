use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::Error;

/// Where bodies go that are to be hashed whole and are too large for memory: temporary files.
///
/// A body that is larger than the origin's body limit is written to a file while it is hashed, and sent from
/// there with its exact length. The file has no name from the start (`O_TMPFILE`, or unlinked at once), so
/// that nothing is left of it when the request ends, in whatever way, or the process does.
///
/// Choose a directory on a disk, encrypted if bodies are secret: `/tmp` is often in memory.
///
/// ```
/// use tower_sigv4::{Origin, SigningSettings, origin::{PayloadMode, Spool}};
///
/// let origin = Origin::new(
///     "https://abc123.execute-api.us-east-1.amazonaws.com",
///     SigningSettings::new("execute-api", "us-east-1")?,
/// )?
/// .with_payload(PayloadMode::Spool)
/// .with_spool(Spool::new(std::env::temp_dir())?.with_body_limit(100 * 1024 * 1024))
/// .with_body_limit(1024 * 1024); // what is held in memory
///
/// assert!(Spool::new("/nonexistent").is_err());
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Spool {
    directory: Arc<Path>,
    limit: u64,
}

#[cfg(feature = "spool")]
impl Spool {
    /// 5 GiB: what S3 takes in one request, and more than any other service.
    const LIMIT: u64 = 5 * 1024 * 1024 * 1024;

    /// Files in this directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if no file can be made there, which is tried.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        tempfile::tempfile_in(&directory).map_err(|error| {
            Error::config(format!(
                "no temporary file can be made in {directory:?}: {error}; give a directory that exists \
                 and can be written to",
            ))
        })?;
        Ok(Self {
            directory: directory.into(),
            limit: Self::LIMIT,
        })
    }

    /// Sets how many bytes a body may have; 5 GiB by default.
    ///
    /// How many bodies there are at one time is not limited here: a concurrency limit outside is.
    pub fn with_body_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }
}

impl Spool {
    pub(crate) fn directory(&self) -> &Arc<Path> {
        &self.directory
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }
}
