//! The time and the credential scope of a signature.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::date_time::{DateTime, Format};
use time::{Date, Month, OffsetDateTime};

use crate::error::Error;

/// A second in time, with the text SigV4 writes for it: `20150830T123600Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    seconds: u64,
    text: [u8; 16],
}

impl Timestamp {
    /// The whole seconds since 1970.
    ///
    /// Fails outside the years 1970 to 9999: the clock is wrong, and a scope has eight digits.
    pub(crate) fn seconds_of(time: SystemTime) -> Result<u64, Error> {
        const YEAR_10000: u64 = 253_402_300_800;
        time.duration_since(UNIX_EPOCH)
            .map(|since| since.as_secs())
            .ok()
            .filter(|&seconds| seconds < YEAR_10000)
            .ok_or_else(|| Error::config("the clock stands outside the years 1970 to 9999; set it"))
    }

    pub(crate) fn new(time: SystemTime) -> Result<Self, Error> {
        let seconds = Self::seconds_of(time)?;
        let time = OffsetDateTime::from(UNIX_EPOCH + Duration::from_secs(seconds));
        let mut text = *b"00000000T000000Z";
        let mut write = |at: usize, digits: usize, mut number: u32| {
            for place in text[at..at + digits].iter_mut().rev() {
                *place += (number % 10) as u8;
                number /= 10;
            }
        };
        write(0, 4, time.year().unsigned_abs());
        write(4, 2, u8::from(time.month()).into());
        write(6, 2, time.day().into());
        write(9, 2, time.hour().into());
        write(11, 2, time.minute().into());
        write(13, 2, time.second().into());
        Ok(Self { seconds, text })
    }

    /// Reads the text of a time in the years 1970 to 9999, and nothing else.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; 16] = text.try_into().ok()?;
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

    /// Reads an IMF-fixdate (RFC 9110, section 5.6.7) of the years 1970 to 9999, and no other form.
    pub(crate) fn parse_http_date(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let time = DateTime::from_str(text, Format::HttpDate).ok()?;
        // The parser ignores the day's name, and takes white space and fractions of a second.
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

/// What a signing key is derived for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) time: &'a Timestamp,
    /// Empty in version 4a, whose scope has none.
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

impl Scope<'_> {
    /// The date of the scope: `20150830`.
    pub(crate) fn date(&self) -> &[u8] {
        &self.time.text[..8]
    }

    /// `20150830/us-east-1/service/aws4_request`, or `20150830/service/aws4_request`.
    pub(crate) fn text(&self) -> Vec<u8> {
        let service = self.service.as_bytes();
        match self.region.as_bytes() {
            b"" => [self.date(), service, b"aws4_request"].join(&b'/'),
            region => [self.date(), region, service, b"aws4_request"].join(&b'/'),
        }
    }

    /// The days since 1970 of that date.
    pub(crate) fn day(&self) -> u64 {
        self.time.seconds / (24 * 60 * 60)
    }
}

pub(crate) fn check_scope_part(what: &str, value: &str, example: &str) -> Result<(), Error> {
    if is_scope_part(value) {
        return Ok(());
    }
    Err(Error::config(format!(
        "{what} {value:?} is not a part of a credential scope; give a name such as {example:?}"
    )))
}

pub(super) fn is_scope_part(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_sigv4_wants_it() {
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
    fn what_is_no_time_is_not_read() {
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
    fn http_dates_are_read_in_one_form() {
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
    fn a_clock_that_cannot_be_right_is_an_error() {
        for time in [
            UNIX_EPOCH - Duration::from_nanos(1),
            UNIX_EPOCH + Duration::from_secs(253_402_300_800),
        ] {
            assert!(Timestamp::new(time).is_err());
        }
    }
}
