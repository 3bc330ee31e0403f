//! Reading that waits, or is long: each over a connection of its own, so that it holds up nobody
//! else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{FromRedisValue, Pipeline, RedisResult};
use storage::valkey::Nodes;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::side::Side;
use crate::live::Error;

/// How many read at once: queues that one lobby owns, and more.
const READERS: usize = 256;

/// Connections for reading.
pub(super) struct Readers {
    at_once: Semaphore,
    /// Those that nobody reads from, and to where they lead.
    idle: Mutex<Vec<(Arc<Nodes>, Side)>>,
}

impl Readers {
    pub(super) fn new() -> Self {
        Self {
            at_once: Semaphore::new(READERS),
            idle: Mutex::new(Vec::new()),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Arc<Nodes>, Side)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does commands of one slot within a limit.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        nodes: &watch::Sender<Arc<Nodes>>,
        commands: &Pipeline,
        limit: Duration,
    ) -> Result<T, Error> {
        let _permit = self
            .at_once
            .try_acquire()
            .map_err(|_| Error("too many wait at once".to_owned()))?;
        match timeout(limit, self.read_by_any(nodes, commands)).await {
            Ok(Ok(answer)) => Ok(answer),
            failure => {
                // Others broke with it, perhaps.
                self.idle().clear();
                Err(Error(match failure {
                    Ok(Err(error)) => error.to_string(),
                    _ => "no answer in time".to_owned(),
                }))
            }
        }
    }

    async fn read_by_any<T: FromRedisValue>(
        &self,
        nodes: &watch::Sender<Arc<Nodes>>,
        commands: &Pipeline,
    ) -> RedisResult<T> {
        let current = Arc::clone(&nodes.borrow());
        let idle = {
            let mut idle = self.idle();
            idle.retain(|(leads_to, _)| Arc::ptr_eq(leads_to, &current));
            idle.pop()
        };
        let mut side = match idle {
            Some((_, side)) => side,
            None => Side::open(&current, None).await?,
        };
        let answer = side.execute_all(commands).await?;
        // One that is dropped before, because nobody waits any more, still waits for the server.
        self.idle().push((current, side));
        Ok(answer)
    }
}
