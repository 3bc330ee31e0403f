//! What it costs to judge a message: `cargo bench -p lobby --bench moderation`.
//!
//! A thousand words on the list, messages of chats as they are: short, some with disguises.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends with the first thing that does not work"
)]

use std::time::{Duration, Instant};

use lobby::chat::moderation::{Lists, Moderator};

const MESSAGES: [&str; 8] = [
    "gg",
    "good game everybody, one more?",
    "they are behind the red base, two of them",
    "w a i t   f o r   m e",
    "b\u{057D}ggeeer off",
    "anyone up for ranked? need one healer, eu servers, voice please",
    "好的，我们再来一局",
    "that was a coarse move but it worked, nicely parsed 👍🏽 see you tomorrow at the same time",
];

const ROUNDS: u32 = 5_000;

fn main() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut word = || -> String { (0..7).map(|_| random.lowercase()).collect() };
    let mut masked: Vec<String> = (0..1000).map(|_| word()).collect();
    masked.push("bugger".to_owned());
    let moderator = Moderator::new(&Lists {
        masked,
        allowed: vec!["parsed".to_owned()],
        ..Lists::default()
    })
    .unwrap();
    println!("| message | characters | time |");
    println!("|---|---|---|");
    let mut total = Duration::ZERO;
    for message in MESSAGES {
        let began = Instant::now();
        for _ in 0..ROUNDS {
            std::hint::black_box(moderator.judge(std::hint::black_box(message)));
        }
        let time = began.elapsed() / ROUNDS;
        total += time;
        println!("| {message} | {} | {time:.1?} |", message.chars().count());
    }
    println!("| mean | | {:.1?} |", total / 8);
}
