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
    budget::{Acquire, BodyBudget, Reservation, ReservationFuture},
    failure::body_error,
    frames::{Frames, into_bytes},
    spool::{SpoolFile, SpoolWriter},
};
use crate::{
    error::{BoxError, Error, ErrorKind},
    sigv4::{Payload, PayloadHash},
};

pin_project! {
    /// Future that collects a body and hashes it as it arrives.
    pub(crate) struct Collect<B> {
        #[pin]
        body: B,
        frames: Frames,
        hash: Option<Sha256>,
        // Bytes received.
        len: u64,
        limit: u64,
        declared: Option<u64>,
        // Makes the error of a body over the limit from its length and the limit.
        limit_error: fn(u64, u64) -> Error,
        spool: Option<SpoolWriter>,
        // Memory that the body waits for before it is read.
        acquiring: Option<ReservationFuture>,
        reservation: Option<Reservation>,
        ended: bool,
    }
}

/// A complete body.
pub(crate) struct Collected {
    pub(super) frames: Frames,
    /// File that has the data in place of the frames, and its length in bytes.
    pub(super) file: Option<(SpoolFile, u64)>,
    pub(super) reservation: Option<Arc<Reservation>>,
}

impl Collected {
    /// Lets an inner layer of the same budget find the body's reservation, for as long as the body has it.
    pub(crate) fn share_reservation(&self, extensions: &mut Extensions) {
        if let Some(reservation) = &self.reservation {
            extensions.insert(Arc::downgrade(reservation));
        }
    }
}

impl<B> Collect<B>
where
    B: Body,
{
    /// Fails at once if the body or its headers declare more than `limit` bytes.
    pub(crate) fn new(body: B, headers: &HeaderMap, limit: u64) -> Result<Self, Error> {
        let declared = declared_len(&body, headers);
        let lower = declared.unwrap_or(body.size_hint().lower());
        if lower > limit {
            return Err(too_large(lower, limit));
        }
        Ok(Self {
            declared,
            ..Self::with_unknown_len(body, limit, too_large)
        })
    }

    /// Leaves out the hash, for a body that is verified already.
    pub(crate) fn without_hash(self) -> Self {
        Self { hash: None, ..self }
    }

    /// Writes a body of more than `buffer_limit` bytes to a temporary file.
    pub(crate) fn with_spool(self, directory: Arc<Path>, buffer_limit: u64) -> Self {
        Self {
            spool: Some(SpoolWriter::new(directory, buffer_limit)),
            ..self
        }
    }

    /// Collects a body of unknown length. `limit_error` makes the error of a longer body.
    pub(crate) fn with_unknown_len(
        body: B,
        limit: u64,
        limit_error: fn(u64, u64) -> Error,
    ) -> Self {
        Self {
            body,
            frames: Frames::default(),
            hash: Some(Sha256::new()),
            len: 0,
            limit,
            declared: None,
            limit_error,
            spool: None,
            acquiring: None,
            reservation: None,
            ended: false,
        }
    }

    /// Reserves the memory that the body may need. It is released when the body has been sent or dropped.
    ///
    /// Fails if the whole budget is smaller, or if it is exhausted and has no timeout.
    pub(crate) fn reserve(
        mut self,
        limited_by: Option<&BodyBudget>,
        extensions: &mut Extensions,
    ) -> Result<Self, Error> {
        let Some(budget) = limited_by else {
            return Ok(self);
        };
        let total = budget.total();
        let buffered = match &mut self.spool {
            Some(spool) => spool.limit_buffer(total),
            None => {
                self.limit = self.limit.min(total);
                self.limit
            }
        };
        let wanted = match self.declared {
            Some(declared) if declared > buffered && self.spool.is_none() => {
                return Err(too_large(declared, buffered));
            }
            Some(declared) => declared.min(buffered),
            None => buffered,
        };
        match budget.reserve(wanted, extensions)? {
            Acquire::Ready(reservation) => self.reservation = Some(reservation),
            Acquire::Waiting(future) => self.acquiring = Some(future),
        }
        Ok(self)
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
        if let Some(acquiring) = this.acquiring {
            *this.reservation = Some(ready!(acquiring.as_mut().poll(cx))?);
            *this.acquiring = None;
        }
        loop {
            if let Some(spool) = this.spool {
                ready!(spool.poll_idle(cx, this.reservation))?;
            }
            if *this.ended {
                break;
            }
            let polled = if this.body.is_end_stream() {
                None
            } else {
                match this.body.as_mut().poll_frame(cx) {
                    Poll::Ready(polled) => polled,
                    Poll::Pending => {
                        let Some(reservation) = this.reservation else {
                            return Poll::Pending;
                        };
                        return reservation.poll_evicted(cx, *this.len).map(Err);
                    }
                }
            };
            let Some(result) = polled else {
                *this.ended = true;
                if let Some(spool) = this.spool
                    && spool.is_open()
                {
                    spool.write(this.frames.take_data(), this.reservation.take());
                }
                continue;
            };
            let frame = result.map_err(|source| body_error(source.into()))?;
            match frame.into_data() {
                Ok(buf) => {
                    let data = into_bytes(buf);
                    *this.len = this.len.saturating_add(data.len() as u64);
                    if *this.len > *this.limit {
                        return Poll::Ready(Err((this.limit_error)(*this.len, *this.limit)));
                    }
                    // Only the declared length is reserved.
                    if let Some(declared) = this.declared.filter(|&most| *this.len > most) {
                        return Poll::Ready(Err(wrong_length(*this.len, declared)));
                    }
                    if let Some(hash) = this.hash {
                        hash.update(&data);
                    }
                    this.frames.push(data);
                    if let Some(spool) = this.spool
                        && spool.needs_write(this.frames.len())
                    {
                        spool.write(this.frames.take_data(), this.reservation.take());
                    }
                }
                Err(other) => this.frames.push_trailers(other),
            }
        }
        let len = *this.len;
        if let Some(declared) = this.declared.filter(|&declared| declared != len) {
            return Poll::Ready(Err(wrong_length(len, declared)));
        }
        let payload = match this.hash.take() {
            None => Payload::Unsigned,
            Some(_) if len == 0 => PayloadHash::EMPTY.into(),
            Some(hash) => PayloadHash::from_digest(hash.finalize().into()).into(),
        };
        let spooled = this.spool.take().and_then(SpoolWriter::into_file);
        let buffered = if spooled.is_some() {
            SpoolWriter::WRITE_SIZE
        } else {
            len
        };
        if let Some(reservation) = this.reservation {
            reservation.shrink(buffered);
        }
        let collected = Collected {
            frames: mem::take(this.frames),
            file: spooled.map(|file| (file, len)),
            reservation: this.reservation.take().map(Arc::new),
        };
        Poll::Ready(Ok((collected, payload)))
    }
}

/// Returns the length of a body in bytes, as the body or `content-length` declares it.
///
/// `transfer-encoding` overrides `content-length` (RFC 9112, section 6.3).
pub(crate) fn declared_len(body: &impl Body, headers: &HeaderMap) -> Option<u64> {
    let from_headers = || {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return None;
        }
        let value = headers.get(header::CONTENT_LENGTH)?;
        value.to_str().ok()?.parse().ok()
    };
    body.size_hint().exact().or_else(from_headers)
}

fn wrong_length(len: u64, declared: u64) -> Error {
    let message = if len < declared {
        format!("the request's body ended after {len} of {declared} declared bytes")
    } else {
        format!("the request's body is longer than the {declared} bytes declared")
    };
    Error::new(ErrorKind::BodyRead, message)
}

fn too_large(len: u64, limit: u64) -> Error {
    Error::new(
        ErrorKind::BodyTooLarge,
        format!("the request's body has at least {len} bytes, but only {limit} are allowed"),
    )
}
