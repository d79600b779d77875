use std::{
    future::Future,
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;

use super::multipart::{self, FieldReader, Fields, malformed};
use crate::{
    body::{FormBody, poll_data},
    error::{BoxError, Error},
    verify::{Rejection, RejectionKind as Kind},
};

/// Reads a form up to its file.
pub(in crate::verify) struct ReadForm<B> {
    state: Option<(FieldReader, Pin<Box<B>>)>,
}

/// The rest of a form, from the file on.
pub(in crate::verify) struct UnreadFile<B> {
    /// The bytes before the file.
    head: Bytes,
    /// The bytes of the file that were read.
    read: [Bytes; 2],
    body: Pin<Box<B>>,
    marker: Vec<u8>,
}

impl<B> UnreadFile<B>
where
    B: Body,
{
    /// Returns the body of the whole form.
    pub(in crate::verify) fn into_body(
        self,
        size: RangeInclusive<u64>,
    ) -> Result<FormBody<B>, Error> {
        FormBody::new(self.head, self.read, self.body, self.marker, size)
    }
}

impl<B> ReadForm<B> {
    pub(in crate::verify) fn new(headers: &HeaderMap, body: B) -> Result<Self, Rejection> {
        let reader = FieldReader::new(multipart::boundary(headers)?);
        Ok(Self {
            state: Some((reader, Box::pin(body))),
        })
    }
}

impl<B> Future for ReadForm<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<(Fields, UnreadFile<B>), Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (reader, body) = self.state.as_mut().expect("polled after completion");
        loop {
            let data = match ready!(poll_data(body.as_mut(), cx)) {
                Some(Ok(data)) => data,
                Some(Err(error)) => {
                    let rejection = Kind::BodyRead.rejection("the form could not be read");
                    return Poll::Ready(Err(rejection.with_source(error)));
                }
                None => return Poll::Ready(Err(malformed("the form ends before its file"))),
            };
            let used = data.len().min(reader.capacity());
            let Some((fields, start)) = reader.read(&data[..used])? else {
                continue;
            };
            let (read, rest) = self.state.take().expect("reading");
            let marker = read.marker().to_vec();
            let buffer = Bytes::from(read.into_buffer());
            let unread = UnreadFile {
                head: buffer.slice(..start),
                read: [buffer.slice(start..), data.slice(used..)],
                body: rest,
                marker,
            };
            return Poll::Ready(Ok((fields, unread)));
        }
    }
}
