use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::Error;

/// Directory of temporary files for bodies that are too large for memory.
///
/// A body that is larger than the origin's body limit is written to a file while it is hashed, and sent
/// from there with its exact length. The file never has a name (`O_TMPFILE`, or unlinked at once), so it
/// disappears when the request or the process ends.
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
/// .with_body_limit(1024 * 1024); // in memory
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
    /// 5 GiB, the maximum of one S3 request; no other service accepts more.
    const LIMIT: u64 = 5 * 1024 * 1024 * 1024;

    /// Creates files in this directory.
    ///
    /// # Errors
    ///
    /// Creates a file to check the directory, and returns
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if that fails.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = directory.into();
        tempfile::tempfile_in(&path).map_err(|error| {
            Error::config(format!(
                "cannot create a temporary file in {path:?}: {error}; use a writable directory",
            ))
        })?;
        Ok(Self {
            directory: path.into(),
            limit: Self::LIMIT,
        })
    }

    /// Sets the maximum size of a body in bytes; 5 GiB by default.
    ///
    /// The number of bodies is not limited. Use a concurrency limit outside of the layer.
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
