//! How many operations at once a storage bears, and whose turn it is.
//!
//! Waiting lanes (projects) are served round-robin by bytes: the one that was given the least goes
//! first, so that a project with a million files does not keep another from its ten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// A bounded number of slots, shared fairly by lanes.
#[derive(Debug, Clone)]
pub(crate) struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    served: HashMap<u64, u64>,
    waiting: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    lane: u64,
    bytes: u64,
    call: oneshot::Sender<Slot>,
}

/// One taken slot; free again when dropped.
#[derive(Debug)]
pub struct Slot {
    shared: Arc<Mutex<State>>,
    lane: u64,
    bytes: u64,
}

impl Slot {
    /// Gives back a slot that was not used: its lane was not served by it.
    pub fn unused(self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).unserve(self.lane, self.bytes);
    }
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Slots(Arc::new(Mutex::new(State {
            free: count.max(1),
            served: HashMap::new(),
            waiting: Vec::new(),
        })))
    }

    /// Waits for a slot for work of so many bytes.
    pub(crate) async fn take(&self, lane: u64, bytes: u64) -> Slot {
        if let Some(slot) = self.try_take(lane, bytes) {
            return slot;
        }
        let called = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.free > 0 && state.waiting.is_empty() {
                // Freed in between.
                return self.grant(&mut state, lane, bytes);
            }
            let (call, called) = oneshot::channel();
            state.waiting.push(Waiter { lane, bytes, call });
            called
        };
        match called.await {
            Ok(slot) => slot,
            // Not reached: a waiter leaves the queue only by being called.
            Err(_) => std::future::pending().await,
        }
    }

    /// A slot for work of so many bytes, if one is free and nobody waits for it.
    pub(crate) fn try_take(&self, lane: u64, bytes: u64) -> Option<Slot> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.free > 0 && state.waiting.is_empty()).then(|| self.grant(&mut state, lane, bytes))
    }

    fn grant(&self, state: &mut State, lane: u64, bytes: u64) -> Slot {
        state.free -= 1;
        state.serve(lane, bytes);
        Slot { shared: self.0.clone(), lane, bytes }
    }
}

/// A file costs more than its bytes.
fn cost(bytes: u64) -> u64 {
    bytes.saturating_add(64 << 10)
}

impl State {
    fn serve(&mut self, lane: u64, bytes: u64) {
        // A lane that was idle starts level with the others, not with a claim on the past.
        let floor = self.served.values().copied().min().unwrap_or(0);
        let served = self.served.entry(lane).or_insert(floor);
        *served = served.saturating_add(cost(bytes));
        if self.served.len() > 10_000 {
            self.served.clear();
        }
    }

    fn unserve(&mut self, lane: u64, bytes: u64) {
        if let Some(served) = self.served.get_mut(&lane) {
            *served = served.saturating_sub(cost(bytes));
        }
    }

    fn next(&mut self) -> Option<Waiter> {
        let at = (0..self.waiting.len())
            .min_by_key(|&i| self.served.get(&self.waiting[i].lane).copied().unwrap_or(0))?;
        Some(self.waiting.remove(at))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(waiter) = state.next() {
            let Waiter { lane, bytes, call } = waiter;
            state.serve(lane, bytes);
            let shared = self.shared.clone();
            drop(state);
            match call.send(Slot { shared, lane, bytes }) {
                Ok(()) => return,
                // It no longer waits. Its slot must not come back through here.
                Err(slot) => std::mem::forget(slot),
            }
            state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        }
        state.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_lane_that_was_given_least_goes_first() {
        let slots = Slots::new(1);
        let first = slots.take(1, 1 << 30).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [(1, 1), (1, 1), (2, 1)]
            .into_iter()
            .map(|(lane, bytes)| {
                let (slots, order) = (slots.clone(), order.clone());
                tokio::spawn(async move {
                    let _slot = slots.take(lane, bytes).await;
                    order.lock().unwrap().push(lane);
                })
            })
            .collect();
        while slots.0.lock().unwrap().waiting.len() < 3 {
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [2, 1, 1]);
    }

    #[tokio::test]
    async fn a_waiter_that_gave_up_loses_no_slot() {
        let slots = Slots::new(1);
        let held = slots.take(1, 0).await;
        {
            let waiting = slots.take(1, 0);
            tokio::pin!(waiting);
            tokio::select! {
                biased;
                _ = &mut waiting => unreachable!("the slot is taken"),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(held);
        let _again = slots.take(1, 0).await;
        assert_eq!(slots.0.lock().unwrap().free, 0);
    }
}
