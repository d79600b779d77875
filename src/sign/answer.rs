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

use super::{
    SigningReport,
    accepted::{Accepted, Mark},
    layer::Shared,
    pending::Pending,
    plan::Signable,
    trace::Trace,
};
use crate::{
    Origin,
    body::{Held, ResponseBody, into_bytes},
    credentials::Entry,
    doctor::{Cause, Mend, Refusal, Sent, diagnose},
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
pub(super) struct Followup<S, B> {
    pub(super) report: Option<SigningReport>,
    pub(super) kept: Option<Kept<S, B>>,
    /// Where it is noted whether the origin has accepted the request.
    pub(super) mark: Option<(Arc<Accepted>, Mark)>,
}

/// What was sent, as long as it is not known whether it is accepted.
pub(super) struct Kept<S, B> {
    pub(super) shared: Arc<Shared>,
    pub(super) origin: Origin,
    pub(super) entry: Arc<Entry>,
    pub(super) time: SystemTime,
    /// There if refusals are to be diagnosed.
    pub(super) canonical_request: Option<Vec<u8>>,
    /// There if it can be sent once more.
    pub(super) again: Option<(Pending<S>, Signable<B>)>,
}

/// An answer, or one that has to be read first.
pub(super) enum Answer<S, B, R>
where
    R: Body,
{
    Done(Response<ResponseBody<R>>),
    Refused(Box<Reading<S, B, R>>),
}

/// What is done about a refusal.
#[expect(clippy::large_enum_variant, reason = "moved once, and rarely")]
pub(super) enum Outcome<S, B, R>
where
    R: Body,
{
    HandOn(Response<ResponseBody<R>>),
    SendAgain(Pending<S>, Signable<B>),
}

impl<S, B> Followup<S, B> {
    pub(super) fn none() -> Self {
        Self { report: None, kept: None, mark: None }
    }

    pub(super) fn take<R>(&mut self, mut response: Response<R>) -> Answer<S, B, R>
    where
        R: Body,
    {
        let is_refusal =
            matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN);
        match self.mark.take() {
            Some((accepted, mark)) if is_refusal => accepted.refuse(mark),
            Some((accepted, mark)) if response.status().as_u16() < 400 => accepted.accept(mark),
            _ => {}
        }
        if let Some(report) = self.report.take() {
            response.extensions_mut().insert(report);
        }
        match self.kept.take().filter(|_| is_refusal) {
            Some(kept) => Answer::Refused(Box::new(Reading::new(kept, response))),
            None => Answer::Done(response.map(ResponseBody::whole)),
        }
    }
}

impl<S, B> Kept<S, B> {
    /// Without its canonical request where that was not kept.
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
        let canonical = self.canonical_request.as_deref().unwrap_or_default();
        let mut sent = Sent::new(canonical, algorithm, scope, id, has_token);
        sent.in_query = options.presigned.is_some();
        Some(sent)
    }

    /// Mends what a refusal complains of, so that it is worth to send the request once more.
    fn mends(&self, refusal: &Refusal, cause: Cause) -> bool {
        let Shared { clock, credentials, .. } = &*self.shared;
        match refusal.mend(cause, self.origin.options().settings.service()) {
            Some(Mend::Clock(right)) => clock.correct(right),
            Some(Mend::Credentials) => credentials.discard(&self.entry, clock.now()),
            None => false,
        }
    }
}

/// A refusal whose beginning is read, to be handed on whole.
pub(super) struct Reading<S, B, R>
where
    R: Body,
{
    kept: Kept<S, B>,
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

impl<S, B, R> Reading<S, B, R>
where
    R: Body,
{
    fn new(kept: Kept<S, B>, response: Response<R>) -> Self {
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
                        let room = LONGEST - self.read;
                        self.text.extend_from_slice(&data[..data.len().min(room)]);
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

    /// The answer, with what is the matter in its extensions, unless that could be mended.
    pub(super) fn finish(mut self) -> Outcome<S, B, R> {
        let refusal = Refusal::read(self.head.status, &self.head.headers, &self.text);
        let diagnosis = self.kept.sent().and_then(|sent| diagnose(&refusal, Some(&sent)));
        if let Some(diagnosis) = diagnosis {
            if let Some(diagnoses) = &self.kept.shared.diagnoses {
                diagnoses.log(&diagnosis, &self.kept.origin);
            }
            if self.kept.again.is_some()
                && self.kept.mends(&refusal, diagnosis.cause())
                && let Some((pending, body)) = self.kept.again.take()
            {
                Trace::again(diagnosis.cause());
                return Outcome::SendAgain(pending, body);
            }
            if self.kept.shared.diagnoses.is_some() {
                self.head.extensions.insert(diagnosis);
            }
        }
        let body = ResponseBody::resumed(self.held, self.body);
        Outcome::HandOn(Response::from_parts(self.head, body))
    }
}
