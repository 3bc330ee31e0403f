//! Names of objects that a controller shall look at.
//!
//! A name waits at most once, so the queue is bounded by the number of objects.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use tokio::sync::Notify;

/// A queue without repetitions.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    added: Notify,
}

#[derive(Debug)]
struct Waiting<T> {
    order: VecDeque<T>,
    present: std::collections::HashSet<T>,
}

impl<T: Clone + Eq + Hash + Send + 'static> Queue<T> {
    pub(crate) fn new() -> Arc<Self> {
        let waiting = Waiting {
            order: VecDeque::new(),
            present: std::collections::HashSet::new(),
        };
        Arc::new(Self {
            waiting: Mutex::new(waiting),
            added: Notify::new(),
        })
    }

    /// Adds an item unless it waits already.
    pub(crate) fn push(&self, item: T) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.present.insert(item.clone()) {
            waiting.order.push_back(item);
            drop(waiting);
            self.added.notify_one();
        }
    }

    fn pop(&self) -> Option<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let item = waiting.order.pop_front()?;
        waiting.present.remove(&item);
        Some(item)
    }

    /// The items as they come; there is one reader at a time.
    pub(crate) fn stream(self: &Arc<Self>) -> impl Stream<Item = T> + Send + use<T> {
        futures::stream::unfold(Arc::clone(self), |queue| async move {
            loop {
                // A push between these two lines leaves a permit, so that none is missed.
                if let Some(item) = queue.pop() {
                    return Some((item, queue));
                }
                queue.added.notified().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::Queue;

    #[tokio::test]
    async fn an_item_waits_once_and_can_come_again() {
        let queue = Queue::new();
        queue.push(1);
        queue.push(2);
        queue.push(1);
        let mut stream = Box::pin(queue.stream());
        assert_eq!(stream.next().await, Some(1));
        queue.push(1);
        assert_eq!(stream.next().await, Some(2));
        assert_eq!(stream.next().await, Some(1));
        assert_eq!(queue.pop(), None);
    }
}
