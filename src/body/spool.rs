use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use tokio::{
    runtime::Handle,
    task::{JoinHandle, spawn_blocking},
};

use super::budget::Reservation;
use crate::error::{Error, ErrorKind};

/// Writes a body that is too large for memory to a temporary file without a name.
///
/// The system frees the file when its handle is closed: soon after the body or its future is dropped, or
/// after a write that was in progress. A write holds its reservation until it ends.
pub(super) struct SpoolWriter {
    directory: Arc<Path>,
    /// Number of bytes that are buffered before they are written.
    buffer_limit: u64,
    file: WriteState,
}

enum WriteState {
    Unopened,
    Idle(SpoolFile),
    Writing(JoinHandle<io::Result<(SpoolFile, Option<Reservation>)>>),
}

/// A temporary file that is closed on a blocking thread: freeing its blocks takes tens of milliseconds per
/// GiB.
pub(super) struct SpoolFile(Option<File>);

impl SpoolFile {
    #[cfg(feature = "spool")]
    fn create(directory: &Path) -> io::Result<Self> {
        tempfile::tempfile_in(directory).map(|file| Self(Some(file)))
    }

    /// Not reached: without the feature no origin has a `Spool`.
    #[cfg(not(feature = "spool"))]
    fn create(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn get(&self) -> io::Result<&File> {
        self.0
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        // Without a runtime the file is closed here.
        if let Ok(runtime) = Handle::try_current() {
            let file = self.0.take();
            drop(runtime.spawn_blocking(move || drop(file)));
        }
    }
}

impl SpoolWriter {
    /// Number of bytes that are buffered per write once the file is open.
    pub(super) const WRITE_SIZE: u64 = 1024 * 1024;

    /// Opens the file for bodies of more than `buffer_limit` bytes.
    pub(super) fn new(directory: Arc<Path>, buffer_limit: u64) -> Self {
        Self {
            directory,
            buffer_limit,
            file: WriteState::Unopened,
        }
    }

    /// Lowers the buffer limit to at most `limit` bytes and returns it.
    pub(super) fn limit_buffer(&mut self, limit: u64) -> u64 {
        self.buffer_limit = self.buffer_limit.min(limit);
        self.buffer_limit
    }

    /// Returns `true` if `buffered` bytes have to be written.
    pub(super) fn needs_write(&self, buffered: u64) -> bool {
        buffered > self.buffer_limit
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.file, WriteState::Unopened)
    }

    /// Starts a write. [`poll_idle`](SpoolWriter::poll_idle) has to be ready before and after it, and
    /// returns the reservation.
    pub(super) fn write(&mut self, frames: Vec<Bytes>, reservation: Option<Reservation>) {
        let directory = self.directory.clone();
        let opened = match std::mem::replace(&mut self.file, WriteState::Unopened) {
            WriteState::Idle(file) => Some(file),
            WriteState::Unopened | WriteState::Writing(_) => None,
        };
        self.limit_buffer(Self::WRITE_SIZE);
        self.file = WriteState::Writing(spawn_blocking(move || {
            let file = match opened {
                Some(file) => file,
                None => SpoolFile::create(&directory)?,
            };
            let mut writer = file.get()?;
            frames
                .iter()
                .try_for_each(|frame| writer.write_all(frame))?;
            drop(frames); // before their reservation
            Ok((file, reservation))
        }));
    }

    /// Ready when all is written, with the reservation shrunk to the size of a write.
    pub(super) fn poll_idle(
        &mut self,
        cx: &mut Context<'_>,
        reservation: &mut Option<Reservation>,
    ) -> Poll<Result<(), Error>> {
        if let WriteState::Writing(task) = &mut self.file {
            let written = ready!(Pin::new(task).poll(cx)).unwrap_or_else(|_| Err(cancelled()));
            self.file = WriteState::Unopened; // a task must not be polled after it has ended
            let (file, mut returned) = written.map_err(|error| {
                spool_error(
                    "the request's body could not be written to a temporary file",
                    error,
                )
            })?;
            self.file = WriteState::Idle(file);
            if let Some(released) = &mut returned {
                released.shrink(Self::WRITE_SIZE);
            }
            *reservation = returned;
        }
        Poll::Ready(Ok(()))
    }

    /// Returns the file if it was opened.
    pub(super) fn into_file(self) -> Option<SpoolFile> {
        match self.file {
            WriteState::Idle(file) => Some(file),
            WriteState::Unopened | WriteState::Writing(_) => None,
        }
    }
}

/// A body in a temporary file.
pub(super) struct SpooledBody {
    /// Shared by copies of the body, which read at positions of their own.
    file: Arc<SpoolFile>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    position: u64,
    /// Number of bytes left.
    remaining: u64,
    trailers: Option<HeaderMap>,
    /// Released with the body.
    reservation: Option<Arc<Reservation>>,
}

impl SpooledBody {
    /// Maximum size of a frame.
    const READ_SIZE: u64 = 256 * 1024;

    pub(super) fn new(
        file: SpoolFile,
        len: u64,
        trailers: Option<HeaderMap>,
        reservation: Option<Arc<Reservation>>,
    ) -> Self {
        Self {
            file: Arc::new(file),
            reading: None,
            position: 0,
            remaining: len,
            trailers,
            reservation,
        }
    }

    /// Returns a second copy of the body; `None` once reading has started.
    pub(super) fn try_clone(&self) -> Option<Self> {
        (self.position == 0 && self.reading.is_none()).then(|| Self {
            file: self.file.clone(),
            reading: None,
            position: 0,
            remaining: self.remaining,
            trailers: self.trailers.clone(),
            reservation: self.reservation.clone(),
        })
    }

    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    pub(super) fn is_end(&self) -> bool {
        self.remaining == 0 && self.trailers.is_none()
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.reading.is_none() && self.remaining == 0 {
            return Poll::Ready(self.trailers.take().map(Frame::trailers).map(Ok));
        }
        let task = self.reading.get_or_insert_with(|| {
            let len = self.remaining.min(Self::READ_SIZE) as usize; // at least 32 bits
            let file = self.file.clone();
            let position = self.position;
            spawn_blocking(move || read(&file, position, len))
        });
        let result = ready!(Pin::new(task).poll(cx));
        self.reading = None;
        Poll::Ready(Some(match result.unwrap_or_else(|_| Err(cancelled())) {
            Ok(data) => {
                self.position += data.len() as u64;
                self.remaining -= data.len() as u64;
                Ok(Frame::data(data))
            }
            Err(error) => {
                self.remaining = 0;
                self.trailers = None;
                Err(spool_error(
                    "the request's body could not be read from its temporary file",
                    error,
                ))
            }
        }))
    }
}

/// Reads at a position, without the file's own cursor.
fn read(file: &SpoolFile, position: u64, len: usize) -> io::Result<Bytes> {
    let mut data = BytesMut::zeroed(len);
    read_exact_at(file.get()?, &mut data, position)?;
    Ok(data.freeze())
}

#[cfg(unix)]
fn read_exact_at(file: &File, data: &mut [u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, data, position)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut data: &mut [u8], mut position: u64) -> io::Result<()> {
    while !data.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, data, position)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                data = &mut data[read..];
                position += read as u64;
            }
        }
    }
    Ok(())
}

/// Error of a task that ended because the runtime is shutting down.
fn cancelled() -> io::Error {
    io::Error::other("the runtime is shutting down")
}

fn spool_error(message: &'static str, error: io::Error) -> Error {
    Error::new(ErrorKind::Spool, message).with_source(error)
}
