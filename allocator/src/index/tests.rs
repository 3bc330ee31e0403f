//! The index against a model that keeps a list and looks at all of it each time.

mod model;

use crds::gameserver::Scheduling;
use proptest::prelude::*;

use super::*;
use crate::select::{Choice, Draw, Missing, Wanted, select};
use crate::selector::{Expression, Selector, Test};
use model::{Model, NAMESPACES, NODES, SERVERS, Step, labels, place, state};

fn step() -> impl Strategy<Value = Step> {
    let server = 0..SERVERS;
    let version = 0..40_u64;
    prop_oneof![
        8 => (server.clone(), version.clone(), 0..3_usize, 0..2_usize, any::<bool>(), 0..5_usize)
            .prop_map(|(server, version, fleet, extra, allocated, place)| {
                Step::Apply { server, version, fleet, extra, allocated, place }
            }),
        2 => (server.clone(), version.clone(), any::<bool>())
            .prop_map(|(server, version, allocated)| Step::Update { server, version, allocated }),
        2 => (server.clone(), version.clone())
            .prop_map(|(server, version)| Step::Remove { server, version }),
        3 => (0..NODES.len(), any::<bool>()).prop_map(|(node, usable)| Step::Node { node, usable }),
        3 => server.clone().prop_map(|server| Step::Reserve { server }),
        3 => (server, version, any::<bool>())
            .prop_map(|(server, version, stale)| Step::Release { server, version, stale }),
        1 => (prop::option::of(0..2_usize), prop::collection::vec(0..SERVERS, 0..12))
            .prop_map(|(namespace, keep)| Step::Retain { namespace, keep }),
        1 => prop::collection::vec(0..NODES.len(), 0..4)
            .prop_map(|keep| Step::RetainNodes { keep }),
    ]
}

fn requests() -> Vec<Wanted> {
    let fleet = |number| Selector {
        labels: labels(number, 0),
        ..Selector::default()
    };
    let mode = |test| Expression {
        key: "mode".to_owned(),
        test,
    };
    let not_ctf = Selector {
        expressions: vec![mode(Test::NotIn(BTreeSet::from(["ctf".to_owned()])))],
        ..fleet(1)
    };
    let allocated = |selector| Selector {
        state: SelectorState::Allocated,
        ..selector
    };
    let lists = [
        vec![Selector::default()],
        vec![fleet(1)],
        vec![not_ctf, fleet(2)],
        vec![allocated(fleet(2)), fleet(2)],
        vec![
            Selector {
                labels: labels(2, 1),
                ..Selector::default()
            },
            Selector::default(),
        ],
        vec![allocated(Selector {
            expressions: vec![mode(Test::Exists)],
            ..Selector::default()
        })],
    ];
    let wanted = |namespace: &str, selectors: &[Selector]| Wanted {
        namespace: namespace.to_owned(),
        selectors: selectors.iter().cloned().map(Arc::new).collect(),
        scheduling: Scheduling::Packed,
        has_players: false,
        has_request_id: false,
    };
    NAMESPACES
        .iter()
        .flat_map(|namespace| lists.iter().map(move |list| wanted(namespace, list)))
        .collect()
}

fn compare(index: &Index, model: &Model, seed: u64) -> Result<(), TestCaseError> {
    for wanted in requests() {
        let best = select(index, &wanted, Draw { seed, among: 1 });
        let chosen = best.as_ref().ok().map(|choice| choice.key.clone());
        prop_assert_eq!(&chosen, &model.packed(&wanted), "Packed {:?}", wanted);
        if let Ok(Choice { key, version, .. }) = &best {
            prop_assert_eq!(*version, model.servers[key].seen.version);
        }
        if let Err(reason) = &best {
            let name = match reason {
                Missing::Stale(choice) => {
                    prop_assert!(model.servers[&choice.key].stale.is_some());
                    "stale"
                }
                Missing::InFlight => "in flight",
                Missing::Unjoinable => "unjoinable",
                Missing::Capacity => "capacity",
            };
            prop_assert_eq!(name, model.missing(&wanted));
        }
        let spread = Wanted {
            scheduling: Scheduling::Distributed,
            ..wanted.clone()
        };
        let allowed = model.distributed(&spread);
        match select(index, &spread, Draw { seed, among: 1 }) {
            Ok(choice) => prop_assert!(allowed.contains(&choice.key), "Distributed {spread:?}"),
            Err(_) => prop_assert!(allowed.is_empty(), "Distributed {spread:?}"),
        }
        for scheduling in [Scheduling::Packed, Scheduling::Distributed] {
            let wanted = Wanted {
                scheduling,
                ..wanted.clone()
            };
            let drawn = select(index, &wanted, Draw { seed, among: 8 });
            prop_assert_eq!(drawn.is_ok(), chosen.is_some());
            if let Ok(choice) = drawn {
                prop_assert!(
                    model.is_free(&model.servers[&choice.key]),
                    "only free ones are drawn"
                );
            }
        }
    }
    let counts: Vec<_> = index
        .counts()
        .into_iter()
        .map(|count| {
            let is_ready = count.state == SelectorState::Ready;
            (
                count.namespace.to_string(),
                count.fleet,
                is_ready,
                count.free,
                count.total,
            )
        })
        .filter(|count| count.4 > 0)
        .collect();
    prop_assert_eq!(counts, model.counts());
    Ok(())
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_model(
        steps in prop::collection::vec(step(), 1..80),
        seed in any::<u64>(),
    ) {
        let (mut index, mut model) = (Index::default(), Model::default());
        for step in steps {
            model.step(&mut index, step);
            compare(&index, &model, seed)?;
        }
        // Nothing is left of what is gone.
        index.retain(None, &BTreeSet::new());
        index.retain_nodes(&BTreeSet::new());
        prop_assert_eq!(format!("{:?}", index.nodes), "{}");
        prop_assert!(index.servers.is_empty());
        prop_assert_eq!(index.classes.iter().count(), 0);
    }

    /// Requests that choose while the writes of others are in flight never share a server.
    #[test]
    fn no_server_is_chosen_twice_while_it_is_reserved(
        servers in 1..30_usize,
        distributed in any::<bool>(),
        seeds in prop::collection::vec(any::<u64>(), 1..40),
        among in 1..16_u32,
    ) {
        let mut index = Index::default();
        for node in NODES {
            index.set_node(node, true);
        }
        for number in 0..servers {
            let key = Key::new("blue", &format!("gs-{number}"));
            let place = place(number % NODES.len());
            index.apply(&key, Observed {
                version: 1, labels: labels(1, number % 2), state: SelectorState::Ready, place,
                entry: Entry::Open,
                has_request: false,
            });
        }
        let scheduling =
            if distributed { Scheduling::Distributed } else { Scheduling::Packed };
        let wanted = Wanted {
            namespace: "blue".to_owned(), selectors: vec![Arc::default()], scheduling,
            has_players: false,
            has_request_id: false,
        };
        let mut given = BTreeSet::new();
        for (count, seed) in seeds.into_iter().enumerate() {
            match select(&index, &wanted, Draw { seed, among }) {
                Ok(choice) => {
                    index.reserve(&choice.key);
                    prop_assert!(given.insert(choice.key), "given twice");
                }
                Err(reason) => {
                    prop_assert_eq!(reason, Missing::InFlight);
                    prop_assert!(count >= servers);
                }
            }
        }
    }
}

#[test]
fn a_late_event_does_not_bring_back_what_was_before_an_allocation() {
    let mut index = Index::default();
    let key = Key::new("blue", "gs");
    let seen = |version, allocated| Observed {
        version,
        labels: Labels::new(),
        state: state(allocated),
        place: Place::Development,
        entry: Entry::Open,
        has_request: false,
    };
    let wanted = Wanted {
        namespace: "blue".to_owned(),
        selectors: vec![Arc::default()],
        scheduling: Scheduling::Packed,
        has_players: false,
        has_request_id: false,
    };
    let draw = Draw { seed: 0, among: 1 };
    index.apply(&key, seen(5, false));
    index.reserve(&key);
    index.update(&key, seen(9, true));
    index.release(&key, 5, Release::Free);
    index.apply(&key, seen(7, false));
    assert_eq!(select(&index, &wanted, draw), Err(Missing::Capacity));
    index.remove(&key, 8);
    assert_eq!(index.version(&key), Some(9));
    index.apply(&key, seen(10, false));
    assert!(select(&index, &wanted, draw).is_ok());
}
