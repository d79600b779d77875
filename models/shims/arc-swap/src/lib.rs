//! As much of arc-swap as the library uses, over a lock: another thread may go on before and after each step.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use shuttle::thread::yield_now;

/// What is held: an `Arc`, or maybe one.
pub trait RefCnt: Clone {
    fn is(&self, other: &Self) -> bool;
}

impl<T> RefCnt for Arc<T> {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}

impl<T> RefCnt for Option<Arc<T>> {
    fn is(&self, other: &Self) -> bool {
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
    /// One step: no other thread sees a part of it.
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
        self.step(|held| held.clone())
    }

    pub fn store(&self, new: T) {
        self.step(|held| *held = new);
    }

    pub fn compare_and_swap(&self, current: &T, new: T) -> Guard<T> {
        self.step(|held| {
            let previous = held.clone();
            if held.is(current) {
                *held = new;
            }
            Guard(previous)
        })
    }

    pub fn rcu<R: Into<T>>(&self, mut f: impl FnMut(&T) -> R) -> T {
        loop {
            let held = self.load_full();
            let new = f(&held).into();
            if self.compare_and_swap(&held, new).is(&held) {
                return held;
            }
        }
    }
}
