//! Tokio, but that another thread may go on before a lock is asked for, and after it was given back.

pub use real::{runtime, task, time};

pub mod sync {
    use std::ops::{Deref, DerefMut};

    pub use real::sync::*;
    use shuttle::thread::yield_now;

    #[derive(Debug, Default)]
    pub struct Mutex<T>(real::sync::Mutex<T>);

    pub struct MutexGuard<'a, T>(Option<real::sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(real::sync::Mutex::new(value))
        }

        pub async fn lock(&self) -> MutexGuard<'_, T> {
            yield_now();
            MutexGuard(Some(self.0.lock().await))
        }

        pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
            yield_now();
            self.0.try_lock().map(|guard| MutexGuard(Some(guard)))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("held until it is dropped")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("held until it is dropped")
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            self.0 = None;
            if !std::thread::panicking() {
                yield_now();
            }
        }
    }
}
