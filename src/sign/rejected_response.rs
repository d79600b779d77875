//! Response to a rejected request, whose beginning is read before it is passed on whole.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use http::{Response, response::Parts};
use http_body::Body;
use tokio::time::{Sleep, sleep};

use super::{
    corrections::Offset,
    sent_request::{Remedy, SentRequest},
};
use crate::{
    body::{BodyPrefix, Frames, ResponseBody, into_bytes},
    credentials::{Load, LoadFuture},
};

/// Limits for reading a rejection, whose code and message are at its beginning.
const MAX_BYTES: usize = 64 * 1024;
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Number of bytes that a shorter frame counts for, so that empty frames reach the limit, too.
const MIN_FRAME: usize = 16;

pub(super) struct RejectedResponse<R> {
    request: SentRequest,
    head: Parts,
    /// Time when the head arrived, by the layer's clock.
    received_at: SystemTime,
    frames: Frames,
    /// Beginning of the body, contiguous.
    text: Vec<u8>,
    /// Number of bytes read; a frame counts for [`MIN_FRAME`] at least.
    read: usize,
    /// `None` after its end.
    body: Option<Pin<Box<R>>>,
    timeout: Pin<Box<Sleep>>,
    /// Region to send the request to.
    pub(super) other_region: Option<String>,
    /// `Some` while the provider is asked for other credentials.
    renewal: Option<LoadFuture>,
}

/// Decision about a rejected request.
pub(super) enum Decision<E> {
    SendAgain,
    /// With the error of the body.
    PassOn(Option<E>),
}

/// Step that a remedy requires.
enum Step {
    SendAgain,
    RenewCredentials(LoadFuture),
    PassOn,
}

impl<R> RejectedResponse<R>
where
    R: Body,
{
    pub(super) fn new(request: SentRequest, response: Response<R>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            received_at: request.config.credentials.now(),
            request,
            head,
            frames: Frames::default(),
            text: Vec::new(),
            read: 0,
            body: Some(Box::pin(body)),
            timeout: Box::pin(sleep(MAX_WAIT)),
            other_region: None,
            renewal: None,
        }
    }

    /// Reads the rejection and applies its remedy.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Decision<R::Error>> {
        let renewal = match &mut self.renewal {
            Some(renewal) => renewal,
            None => {
                let read = ready!(self.poll_body(cx));
                match self.apply_remedy(read.is_ok()) {
                    Step::SendAgain => return Poll::Ready(Decision::SendAgain),
                    Step::RenewCredentials(load) => self.renewal.insert(load),
                    Step::PassOn => return Poll::Ready(Decision::PassOn(read.err())),
                }
            }
        };
        let renewed = ready!(renewal.as_mut().poll(cx));
        let used = self.request.entry.serial();
        Poll::Ready(if renewed.is_ok_and(|entry| entry.serial() != used) {
            Decision::SendAgain
        } else {
            Decision::PassOn(None)
        })
    }

    /// Reads to the end, the maximum size or the timeout.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        while let Some(body) = self.body.as_mut().filter(|_| self.read < MAX_BYTES) {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.map_data(into_bytes).into_data() {
                    Ok(data) => {
                        let left = MAX_BYTES - self.read;
                        self.text.extend_from_slice(&data[..data.len().min(left)]);
                        self.read += data.len().max(MIN_FRAME);
                        self.frames.push(data);
                    }
                    Err(other) => self.frames.push_trailers(other),
                },
                Poll::Ready(Some(Err(error))) => {
                    self.body = None;
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(None) => self.body = None,
                Poll::Pending => return self.timeout.as_mut().poll(cx).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Corrects the clock, or starts to renew the credentials, if the origin rejects them.
    ///
    /// A request that cannot be sent again has an effect, too: the next one is corrected.
    fn apply_remedy(&mut self, is_read: bool) -> Step {
        let SentRequest {
            origin,
            home,
            credentials,
            entry,
            offset,
            is_repeatable,
            ..
        } = &self.request;
        let Some(corrections) = &self.request.recovery else {
            return Step::PassOn;
        };
        // The rest of a body may contradict its beginning.
        let remedy = if is_read && self.body.is_none() {
            self.request.remedy(&self.head, &self.text)
        } else {
            None
        };
        match remedy {
            Some(Remedy::Region(region)) => {
                let Some(bucket) = home.as_ref().filter(|it| it.in_region(&region).is_some())
                else {
                    return Step::PassOn;
                };
                corrections.regions().forget(bucket);
                if *is_repeatable {
                    self.other_region = Some(region);
                    return Step::SendAgain;
                }
                // A region that S3 has redirected from again is not tried a second time.
                if origin.host() == bucket.origin().host() {
                    corrections.regions().suggest(bucket, &region);
                }
                Step::PassOn
            }
            Some(Remedy::Clock(time)) => {
                let right = Offset::between(self.received_at, time);
                let helps = right.is_some_and(|it| corrections.learn(origin, *offset, it));
                if helps && *is_repeatable {
                    Step::SendAgain
                } else {
                    Step::PassOn
                }
            }
            Some(Remedy::NewCredentials) => {
                let Ok(fetch) = credentials.start_replacement(entry) else {
                    return Step::PassOn;
                };
                if matches!(fetch, Load::Pending(..)) {
                    corrections.mark_expired(origin, entry);
                }
                if *is_repeatable {
                    Step::RenewCredentials(Box::pin(fetch.result()))
                } else {
                    Step::PassOn
                }
            }
            None => {
                if !self.head.status.is_redirection() {
                    corrections.reject(origin, *offset);
                }
                Step::PassOn
            }
        }
    }

    /// Returns the response with its diagnosis; `None` if the request is sent again.
    pub(super) fn finish(
        mut self,
        decision: Decision<R::Error>,
    ) -> Option<Response<ResponseBody<R>>> {
        let is_sent_again = matches!(decision, Decision::SendAgain);
        let diagnosed = self.request.diagnose(&self.head, &self.text, is_sent_again);
        let error = match decision {
            Decision::SendAgain => return None,
            Decision::PassOn(error) => error,
        };
        if let Some(diagnosis) = diagnosed {
            self.head.extensions.insert(diagnosis);
        }
        let prefix = BodyPrefix {
            frames: self.frames,
            error,
        };
        let body = ResponseBody::with_prefix(prefix, self.body);
        Some(Response::from_parts(self.head, body))
    }
}
