//! What a scene looks like in a terminal.

use expect_test::{Expect, expect};
use glam::Vec2;
use simulation::level::{Footprint, Solid};

use super::super::picture;
use super::super::scene::{Line, Shot};
use super::*;

fn actor(kind: Kind, place: (f32, f32), yaw: f32, name: &str) -> Actor {
    Actor {
        kind,
        team: None,
        place: place.into(),
        yaw,
        health: 100,
        is_lost: false,
        name: name.to_owned(),
    }
}

fn scene() -> Scene {
    let wall = |center: (f32, f32), half: (f32, f32), top| Solid {
        center: center.into(),
        footprint: Footprint::Rectangle(half.into()),
        top,
    };
    let line = |name: &str, score, is_own| Line {
        name: name.to_owned(),
        score,
        downs: 1,
        is_own,
    };
    Scene {
        center: Vec2::new(20.0, 10.0),
        half: 32.0,
        solids: vec![
            wall((20.0, 14.0), (4.0, 0.6), 3.0),
            wall((32.5, 0.0), (0.5, 33.0), 4.0),
            Solid {
                center: Vec2::new(10.0, 8.0),
                footprint: Footprint::Circle(2.0),
                top: 0.5,
            },
        ],
        actors: vec![
            actor(Kind::Prop, (15.0, 12.0), 0.1, ""),
            actor(Kind::Foe, (28.0, 11.0), 0.5, "mallory"),
            Actor {
                health: 0,
                ..actor(Kind::Friend, (14.0, 6.0), 0.0, "bob")
            },
            actor(Kind::Own, (20.0, 10.0), 0.0, "alice"),
        ],
        shots: vec![Shot {
            from: Vec2::new(28.0, 11.0),
            to: Vec2::new(22.0, 11.0),
            at: Duration::from_secs(1),
        }],
        health: Some(60),
        phase: 2,
        seconds: 125,
        scores: vec![line("mallory", 3, false), line("alice", 2, true)],
        ping: Some(Duration::from_millis(23)),
        is_away: false,
        news: vec!["mallory got bob".to_owned()],
    }
}

fn check(scene: &Scene, look: &Look, expected: &Expect) {
    let area = Rect::new(0, 0, 70, 16);
    let mut buffer = Buffer::empty(area);
    draw(scene, look, Duration::from_secs(1), area, &mut buffer);
    let rows = (0..area.height).map(|row| {
        let row: String = (0..area.width)
            .map(|column| buffer[(column, row)].symbol())
            .collect();
        format!("|{}\n", row.trim_end())
    });
    expected.assert_eq(&rows.collect::<String>());
}

#[test]
fn a_frame_of_a_match() {
    check(
        &scene(),
        &Look::default(),
        &expect![[r#"
            | health ■■■■■■□□□□ 60 │ playing 2:05 │ ping 23 ms
            |           .               .               .   mallory        3 / 1
            |                                               alice          2 / 1
            |                           ████████████████                ██
            |                           ████████████████                ██
            |                                                           ██
            |                         o                      mallory    ██
            |                                       ··········  ←       ██
            |            ▒▒▒▒▒▒                 →············           ██
            |           ▒▒▒▒▒▒▒▒        .               .               ██
            |           ▒▒▒▒▒▒▒▒                                        ██
            |            ▒▒▒▒▒▒    bob                                  ██
            |                       ×                                   ██
            |                                                           ██
            | mallory got bob                                           ██
            | WASD move · J L or mouse aim · space shoot · shift run · + - zoom · Q
        "#]],
    );
}

#[test]
fn who_watches_sees_everything() {
    let mut scene = scene();
    scene.health = None;
    scene.center = Vec2::ZERO;
    scene.actors.pop();
    check(
        &scene,
        &Look::default(),
        &expect![[r#"
            | watching │ playing 2:05 │ ping 23 ms
            |                                               mallory        3 / 1
            |                                               alice          2 / 1
            |                                                ██
            |                                            mallory
            |                                        bob ···←██
            |                                      ▒▒▒×      ██
            |                                   .            ██
            |                                                ██
            |                                                ██
            |                                                ██
            |                                                ██
            |                                                ██
            |                                                ██
            | mallory got bob                                ██
            | WASD move · J L or mouse aim · space shoot · shift run · + - zoom · Q
        "#]],
    );
}

#[test]
fn nothing_is_drawn_before_the_welcome_but_the_state() {
    let scene = Scene {
        is_away: true,
        ..Scene::default()
    };
    check(
        &scene,
        &Look::default(),
        &expect![[r#"
            | watching │ waiting for players 0:00 │ ping – ms │ connecting
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            | WASD move · J L or mouse aim · space shoot · shift run · + - zoom · Q
        "#]],
    );
}

#[test]
fn a_cell_and_its_place_belong_together() {
    let ground = Ground::new(&scene(), &Look::default(), Rect::new(0, 0, 71, 17));
    for (column, row) in [(0, 1), (35, 8), (70, 15)] {
        assert_eq!(ground.cell(ground.place(column, row)), Some((column, row)));
    }
    assert_eq!(ground.place(35, 8), Vec2::new(20.0, 10.0));
}

#[test]
fn tiny_terminals_and_odd_names_do_no_harm() {
    for (width, height) in [(0, 0), (9, 9), (10, 3), (11, 4), (200, 3)] {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        draw(
            &scene(),
            &Look::default(),
            Duration::ZERO,
            area,
            &mut buffer,
        );
    }
    let mut scene = scene();
    scene.actors[1].name = "<b>&".to_owned();
    let svg = picture::svg(&scene);
    assert!(svg.contains("&lt;b&gt;&amp;"));
    assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
}
