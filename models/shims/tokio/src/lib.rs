//! Tokio for shuttle: tasks are those of shuttle, which can switch threads around each step of a channel or lock. Timers
//! need an entered runtime, and never fire.

pub use real::{task, time};

pub mod runtime {
    use std::{
        future::poll_fn,
        mem,
        panic::{AssertUnwindSafe, catch_unwind},
        pin::pin,
        task::Poll,
    };

    pub use real::runtime::{Builder, TryCurrentError};
    use real::task::JoinHandle;

    #[derive(Clone, Debug)]
    pub struct Handle(());

    impl Handle {
        pub fn try_current() -> Result<Self, TryCurrentError> {
            real::runtime::Handle::try_current().map(|_| Self(()))
        }

        /// As in tokio, a panic only ends its task.
        pub fn spawn<F>(&self, future: F)
        where
            F: Future<Output: Send> + Send + 'static,
        {
            let task = shuttle::future::spawn(async move {
                let mut future = pin!(future);
                poll_fn(
                    |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                        Ok(poll) => poll.map(drop),
                        Err(_panic) => Poll::Ready(()),
                    },
                )
                .await;
            });
            // Shuttle drops detached tasks at the end of the model, and completes others.
            mem::forget(task);
        }

        /// Not called, since no model uses files.
        pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
        where
            F: FnOnce() -> R + Send + 'static,
            R: Send + 'static,
        {
            real::task::spawn_blocking(f)
        }
    }
}

pub mod sync {
    pub use real::sync::*;

    pub mod watch {
        pub use real::sync::watch::{Ref, error};
        use shuttle::thread::yield_now;

        #[derive(Debug)]
        pub struct Sender<T>(Option<real::sync::watch::Sender<T>>);

        #[derive(Clone, Debug)]
        pub struct Receiver<T>(real::sync::watch::Receiver<T>);

        pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
            let (sender, receiver) = real::sync::watch::channel(value);
            (Sender(Some(sender)), Receiver(receiver))
        }

        impl<T> Sender<T> {
            pub fn send_replace(&self, value: T) -> T {
                yield_now();
                let previous = self.0.as_ref().expect("not dropped").send_replace(value);
                yield_now();
                previous
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                if !std::thread::panicking() {
                    yield_now();
                }
                self.0 = None;
            }
        }

        impl<T> Receiver<T> {
            pub fn has_changed(&self) -> Result<bool, error::RecvError> {
                yield_now();
                self.0.has_changed()
            }

            /// Callers must not yield while they hold the reference, which locks the value.
            pub fn borrow(&self) -> Ref<'_, T> {
                yield_now();
                self.0.borrow()
            }

            pub async fn wait_for(
                &mut self,
                is_enough: impl FnMut(&T) -> bool,
            ) -> Result<Ref<'_, T>, error::RecvError> {
                yield_now();
                self.0.wait_for(is_enough).await
            }
        }
    }
}
