use crate::error::Error;

/// Number of bytes in a chunk of `aws-chunked`.
///
/// ```
/// use tower_sigv4::sigv4::ChunkSize;
///
/// assert_eq!(ChunkSize::default().bytes(), 64 * 1024);
/// assert!(ChunkSize::new(8 * 1024 - 1).is_err());
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkSize(usize);

impl ChunkSize {
    /// Minimum of S3.
    const MIN: usize = 8 * 1024;
    /// Limits the memory per request.
    const MAX: usize = 1024 * 1024 * 1024;

    /// Creates a size in bytes. Each request buffers a chunk, and each chunk needs a signature.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) below 8 KiB, which S3 rejects, and above 1 GiB.
    pub fn new(bytes: usize) -> Result<Self, Error> {
        if (Self::MIN..=Self::MAX).contains(&bytes) {
            return Ok(Self(bytes));
        }
        Err(Error::config(format!(
            "invalid chunk size of {bytes} bytes; use {} to {}",
            Self::MIN,
            Self::MAX,
        )))
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl Default for ChunkSize {
    /// 64 KiB.
    fn default() -> Self {
        Self(64 * 1024)
    }
}
