//! Rooms: what each command does, and the laws that hold after any of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;
use wire::room_changed::Reason;

use super::*;

const SHAPE: Teams = Teams { count: 2, size: 2 };

fn who(number: u128) -> PlayerId {
    PlayerId(Uuid::from_u128(number))
}

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(1000 + number))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn settings(kind: Kind, said: wire::RoomSettings) -> Result<Settings, Failure> {
    Settings::said(kind, said, |name| (name == "duo").then_some(SHAPE))
}

fn lobby(capacity: u32) -> Room {
    let said = wire::RoomSettings {
        capacity,
        queue: "duo".to_owned(),
        ..wire::RoomSettings::default()
    };
    let settings = settings(Kind::Lobby, said).unwrap();
    let host = Member::new(who(0), session(0));
    let id = RoomId(Uuid::from_u128(99));
    Room::new(id, Kind::Lobby, "ABC234".to_owned(), host, settings)
}

fn join(number: u128) -> Command {
    Command::Join {
        player: who(number),
        session: session(number),
        by: Entry::Code("ABC234".to_owned()),
    }
}

fn enter(number: u128) -> Command {
    Command::Join {
        player: who(number),
        session: session(number),
        by: Entry::Id,
    }
}

fn kick(number: u128) -> Command {
    Command::Kick {
        by: who(0),
        player: who(number),
    }
}

fn invite(by: u128, number: u128) -> Command {
    Command::Invite {
        by: who(by),
        player: who(number),
    }
}

fn ready(number: u128) -> Command {
    Command::Ready {
        player: who(number),
        session: session(number),
        is_ready: true,
    }
}

fn team(number: u128, team: u16) -> Command {
    Command::Team {
        player: who(number),
        team,
    }
}

fn connection(number: u128, is_connected: bool) -> Command {
    Command::Connection {
        player: who(number),
        is_connected,
    }
}

fn start(id: u128) -> Command {
    Command::Start {
        by: who(0),
        session: session(7),
        id: match_id(id),
        shape: SHAPE,
    }
}

fn match_id(number: u128) -> MatchId {
    MatchId(Uuid::from_u128(number))
}

/// A room that things are done to, and what happened.
struct Scene {
    room: Room,
    heard: Vec<(Reason, PlayerId)>,
}

impl Scene {
    fn new(room: Room) -> Self {
        Self {
            room,
            heard: Vec::new(),
        }
    }

    fn attempt(&mut self, seconds: i64, command: &Command) -> Result<(), Failure> {
        let (room, happenings) = self.room.apply(command, at(seconds))?;
        self.room = room;
        let happenings = happenings.iter();
        self.heard = happenings.map(|one| (one.reason, one.player)).collect();
        Ok(())
    }

    #[track_caller]
    fn does(&mut self, seconds: i64, command: &Command) {
        self.attempt(seconds, command).unwrap();
    }

    #[track_caller]
    fn refuses(&mut self, seconds: i64, command: &Command, code: Code) {
        let failure = self.attempt(seconds, command).unwrap_err();
        assert_eq!(failure.code, code, "{failure}");
    }
}

#[test]
fn the_door_opens_by_code_invitation_or_to_all() {
    let mut scene = Scene::new(lobby(3));
    scene.refuses(0, &enter(1), Code::NotFound);
    let by = Entry::Code("ABC235".to_owned());
    let wrong = Command::Join {
        player: who(1),
        session: session(1),
        by,
    };
    scene.refuses(0, &wrong, Code::NotFound);
    scene.does(0, &join(1));
    assert_eq!(scene.heard, [(Reason::Joined, who(1))]);
    // The second one is in the other team.
    assert_eq!(scene.room.member(who(1)).unwrap().team, 1);
    scene.does(0, &join(1));
    assert_eq!((scene.heard.len(), scene.room.members.len()), (0, 2));

    scene.does(0, &invite(1, 2));
    scene.refuses(300, &enter(2), Code::NotFound);
    scene.does(299, &enter(2));
    assert_eq!(scene.room.invitations, []);
    scene.refuses(0, &join(3), Code::Full);

    let mut scene = Scene::new(lobby(3));
    scene.room.settings.is_public = true;
    scene.does(0, &enter(1));
    scene.does(0, &invite(0, 2));
    scene.room.settings.is_locked = true;
    scene.refuses(0, &enter(2), Code::Conflict);
    scene.refuses(0, &invite(0, 3), Code::Conflict);
}

#[test]
fn the_host_alone_decides_and_others_do_not_learn_of_the_room() {
    let mut scene = Scene::new(lobby(4));
    scene.does(0, &join(1));
    let change = |by| Command::Change {
        by: who(by),
        settings: lobby(3).settings,
    };
    let promote = |by, player| Command::Promote {
        by: who(by),
        player: who(player),
    };
    let kicks = Command::Kick {
        by: who(1),
        player: who(0),
    };
    for command in [kicks, promote(1, 1), change(1)] {
        scene.refuses(0, &command, Code::Forbidden);
    }
    let begins = Command::Start {
        by: who(1),
        session: session(1),
        id: match_id(1),
        shape: SHAPE,
    };
    scene.refuses(0, &begins, Code::Forbidden);
    for command in [change(9), promote(9, 1), ready(9), team(9, 0), invite(9, 8)] {
        scene.refuses(0, &command, Code::NotFound);
    }
    scene.refuses(0, &kick(0), Code::InvalidRequest);
    scene.refuses(0, &kick(5), Code::InvalidRequest);
    scene.does(0, &promote(0, 1));
    assert_eq!(scene.heard, [(Reason::Promoted, who(1))]);
    scene.refuses(0, &kick(1), Code::Forbidden);
}

#[test]
fn who_was_kicked_comes_back_by_a_new_invitation_of_the_host_alone() {
    let mut scene = Scene::new(lobby(4));
    scene.does(0, &join(1));
    scene.does(0, &invite(1, 2));
    scene.does(0, &enter(2));
    // The invitation that another member still holds open for him does not help either.
    scene.room.invitations.push(Invitation {
        player: who(2),
        expires_at: at(300),
    });
    scene.does(1, &kick(2));
    assert_eq!(scene.heard, [(Reason::Kicked, who(2))]);
    scene.refuses(2, &enter(2), Code::NotFound);
    scene.refuses(2, &join(2), Code::Forbidden);
    scene.refuses(2, &invite(1, 2), Code::Forbidden);
    scene.does(3, &invite(0, 2));
    scene.does(4, &enter(2));
}

#[test]
fn the_longest_member_who_is_connected_follows_the_host() {
    let mut scene = Scene::new(lobby(4));
    for number in [1, 2, 3] {
        scene.does(0, &join(number));
    }
    scene.does(0, &connection(1, false));
    assert_eq!(scene.heard, [(Reason::Connection, who(1))]);
    scene.does(0, &Command::Leave { player: who(0) });
    let heard = [(Reason::Left, who(0)), (Reason::Promoted, who(2))];
    assert_eq!(scene.heard, heard);

    // The host is gone for 30 s: the next one is not asked.
    scene.does(10, &connection(1, true));
    scene.does(10, &connection(2, false));
    scene.does(39, &Command::Pass);
    assert_eq!((scene.heard.len(), scene.room.host), (0, who(2)));
    scene.does(40, &Command::Pass);
    let heard = [(Reason::Left, who(2)), (Reason::Promoted, who(1))];
    assert_eq!(scene.heard, heard);

    // Nobody is connected: the room ends when the last one's time is over.
    scene.does(50, &connection(1, false));
    scene.does(51, &connection(3, false));
    scene.does(80, &Command::Pass);
    assert_eq!(scene.room.host, who(3));
    scene.does(81, &connection(3, true));
    assert!(scene.room.is_over());
    scene.refuses(82, &join(5), Code::NotFound);
}

#[test]
fn who_was_ready_says_so_again_after_what_matters() {
    let ready_room = || {
        let mut scene = Scene::new(lobby(4));
        scene.does(0, &join(1));
        scene.does(0, &ready(0));
        scene.does(0, &ready(1));
        assert_eq!(scene.heard, [(Reason::Ready, who(1))]);
        scene
    };
    let is_ready = |scene: &Scene| {
        let members = scene.room.members.iter();
        members.map(|member| member.is_ready).collect::<Vec<_>>()
    };
    let changed = |change: &dyn Fn(&mut Settings)| {
        let mut scene = ready_room();
        let mut settings = scene.room.settings.clone();
        change(&mut settings);
        let by = who(0);
        scene.does(0, &Command::Change { by, settings });
        assert_eq!(scene.heard, [(Reason::Settings, who(0))]);
        is_ready(&scene)
    };
    assert_eq!(
        changed(&|settings| settings.name = "Ours".to_owned()),
        [true; 2]
    );
    assert_eq!(changed(&|settings| settings.capacity = 3), [true; 2]);
    let map = |settings: &mut Settings| {
        let pair = ("map".to_owned(), "dunes".to_owned());
        settings.properties.insert(pair.0, pair.1);
    };
    assert_eq!(changed(&map), [false; 2]);
    assert_eq!(changed(&|settings| settings.queue = None), [false; 2]);
    let mut scene = ready_room();
    scene.does(0, &team(1, 0));
    assert_eq!(is_ready(&scene), [true, false]);
    let mut scene = ready_room();
    scene.does(0, &connection(1, false));
    scene.does(1, &connection(1, true));
    assert_eq!(is_ready(&scene), [true, false]);
}

#[test]
fn settings_that_members_do_not_fit_are_refused_or_move_them() {
    let mut scene = Scene::new(lobby(4));
    scene.does(0, &join(1));
    scene.does(0, &join(2));
    let mut settings = scene.room.settings.clone();
    settings.capacity = 2;
    let by = who(0);
    let change = Command::Change {
        by,
        settings: settings.clone(),
    };
    scene.refuses(0, &change, Code::InvalidRequest);
    settings.capacity = 3;
    settings.teams = Some(Teams { count: 1, size: 4 });
    scene.does(0, &Command::Change { by, settings });
    assert!(scene.room.members.iter().all(|member| member.team == 0));
    scene.refuses(0, &team(1, 1), Code::InvalidRequest);
}

#[test]
fn a_match_starts_once_with_those_who_are_ready_in_teams_that_fit() {
    let mut scene = Scene::new(lobby(5));
    scene.does(0, &join(1));
    scene.refuses(0, &start(1), Code::Conflict);
    scene.does(0, &ready(1));
    scene.does(0, &team(0, 1));
    let failure = scene.attempt(0, &start(1)).unwrap_err();
    assert_eq!(failure.message, "team 0 has 0 players, of 1 to 2");
    scene.does(0, &team(0, 0));
    scene.does(0, &start(1));
    assert_eq!(scene.heard, []);
    // The host is ready by it, in the session of the call.
    assert_eq!(scene.room.member(who(0)).unwrap().session, session(7));

    // Meanwhile the room stays as it is.
    for command in [start(2), join(2), team(1, 0)] {
        scene.refuses(29, &command, Code::Conflict);
    }
    scene.does(29, &Command::Begin { id: match_id(2) });
    assert_eq!(scene.heard, []);
    scene.does(29, &Command::Begin { id: match_id(1) });
    assert_eq!(scene.heard, [(Reason::MatchStarted, who(0))]);
    assert!(scene.room.members.iter().all(|member| !member.is_ready));
    assert_eq!(scene.room.starting, None);
}

#[test]
fn a_start_that_is_in_doubt_is_tried_again_with_the_same_match() {
    let mut scene = Scene::new(lobby(5));
    scene.does(0, &join(1));
    scene.does(0, &ready(1));
    scene.does(0, &start(1));
    scene.does(1, &Command::Doubt { id: match_id(1) });
    scene.does(2, &start(2));
    assert_eq!(scene.room.starting.as_ref().unwrap().id, match_id(1));
    // Nobody says how it ended: the lobby died.
    scene.does(32, &start(3));
    assert_eq!(scene.room.starting.as_ref().unwrap().id, match_id(1));
    // With other players it is another match.
    scene.does(33, &Command::Doubt { id: match_id(1) });
    scene.does(33, &join(2));
    scene.does(33, &ready(2));
    scene.does(33, &start(4));
    assert_eq!(scene.room.starting.as_ref().unwrap().id, match_id(4));
    scene.does(34, &Command::Abandon { id: match_id(4) });
    scene.does(34, &start(5));
    assert_eq!(scene.room.starting.as_ref().unwrap().id, match_id(5));
}

#[test]
fn a_party_has_no_match_of_its_own() {
    let mut room = lobby(4);
    room.kind = Kind::Party;
    let mut scene = Scene::new(room);
    scene.does(0, &join(1));
    scene.does(0, &ready(1));
    scene.refuses(0, &start(1), Code::Conflict);
}

#[test]
fn lists_of_a_room_are_bounded() {
    let mut scene = Scene::new(lobby(4));
    for number in 100..164 {
        scene.does(0, &invite(0, number));
    }
    scene.refuses(0, &invite(0, 164), Code::Full);
    scene.does(0, &invite(0, 163));
    scene.does(300, &invite(0, 164));
    for number in 100..200 {
        scene.does(400, &join(number));
        scene.does(400, &kick(number));
    }
    assert_eq!(scene.room.kicked.len(), MAX_KICKED);
    scene.refuses(400, &join(199), Code::Forbidden);
}

/// Makes settings wrong.
type Change = fn(&mut wire::RoomSettings);

#[test]
fn settings_are_checked_by_path() {
    let said = |change: &dyn Fn(&mut wire::RoomSettings), kind| {
        let mut said = wire::RoomSettings::default();
        change(&mut said);
        settings(kind, said)
    };
    let many = |count: usize, name: usize, value: usize| {
        let property = move |index| (format!("{index:0name$}"), "v".repeat(value));
        (0..count).map(property).collect::<BTreeMap<_, _>>()
    };
    let cases: [(Kind, &str, Change); 8] = [
        (Kind::Lobby, "name", |said| said.name = "n".repeat(65)),
        (Kind::Lobby, "name", |said| said.name = "a\nb".to_owned()),
        (Kind::Lobby, "capacity", |said| said.capacity = 65),
        (Kind::Party, "capacity", |said| said.capacity = 1),
        (Kind::Party, "capacity", |said| said.capacity = 17),
        (Kind::Party, "is_public", |said| said.is_public = true),
        (Kind::Party, "queue", |said| said.queue = "duo".to_owned()),
        (Kind::Lobby, "queue", |said| said.queue = "solo".to_owned()),
    ];
    for (kind, field, change) in cases {
        let failure = said(&change, kind).unwrap_err();
        let path = format!("settings.{field}");
        assert_eq!(failure.field.as_deref(), Some(path.as_str()));
    }
    for (properties, path) in [
        (many(17, 2, 1), "settings.properties"),
        (many(1, 65, 1), "settings.properties"),
        (many(1, 1, 257), "settings.properties.0"),
    ] {
        let change = |said: &mut wire::RoomSettings| said.properties = properties.clone();
        let failure = said(&change, Kind::Lobby).unwrap_err();
        assert_eq!(failure.field.as_deref(), Some(path));
    }
    let usual = |kind, queue: &str| {
        said(&|said| said.queue = queue.to_owned(), kind)
            .unwrap()
            .capacity
    };
    assert_eq!(usual(Kind::Party, ""), 4);
    assert_eq!(usual(Kind::Lobby, ""), 16);
    assert_eq!(usual(Kind::Lobby, "duo"), 4);
}

#[test]
fn the_largest_room_is_a_document_that_can_be_kept() {
    let said = wire::RoomSettings {
        name: "\"".repeat(64),
        capacity: 64,
        queue: "duo".to_owned(),
        properties: (0..16)
            .map(|index| (format!("{index:\"<64}"), "\u{1}".repeat(256)))
            .collect(),
        ..wire::RoomSettings::default()
    };
    let mut room = lobby(64);
    room.settings = settings(Kind::Lobby, said).unwrap();
    let mut scene = Scene::new(room);
    for number in 0..64 {
        scene.does(0, &join(number));
        scene.does(0, &connection(number, false));
        scene.does(0, &invite(0, 100 + number));
    }
    scene.room.kicked = (0..64).map(who).collect();
    scene.room.starting = Some(Starting {
        id: match_id(1),
        players: scene.room.players(),
        until: at(30),
    });
    let bytes = serde_json::to_vec(&scene.room).unwrap();
    assert!(bytes.len() <= crate::live::VALUE_LIMIT, "{}", bytes.len());
    let read: Room = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(read, scene.room);
}

/// Anything that anybody might do.
fn command() -> impl Strategy<Value = Command> {
    let player = || (0_u128..6).prop_map(who);
    let id = || (1_u128..4).prop_map(match_id);
    let entry = prop_oneof![
        Just(Entry::Id),
        Just(Entry::Code("ABC234".to_owned())),
        Just(Entry::Code("ABC235".to_owned())),
    ];
    let settings = (1_u16..5, any::<[bool; 3]>(), 1_u16..4).prop_map(
        |(capacity, [is_public, is_locked, has_queue], count)| Settings {
            capacity,
            is_public,
            is_locked,
            teams: has_queue.then_some(Teams { count, size: 2 }),
            ..lobby(4).settings
        },
    );
    prop_oneof![
        6 => (player(), entry).prop_map(|(player, by)| Command::Join {
            player, session: session(0), by,
        }),
        1 => player().prop_map(|player| Command::Leave { player }),
        2 => (player(), player()).prop_map(|(by, player)| Command::Kick { by, player }),
        1 => (player(), player()).prop_map(|(by, player)| Command::Promote { by, player }),
        4 => (player(), any::<bool>()).prop_map(|(player, is_ready)| Command::Ready {
            player, session: session(1), is_ready,
        }),
        1 => (player(), 0_u16..4).prop_map(|(player, team)| Command::Team { player, team }),
        1 => (player(), settings).prop_map(|(by, settings)| Command::Change { by, settings }),
        3 => (player(), player()).prop_map(|(by, player)| Command::Invite { by, player }),
        3 => (player(), any::<bool>()).prop_map(|(player, is_connected)| Command::Connection {
            player, is_connected,
        }),
        3 => (player(), id()).prop_map(|(by, id)| Command::Start {
            by, session: session(2), id, shape: SHAPE,
        }),
        1 => id().prop_map(|id| Command::Begin { id }),
        1 => id().prop_map(|id| Command::Abandon { id }),
        1 => id().prop_map(|id| Command::Doubt { id }),
        1 => Just(Command::Pass),
    ]
}

/// What may be known of a room without looking at how it decides.
#[derive(Default)]
struct Model {
    /// Who was kicked, and has no invitation of a host since.
    out: BTreeSet<PlayerId>,
}

impl Model {
    fn check(&mut self, before: &Room, command: &Command, after: &Room, happenings: &[Happening]) {
        let members: BTreeSet<PlayerId> = after.players().into_iter().collect();
        assert_eq!(
            members.len(),
            after.members.len(),
            "somebody is there twice"
        );
        assert!(
            after.is_over() || members.contains(&after.host),
            "a host from elsewhere"
        );
        assert!(after.members.len() <= usize::from(after.settings.capacity));
        assert!(after.invitations.len() <= MAX_INVITATIONS);
        assert_eq!(
            (&after.code, after.kind, after.id),
            (&before.code, before.kind, before.id)
        );

        match command {
            Command::Kick { player, .. } => {
                self.out.insert(*player);
            }
            Command::Invite { by, player } if *by == after.host => {
                self.out.remove(player);
            }
            _ => {}
        }
        assert!(self.out.is_disjoint(&members), "who was kicked is back");

        // Members hear of everybody who comes and goes, and of each new host.
        let was: BTreeSet<PlayerId> = before.players().into_iter().collect();
        let told = |reasons: &[Reason]| {
            let told = happenings
                .iter()
                .filter(|one| reasons.contains(&one.reason));
            told.map(|one| one.player).collect::<BTreeSet<_>>()
        };
        let came: BTreeSet<_> = members.difference(&was).copied().collect();
        let went: BTreeSet<_> = was.difference(&members).copied().collect();
        let (joined, left) = (
            told(&[Reason::Joined]),
            told(&[Reason::Left, Reason::Kicked]),
        );
        // Whose time is over in the moment in which he comes in again, is told as both.
        let both: BTreeSet<_> = joined.intersection(&left).copied().collect();
        assert_eq!(joined, came.union(&both).copied().collect());
        assert_eq!(left, went.union(&both).copied().collect());
        if after.host != before.host {
            assert!(told(&[Reason::Promoted]).contains(&after.host));
        }
        // The version counts what can be seen.
        let is_seen = after.to_wire() != before.to_wire();
        assert_eq!(is_seen, after.version > before.version);
        assert!(!is_seen || !happenings.is_empty());

        // A match that is starting has its players, each in a team.
        let is_fresh = |starting: &&Starting| starting.until > at(0) && !after.is_over();
        if let Command::Start { .. } = command {
            let starting = after.starting.as_ref().filter(is_fresh).unwrap();
            assert_eq!(starting.players, after.players());
            let fits = after.teams(SHAPE).unwrap();
            assert!(fits.iter().all(|team| (1..=2).contains(&team.len())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_laws_hold_whatever_is_done(
        steps in prop::collection::vec((0_i64..20, command()), 1..60),
    ) {
        let mut room = lobby(4);
        let mut model = Model::default();
        let mut seconds = 0;
        for (passed, command) in steps {
            seconds += passed;
            let now = at(seconds);
            let Ok((next, happenings)) = room.apply(&command, now) else {
                continue;
            };
            model.check(&room, &command, &next, &happenings);
            let lost = next.members.iter().filter_map(|member| member.lost_at);
            let absence = SignedDuration::try_from(ABSENCE).unwrap();
            for lost_at in lost {
                prop_assert!(now < lost_at + absence, "somebody is gone for too long");
            }
            // What is done twice is done.
            let again = next.apply(&Command::Pass, now).unwrap();
            prop_assert_eq!(&again, &(next.clone(), Vec::new()));
            room = next;
            if room.is_over() {
                break;
            }
        }
    }

    #[test]
    fn time_decides_the_same_in_one_step_or_in_many(
        steps in prop::collection::vec((0_i64..20, command()), 1..30),
        waits in prop::collection::vec(1_i64..20, 1..6),
    ) {
        let mut room = lobby(4);
        let mut seconds = 0;
        for (passed, command) in steps {
            seconds += passed;
            if let Ok((next, _)) = room.apply(&command, at(seconds)) {
                room = next;
            }
        }
        let mut often = room.clone();
        for wait in waits {
            seconds += wait;
            often = often.apply(&Command::Pass, at(seconds)).unwrap().0;
        }
        let (once, _) = room.apply(&Command::Pass, at(seconds)).unwrap();
        prop_assert_eq!(once.players(), often.players());
        prop_assert_eq!(once.invitations, often.invitations);
    }
}
