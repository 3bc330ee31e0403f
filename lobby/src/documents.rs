//! Documents of the live state as values: JSON, changed by compare-and-swap, so that any lobby may
//! change any of them.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::live::{Error, Key, Live, Written};

/// Tries of one change at most. Of those that change a document at once one succeeds each time, so
/// that this many may do it.
const TRIES: usize = 64;

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<Value> {
    /// It stays as it is, and as long as it would.
    Same,
    /// It is this from now on.
    Write(Value),
    /// It is gone.
    Remove,
}

/// A document and its version; the version is 0 when there is none.
pub async fn read<Value: DeserializeOwned>(
    live: &dyn Live,
    key: &Key,
) -> Result<(Option<Value>, u64), Error> {
    let Some(document) = live.read(key).await? else {
        return Ok((None, 0));
    };
    let value = serde_json::from_slice(&document.value)
        .map_err(|error| Error(format!("{key} makes no sense: {error}")))?;
    Ok((Some(value), document.version))
}

/// Changes a document to what `decide` makes of it, however often it takes: `decide` sees each
/// version that others were faster with.
pub async fn change<Value, Told, Refusal>(
    live: &dyn Live,
    key: &Key,
    keep: Duration,
    mut decide: impl FnMut(Option<Value>) -> Result<(Next<Value>, Told), Refusal>,
) -> Result<Told, Refusal>
where
    Value: Serialize + DeserializeOwned,
    Refusal: From<Error>,
{
    for _ in 0..TRIES {
        let (value, version) = read(live, key).await?;
        let (next, told) = decide(value)?;
        let is_done = match next {
            Next::Same => true,
            Next::Write(value) => {
                let bytes = encode(key, &value)?;
                let written = live.write(key, version, &bytes, keep).await?;
                matches!(written, Written::Version(_))
            }
            Next::Remove => version == 0 || live.remove(key, version).await?,
        };
        if is_done {
            return Ok(told);
        }
    }
    Err(Error(format!("{key} changes too fast")).into())
}

/// Writes a document over whatever is there.
pub async fn put<Value: Serialize>(
    live: &dyn Live,
    key: &Key,
    value: &Value,
    keep: Duration,
) -> Result<(), Error> {
    let bytes = encode(key, value)?;
    let mut version = 0;
    for _ in 0..TRIES {
        match live.write(key, version, &bytes, keep).await? {
            Written::Version(_) => return Ok(()),
            Written::Conflict(newer) => version = newer,
        }
    }
    Err(Error(format!("{key} changes too fast")))
}

fn encode<Value: Serialize>(key: &Key, value: &Value) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error(format!("{key} cannot be written: {error}")))
}
