//! The time of signing, and the clock window around it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, header, request::Parts};

use super::{Rejection, RejectionKind, parsed_request::twice};
use crate::sigv4::{authorization::Authorization, scope::Timestamp};

/// Reads the time of signing, whose day has to be that of the scope.
///
/// It stands in `x-amz-date`, else in a signed `date` (AWS IAM User Guide, "Elements of an AWS API request
/// signature"); in a presigned URL in `X-Amz-Date` alone.
pub(super) fn read(
    head: &Parts,
    amz_date: Option<&HeaderValue>,
    claimed: &Authorization<'_>,
) -> Result<Timestamp, Rejection> {
    let time = match (amz_date, &claimed.presigned) {
        (Some(value), None) => amz_time(value.as_bytes())?,
        (None, Some(presigned)) => amz_time(presigned.date.as_bytes())?,
        (None, None) => date(head, claimed)?,
        (Some(_), Some(_)) => return Err(twice("x-amz-date")),
    };
    if claimed.date.as_bytes() != &time.as_bytes()[..8] {
        return Err(Rejection::new(
            RejectionKind::Scope,
            "the credential is not scoped to the day of signing",
        ));
    }
    Ok(time)
}

fn amz_time(text: &[u8]) -> Result<Timestamp, Rejection> {
    let error = "x-amz-date is no time such as 20150830T123600Z";
    Timestamp::parse(text).ok_or_else(|| Rejection::new(RejectionKind::Date, error))
}

/// Reads the `date` header, which anyone may have set if it is not signed.
fn date(head: &Parts, claimed: &Authorization<'_>) -> Result<Timestamp, Rejection> {
    let error = |detail| Err(Rejection::new(RejectionKind::Date, detail));
    let mut dates = head.headers.get_all(header::DATE).iter();
    let Some(date) = dates.next() else {
        return error("there is neither an x-amz-date nor a date");
    };
    if !claimed.signed_headers.covers("date") {
        return error("there is no x-amz-date, and date is not signed");
    }
    if dates.next().is_some() {
        return Err(twice("date"));
    }
    match Timestamp::parse_http_date(date.as_bytes()) {
        Some(time) => Ok(time),
        None => error("date is no time such as Sun, 30 Aug 2015 12:36:00 GMT"),
    }
}

/// Checks that a request is neither too old nor signed in the future.
pub(super) fn check_window(
    claimed: &Authorization<'_>,
    time: &Timestamp,
    window: Duration,
    now: SystemTime,
) -> Result<(), Rejection> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let signed = Duration::from_secs(time.seconds());
    if signed > now.saturating_add(window) {
        let (at, now, latest) = (stamp(signed), stamp(now), stamp(now.saturating_add(window)));
        let window = length(window);
        return Err(Rejection::new(
            RejectionKind::NotYetValid,
            format!(
                "Signature not yet current: {at} is still later than {latest} ({now} + {window})"
            ),
        ));
    }
    let valid = match &claimed.presigned {
        Some(presigned) => Duration::from_secs(presigned.expires),
        None => window,
    };
    if now > signed.saturating_add(valid) {
        let (at, now, earliest) = (stamp(signed), stamp(now), stamp(now.saturating_sub(valid)));
        let valid = length(valid);
        return Err(Rejection::new(
            RejectionKind::Expired,
            format!("Signature expired: {at} is now earlier than {earliest} ({now} - {valid})"),
        ));
    }
    Ok(())
}

/// Writes a time as AWS's responses do.
fn stamp(since_epoch: Duration) -> String {
    let text = UNIX_EPOCH
        .checked_add(since_epoch)
        .and_then(|time| Timestamp::new(time).ok());
    text.map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned())
        .unwrap_or_default()
}

/// Writes a length of time as AWS's responses do.
fn length(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 60 == 0 => format!("{} min.", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
