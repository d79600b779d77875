use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, header, request::Parts};

use super::{Rejection, RejectionKind as Kind};
use crate::sigv4::{authorization::Authorization, scope::Timestamp};

/// Reads the signing time, whose day must be that of the scope.
///
/// It is in `x-amz-date`, or else in a signed `date` header (AWS IAM User Guide, "Elements of an AWS API request
/// signature"). A presigned URL has it in `X-Amz-Date` only.
pub(super) fn parse(
    head: &Parts,
    amz_date: Option<&HeaderValue>,
    authorization: &Authorization<'_>,
) -> Result<Timestamp, Rejection> {
    let time = match (amz_date, &authorization.presigned) {
        (Some(value), None) => parse_amz_date(value.as_bytes())?,
        (None, Some(presigned)) => parse_amz_date(presigned.date.as_bytes())?,
        (None, None) => parse_date_header(head, authorization)?,
        (Some(_), Some(_)) => return Err(Rejection::duplicate("x-amz-date")),
    };
    if authorization.date.as_bytes() != &time.as_bytes()[..8] {
        return Err(Kind::Scope.rejection("the credential is not scoped to the day of signing"));
    }
    Ok(time)
}

pub(super) fn parse_amz_date(value: &[u8]) -> Result<Timestamp, Rejection> {
    Timestamp::parse(value)
        .ok_or_else(|| Kind::Date.rejection("x-amz-date is not a time such as 20150830T123600Z"))
}

/// Reads the `date` header. An unsigned one does not count, since anyone may have set it.
fn parse_date_header(
    head: &Parts,
    authorization: &Authorization<'_>,
) -> Result<Timestamp, Rejection> {
    let invalid = |message| Kind::Date.rejection(message);
    let mut dates = head.headers.get_all(header::DATE).iter();
    let Some(date) = dates.next() else {
        return Err(invalid("x-amz-date and date are missing"));
    };
    if !authorization.signed_headers.covers("date") {
        return Err(invalid("x-amz-date is missing, and date is not signed"));
    }
    if dates.next().is_some() {
        return Err(Rejection::duplicate("date"));
    }
    Timestamp::parse_http_date(date.as_bytes())
        .ok_or_else(|| invalid("date is not a time such as Sun, 30 Aug 2015 12:36:00 GMT"))
}

/// Rejects a signature that is too old or from the future, with the messages of AWS.
pub(super) fn check_window(
    authorization: &Authorization<'_>,
    time: &Timestamp,
    window: Duration,
    now: SystemTime,
) -> Result<(), Rejection> {
    let current = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let signed = Duration::from_secs(time.seconds());
    let latest = current.saturating_add(window);
    if signed > latest {
        return Err(Kind::NotYetValid.rejection(format!(
            "Signature not yet current: {} is still later than {} ({} + {})",
            format_time(signed),
            format_time(latest),
            format_time(current),
            format_duration(window),
        )));
    }
    let validity = match &authorization.presigned {
        Some(presigned) => Duration::from_secs(presigned.expires),
        None => window,
    };
    if current > signed.saturating_add(validity) {
        return Err(Kind::Expired.rejection(format!(
            "Signature expired: {} is now earlier than {} ({} - {})",
            format_time(signed),
            format_time(current.saturating_sub(validity)),
            format_time(current),
            format_duration(validity),
        )));
    }
    Ok(())
}

/// Formats a time as in AWS's responses.
fn format_time(since_epoch: Duration) -> String {
    UNIX_EPOCH
        .checked_add(since_epoch)
        .and_then(|time| Timestamp::new(time).ok())
        .map(|time| String::from_utf8_lossy(time.as_bytes()).into_owned())
        .unwrap_or_default()
}

/// Formats a duration as in AWS's responses.
fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds.is_multiple_of(60) {
        format!("{} min.", seconds / 60)
    } else {
        format!("{seconds} s")
    }
}
