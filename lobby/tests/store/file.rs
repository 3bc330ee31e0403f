//! A file that outlives its process.

use lobby::store::sqlite::Sqlite;
use lobby::store::{Committed, Error, Store as _};

use crate::cases;

#[tokio::test]
async fn a_file_keeps_what_was_acknowledged() {
    let folder = std::env::temp_dir().join(format!("muster-lobby-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("lobby.db");
    let store = Sqlite::open(&path).await.unwrap();
    let [one, two] = cases::players();
    let made = cases::committed(&store, &[&[one], &[two]]).await;
    let said = store
        .add_line("room", one, "hi", cases::at(0))
        .await
        .unwrap();
    // As a crash leaves it: nothing of the log was moved into the file.
    let crashed = folder.join("crashed.db");
    for suffix in ["", "-wal"] {
        let from = folder.join(format!("lobby.db{suffix}"));
        std::fs::copy(from, folder.join(format!("crashed.db{suffix}"))).unwrap();
    }
    store.close().await;
    for path in [&crashed, &path] {
        let store = Sqlite::open(path).await.unwrap();
        assert_eq!(store.commit(&made).await.unwrap(), Committed::Known);
        let lines = store.lines("room", None, 9).await.unwrap();
        assert_eq!(lines, std::slice::from_ref(&said));
        store.close().await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let error = Sqlite::open(&path).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}
