use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use http::{Response, StatusCode, response::Parts};
use http_body::Body;
use tokio::time::{Sleep, sleep};

use super::{
    SigningReport,
    body_plan::Signable,
    complaint::{Complaint, origin_time},
    corrections::Offset,
    layer::Shared,
    recent_success::Mark,
    recovery::Recovery,
    state::Pending,
    trace::Trace,
};
use crate::{
    Origin,
    body::{BodyPrefix, ResponseBody, into_bytes},
    credentials::{CachedCredentials, Load, LoadFuture},
    doctor::{Diagnosis, Rejection, SignedRequest, diagnose},
    sigv4::{
        scope::{Scope, Timestamp},
        signature::{ALGORITHM, ALGORITHM_4A},
    },
};

/// Limits for reading a rejection, whose code and message are at its beginning.
const MAX_BYTES: usize = 64 * 1024;
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Least number of bytes that a frame counts for.
const FRAME: usize = 16;

/// The clock windows of services begin at 5 minutes: a smaller difference does not make a request expire.
const MIN_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Work that is left until the response comes.
pub(super) struct Followup<S, B> {
    pub(super) report: Option<SigningReport>,
    pub(super) kept: Option<Kept<S, B>>,
}

/// The request that was sent, until its response comes.
pub(super) struct Kept<S, B> {
    pub(super) shared: Arc<Shared>,
    pub(super) origin: Origin,
    pub(super) entry: Arc<CachedCredentials>,
    /// Time of signing.
    pub(super) time: SystemTime,
    /// Correction of the clock at that time.
    pub(super) offset: Offset,
    /// `None` without recovery for this origin.
    pub(super) mark: Option<(Arc<Recovery>, Mark)>,
    /// `None` unless rejections are diagnosed.
    pub(super) canonical_request: Option<Vec<u8>>,
    /// `None` if it cannot be sent once more. Most requests have none, and move less for it being boxed.
    pub(super) again: Option<Box<(Pending<S>, Signable<B>)>>,
}

/// A response to pass on, or a rejection to read first.
pub(super) enum Answer<S, B, R>
where
    R: Body,
{
    Done(Response<ResponseBody<R>>),
    Rejected(Box<Reading<S, B, R>>),
}

/// Consequence of a rejection.
pub(super) enum Outcome<S, B, R>
where
    R: Body,
{
    HandOn(Response<ResponseBody<R>>),
    SendAgain(Box<(Pending<S>, Signable<B>)>),
}

impl<S, B> Followup<S, B> {
    pub(super) fn none() -> Self {
        Self {
            report: None,
            kept: None,
        }
    }

    pub(super) fn take<R>(&mut self, mut response: Response<R>) -> Answer<S, B, R>
    where
        R: Body,
    {
        if let Some(report) = self.report.take() {
            response.extensions_mut().insert(report);
        }
        let Some(kept) = self.kept.take() else {
            return Answer::Done(response.map(ResponseBody::new));
        };
        match response.status() {
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => kept.rejected(response),
            status => {
                if status.as_u16() < 400 {
                    kept.accepted();
                }
                Answer::Done(response.map(ResponseBody::new))
            }
        }
    }
}

impl<S, B> Kept<S, B> {
    fn accepted(&self) {
        if let Some((recovery, mark)) = &self.mark {
            recovery.accepted.accept(*mark);
            recovery.corrections.accept(&self.origin, self.offset);
        }
    }

    fn rejected<R>(self, response: Response<R>) -> Answer<S, B, R>
    where
        R: Body,
    {
        let (head, body) = response.into_parts();
        let mut may_complain = false;
        if let Some((recovery, mark)) = &self.mark {
            recovery.accepted.refuse(*mark);
            may_complain = Complaint::is_possible(&head, self.service());
            if !may_complain {
                recovery.corrections.reject(&self.origin, self.offset);
            }
        }
        if may_complain || self.canonical_request.is_some() {
            return Answer::Rejected(Box::new(Reading::new(self, head, body)));
        }
        Answer::Done(Response::from_parts(head, ResponseBody::new(body)))
    }

    fn service(&self) -> &str {
        self.origin.options().settings.service()
    }

    /// Returns the cause of a rejection, if rejections are diagnosed.
    fn diagnose(&self, head: &Parts, text: &[u8]) -> Option<Diagnosis> {
        let diagnoses = self.shared.diagnoses.as_ref()?;
        let refusal = Rejection::from_response(head.status, &head.headers, text);
        let diagnosis = diagnose(&refusal, Some(&self.sent()?))?;
        diagnoses.log(&diagnosis, &self.origin);
        Some(diagnosis)
    }

    fn sent(&self) -> Option<SignedRequest> {
        let options = self.origin.options();
        let identity = self.entry.identity();
        let settings = &options.settings;
        let (algorithm, region) = match settings.region_set() {
            Some(_) => (ALGORITHM_4A, ""),
            None => (ALGORITHM, settings.region()),
        };
        let time = Timestamp::new(self.time).ok()?;
        let scope = Scope {
            time: &time,
            region,
            service: settings.service(),
        };
        let id = identity.credentials().access_key_id();
        let has_token = identity.token().is_some();
        let canonical = self.canonical_request.as_deref().unwrap_or_default();
        let mut sent = SignedRequest::new(canonical, algorithm, scope, id, has_token);
        sent.in_query = options.presigned.is_some();
        Some(sent)
    }

    /// Returns the remedy that the origin asks for.
    fn remedy(&self, head: &Parts, text: &[u8]) -> Option<Remedy> {
        let is_presigned = self.origin.options().presigned.is_some();
        let complaint = Complaint::read(&head.headers, text, self.service(), is_presigned)?;
        let time = origin_time(&head.headers);
        let is_dated_right = || {
            let difference = time.map(|time| time.duration_since(self.time));
            difference
                .is_some_and(|ahead| ahead.unwrap_or_else(|behind| behind.duration()) < MIN_WINDOW)
        };
        // Credentials without a token do not expire.
        let has_token = self.entry.identity().token().is_some();
        match complaint {
            Complaint::Credentials if has_token => Some(Remedy::Credentials),
            Complaint::Credentials => None,
            Complaint::ClockOrCredentials if has_token && is_dated_right() => {
                Some(Remedy::Credentials)
            }
            Complaint::Clock | Complaint::ClockOrCredentials => time.map(Remedy::Clock),
        }
    }
}

enum Remedy {
    /// To sign by the origin's time.
    Clock(SystemTime),
    Credentials,
}

/// A rejection whose beginning is read before it is handed on whole.
pub(super) struct Reading<S, B, R>
where
    R: Body,
{
    kept: Kept<S, B>,
    head: Parts,
    /// Time when the head came, by the layer's clock.
    received: SystemTime,
    held: BodyPrefix<R::Error>,
    /// Beginning of the body, contiguous.
    text: Vec<u8>,
    /// Number of bytes read. A frame counts for 16 bytes at least, so that empty frames come to an end.
    read: usize,
    /// `None` after its end.
    body: Option<Pin<Box<R>>>,
    until: Pin<Box<Sleep>>,
    verdict: Verdict,
}

/// Result of reading a rejection.
enum Verdict {
    Unread,
    /// Waits for the provider, which may have other credentials.
    Renewing(LoadFuture),
    HandOn,
    SendAgain,
}

impl<S, B, R> Reading<S, B, R>
where
    R: Body,
{
    fn new(kept: Kept<S, B>, head: Parts, body: R) -> Self {
        Self {
            received: kept.shared.credentials.now(),
            kept,
            head,
            held: BodyPrefix::default(),
            text: Vec::new(),
            read: 0,
            body: Some(Box::pin(body)),
            until: Box::pin(sleep(MAX_WAIT)),
            verdict: Verdict::Unread,
        }
    }

    /// Reads the rejection and applies the remedy that it asks for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.verdict = match &mut self.verdict {
                Verdict::Unread => {
                    ready!(self.poll_body(cx));
                    self.judge()
                }
                Verdict::Renewing(renewal) => {
                    let renewed = ready!(renewal.as_mut().poll(cx));
                    let used = self.kept.entry.serial();
                    let is_other = renewed.is_ok_and(|entry| entry.serial() != used);
                    if is_other {
                        Verdict::SendAgain
                    } else {
                        Verdict::HandOn
                    }
                }
                Verdict::HandOn | Verdict::SendAgain => return Poll::Ready(()),
            };
        }
    }

    /// Reads to the end, the maximum size or the timeout.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(body) = self.body.as_mut().filter(|_| self.read < MAX_BYTES) {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.map_data(into_bytes).into_data() {
                    Ok(data) => {
                        let left = MAX_BYTES - self.read;
                        self.text.extend_from_slice(&data[..data.len().min(left)]);
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

    /// Corrects the clock, or starts to renew the credentials, if the origin complains of them.
    ///
    /// A request that cannot be sent again teaches, too: the next one is corrected.
    fn judge(&self) -> Verdict {
        let Kept {
            shared,
            origin,
            entry,
            offset,
            again,
            mark,
            ..
        } = &self.kept;
        let Some((recovery, _)) = mark else {
            return Verdict::HandOn;
        };
        // The rest of a body may contradict its beginning.
        let is_whole = self.body.is_none() && self.held.error.is_none();
        let remedy = if is_whole {
            self.kept.remedy(&self.head, &self.text)
        } else {
            None
        };
        match remedy {
            Some(Remedy::Clock(time)) => {
                let right = Offset::between(self.received, time);
                let is_worth_it =
                    right.is_some_and(|right| recovery.corrections.learn(origin, *offset, right));
                if is_worth_it && again.is_some() {
                    Verdict::SendAgain
                } else {
                    Verdict::HandOn
                }
            }
            Some(Remedy::Credentials) => {
                let Ok(fetch) = shared.credentials.replace(entry) else {
                    return Verdict::HandOn;
                };
                if matches!(fetch, Load::Pending(..)) {
                    recovery.corrections.suspect(origin, entry.serial());
                }
                if again.is_some() {
                    Verdict::Renewing(Box::pin(fetch.outcome()))
                } else {
                    Verdict::HandOn
                }
            }
            None => {
                recovery.corrections.reject(origin, *offset);
                Verdict::HandOn
            }
        }
    }

    /// Returns the response with its diagnosis, or the request to send again.
    pub(super) fn finish(mut self) -> Outcome<S, B, R> {
        let diagnosis = self.kept.diagnose(&self.head, &self.text);
        if matches!(self.verdict, Verdict::SendAgain)
            && let Some(again) = self.kept.again.take()
        {
            Trace::again(&self.kept.origin);
            return Outcome::SendAgain(again);
        }
        if let Some(diagnosis) = diagnosis {
            self.head.extensions.insert(diagnosis);
        }
        let body = ResponseBody::with_prefix(self.held, self.body);
        Outcome::HandOn(Response::from_parts(self.head, body))
    }
}
