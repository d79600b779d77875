//! Result of the last request to an origin.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use http::Response;
use tower::timeout::error::Elapsed;

use crate::{BoxError, response, upstream};

const TIMED_OUT: u16 = 1;
const UNREACHED: u16 = 2;
const BROKE_OFF: u16 = 3;

/// The lower 16 bits hold the status or one of the codes above; the upper bits hold the second since the epoch.
#[derive(Default)]
pub(crate) struct LastResponse(AtomicU64);

impl LastResponse {
    pub(crate) fn record<B>(&self, result: &Result<Response<B>, BoxError>) {
        let code = match result {
            Ok(response) => response.status().as_u16(),
            Err(error) if error.is::<Elapsed>() => TIMED_OUT,
            Err(error) if upstream::is_unreached(error) => UNREACHED,
            Err(error) if response::is_body_error(&**error) => return, // the client's fault
            Err(_) => BROKE_OFF,
        };
        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let packed = second << 16 | u64::from(code);
        // Storing an equal value would needlessly invalidate the cache line of the other processors.
        if self.0.load(Ordering::Relaxed) != packed {
            self.0.store(packed, Ordering::Relaxed);
        }
    }

    /// Returns the second since the epoch with the status or the error; `None` before the first response.
    pub(crate) fn get(&self) -> Option<(u64, Result<u16, &'static str>)> {
        let packed = self.0.load(Ordering::Relaxed);
        let result = match (packed & 0xffff) as u16 {
            0 => return None,
            TIMED_OUT => Err("timed out"),
            UNREACHED => Err("no connection"),
            BROKE_OFF => Err("connection broken"),
            status => Ok(status),
        };
        Some((packed >> 16, result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_result_is_stored() {
        let last = LastResponse::default();
        assert_eq!(last.get(), None);
        let response = Response::builder().status(503).body(());
        last.record(&Ok(response.expect("valid response")));
        assert_eq!(last.get().map(|(_, result)| result), Some(Ok(503)));
        last.record::<()>(&Err(Elapsed::new().into()));
        let (second, result) = last.get().expect("a result");
        assert_eq!(result, Err("timed out"));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("time after the epoch")
            .as_secs();
        assert!(now - second < 60);
        last.record::<()>(&Err("reset".into()));
        assert_eq!(
            last.get().map(|(_, result)| result),
            Some(Err("connection broken"))
        );
    }
}
