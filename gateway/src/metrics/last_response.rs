//! How an origin answered last.

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

/// In the lower 16 bits the status, or what went wrong in the place of one; above them the second.
#[derive(Default)]
pub(crate) struct Last(AtomicU64);

impl Last {
    pub(crate) fn note<B>(&self, answer: &Result<Response<B>, BoxError>) {
        let what = match answer {
            Ok(answer) => answer.status().as_u16(),
            Err(error) if error.is::<Elapsed>() => TIMED_OUT,
            Err(error) if upstream::is_unreached(error) => UNREACHED,
            Err(error) if response::is_of_body(&**error) => return, // it says nothing of the origin
            Err(_) => BROKE_OFF,
        };
        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let last = second << 16 | u64::from(what);
        // One that says the same is left in the caches of the other processors.
        if self.0.load(Ordering::Relaxed) != last {
            self.0.store(last, Ordering::Relaxed);
        }
    }

    /// The second since the epoch, and what came; `None` if it was not asked yet.
    pub(crate) fn read(&self) -> Option<(u64, Result<u16, &'static str>)> {
        let last = self.0.load(Ordering::Relaxed);
        let what = match (last & 0xffff) as u16 {
            0 => return None,
            TIMED_OUT => Err("did not answer in time"),
            UNREACHED => Err("no connection"),
            BROKE_OFF => Err("the exchange broke off"),
            status => Ok(status),
        };
        Some((last >> 16, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_is_kept() {
        let last = Last::default();
        assert_eq!(last.read(), None);
        let answer = Response::builder().status(503).body(()).expect("an answer");
        last.note(&Ok(answer));
        assert_eq!(last.read().map(|(_, what)| what), Some(Ok(503)));
        last.note::<()>(&Err(Elapsed::new().into()));
        let (second, what) = last.read().expect("noted");
        assert_eq!(what, Err("did not answer in time"));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after it")
            .as_secs();
        assert!(now - second < 60);
        last.note::<()>(&Err("reset".into()));
        assert_eq!(
            last.read().map(|(_, what)| what),
            Some(Err("the exchange broke off"))
        );
    }
}
