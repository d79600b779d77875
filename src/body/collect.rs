use std::{
    future::Future,
    mem,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Extensions, HeaderMap, header};
use http_body::Body;
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};

use super::{
    budget::{BodyBudget, Reservation, Room, Waiting},
    frames::{Frames, into_bytes},
    spool::{Spill, SpoolFile},
};
use crate::{
    error::{BoxError, Error, ErrorKind},
    sigv4::{Payload, PayloadHash},
};

pin_project! {
    /// Collects a body and hashes it as it comes.
    pub(crate) struct Collect<B> {
        #[pin]
        body: B,
        frames: Frames,
        hash: Option<Sha256>,
        // Bytes received.
        len: u64,
        limit: u64,
        announced: Option<u64>,
        // What a body over the limit is, from its length and the limit.
        over: fn(u64, u64) -> Error,
        // Where it goes that is not to be held in memory.
        spill: Option<Spill>,
        room: Option<Reservation>,
        ended: bool,
    }
}

/// A body that is there as a whole.
pub(crate) struct Collected {
    pub(super) frames: Frames,
    /// Where the data are, if not in the frames; and how many bytes.
    pub(super) file: Option<(SpoolFile, u64)>,
    pub(super) room: Option<Arc<Reservation>>,
}

impl Collected {
    /// Tells a layer of the same budget behind this one of the room that the body has, for as long as it
    /// has it.
    pub(crate) fn tell(&self, extensions: &mut Extensions) {
        if let Some(room) = &self.room {
            extensions.insert(Arc::downgrade(room));
        }
    }
}

/// A body that has room in memory, or waits for it.
pub(crate) enum Reserved<B> {
    Now(Collect<B>),
    Later(Waiting, Collect<B>),
}

impl<B> Collect<B>
where
    B: Body,
{
    /// Fails at once if the body is known to be larger than `limit` bytes; of a body that does not tell its
    /// length its head may.
    pub(crate) fn new(body: B, headers: &HeaderMap, limit: u64) -> Result<Self, Error> {
        let announced = announced(&body, headers);
        let least = announced.unwrap_or(body.size_hint().lower());
        if least > limit {
            return Err(too_large(least, limit));
        }
        Ok(Self {
            announced,
            ..Self::unknown(body, limit, too_large)
        })
    }

    /// The same, but that nobody asks for the hash, where the bytes have been verified.
    pub(crate) fn unhashed(body: B, headers: &HeaderMap, limit: u64) -> Result<Self, Error> {
        Ok(Self {
            hash: None,
            ..Self::new(body, headers, limit)?
        })
    }

    /// As [`new`](Collect::new); of more than `held` bytes all go to a temporary file in this directory.
    pub(crate) fn spooled(
        body: B,
        headers: &HeaderMap,
        limit: u64,
        directory: Arc<Path>,
        held: u64,
    ) -> Result<Self, Error> {
        Ok(Self {
            spill: Some(Spill::new(directory, held)),
            ..Self::new(body, headers, limit)?
        })
    }

    /// Finds out whether a body of unknown length has any bytes, which is an error then.
    pub(crate) fn none(body: B, error: fn(u64, u64) -> Error) -> Self {
        Self::unknown(body, 0, error)
    }

    fn unknown(body: B, limit: u64, over: fn(u64, u64) -> Error) -> Self {
        Self {
            body,
            frames: Frames::default(),
            hash: Some(Sha256::new()),
            len: 0,
            limit,
            announced: None,
            over,
            spill: None,
            room: None,
            ended: false,
        }
    }

    /// Takes room for all that it may come to hold, if room is limited.
    ///
    /// Fails if there is less in the whole budget, or there is none and no time to wait.
    pub(crate) fn reserve(
        mut self,
        budget: Option<&BodyBudget>,
        extensions: &mut Extensions,
    ) -> Result<Reserved<B>, Error> {
        let Some(budget) = budget else {
            return Ok(Reserved::Now(self));
        };
        let total = budget.total();
        let held = match &mut self.spill {
            Some(spill) => spill.hold(total),
            None => {
                self.limit = self.limit.min(total);
                self.limit
            }
        };
        let most = self.announced.map_or(held, |announced| announced.min(held));
        if self.spill.is_none()
            && let Some(announced) = self.announced.filter(|&announced| announced > most)
        {
            return Err(too_large(announced, most));
        }
        Ok(match budget.reserve(most, extensions) {
            Room::Now(room) => Reserved::Now(self.with_room(room)),
            Room::Later(room) => Reserved::Later(room, self),
            Room::Refused(error) => return Err(error),
        })
    }

    /// What it holds counts as this room, until the body has been sent or dropped.
    pub(crate) fn with_room(self, room: Reservation) -> Self {
        Self {
            room: Some(room),
            ..self
        }
    }
}

impl<B> Future for Collect<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<(Collected, Payload), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(spill) = this.spill {
                ready!(spill.poll_idle(cx, this.room))?;
            }
            if *this.ended {
                break;
            }
            let frame = match this.body.is_end_stream() {
                true => None,
                false => match this.body.as_mut().poll_frame(cx) {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => {
                        let Some(room) = this.room else {
                            return Poll::Pending;
                        };
                        return room.poll_evicted(cx, *this.len).map(Err);
                    }
                },
            };
            let Some(frame) = frame else {
                *this.ended = true;
                if let Some(spill) = this.spill
                    && spill.is_open()
                {
                    spill.write(this.frames.take_data(), this.room.take());
                }
                continue;
            };
            let frame = frame.map_err(|source| {
                Error::new(
                    ErrorKind::BodyRead,
                    "the request's body ended before it was complete",
                )
                .with_source(source)
            })?;
            match frame.into_data() {
                Ok(data) => {
                    let data = into_bytes(data);
                    *this.len = this.len.saturating_add(data.len() as u64);
                    if *this.len > *this.limit {
                        return Poll::Ready(Err((this.over)(*this.len, *this.limit)));
                    }
                    // It has room for what it announced, and no more.
                    if let Some(announced) = this.announced.filter(|&most| *this.len > most) {
                        return Poll::Ready(Err(not_as_announced(*this.len, announced)));
                    }
                    if let Some(hash) = this.hash {
                        hash.update(&data);
                    }
                    this.frames.push(data);
                    if let Some(spill) = this.spill
                        && spill.wants(this.frames.len())
                    {
                        spill.write(this.frames.take_data(), this.room.take());
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        this.frames.push_trailers(trailers);
                    }
                }
            }
        }
        let len = *this.len;
        if let Some(announced) = this.announced.filter(|&announced| announced != len) {
            return Poll::Ready(Err(not_as_announced(len, announced)));
        }
        let payload = match this.hash.take() {
            None => Payload::Unsigned,
            Some(_) if len == 0 => PayloadHash::EMPTY.into(),
            Some(hash) => PayloadHash::from_digest(hash.finalize().into()).into(),
        };
        let file = this.spill.take().and_then(Spill::into_file);
        let file = file.map(|file| (file, len));
        let room = this.room.take().map(|mut room| {
            room.shrink(if file.is_some() { Spill::PIECE } else { len });
            Arc::new(room)
        });
        Poll::Ready(Ok((
            Collected {
                frames: mem::take(this.frames),
                file,
                room,
            },
            payload,
        )))
    }
}

/// The length of a body in bytes, as it says itself or as its head says; chunks of HTTP/1.1 override what
/// that says (RFC 9112, section 6.3).
pub(crate) fn announced(body: &impl Body, headers: &HeaderMap) -> Option<u64> {
    let header = || match headers.contains_key(header::TRANSFER_ENCODING) {
        true => None,
        false => headers
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok(),
    };
    body.size_hint().exact().or_else(header)
}

fn not_as_announced(len: u64, announced: u64) -> Error {
    let message = match len < announced {
        true => format!("the request's body ended after {len} bytes of {announced} announced"),
        false => format!("the request's body is longer than the {announced} bytes announced"),
    };
    Error::new(ErrorKind::BodyRead, message)
}

fn too_large(len: u64, limit: u64) -> Error {
    Error::new(
        ErrorKind::BodyTooLarge,
        format!("the request's body has {len} bytes or more, {limit} are allowed"),
    )
}
