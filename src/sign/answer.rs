//! What becomes of an origin's answer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http::{Response, StatusCode, response::Parts};
use http_body::Body;
use tokio::time::{Sleep, sleep};

use super::{SigningReport, trace::Diagnoses};
use crate::{
    Origin,
    body::{Held, ResponseBody, into_bytes},
    credentials::Entry,
    doctor::{Refusal, Sent, diagnose},
    sigv4::{
        scope::{Scope, Timestamp},
        signature::{ALGORITHM, ALGORITHM_4A},
    },
};

/// How much of a refusal is read, in bytes, and for how long; what it says stands at its beginning.
const LONGEST: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);
/// What a frame counts for at least.
const FRAME: usize = 16;

/// What is to be done when an answer comes.
#[derive(Default)]
pub(super) struct Followup {
    pub(super) report: Option<SigningReport>,
    pub(super) kept: Option<Kept>,
}

/// What was signed, as long as it is not known whether that is accepted.
pub(super) struct Kept {
    pub(super) canonical_request: Vec<u8>,
    pub(super) time: SystemTime,
    pub(super) entry: Arc<Entry>,
    pub(super) origin: Origin,
    pub(super) diagnoses: Arc<Diagnoses>,
}

/// An answer, or one that has to be read first.
pub(super) enum Answer<R>
where
    R: Body,
{
    Done(Response<ResponseBody<R>>),
    Refused(Box<Reading<R>>),
}

impl Followup {
    pub(super) fn take<R>(&mut self, mut response: Response<R>) -> Answer<R>
    where
        R: Body,
    {
        if let Some(report) = self.report.take() {
            response.extensions_mut().insert(report);
        }
        let is_refusal =
            matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN);
        match self.kept.take().filter(|_| is_refusal) {
            Some(kept) => Answer::Refused(Box::new(Reading::new(kept, response))),
            None => Answer::Done(response.map(ResponseBody::whole)),
        }
    }
}

impl Kept {
    fn sent(&self) -> Option<Sent> {
        let (options, identity) = (self.origin.options(), self.entry.identity());
        let settings = &options.settings;
        let (algorithm, region) = match settings.region_set() {
            Some(_) => (ALGORITHM_4A, ""),
            None => (ALGORITHM, settings.region()),
        };
        let time = Timestamp::new(self.time).ok()?;
        let scope = Scope { time: &time, region, service: settings.service() };
        let id = identity.credentials().access_key_id();
        let has_token = identity.token().is_some();
        let mut sent = Sent::new(&self.canonical_request, algorithm, scope, id, has_token);
        sent.in_query = options.presigned.is_some();
        Some(sent)
    }
}

/// A refusal whose beginning is read, to be handed on whole.
pub(super) struct Reading<R>
where
    R: Body,
{
    kept: Kept,
    head: Parts,
    held: Held<R::Error>,
    /// The same as one text.
    text: Vec<u8>,
    /// How much was read, in bytes; an empty frame counts, too.
    read: usize,
    /// None once it has ended.
    body: Option<Pin<Box<R>>>,
    until: Pin<Box<Sleep>>,
}

impl<R> Reading<R>
where
    R: Body,
{
    fn new(kept: Kept, response: Response<R>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            kept,
            head,
            held: Held::default(),
            text: Vec::new(),
            read: 0,
            body: Some(Box::pin(body)),
            until: Box::pin(sleep(PATIENCE)),
        }
    }

    /// Reads until there is enough, or no more to come in time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(body) = self.body.as_mut().filter(|_| self.read < LONGEST) {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.map_data(into_bytes).into_data() {
                    Ok(data) => {
                        self.text.extend_from_slice(&data[..data.len().min(LONGEST - self.read)]);
                        self.read += data.len().max(FRAME);
                        self.held.frames.push(data);
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.held.frames.push_trailers(trailers);
                        }
                    }
                },
                Poll::Ready(Some(Err(error))) => {
                    self.held.error = Some(error);
                    self.body = None;
                }
                Poll::Ready(None) => self.body = None,
                Poll::Pending => return self.until.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }

    /// The answer with what is the matter in its extensions.
    pub(super) fn finish(mut self) -> Response<ResponseBody<R>> {
        let refusal = Refusal::read(self.head.status, &self.head.headers, &self.text);
        let sent = self.kept.sent();
        if let Some(diagnosis) = diagnose(&refusal, sent.as_ref()) {
            self.kept.diagnoses.log(&diagnosis, &self.kept.origin);
            self.head.extensions.insert(diagnosis);
        }
        Response::from_parts(self.head, ResponseBody::resumed(self.held, self.body))
    }
}
