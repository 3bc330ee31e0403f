//! The terminal of a player: taken over at the start, and given back at every end.

use std::io::{IsTerminal as _, Stdout, stdout};
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{
    DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
    KeyboardEnhancementFlags, MouseButton, MouseEventKind, PopKeyboardEnhancementFlags,
    PushKeyboardEnhancementFlags,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    supports_keyboard_enhancement,
};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::keys::{Action, Keys};
use super::scene::Scene;
use super::view::{self, Ground, Look};
use crate::command::Error;

/// A terminal that shows the match; given back when it is dropped, and when the program panics.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    tells_releases: bool,
}

/// What the person wants besides playing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To go on.
    Stay,
    /// To leave.
    Leave,
}

impl Screen {
    /// Takes the terminal over. Refuses if there is none.
    pub fn take() -> Result<Self, Error> {
        if !stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return Err(Error::Argument(
                "bots play needs a terminal: standard input and output must be one",
            ));
        }
        let hook = Arc::new(std::panic::take_hook());
        std::panic::set_hook(Box::new(move |information| {
            give_back();
            hook(information);
        }));
        let screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(stdout()))?,
            tells_releases: supports_keyboard_enhancement().unwrap_or(false),
        };
        enable_raw_mode()?;
        execute!(
            stdout(),
            EnterAlternateScreen,
            EnableMouseCapture,
            cursor::Hide
        )?;
        if screen.tells_releases {
            let flags = KeyboardEnhancementFlags::REPORT_EVENT_TYPES
                | KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES;
            execute!(stdout(), PushKeyboardEnhancementFlags(flags))?;
        }
        Ok(screen)
    }

    /// Whether this terminal tells of keys that are released.
    pub const fn tells_releases(&self) -> bool {
        self.tells_releases
    }

    /// Shows a scene.
    pub fn show(&mut self, scene: &Scene, look: &Look, now: Duration) -> Result<(), Error> {
        self.terminal.draw(|frame| {
            let area = frame.area();
            view::draw(scene, look, now, area, frame.buffer_mut());
        })?;
        Ok(())
    }

    /// Takes in keys and mouse, and waits for them for `patience` at most.
    pub fn listen(
        &self,
        now: Duration,
        patience: Duration,
        scene: &Scene,
        keys: &mut Keys,
        look: &mut Look,
    ) -> Result<Wish, Error> {
        let mut patience = patience;
        while crossterm::event::poll(patience)? {
            patience = Duration::ZERO;
            match crossterm::event::read()? {
                Event::Key(key) => {
                    if press(now, key, keys, look) == Wish::Leave {
                        return Ok(Wish::Leave);
                    }
                }
                Event::Mouse(mouse) => {
                    let size = self.terminal.size()?;
                    let area = ratatui::layout::Rect::new(0, 0, size.width, size.height);
                    let ground = Ground::new(scene, look, area);
                    let away = ground.place(mouse.column, mouse.row) - scene.center;
                    if away.length() > 0.1 {
                        keys.set_aim(away.to_angle() / std::f32::consts::TAU);
                    }
                    match mouse.kind {
                        MouseEventKind::Down(MouseButton::Left)
                        | MouseEventKind::Drag(MouseButton::Left) => {
                            keys.press(now, Action::Fire);
                        }
                        MouseEventKind::Up(MouseButton::Left) => keys.release(Action::Fire),
                        MouseEventKind::ScrollUp => look.nearer(),
                        MouseEventKind::ScrollDown => look.farther(),
                        MouseEventKind::Down(_)
                        | MouseEventKind::Up(_)
                        | MouseEventKind::Drag(_)
                        | MouseEventKind::Moved
                        | MouseEventKind::ScrollLeft
                        | MouseEventKind::ScrollRight => {}
                    }
                }
                Event::FocusGained | Event::FocusLost | Event::Paste(_) | Event::Resize(..) => {}
            }
        }
        Ok(Wish::Stay)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back as it was. Asked twice, it does no harm; where it fails, there is no
/// terminal any more.
fn give_back() {
    execute!(
        stdout(),
        PopKeyboardEnhancementFlags,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    )
    .ok();
    disable_raw_mode().ok();
}

fn press(now: Duration, key: KeyEvent, keys: &mut Keys, look: &mut Look) -> Wish {
    let is_released = key.kind == KeyEventKind::Release;
    let interrupts =
        key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    if interrupts {
        return Wish::Leave;
    }
    // A capital letter is how a terminal tells of the shift key.
    if matches!(key.code, KeyCode::Char(letter) if letter.is_ascii_uppercase()) && !is_released {
        keys.press(now, Action::Sprint);
    }
    let code = match key.code {
        KeyCode::Char(letter) => KeyCode::Char(letter.to_ascii_lowercase()),
        other => other,
    };
    let action = match code {
        KeyCode::Char('w') | KeyCode::Up => Action::North,
        KeyCode::Char('s') | KeyCode::Down => Action::South,
        KeyCode::Char('a') | KeyCode::Left => Action::West,
        KeyCode::Char('d') | KeyCode::Right => Action::East,
        KeyCode::Char('j') => Action::TurnLeft,
        KeyCode::Char('l') => Action::TurnRight,
        KeyCode::Char(' ') => Action::Fire,
        KeyCode::Char('k') => Action::Jump,
        KeyCode::Char('q') | KeyCode::Esc => return Wish::Leave,
        KeyCode::Char('+' | '=') if !is_released => {
            look.nearer();
            return Wish::Stay;
        }
        KeyCode::Char('-') if !is_released => {
            look.farther();
            return Wish::Stay;
        }
        _ => return Wish::Stay,
    };
    if is_released {
        keys.release(action);
        if !key.modifiers.contains(KeyModifiers::SHIFT) {
            keys.release(Action::Sprint);
        }
    } else {
        keys.press(now, action);
    }
    Wish::Stay
}
