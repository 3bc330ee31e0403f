//! Draws a scene as SVG, for those who have no terminal at hand.

use std::fmt::Write as _;

use glam::Vec2;
use simulation::combat::RANGE;
use simulation::level::Footprint;
use simulation::mover::RADIUS;

use super::scene::{Actor, Kind, Scene};
use super::view::state_line;

/// How far the picture reaches from its middle, in meters: east and north.
const REACH: Vec2 = Vec2::new(40.0, 24.0);

/// Pixels per meter.
const SCALE: f32 = 12.0;

/// Pixels of the line above the scene.
const HEADER: f32 = 34.0;

/// Players are drawn a little larger than they are, or nobody would see where they look.
const LARGER: f32 = 1.6;

/// A scene as SVG.
pub fn svg(scene: &Scene) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    write_svg(scene, &mut text).ok();
    text
}

fn write_svg(scene: &Scene, out: &mut String) -> std::fmt::Result {
    let size = REACH * 2.0 * SCALE;
    let (width, height) = (size.x, size.y + HEADER);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"monospace\" role=\"img\">"
    )?;
    writeln!(out, "<title>A match in the arena, seen from above</title>")?;
    writeln!(
        out,
        "<rect width=\"100%\" height=\"100%\" fill=\"#14171c\"/>"
    )?;
    writeln!(
        out,
        "<svg y=\"{HEADER:.0}\" width=\"{:.0}\" height=\"{:.0}\">",
        size.x, size.y
    )?;
    let corner = to_pixels(scene, Vec2::new(-scene.half, scene.half));
    let floor = 2.0 * scene.half * SCALE;
    writeln!(
        out,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{floor:.1}\" height=\"{floor:.1}\" fill=\"#20252d\"/>",
        corner.x, corner.y
    )?;
    if scene.health.is_some() {
        writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\" fill=\"none\" stroke=\"#2b333f\" \
             stroke-dasharray=\"4 8\"/>",
            size.x / 2.0,
            size.y / 2.0,
            RANGE * SCALE
        )?;
    }
    write_solids(scene, out)?;
    for shot in &scene.shots {
        let (from, to) = (to_pixels(scene, shot.from), to_pixels(scene, shot.to));
        writeln!(
            out,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ffd866\" \
             stroke-width=\"2\" stroke-opacity=\"0.8\"/>",
            from.x, from.y, to.x, to.y
        )?;
    }
    for actor in &scene.actors {
        write_actor(scene, actor, out)?;
    }
    writeln!(out, "</svg>")?;
    writeln!(
        out,
        "<text x=\"12\" y=\"22\" font-size=\"16\" fill=\"#a9dc76\">{}</text>",
        escape(state_line(scene).trim())
    )?;
    for (line, score) in scene.scores.iter().take(8).enumerate() {
        let fill = if score.is_own { "#78dce8" } else { "#c1c0c0" };
        // At most eight lines.
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let y = HEADER + 24.0 + 18.0 * line as f32;
        writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{y:.0}\" font-size=\"14\" fill=\"{fill}\" \
             text-anchor=\"end\">{} {} / {}</text>",
            width - 12.0,
            escape(&score.name),
            score.score,
            score.downs
        )?;
    }
    writeln!(out, "</svg>")
}

fn write_solids(scene: &Scene, out: &mut String) -> std::fmt::Result {
    for solid in &scene.solids {
        let fill = if solid.top >= 1.0 {
            "#5b6675"
        } else {
            "#3c4550"
        };
        let middle = to_pixels(scene, solid.center);
        match solid.footprint {
            Footprint::Rectangle(half) => {
                let half = half * SCALE;
                let corner = middle - half;
                writeln!(
                    out,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
                     fill=\"{fill}\" rx=\"2\"/>",
                    corner.x,
                    corner.y,
                    2.0 * half.x,
                    2.0 * half.y
                )?;
            }
            Footprint::Circle(radius) => writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\" fill=\"{fill}\"/>",
                middle.x,
                middle.y,
                radius * SCALE
            )?,
        }
    }
    Ok(())
}

fn write_actor(scene: &Scene, actor: &Actor, out: &mut String) -> std::fmt::Result {
    let at = to_pixels(scene, actor.place);
    let fill = match (actor.kind, actor.team) {
        _ if actor.is_lost => "#727072",
        (Kind::Prop, _) => "#a9744f",
        (Kind::Own, _) => "#78dce8",
        (Kind::Friend, _) => "#a9dc76",
        (Kind::Foe, None) => "#ff6188",
        (Kind::Foe, Some(team)) => {
            ["#6796e6", "#ff6188", "#fc9867", "#ab9df2"][usize::from(team.0) % 4]
        }
    };
    if actor.kind == Kind::Prop {
        let half = RADIUS * SCALE;
        return writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\" \
             transform=\"rotate({:.0} {:.1} {:.1})\"/>",
            at.x - half,
            at.y - half,
            2.0 * half,
            2.0 * half,
            -360.0 * actor.yaw,
            at.x,
            at.y
        );
    }
    let radius = RADIUS * SCALE * LARGER;
    if actor.health == 0 {
        return writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"20\" fill=\"{fill}\" \
             text-anchor=\"middle\">×</text>",
            at.x,
            at.y + 6.0
        );
    }
    let nose = at + Vec2::from_angle(-actor.yaw * std::f32::consts::TAU) * radius * 2.0;
    writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{fill}\" \
         stroke-width=\"4\"/><circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\" fill=\"{fill}\"/>",
        at.x, at.y, nose.x, nose.y, at.x, at.y
    )?;
    writeln!(
        out,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"3\" fill=\"#a9dc76\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"#c1c0c0\" \
         text-anchor=\"middle\">{}</text>",
        at.x - 12.0,
        at.y - radius - 7.0,
        24.0 * f32::from(actor.health.min(100)) / 100.0,
        at.x,
        at.y - radius - 10.0,
        escape(&actor.name)
    )
}

/// A place in pixels, south down.
fn to_pixels(scene: &Scene, place: Vec2) -> Vec2 {
    let away = place - scene.center;
    Vec2::new(REACH.x + away.x, REACH.y - away.y) * SCALE
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
