//! Live state that can fail and lose everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lobby::ids::{MatchId, PlayerId, TicketId};
use lobby::live::memory::Memory;
use lobby::live::{
    Channel, Cursor, Delivery, Document, Error, Fence, Key, Live, Loaded, Owned, Pending,
    QueueNews, Withdrawn, Written,
};
use lobby::matchmaking::Ticket;
use tokio::sync::broadcast;
use uuid::Uuid;

/// Passes everything on to a memory that can be replaced.
#[derive(Debug)]
pub(crate) struct Frail {
    memory: Mutex<Arc<Memory>>,
    is_away: AtomicBool,
    deliveries: broadcast::Sender<Delivery>,
}

impl Default for Frail {
    fn default() -> Self {
        let frail = Self {
            memory: Mutex::default(),
            is_away: AtomicBool::new(false),
            deliveries: broadcast::Sender::new(4096),
        };
        frail.lose_everything();
        frail
    }
}

impl Frail {
    /// Comes back empty.
    pub(crate) fn lose_everything(&self) {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn memory(&self) -> Result<Arc<Memory>, Error> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error("away".to_owned()));
        }
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(&memory))
    }
}

#[async_trait]
impl Live for Frail {
    async fn ping(&self) -> Result<(), Error> {
        self.memory()?.ping().await
    }

    async fn read(&self, key: &Key) -> Result<Option<Document>, Error> {
        self.memory()?.read(key).await
    }

    async fn write(
        &self,
        key: &Key,
        expected: u64,
        value: &[u8],
        keep: Duration,
    ) -> Result<Written, Error> {
        self.memory()?.write(key, expected, value, keep).await
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        self.memory()?.remove(key, expected).await
    }

    async fn touch(&self, keys: &[Key], keep: Duration) -> Result<(), Error> {
        self.memory()?.touch(keys, keep).await
    }

    async fn throttle(
        &self,
        key: &Key,
        burst: u32,
        period: Duration,
    ) -> Result<Option<Duration>, Error> {
        self.memory()?.throttle(key, burst, period).await
    }

    async fn mark(&self, set: &str, member: &str, keep: Duration) -> Result<(), Error> {
        self.memory()?.mark(set, member, keep).await
    }

    async fn marked(&self, set: &str, limit: usize) -> Result<Vec<String>, Error> {
        self.memory()?.marked(set, limit).await
    }

    async fn lease(
        &self,
        name: &str,
        holder: Uuid,
        keep: Duration,
    ) -> Result<Option<Fence>, Error> {
        self.memory()?.lease(name, holder, keep).await
    }

    async fn release(&self, name: &str, holder: Uuid) -> Result<(), Error> {
        self.memory()?.release(name, holder).await
    }

    async fn own(&self, queue: &str, holder: Uuid, keep: Duration) -> Result<Option<Fence>, Error> {
        self.memory()?.own(queue, holder, keep).await
    }

    async fn disown(&self, queue: &str, holder: Uuid) -> Result<(), Error> {
        self.memory()?.disown(queue, holder).await
    }

    async fn enter(&self, queue: &str, ticket: &Ticket) -> Result<(), Error> {
        self.memory()?.enter(queue, ticket).await
    }

    async fn withdraw(&self, queue: &str, ticket: TicketId) -> Result<Withdrawn, Error> {
        self.memory()?.withdraw(queue, ticket).await
    }

    async fn answer(
        &self,
        queue: &str,
        id: MatchId,
        player: PlayerId,
        accepts: bool,
    ) -> Result<(), Error> {
        self.memory()?.answer(queue, id, player, accepts).await
    }

    async fn load(&self, queue: &str) -> Result<Loaded, Error> {
        self.memory()?.load(queue).await
    }

    async fn news(
        &self,
        queue: &str,
        cursor: &mut Cursor,
        limit: usize,
        patience: Duration,
    ) -> Result<Option<Vec<QueueNews>>, Error> {
        self.memory()?.news(queue, cursor, limit, patience).await
    }

    async fn propose(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error> {
        self.memory()?.propose(queue, fence, pending).await
    }

    async fn amend(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error> {
        self.memory()?.amend(queue, fence, pending).await
    }

    async fn settle(
        &self,
        queue: &str,
        fence: Fence,
        id: MatchId,
        back: &[TicketId],
    ) -> Result<Owned, Error> {
        self.memory()?.settle(queue, fence, id, back).await
    }

    async fn subscribe(&self, _: &Channel) -> Result<(), Error> {
        Ok(())
    }

    async fn unsubscribe(&self, _: &Channel) -> Result<(), Error> {
        Ok(())
    }

    /// Everybody hears everything.
    async fn publish(&self, channel: &Channel, bytes: &[u8]) -> Result<(), Error> {
        let delivery = Delivery::Message {
            channel: channel.clone(),
            bytes: bytes.into(),
        };
        self.deliveries.send(delivery).ok();
        Ok(())
    }

    fn deliveries(&self) -> broadcast::Receiver<Delivery> {
        self.deliveries.subscribe()
    }
}
