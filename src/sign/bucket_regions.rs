//! Regions of buckets that are not in the region of their origin.
//!
//! A redirect is a claim. The request that received it is sent to the region once. Other requests follow only after S3
//! accepted a request there, or, if the redirected one could not be sent again, one of them tries.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

use crate::origin::BucketHome;

/// The regions of at most [`MAX_BUCKETS`] buckets.
#[derive(Default)]
pub(super) struct BucketRegions(ArcSwap<HashMap<Arc<str>, Known>>);

#[derive(Clone)]
struct Known {
    region: Arc<str>,
    is_accepted: bool,
    /// Order of the entries, to drop the oldest.
    serial: u64,
}

/// The oldest entry is dropped first; S3 redirects its next request again.
const MAX_BUCKETS: usize = 256;

impl BucketRegions {
    /// Returns the region for a request. A region that no request has used is returned once.
    pub(super) fn take(&self, home: &BucketHome) -> Option<Arc<str>> {
        let known = self.0.load().get(home.key())?.clone();
        if !known.is_accepted {
            self.forget(home);
        }
        Some(known.region)
    }

    /// Keeps the region of an accepted request.
    pub(super) fn accept(&self, home: &BucketHome, region: &str) {
        self.keep(home, region, true);
    }

    /// Keeps the region for one request, since the one that was redirected cannot be sent again.
    pub(super) fn suggest(&self, home: &BucketHome, region: &str) {
        self.keep(home, region, false);
    }

    /// Drops the region of a bucket that has moved, or of a wrong redirect.
    pub(super) fn forget(&self, home: &BucketHome) {
        if self.0.load().contains_key(home.key()) {
            self.0.rcu(|current| {
                let mut entries = HashMap::clone(current);
                entries.remove(home.key());
                entries
            });
        }
    }

    fn keep(&self, home: &BucketHome, region: &str, is_accepted: bool) {
        let is_kept = |known: &Known| *known.region == *region && known.is_accepted >= is_accepted;
        if self.0.load().get(home.key()).is_some_and(is_kept) {
            return;
        }
        self.0.rcu(|current| {
            let mut entries = HashMap::clone(current);
            entries.remove(home.key());
            if entries.len() >= MAX_BUCKETS {
                let oldest = entries.iter().min_by_key(|(_, known)| known.serial);
                if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                    entries.remove(&key);
                }
            }
            let serial = entries.values().map(|known| known.serial + 1).max();
            let known = Known {
                region: region.into(),
                is_accepted,
                serial: serial.unwrap_or_default(),
            };
            entries.insert(home.key().clone(), known);
            entries
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    fn home(bucket: &str) -> BucketHome {
        let origin = Origin::infer("https://s3.us-east-1.amazonaws.com").expect("S3");
        BucketHome::new(&origin, &format!("/{bucket}/key")).expect("a bucket")
    }

    #[test]
    fn regions_are_kept_after_one_request_was_accepted() {
        let regions = BucketRegions::default();
        let bucket = home("bucket");
        regions.suggest(&bucket, "eu-west-1");
        assert_eq!(regions.take(&bucket).as_deref(), Some("eu-west-1"));
        assert_eq!(regions.take(&bucket), None, "one request tries it");
        regions.accept(&bucket, "eu-west-1");
        regions.suggest(&bucket, "eu-west-1");
        for _ in 0..2 {
            assert_eq!(regions.take(&bucket).as_deref(), Some("eu-west-1"));
        }
        assert_eq!(regions.take(&home("other")), None);
        regions.forget(&bucket);
        assert_eq!(regions.take(&bucket), None);
    }

    #[test]
    fn the_oldest_bucket_is_dropped_first() {
        let regions = BucketRegions::default();
        for number in 0..=MAX_BUCKETS {
            regions.accept(&home(&format!("bucket{number}")), "eu-west-1");
        }
        assert_eq!(regions.0.load().len(), MAX_BUCKETS);
        assert_eq!(regions.take(&home("bucket0")), None);
        assert!(regions.take(&home("bucket1")).is_some());
    }
}
