//! Time and credential scope of a signature.

use std::{
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_smithy_types::date_time::{DateTime, Format};
use time::{Date, Month, OffsetDateTime};

use crate::error::Error;

/// A time in whole seconds, with its form in SigV4: `20150830T123600Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    seconds: u64,
    text: [u8; 16],
}

impl Timestamp {
    /// Returns the whole seconds since 1970.
    ///
    /// Fails outside the years 1970 to 9999: the date of a scope has eight digits.
    pub(crate) fn seconds_of(time: SystemTime) -> Result<u64, Error> {
        const YEAR_10000: u64 = 253_402_300_800;
        time.duration_since(UNIX_EPOCH)
            .map(|since| since.as_secs())
            .ok()
            .filter(|&seconds| seconds < YEAR_10000)
            .ok_or_else(|| Error::config("the clock is outside the years 1970 to 9999; set it"))
    }

    pub(crate) fn new(time: SystemTime) -> Result<Self, Error> {
        let seconds = Self::seconds_of(time)?;
        let utc = OffsetDateTime::from(UNIX_EPOCH + Duration::from_secs(seconds));
        let mut text = [0; 16];
        write!(
            &mut text[..],
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            utc.year(),
            u8::from(utc.month()),
            utc.day(),
            utc.hour(),
            utc.minute(),
            utc.second(),
        )
        .expect("years up to 9999 have four digits");
        Ok(Self { seconds, text })
    }

    /// Parses the form of SigV4 in the years 1970 to 9999.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text: [u8; 16] = bytes.try_into().ok()?;
        let number = |at: usize| match [text[at], text[at + 1]] {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
            _ => None,
        };
        if (text[8], text[15]) != (b'T', b'Z') {
            return None;
        }
        let year = i32::from(number(0)?) * 100 + i32::from(number(2)?);
        let month = Month::try_from(number(4)?).ok()?;
        let date = Date::from_calendar_date(year, month, number(6)?).ok()?;
        let time = date
            .with_hms(number(9)?, number(11)?, number(13)?)
            .ok()?
            .assume_utc();
        Some(Self {
            seconds: time.unix_timestamp().try_into().ok()?,
            text,
        })
    }

    /// Parses an IMF-fixdate (RFC 9110, section 5.6.7) in the years 1970 to 9999.
    pub(crate) fn parse_http_date(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let time = DateTime::from_str(text, Format::HttpDate).ok()?;
        // The parser ignores the day's name, and accepts white space and fractions of a second.
        if time.fmt(Format::HttpDate).ok()? != text {
            return None;
        }
        Self::new(UNIX_EPOCH.checked_add(Duration::from_secs(time.secs().try_into().ok()?))?).ok()
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.seconds
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.text
    }

    pub(crate) fn system_time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.seconds)
    }
}

/// Time, region and service for which a signing key is derived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) time: &'a Timestamp,
    /// Empty in SigV4a, whose scope has no region.
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

impl Scope<'_> {
    /// Returns the date, such as `20150830`.
    pub(crate) fn date(&self) -> &[u8] {
        &self.time.text[..8]
    }

    /// Returns `true` if a [text](Scope::text) of the same day has this region and service.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        let Some(names) = text
            .get(9..)
            .and_then(|rest| rest.strip_suffix(b"/aws4_request"))
        else {
            return false;
        };
        match self.region.as_bytes() {
            b"" => names == self.service.as_bytes(),
            region => {
                let service = names
                    .strip_prefix(region)
                    .and_then(|rest| rest.strip_prefix(b"/"));
                service == Some(self.service.as_bytes())
            }
        }
    }

    /// Returns `20150830/us-east-1/service/aws4_request`, or `20150830/service/aws4_request`.
    pub(crate) fn text(&self) -> Vec<u8> {
        let service = self.service.as_bytes();
        match self.region.as_bytes() {
            b"" => [self.date(), service, b"aws4_request"].join(&b'/'),
            region => [self.date(), region, service, b"aws4_request"].join(&b'/'),
        }
    }

    /// Returns the days from 1970 to the date.
    pub(crate) fn day(&self) -> u64 {
        self.time.seconds / (24 * 60 * 60)
    }
}

pub(crate) fn check_scope_part(name: &str, value: &str, example: &str) -> Result<(), Error> {
    if is_scope_part(value) {
        return Ok(());
    }
    Err(Error::config(format!(
        "{name} {value:?} is not a part of a credential scope; give a name such as {example:?}"
    )))
}

/// Compares a name with a pattern: a name, or a prefix with `*` at its end.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

pub(crate) fn is_scope_part(value: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !value.is_empty() && value.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_formatted_and_parsed() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (951_782_400, "20000229T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
            (1_735_689_600, "20250101T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 999);
            let stamp = Timestamp::new(time).expect("in range");
            assert_eq!(stamp.as_bytes(), text.as_bytes());
            assert_eq!(stamp.seconds(), seconds);
            assert_eq!(Timestamp::parse(text.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn invalid_timestamps_are_rejected() {
        for text in [
            "",
            "20150830T123600",
            "20150830T123600ZZ",
            "20150830t123600Z",
            "20150830T123600z",
            "20150830 123600Z",
            "20150830T12360+Z",
            "2015083\u{1d7d8}T1236Z",
            "20150229T000000Z",
            "20150001T000000Z",
            "20151301T000000Z",
            "20150800T000000Z",
            "20150830T240000Z",
            "20150830T006000Z",
            "20150830T000060Z",
            "19691231T235959Z",
            "-0150830T123600Z",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn only_imf_fixdates_are_parsed() {
        for (date, text) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", "19700101T000000Z"),
            ("Sun, 30 Aug 2015 12:36:00 GMT", "20150830T123600Z"),
            ("Tue, 29 Feb 2000 23:59:59 GMT", "20000229T235959Z"),
            ("Fri, 31 Dec 9999 23:59:59 GMT", "99991231T235959Z"),
        ] {
            let time = Timestamp::parse_http_date(date.as_bytes()).expect(date);
            assert_eq!(time.as_bytes(), text.as_bytes(), "{date}");
        }
        for date in [
            "",
            "20150830T123600Z",
            "1440938160",
            "Mon, 30 Aug 2015 12:36:00 GMT",
            "sun, 30 Aug 2015 12:36:00 GMT",
            "Sun, 30 aug 2015 12:36:00 GMT",
            "Sun, 30 Aug 2015 12:36:00 gmt",
            "Sun, 30 Aug 2015 12:36:00 UTC",
            "Sun, 30 Aug 2015 12:36:00 +0000",
            "Sun, 30 Aug 2015 12:36:00 GMT ",
            " Sun, 30 Aug 2015 12:36:00 GMT",
            "Sun,  30 Aug 2015 12:36:00 GMT",
            "Sun, 30 Aug 2015 12:36:00.5 GMT",
            "Sun, 30 Aug 2015 12:36 GMT",
            "Sun, 30 Aug 2015 12:36:60 GMT",
            "Sun, 30 Aug 2015 24:36:00 GMT",
            "Sun, 29 Feb 2015 12:36:00 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 30 Aug 2015 12:36:0\u{660} GMT",
        ] {
            assert_eq!(Timestamp::parse_http_date(date.as_bytes()), None, "{date}");
        }
        assert_eq!(
            Timestamp::parse_http_date(b"Sun, 30 Aug 2015 12:36:00 GM\xff"),
            None
        );
    }

    #[test]
    fn times_out_of_range_are_errors() {
        for time in [
            UNIX_EPOCH - Duration::from_nanos(1),
            UNIX_EPOCH + Duration::from_secs(253_402_300_800),
        ] {
            assert!(Timestamp::new(time).is_err());
        }
    }
}
