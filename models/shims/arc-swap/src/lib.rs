//! The part of arc-swap that the library uses, implemented with a lock. Shuttle can switch threads around each step.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use shuttle::thread::yield_now;

/// An `Arc` or an optional one.
pub trait RefCnt: Clone {
    fn ptr_eq(&self, other: &Self) -> bool;
}

impl<T> RefCnt for Arc<T> {
    fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}

impl<T> RefCnt for Option<Arc<T>> {
    fn ptr_eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

#[derive(Default)]
pub struct ArcSwapAny<T>(Mutex<T>);

pub type ArcSwap<T> = ArcSwapAny<Arc<T>>;
pub type ArcSwapOption<T> = ArcSwapAny<Option<Arc<T>>>;

pub struct Guard<T>(T);

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> ArcSwapAny<Arc<T>> {
    pub fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }
}

impl<T> ArcSwapAny<Option<Arc<T>>> {
    pub fn empty() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: RefCnt> ArcSwapAny<T> {
    /// Runs an atomic step.
    fn step<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        yield_now();
        let result = f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        yield_now();
        result
    }

    pub fn load(&self) -> Guard<T> {
        Guard(self.load_full())
    }

    pub fn load_full(&self) -> T {
        self.step(|current_value| current_value.clone())
    }

    pub fn store(&self, new: T) {
        self.step(|current_value| *current_value = new);
    }

    pub fn compare_and_swap(&self, current: &T, new: T) -> Guard<T> {
        self.step(|current_value| {
            let previous = current_value.clone();
            if current_value.ptr_eq(current) {
                *current_value = new;
            }
            Guard(previous)
        })
    }

    pub fn rcu<R: Into<T>>(&self, mut f: impl FnMut(&T) -> R) -> T {
        loop {
            let current_value = self.load_full();
            let new = f(&current_value).into();
            if self
                .compare_and_swap(&current_value, new)
                .ptr_eq(&current_value)
            {
                return current_value;
            }
        }
    }
}
