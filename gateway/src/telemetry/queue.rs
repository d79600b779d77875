//! Finished spans that wait for their export.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::span::FinishedSpan;

/// Maximum number of queued spans, of about 1 KiB.
const MAX_QUEUED: usize = 4096;
/// Spans of a request to the collector.
const MAX_BATCH: usize = 512;

/// A channel would wake its receiver for each span, which costs more than the span.
#[derive(Default)]
pub(super) struct SpanQueue {
    spans: Mutex<VecDeque<FinishedSpan>>,
    has_batch: Notify,
}

impl SpanQueue {
    /// Returns `false` if the queue is full.
    pub(super) fn push(&self, span: FinishedSpan) -> bool {
        let mut spans = self.spans();
        if spans.len() == MAX_QUEUED {
            return false;
        }
        spans.push_back(span);
        let has_batch = spans.len() >= MAX_BATCH;
        drop(spans);
        if has_batch {
            self.has_batch.notify_one();
        }
        true
    }

    /// Returns the oldest spans, at most a batch.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    pub(super) fn take_batch(&self) -> Vec<FinishedSpan> {
        let mut spans = self.spans();
        let count = spans.len().min(MAX_BATCH);
        spans.drain(..count).collect()
    }

    /// Waits until a batch is complete.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    pub(super) async fn batch_completed(&self) {
        self.has_batch.notified().await;
    }

    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    pub(super) fn len(&self) -> usize {
        self.spans().len()
    }

    fn spans(&self) -> MutexGuard<'_, VecDeque<FinishedSpan>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
