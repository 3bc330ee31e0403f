//! Draws a scene into the cells of a terminal. Pure: the same scene gives the same cells.
//!
//! A cell is twice as high as wide, so a column is half as many meters as a row, and what is round
//! stays round.

use std::time::Duration;

use glam::Vec2;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use simulation::rules::Team;

use super::scene::{Actor, Kind, Scene};

/// Meters per row, from the nearest look to the farthest.
const ZOOMS: [f32; 4] = [0.75, 1.0, 1.5, 2.5];

/// Lines of the score that are shown.
const SCORE_LINES: usize = 8;

/// Columns of the score.
const SCORE_WIDTH: u16 = 24;

/// How far the aim is drawn, in meters.
const AIM_LENGTH: f32 = 6.0;

/// Solids from this height on cannot be shot over.
const HIGH: f32 = 1.0;

/// How the one who plays looks at the scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The own aim, in turns, counterclockwise from east.
    pub aim: f32,
    /// Which of the distances.
    pub zoom: usize,
}

impl Default for Look {
    fn default() -> Self {
        Self { aim: 0.0, zoom: 1 }
    }
}

impl Look {
    /// Nearer, if there is anything nearer.
    pub const fn nearer(&mut self) {
        self.zoom = self.zoom.saturating_sub(1);
    }

    /// Farther, if there is anything farther.
    pub const fn farther(&mut self) {
        if self.zoom + 1 < ZOOMS.len() {
            self.zoom += 1;
        }
    }
}

/// Where the ground is in the cells of a terminal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ground {
    area: Rect,
    center: Vec2,
    /// Meters per row.
    scale: f32,
}

impl Ground {
    /// The ground of a scene, below a line for the state and above one for the keys.
    pub fn new(scene: &Scene, look: &Look, area: Rect) -> Self {
        let area = Rect {
            y: area.y.saturating_add(1),
            height: area.height.saturating_sub(2),
            ..area
        };
        let scale = if scene.health.is_some() {
            ZOOMS[look.zoom.min(ZOOMS.len() - 1)]
        } else {
            // Who watches sees everything.
            let rows = f32::from(area.height.max(1)).min(f32::from(area.width.max(1)) / 2.0);
            (2.0 * scene.half / rows).max(ZOOMS[0])
        };
        Self {
            area,
            center: scene.center,
            scale,
        }
    }

    /// The place in the middle of a cell, in meters.
    pub fn place(&self, column: u16, row: u16) -> Vec2 {
        let middle = |at: u16, start: u16, length: u16| {
            f32::from(at) - f32::from(start) - f32::from(length) / 2.0 + 0.5
        };
        let east = middle(column, self.area.x, self.area.width) / 2.0;
        let north = -middle(row, self.area.y, self.area.height);
        self.center + Vec2::new(east, north) * self.scale
    }

    /// The cell of a place, if it is in view.
    fn cell(&self, place: Vec2) -> Option<(u16, u16)> {
        let away = (place - self.center) / self.scale;
        let column = (away.x * 2.0 + f32::from(self.area.width) / 2.0).floor();
        let row = (f32::from(self.area.height) / 2.0 - away.y).floor();
        let is_in = (0.0..f32::from(self.area.width)).contains(&column)
            && (0.0..f32::from(self.area.height)).contains(&row);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "inside of the area"
        )]
        is_in.then_some((self.area.x + column as u16, self.area.y + row as u16))
    }
}

/// Draws a scene.
pub fn draw(scene: &Scene, look: &Look, now: Duration, area: Rect, buffer: &mut Buffer) {
    if area.height < 3 || area.width < 10 {
        return;
    }
    let ground = Ground::new(scene, look, area);
    draw_level(scene, &ground, buffer);
    draw_aim(scene, look, &ground, buffer);
    for shot in &scene.shots {
        let age = now.saturating_sub(shot.at);
        let color = if age < Duration::from_millis(60) {
            Color::White
        } else {
            Color::Yellow
        };
        draw_line(shot.from, shot.to, '·', color, &ground, buffer);
    }
    for actor in &scene.actors {
        draw_actor(actor, look, &ground, buffer);
    }
    draw_state(scene, area, buffer);
    draw_scores(scene, area, buffer);
    draw_news(scene, area, buffer);
    let keys = " WASD move · J L or mouse aim · space shoot · shift run · + - zoom · Q leave";
    let bottom = area.y + area.height - 1;
    write(
        buffer,
        area,
        (0, bottom),
        keys,
        Style::new().fg(Color::DarkGray),
    );
}

fn draw_level(scene: &Scene, ground: &Ground, buffer: &mut Buffer) {
    let area = ground.area;
    for row in area.y..area.y + area.height {
        for column in area.x..area.x + area.width {
            let place = ground.place(column, row);
            let (symbol, color) = match highest(scene, place, ground.scale / 4.0) {
                Some(top) if top >= HIGH => ('█', Color::Gray),
                Some(_) => ('▒', Color::DarkGray),
                None if place.abs().max_element() > scene.half => (' ', Color::Reset),
                None if is_mark(place, ground.scale) => ('.', Color::DarkGray),
                None => continue,
            };
            set(buffer, (column, row), symbol, Style::new().fg(color));
        }
    }
}

/// How high what stands at a place is, or nearly there: no wall is too thin to be seen.
fn highest(scene: &Scene, place: Vec2, reach: f32) -> Option<f32> {
    let tops = scene
        .solids
        .iter()
        .filter(|solid| solid.overlaps(place, reach))
        .map(|solid| solid.top);
    tops.reduce(f32::max)
}

/// Whether there is a mark on the ground: without any, nobody sees that they move.
fn is_mark(place: Vec2, scale: f32) -> bool {
    let every = 8.0 * scale.max(1.0);
    let column = place.x.rem_euclid(every) < scale / 2.0;
    let row = place.y.rem_euclid(every) < scale;
    column && row
}

fn draw_aim(scene: &Scene, look: &Look, ground: &Ground, buffer: &mut Buffer) {
    let own = scene.actors.iter().find(|actor| actor.kind == Kind::Own);
    if let Some(own) = own.filter(|own| own.health > 0) {
        let way = Vec2::from_angle(look.aim * std::f32::consts::TAU);
        let end = own.place + way * AIM_LENGTH;
        draw_line(own.place, end, '·', Color::DarkGray, ground, buffer);
    }
}

fn draw_line(
    from: Vec2,
    to: Vec2,
    symbol: char,
    color: Color,
    ground: &Ground,
    buffer: &mut Buffer,
) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hundred steps at most"
    )]
    let steps = (from.distance(to) * 2.0 / ground.scale)
        .ceil()
        .clamp(1.0, 500.0) as u16;
    for step in 0..=steps {
        let place = from.lerp(to, f32::from(step) / f32::from(steps));
        if let Some(cell) = ground.cell(place) {
            set(buffer, cell, symbol, Style::new().fg(color));
        }
    }
}

fn draw_actor(actor: &Actor, look: &Look, ground: &Ground, buffer: &mut Buffer) {
    let Some(cell) = ground.cell(actor.place) else {
        return;
    };
    let style = Style::new().fg(color(actor));
    let yaw = if actor.kind == Kind::Own {
        look.aim
    } else {
        actor.yaw
    };
    match actor.kind {
        Kind::Prop => set(buffer, cell, 'o', style),
        Kind::Own | Kind::Friend | Kind::Foe if actor.health == 0 => set(buffer, cell, '×', style),
        Kind::Own | Kind::Friend | Kind::Foe => {
            let style = style.add_modifier(Modifier::BOLD);
            set(buffer, cell, arrow(yaw), style);
        }
    }
    if matches!(actor.kind, Kind::Friend | Kind::Foe) && cell.1 > ground.area.y {
        let name: String = actor.name.chars().take(10).collect();
        let half = u16::try_from(name.chars().count() / 2).unwrap_or(0);
        let at = (cell.0.saturating_sub(half).max(ground.area.x), cell.1 - 1);
        write(
            buffer,
            ground.area,
            at,
            &name,
            Style::new().fg(color(actor)),
        );
    }
}

/// The color of somebody: by team, or by what it is to the one who looks.
pub(super) fn color(actor: &Actor) -> Color {
    match (actor.kind, actor.team) {
        _ if actor.is_lost => Color::DarkGray,
        (Kind::Prop, _) => Color::Rgb(170, 120, 60),
        (Kind::Own, _) => Color::LightCyan,
        (Kind::Friend | Kind::Foe, Some(Team(0))) => Color::LightBlue,
        (Kind::Foe, None) | (Kind::Friend | Kind::Foe, Some(Team(1))) => Color::LightRed,
        (Kind::Friend, None) | (Kind::Friend | Kind::Foe, Some(Team(2))) => Color::LightGreen,
        (Kind::Friend | Kind::Foe, Some(_)) => Color::LightMagenta,
    }
}

/// The arrow nearest to a direction.
fn arrow(yaw: f32) -> char {
    const ARROWS: [char; 8] = ['→', '↗', '↑', '↖', '←', '↙', '↓', '↘'];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 8"
    )]
    let eighth = (yaw.rem_euclid(1.0) * 8.0).round() as usize;
    ARROWS[eighth % ARROWS.len()]
}

/// What stands above the picture.
pub(super) fn state_line(scene: &Scene) -> String {
    let phase = match scene.phase {
        0 => "waiting for players",
        1 => "starts in",
        2 => "playing",
        _ => "over",
    };
    let clock = format!("{}:{:02}", scene.seconds / 60, scene.seconds % 60);
    let health = match scene.health {
        None => "watching".to_owned(),
        Some(0) => "down".to_owned(),
        Some(health) => {
            let filled = usize::from(health.min(100)).div_ceil(10);
            format!(
                "health {}{} {health}",
                "■".repeat(filled),
                "□".repeat(10 - filled)
            )
        }
    };
    let ping = scene.ping.map_or_else(
        || "– ms".to_owned(),
        |ping| format!("{} ms", ping.as_millis()),
    );
    let away = match (scene.is_away, scene.ping) {
        (false, _) => "",
        (true, None) => " │ connecting",
        (true, Some(_)) => " │ connection lost, coming back",
    };
    format!(" {health} │ {phase} {clock} │ ping {ping}{away}")
}

fn draw_state(scene: &Scene, area: Rect, buffer: &mut Buffer) {
    let color = match scene.health {
        _ if scene.is_away => Color::LightYellow,
        Some(0..=30) => Color::LightRed,
        Some(_) | None => Color::LightGreen,
    };
    let line = state_line(scene);
    write(
        buffer,
        area,
        (area.x, area.y),
        &line,
        Style::new().fg(color),
    );
}

fn draw_scores(scene: &Scene, area: Rect, buffer: &mut Buffer) {
    if area.width < 2 * SCORE_WIDTH {
        return;
    }
    let column = area.x + area.width - SCORE_WIDTH;
    for (row, line) in (area.y + 1..).zip(scene.scores.iter().take(SCORE_LINES)) {
        if row >= area.y + area.height - 1 {
            break;
        }
        let name: String = line.name.chars().take(12).collect();
        let text = format!(" {name:<12} {:>3} / {:<3}", line.score, line.downs);
        let style = if line.is_own {
            Style::new().fg(Color::LightCyan)
        } else {
            Style::new().fg(Color::Gray)
        };
        write(buffer, area, (column, row), &text, style);
    }
}

fn draw_news(scene: &Scene, area: Rect, buffer: &mut Buffer) {
    let rows = (area.y + 1..area.y + area.height - 1).rev();
    for (row, line) in rows.zip(scene.news.iter().rev()) {
        let text = format!(" {line} ");
        write(
            buffer,
            area,
            (area.x, row),
            &text,
            Style::new().fg(Color::Yellow),
        );
    }
}

fn set(buffer: &mut Buffer, cell: (u16, u16), symbol: char, style: Style) {
    if let Some(cell) = buffer.cell_mut(cell) {
        cell.set_char(symbol).set_style(style);
    }
}

fn write(buffer: &mut Buffer, area: Rect, at: (u16, u16), text: &str, style: Style) {
    let room = area.x.saturating_add(area.width).saturating_sub(at.0);
    buffer.set_stringn(at.0, at.1, text, usize::from(room), style);
}

#[cfg(test)]
mod tests;
