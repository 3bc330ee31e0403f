//! With a hub, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use proto::muster::hub::v1::state_change::State;
use proto::muster::hub::v1::{Change, StateChange};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::fake_hub::FakeHub;
use super::{TestFile, game_server};
use crate::backend::{Api, Call};
use crate::config::HubConfig;
use crate::remote::Remote;

/// An SDK server in a pod, without its front doors.
struct Pod {
    api: Api,
    remote: Arc<Remote>,
    closing: CancellationToken,
    background: JoinHandle<()>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.background.abort();
    }
}

/// The wall clock shows this when a pod starts, in seconds.
const EPOCH: i64 = 1_700_000_000;

impl Pod {
    fn start(hub: &FakeHub) -> Self {
        Self::start_with(hub, None)
    }

    fn start_with(hub: &FakeHub, token: Option<&TestFile>) -> Self {
        let config = HubConfig {
            pod_ips: Vec::new(),
            namespace: "games".into(),
            name: "gs-1".into(),
            address: "http://hub:9443".parse().unwrap(),
            token_file: token.map(|file| file.0.clone()),
            ca_file: None,
            health_port: 0,
        };
        let closing = CancellationToken::new();
        let started = Instant::now();
        let wall_clock =
            move || EPOCH * 1000 + i64::try_from(started.elapsed().as_millis()).unwrap();
        let remote = Arc::new(Remote::new(closing.clone(), Arc::new(wall_clock)));
        let dialer = hub.dialer();
        let background = tokio::spawn({
            let remote = Arc::clone(&remote);
            async move {
                tokio::join!(
                    crate::hub::run(&remote, &config, &dialer),
                    remote.watch_health(),
                    remote.watch_reservation(),
                    remote.watch_players()
                );
            }
        });
        Self {
            api: Api::new(Arc::clone(&remote) as _),
            remote,
            closing,
            background,
        }
    }

    /// Makes a call in a task of its own.
    fn call(&self, call: Call) -> JoinHandle<Result<(), Status>> {
        let api = self.api.clone();
        tokio::spawn(async move { api.call(call).await })
    }

    async fn state(&self) -> String {
        self.api
            .game_server()
            .await
            .unwrap()
            .status
            .clone()
            .unwrap()
            .state
    }
}

fn label(key: &str, value: &str) -> Call {
    Call::SetLabel {
        key: key.into(),
        value: value.into(),
    }
}

fn annotation(key: &str, value: &str) -> Call {
    Call::SetAnnotation {
        key: key.into(),
        value: value.into(),
    }
}

fn state(change: &Change) -> Option<State> {
    change.state.as_ref().map(StateChange::state)
}

#[tokio::test(start_paused = true)]
async fn a_call_returns_when_the_hub_has_committed_it() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let call = pod.call(Call::Ready);
    let change = link.change().await;
    assert_eq!(state(&change), Some(State::Ready));
    assert_eq!(change.state.unwrap().reason, "SDK state change");
    assert!(!call.is_finished());
    link.ack(change.id, Code::Ok, "").await;
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_hub_reaches_the_caller() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let call = pod.call(annotation("big", "x"));
    let change = link.change().await;
    link.ack(change.id, Code::InvalidArgument, "too much").await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "too much")
    );
}

#[tokio::test(start_paused = true)]
async fn while_the_hub_is_away_calls_are_answered_kept_and_replayed() {
    let mut hub = FakeHub::start();
    hub.set_away(true);
    let pod = Pod::start(&hub);
    for call in [
        Call::Ready,
        label("map", "a"),
        annotation("note", "x"),
        label("map", "b"),
        Call::Allocate,
        label("mode", "duel"),
        Call::Reserve { seconds: 30 },
    ] {
        pod.api.call(call).await.unwrap();
    }
    hub.set_away(false);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let change = link.change().await;
    assert_eq!(state(&change), Some(State::Reserved));
    assert_eq!(change.state.unwrap().reserve_seconds, 30);
    let labels: Vec<_> = change.labels.into_iter().collect();
    assert_eq!(
        labels,
        [("map".into(), "b".into()), ("mode".into(), "duel".into())]
    );
    assert_eq!(change.annotations["note"], "x");
    link.ack(change.id, Code::Ok, "").await;
    pod.remote.settled().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_hub_did_not_acknowledge_is_sent_again_and_what_came_since_follows() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let ready = pod.call(Call::Ready);
    let lost = link.change().await;
    hub.set_away(true);
    drop(link);
    ready.await.unwrap().unwrap();
    pod.api.call(Call::Shutdown).await.unwrap();
    hub.set_away(false);

    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let again = link.change().await;
    assert_eq!(again, lost);
    link.ack(again.id, Code::Ok, "").await;
    let next = link.change().await;
    assert_eq!(
        (next.id, state(&next)),
        (lost.id + 1, Some(State::Shutdown))
    );
    link.ack(next.id, Code::Ok, "").await;
    pod.remote.settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_cannot_commit_gets_the_change_again() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let ready = pod.call(Call::Ready);
    for id in 1..20 {
        let change = link.change().await;
        assert_eq!((change.id, state(&change)), (id, Some(State::Ready)));
        link.ack(change.id, Code::Unavailable, "API server is away")
            .await;
    }
    ready.await.unwrap().unwrap();
    let change = link.change().await;
    link.ack(change.id, Code::Ok, "").await;
    pod.remote.settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_tried_again_with_the_token_of_the_day() {
    let token = TestFile::new("first\n");
    let mut hub = FakeHub::start();
    let pod = Pod::start_with(&hub, Some(&token));
    let link = hub.accept().await;
    assert_eq!(link.token, "Bearer first");
    token.write("second");
    link.refuse(Status::unauthenticated("expired")).await;
    let link = hub.accept().await;
    assert_eq!(link.token, "Bearer second");
    link.refuse(Status::permission_denied("not yours")).await;
    hub.accept_with(game_server("Ready")).await;
    assert_eq!(pod.state().await, "Ready");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_sends_no_snapshot_is_left() {
    let mut hub = FakeHub::start();
    let _pod = Pod::start(&hub);
    let _silent = hub.accept().await;
    hub.accept().await;
}

#[tokio::test(start_paused = true)]
async fn silence_makes_unhealthy_once_and_then_states_are_dropped() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Ready")).await;
    assert!(pod.remote.probe());
    let change = link.change().await;
    assert_eq!(state(&change), Some(State::Unhealthy));
    assert_eq!(change.state.unwrap().reason, "Health check failure");
    assert!(!pod.remote.probe());
    link.ack(change.id, Code::Ok, "").await;

    pod.api.ping();
    assert!(pod.remote.probe());
    for call in [
        Call::Ready,
        Call::Allocate,
        Call::Reserve { seconds: 1 },
        Call::Shutdown,
    ] {
        pod.api.call(call).await.unwrap();
    }
    let call = pod.call(label("map", "a"));
    let next = link.change().await;
    assert_eq!((next.id, state(&next)), (change.id + 1, None));
    link.ack(next.id, Code::Ok, "").await;
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_keep_a_server_healthy_and_an_absent_hub_does_not_matter() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let link = hub.accept_with(game_server("Ready")).await;
    pod.remote.probe();
    hub.set_away(true);
    drop(link);
    for _ in 0..100 {
        tokio::time::advance(Duration::from_secs(3)).await;
        pod.api.ping();
        assert!(pod.remote.probe());
    }
    hub.set_away(false);
    hub.accept_with(game_server("Ready")).await;
    pod.remote.settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_reservation_survives_a_restart_of_the_sdk_server() {
    let mut hub = FakeHub::start();
    let first = Pod::start(&hub);
    let link = hub.accept().await;
    link.reserved(game_server("Reserved"), EPOCH + 30).await;
    assert_eq!(first.state().await, "Reserved");
    drop(first);

    let second = Pod::start(&hub);
    let mut link = hub.accept().await;
    link.reserved(game_server("Reserved"), EPOCH + 60).await;
    let change = link.change().await;
    assert_eq!(state(&change), Some(State::Ready));
    link.ack(change.id, Code::Ok, "").await;
    second.remote.settled().await;
}

#[tokio::test(start_paused = true)]
async fn another_state_ends_a_reservation() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept().await;
    link.reserved(game_server("Reserved"), EPOCH + 30).await;
    pod.state().await;
    let call = pod.call(Call::Allocate);
    let change = link.change().await;
    assert_eq!(state(&change), Some(State::Allocated));
    link.ack(change.id, Code::Ok, "").await;
    call.await.unwrap().unwrap();
    link.reserved(game_server("Allocated"), EPOCH + 30).await;
    tokio::time::advance(Duration::from_mins(1)).await;
    // The next change is this one: no Ready came before it.
    let _call = pod.call(label("map", "a"));
    assert_eq!(state(&link.change().await), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_begins_with_the_current_object_and_ends_with_the_process() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let link = hub.accept_with(game_server("Ready")).await;
    pod.state().await;
    let mut watch = pod.api.watch().unwrap();
    assert_eq!(
        watch.next().await.unwrap().status.as_ref().unwrap().state,
        "Ready"
    );
    link.snapshot(game_server("Allocated")).await;
    assert_eq!(
        watch.next().await.unwrap().status.as_ref().unwrap().state,
        "Allocated"
    );
    pod.closing.cancel();
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn watches_are_bounded() {
    let hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut watches = Vec::new();
    let refusal = loop {
        match pod.api.watch() {
            Ok(watch) => watches.push(watch),
            Err(status) => break status,
        }
    };
    assert_eq!(
        (watches.len(), refusal.code()),
        (64, Code::ResourceExhausted)
    );
    watches.pop();
    pod.api.watch().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_game_server_is_unavailable_after_a_bounded_wait() {
    let hub = FakeHub::start();
    hub.set_away(true);
    let pod = Pod::start(&hub);
    let status = pod.api.game_server().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status
            .message()
            .contains("has not reached the operator's hub"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn bad_input_never_reaches_the_hub() {
    let hub = FakeHub::start();
    let pod = Pod::start(&hub);
    for call in [
        label("a b", "c"),
        annotation("", "x"),
        Call::Reserve { seconds: -1 },
    ] {
        assert_eq!(
            pod.api.call(call).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
    pod.remote.settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_game_gets_its_key_before_ready_and_the_boot_id_goes_with_ready() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let api = pod.api.clone();
    let asking = tokio::spawn(async move { api.connect_key().await });
    let boot_id = link.give_key([9; 32]).await;
    let given = asking.await.unwrap().unwrap();
    assert_eq!(given.boot_id, boot_id);
    assert_eq!(
        (given.keys[0].version, &given.keys[0].key),
        (7, &vec![9; 32])
    );
    pod.remote.settled().await;

    let ready = pod.call(Call::Ready);
    let change = link.change().await;
    assert_eq!(state(&change), Some(State::Ready));
    assert_eq!((change.boot_id, change.key_version), (Some(boot_id), 7));
    link.ack(change.id, Code::Ok, "").await;
    ready.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_call_for_a_key_begins_another_life_and_the_hub_commits_it_first() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Ready")).await;
    let mut lives = Vec::new();
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(5)).await;
        let api = pod.api.clone();
        let asking = tokio::spawn(async move { api.connect_key().await });
        let boot_id = link.give_key([9; 32]).await;
        let change = link.change().await;
        assert_eq!(change.boot_id.as_ref(), Some(&boot_id));
        assert!(!asking.is_finished());
        link.ack(change.id, Code::Ok, "").await;
        lives.push(asking.await.unwrap().unwrap().boot_id);
    }
    assert_ne!(lives[0], lives[1]);
}

#[tokio::test(start_paused = true)]
async fn once_ready_lives_begin_seconds_apart_and_before_at_will() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    pod.state().await;
    let ask = || {
        let api = pod.api.clone();
        tokio::spawn(async move { api.connect_key().await })
    };
    // A process that fails before it is Ready may be started again at once.
    for _ in 0..3 {
        let asking = ask();
        link.give_key([9; 32]).await;
        asking.await.unwrap().unwrap();
    }
    let mut ready = game_server("Ready");
    ready.object_meta.get_or_insert_default().resource_version = "2".into();
    link.snapshot(ready).await;
    let change = link.change().await;
    link.ack(change.id, Code::Ok, "").await;
    pod.remote.settled().await;

    // The first one after Ready, those that come too early, and the next one.
    for too_early in [3, 0] {
        let asking = ask();
        link.give_key([9; 32]).await;
        let change = link.change().await;
        link.ack(change.id, Code::Ok, "").await;
        asking.await.unwrap().unwrap();
        for _ in 0..too_early {
            let refused = ask().await.unwrap().unwrap_err();
            assert_eq!(refused.code(), Code::ResourceExhausted);
            assert!(refused.message().contains("once per process"), "{refused}");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        tokio::time::advance(Duration::from_secs(5 - too_early)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_request_is_sent_again_after_a_reconnect_and_ends_without_a_hub() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let link = hub.accept_with(game_server("Scheduled")).await;
    let api = pod.api.clone();
    let asking = tokio::spawn(async move { api.connect_key().await });
    drop(link);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let boot_id = link.give_key([9; 32]).await;
    assert_eq!(asking.await.unwrap().unwrap().boot_id, boot_id);

    hub.set_away(true);
    drop(link);
    let status = pod.api.connect_key().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn of_two_calls_for_a_key_the_later_one_counts() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Scheduled")).await;
    let ask = || {
        let api = pod.api.clone();
        tokio::spawn(async move { api.connect_key().await })
    };
    let first = ask();
    let second = ask();
    assert_eq!(first.await.unwrap().unwrap_err().code(), Code::Aborted);
    let boot_id = link.give_key([9; 32]).await;
    assert_eq!(second.await.unwrap().unwrap().boot_id, boot_id);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_match_begins_with_what_is_and_skips_what_does_not_change_it() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let link = hub.accept_with(game_server("Ready")).await;
    pod.state().await;
    let mut watch = pod.api.watch_match().unwrap();
    assert_eq!(watch.next().await.unwrap().r#match, None);
    link.snapshot(game_server("Reserved")).await;
    let text = r#"{"matchId":"0a0b0c0d-0e0f-4011-8213-141516171819","requestId":"r"}"#;
    link.in_match(game_server("Allocated"), text).await;
    let found = watch.next().await.unwrap().r#match.clone().unwrap();
    assert_eq!(found.match_id[..2], [10, 11]);
    link.snapshot(game_server("Ready")).await;
    assert_eq!(watch.next().await.unwrap().r#match, None);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_players_is_told_at_first_and_then_from_time_to_time() {
    let mut hub = FakeHub::start();
    let pod = Pod::start(&hub);
    let mut link = hub.accept_with(game_server("Allocated")).await;
    let join = |number: u32| {
        pod.call(Call::PlayerJoined {
            player_id: proto::Uuid(u128::from(number).to_be_bytes()),
        })
    };
    let first = join(0);
    let change = link.change().await;
    assert_eq!(change.player_count, Some(1));
    link.ack(change.id, Code::Ok, "").await;
    first.await.unwrap().unwrap();
    for number in 1..20 {
        join(number).await.unwrap().unwrap();
    }
    let asked = Instant::now();
    let change = link.change().await;
    assert_eq!(change.player_count, Some(20));
    assert!(asked.elapsed() >= Duration::from_secs(4));
    link.ack(change.id, Code::Ok, "").await;
    pod.remote.settled().await;
}
