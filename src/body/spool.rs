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

/// Where a body goes that grows too large to be held in memory: a temporary file, which has no name.
///
/// The system frees the file with its handle, soon after the body or its future is dropped, or after the one
/// write that was under way then. A write keeps its reservation until it ends.
pub(super) struct Spill {
    directory: Arc<Path>,
    /// How many bytes are held before they are written.
    held: u64,
    file: State,
}

enum State {
    Unopened,
    Idle(SpoolFile),
    Writing(JoinHandle<io::Result<(SpoolFile, Option<Reservation>)>>),
}

/// A temporary file that is closed on a blocking thread. To close it frees its blocks, which takes tens of
/// milliseconds for a GiB.
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
        // Without a runtime, or while it shuts down, the file is closed here.
        if let Ok(runtime) = Handle::try_current() {
            let file = self.0.take();
            drop(runtime.spawn_blocking(move || drop(file)));
        }
    }
}

impl Spill {
    /// What is written at once, when the file is open.
    pub(super) const PIECE: u64 = 1024 * 1024;

    /// `held` is how many bytes are held in memory before the file is opened.
    pub(super) fn new(directory: Arc<Path>, held: u64) -> Self {
        Self {
            directory,
            held,
            file: State::Unopened,
        }
    }

    /// Holds no more than so many bytes, and says how many.
    pub(super) fn hold(&mut self, most: u64) -> u64 {
        self.held = self.held.min(most);
        self.held
    }

    /// True if so many bytes are more than is to be held.
    pub(super) fn wants(&self, bytes: u64) -> bool {
        bytes > self.held
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.file, State::Unopened)
    }

    /// Starts to write; [`poll_idle`](Spill::poll_idle) has to be ready before and after it, and gives the
    /// room back that the frames take.
    pub(super) fn write(&mut self, frames: Vec<Bytes>, room: Option<Reservation>) {
        let (directory, state) = (self.directory.clone(), State::Unopened);
        let opened = match std::mem::replace(&mut self.file, state) {
            State::Idle(file) => Some(file),
            State::Unopened | State::Writing(_) => None,
        };
        self.held = self.held.min(Self::PIECE);
        self.file = State::Writing(spawn_blocking(move || {
            let file = match opened {
                Some(file) => file,
                None => SpoolFile::create(&directory)?,
            };
            let mut writer = file.get()?;
            frames
                .iter()
                .try_for_each(|frame| writer.write_all(frame))?;
            drop(frames); // before the room that they take
            Ok((file, room))
        }));
    }

    /// Ready when all is written; from then on there is less to be held.
    pub(super) fn poll_idle(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut Option<Reservation>,
    ) -> Poll<Result<(), Error>> {
        if let State::Writing(task) = &mut self.file {
            let written = ready!(Pin::new(task).poll(cx)).unwrap_or_else(|_| Err(cancelled()));
            self.file = State::Unopened; // nor is a task polled again that has ended
            let (file, taken) = written.map_err(|error| {
                failed(
                    "the request's body could not be written to a temporary file",
                    error,
                )
            })?;
            self.file = State::Idle(file);
            *room = taken.map(|mut room| {
                room.shrink(Self::PIECE);
                room
            });
        }
        Poll::Ready(Ok(()))
    }

    /// The file, if it was opened.
    pub(super) fn into_file(self) -> Option<SpoolFile> {
        match self.file {
            State::Idle(file) => Some(file),
            State::Unopened | State::Writing(_) => None,
        }
    }
}

/// A body in a temporary file.
pub(super) struct Spooled {
    /// Shared by those who read it, each at a place of its own.
    file: Arc<SpoolFile>,
    state: Reading,
    /// What was read, and what is left, in bytes.
    at: u64,
    left: u64,
    trailers: Option<HeaderMap>,
    /// Given back with the body.
    room: Option<Arc<Reservation>>,
}

enum Reading {
    Idle,
    Busy(JoinHandle<io::Result<Bytes>>),
}

impl Spooled {
    /// What is read at once.
    const PIECE: u64 = 256 * 1024;

    pub(super) fn new(
        file: SpoolFile,
        len: u64,
        trailers: Option<HeaderMap>,
        room: Option<Arc<Reservation>>,
    ) -> Self {
        let file = Arc::new(file);
        Self {
            file,
            state: Reading::Idle,
            at: 0,
            left: len,
            trailers,
            room,
        }
    }

    /// The same once more, if nothing of it was read yet.
    pub(super) fn again(&self) -> Option<Self> {
        (self.at == 0 && matches!(self.state, Reading::Idle)).then(|| Self {
            file: self.file.clone(),
            state: Reading::Idle,
            at: 0,
            left: self.left,
            trailers: self.trailers.clone(),
            room: self.room.clone(),
        })
    }

    pub(super) fn left(&self) -> u64 {
        self.left
    }

    pub(super) fn is_end(&self) -> bool {
        self.left == 0 && self.trailers.is_none()
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            match &mut self.state {
                Reading::Idle if self.left > 0 => {
                    let len = self.left.min(Self::PIECE) as usize; // of 32 bits at least
                    let (file, at) = (self.file.clone(), self.at);
                    self.state = Reading::Busy(spawn_blocking(move || read(&file, at, len)));
                }
                Reading::Busy(task) => {
                    let result = ready!(Pin::new(task).poll(cx));
                    self.state = Reading::Idle;
                    return Poll::Ready(Some(match result.unwrap_or_else(|_| Err(cancelled())) {
                        Ok(data) => {
                            self.at += data.len() as u64;
                            self.left -= data.len() as u64;
                            Ok(Frame::data(data))
                        }
                        Err(error) => {
                            (self.left, self.trailers) = (0, None);
                            let what =
                                "the request's body could not be read from its temporary file";
                            Err(failed(what, error))
                        }
                    }));
                }
                Reading::Idle => {
                    let trailers = self.trailers.take();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
            }
        }
    }
}

/// Reads at a place of the file, whoever else reads it.
fn read(file: &SpoolFile, at: u64, len: usize) -> io::Result<Bytes> {
    let mut data = BytesMut::zeroed(len);
    read_exact_at(file.get()?, &mut data, at)?;
    Ok(data.freeze())
}

#[cfg(unix)]
fn read_exact_at(file: &File, data: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, data, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut data: &mut [u8], mut at: u64) -> io::Result<()> {
    while !data.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, data, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                data = &mut data[read..];
                at += read as u64;
            }
        }
    }
    Ok(())
}

/// The runtime is shutting down.
fn cancelled() -> io::Error {
    io::Error::other("the runtime ended the task")
}

fn failed(what: &'static str, error: io::Error) -> Error {
    Error::new(ErrorKind::Spool, what).with_source(error)
}
