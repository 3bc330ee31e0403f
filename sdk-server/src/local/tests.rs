use super::*;
use crate::tests::TestFile;

fn local(object: Option<GameServer>) -> Arc<Local> {
    Arc::new(Local::new(
        &LocalConfig::default(),
        object,
        1_700_000_000,
        CancellationToken::new(),
    ))
}

async fn state(watch: &mut Watch) -> String {
    watch.next().await.unwrap().status.clone().unwrap().state
}

#[tokio::test(start_paused = true)]
async fn a_reservation_returns_to_ready_in_its_time() {
    let local = local(None);
    let background = tokio::spawn({
        let local = Arc::clone(&local);
        async move { local.watch_reservation().await }
    });
    let mut watch = local.watch().unwrap();
    assert_eq!(state(&mut watch).await, "Ready");
    local.call(Call::Reserve { seconds: 30 }).await.unwrap();
    assert_eq!(state(&mut watch).await, "Reserved");
    assert_eq!(state(&mut watch).await, "Ready");

    local.call(Call::Reserve { seconds: 30 }).await.unwrap();
    local.call(Call::Allocate).await.unwrap();
    tokio::time::advance(Duration::from_mins(1)).await;
    local
        .call(Call::SetLabel {
            key: "map".into(),
            value: "a".into(),
        })
        .await
        .unwrap();
    assert_eq!(state(&mut watch).await, "Allocated");
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_replaces_the_object_and_a_broken_one_does_not() {
    let file = TestFile::new("{status: {state: Scheduled, address: 10.0.0.1}}");
    let seen = file::version(&file.0);
    let local = local(Some(file::load(&file.0, 5).unwrap()));
    let background = tokio::spawn({
        let (local, path) = (Arc::clone(&local), file.0.clone());
        async move { file::watch(&local, &path, seen, || 6).await }
    });
    let mut watch = local.watch().unwrap();
    assert_eq!(state(&mut watch).await, "Scheduled");
    file.write("status: [");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(
        local
            .game_server()
            .await
            .unwrap()
            .status
            .as_ref()
            .unwrap()
            .address,
        "10.0.0.1"
    );
    file.write("status:\n  state: Allocated\n");
    assert_eq!(state(&mut watch).await, "Allocated");
    background.abort();
}

#[tokio::test]
async fn in_a_conformance_test_the_uid_is_random() {
    let config = LocalConfig {
        expected: Some(vec!["ready".into()]),
        ..LocalConfig::default()
    };
    let uid = || {
        let local = Local::new(&config, None, 0, CancellationToken::new());
        let inner = local.inner();
        inner.object.object_meta.clone().unwrap().uid
    };
    assert_ne!(uid(), uid());
}
