//! What a run came to: the verdict by the rules of its profile, as a table and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use client::session::{End, Way};
use serde::Serialize;
use simulation::snapshot::HASH_INTERVAL;

use crate::flood::Flooded;
use crate::profile::{Profile, Rules};
use crate::record::{Record, Times, TimesSummary, WIDE_GAP};
use crate::swarm::STEP;

/// What must hold of a tick of the server under a flood, against the quiet before: 20 % more.
const MOST_FLOOD_RATIO: f64 = 1.2;

/// How long a bot plays on a network that loses no order before a hash of what it knew before must
/// have come: there is about one in a second.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

/// After how many newest snapshots one must have come on any network. What overtook a hash keeps it
/// from being compared, so chance has a part in it.
const OFTEN_ENOUGH: u64 = 8 * HASH_INTERVAL as u64;

/// What a run with one profile came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The profile.
    pub profile: &'static str,
    /// Bots.
    pub players: usize,
    /// How long they played, in seconds, on average.
    pub seconds: f64,
    /// Every rule that was broken; none is the best verdict.
    pub broken: Vec<String>,
    /// Rules that were broken too, but by bots that were late themselves: nobody can say whether
    /// the server would have kept them.
    pub late: Vec<String>,
    /// Bots that were in the match at the end.
    pub playing: usize,
    /// Snapshots that were newer than all before.
    pub snapshots: u64,
    /// Payloads that could not be decoded.
    pub damaged: u64,
    /// Snapshots that came after a newer one, or twice.
    pub overtaken: u64,
    /// Snapshots that build on one that was not there.
    pub missing_baselines: u64,
    /// Keyframes in the middle of a connection.
    pub resyncs: u64,
    /// Predictions that the server did not confirm bit for bit.
    pub mispredictions: u64,
    /// Predictions that were compared.
    pub predictions: u64,
    /// Snapshots after which a bot showed something else than the server meant.
    pub hash_mismatches: u64,
    /// Snapshots that said what it meant.
    pub hashes: u64,
    /// Those of them that covered what a bot knew before, and not their own entities alone.
    pub listed_hashes: u64,
    /// The largest correction, in meters.
    pub worst_correction: f32,
    /// Ticks without an input in time.
    pub starved_ticks: u64,
    /// Ticks that the server executed for these players.
    pub executed_ticks: u64,
    /// Ways back that led into the match.
    pub returns: u64,
    /// From one snapshot to the next.
    pub gaps: Option<TimesSummary>,
    /// Those above 50 ms for which the bots' own lateness does not account.
    pub wide_gaps: u64,
    /// From an input's due time until its execution was seen.
    pub input_to_ack: Option<TimesSummary>,
    /// From a new socket to the next snapshot.
    pub reconnect: Option<TimesSummary>,
    /// Longest time from the end of a fault of the network to the next snapshot, in milliseconds.
    pub resumed_max_ms: Option<f64>,
    /// How much later than intended the bots worked: their own fault, not the server's.
    pub bot_lateness: Option<TimesSummary>,
    /// Bits per second and player down, headers of IPv4 and UDP included.
    pub down_bits: f64,
    /// The same up.
    pub up_bits: f64,
    /// Work of the server's ticks, when its metrics were to be had.
    pub server: Option<ServerReport>,
    /// What the server was flooded with.
    pub flood: Option<Flooded>,
}

/// The server's own figures over a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ServerReport {
    /// Ticks since everybody had joined.
    pub ticks: u64,
    /// Work of such a tick that 99 of 100 did not exceed, in milliseconds, between two bounds of its
    /// histogram.
    pub tick_p99_ms: f64,
    /// The same before the flood.
    pub quiet_tick_p99_ms: Option<f64>,
    /// Ticks that were given up.
    pub debt_dropped: u64,
    /// Players who were sent away.
    pub kicked: u64,
    /// Datagrams that the server refused. What the kernel dropped before is not among them.
    pub refused: u64,
    /// Datagrams that the kernel dropped before the server could see them: what cannot be a packet,
    /// and what found a full buffer. The server counts them once a second.
    pub dropped: u64,
}

impl Report {
    /// Judges what the bots recorded.
    pub fn new(profile: &Profile, records: &[Record], server: Option<ServerReport>) -> Self {
        let mut report = Self::sum(profile.name, records);
        report.server = server;
        report.broken = broken(profile, records, server);
        for (what, is_late) in too_late(profile, records, server) {
            let list = if is_late {
                &mut report.late
            } else {
                &mut report.broken
            };
            list.push(what);
        }
        report
    }

    /// Whether every rule was kept.
    pub const fn passes(&self) -> bool {
        self.broken.is_empty() && self.late.is_empty()
    }

    fn sum(profile: &'static str, records: &[Record]) -> Self {
        let count = |of: fn(&Record) -> u64| records.iter().map(of).sum::<u64>();
        let times = |of: fn(&Record) -> &Times| {
            let mut sum = Times::default();
            for record in records {
                sum.add(of(record));
            }
            sum.summary()
        };
        let played: Duration = records.iter().map(|record| record.played).sum();
        let rate = |bytes: u64| float(8 * bytes) / played.as_secs_f64().max(0.001);
        let playing = |record: &&Record| record.way == Way::Playing;
        let resumed = records.iter().filter_map(|record| record.resumed).max();
        Self {
            profile,
            players: records.len(),
            seconds: played.as_secs_f64() / float(records.len().max(1) as u64),
            broken: Vec::new(),
            late: Vec::new(),
            playing: records.iter().filter(playing).count(),
            snapshots: count(|record| record.statistics.predictions.snapshots),
            damaged: count(|record| record.statistics.damaged),
            overtaken: count(|record| record.statistics.overtaken),
            missing_baselines: count(|record| record.statistics.missing_baselines),
            resyncs: count(|record| record.statistics.predictions.resyncs),
            mispredictions: count(|record| record.statistics.predictions.corrected),
            predictions: count(|record| {
                let predictions = record.statistics.predictions;
                predictions.corrected + predictions.exact
            }),
            hash_mismatches: count(|record| record.statistics.hash_mismatches),
            hashes: count(|record| record.statistics.hashes),
            listed_hashes: count(|record| record.statistics.listed_hashes),
            worst_correction: records
                .iter()
                .map(|record| record.statistics.predictions.worst)
                .fold(0.0, f32::max),
            starved_ticks: count(|record| record.statistics.predictions.starved),
            executed_ticks: count(|record| record.statistics.predictions.executed),
            returns: count(|record| record.returns),
            gaps: times(|record| &record.gaps),
            wide_gaps: count(|record| record.wide_gaps),
            input_to_ack: times(|record| &record.latency),
            reconnect: times(|record| &record.reconnects),
            resumed_max_ms: resumed.map(|time| time.as_secs_f64() * 1_000.0),
            bot_lateness: times(|record| &record.lateness),
            down_bits: rate(count(|record| record.statistics.bytes_down)),
            up_bits: rate(count(|record| record.statistics.bytes_up)),
            server: None,
            flood: None,
        }
    }
}

/// Every rule that was broken, and by how much.
fn broken(profile: &Profile, records: &[Record], server: Option<ServerReport>) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, record) in records.iter().enumerate() {
        for what in broken_by(profile, record) {
            broken.push(format!("bot {number}: {what}"));
        }
    }
    let Some(server) = server else {
        return broken;
    };
    if server.kicked > 0 {
        broken.push(format!("{} players were sent away", server.kicked));
    }
    if let Some(quiet) = server.quiet_tick_p99_ms
        && server.tick_p99_ms > MOST_FLOOD_RATIO * quiet
    {
        broken.push(format!(
            "tick p99 of {:.2} ms under the flood, {:.2} ms before it",
            server.tick_p99_ms, quiet
        ));
    }
    broken
}

/// The rules about time that were broken, and whether bots were late that might have broken them:
/// who is late sends too late, and may have a machine that is late in everything.
fn too_late(
    profile: &Profile,
    records: &[Record],
    server: Option<ServerReport>,
) -> Vec<(String, bool)> {
    let mut broken = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let predictions = &record.statistics.predictions;
        let most = profile.rules.mispredictions;
        if most.is_some_and(|most| predictions.corrected > most) {
            let what = format!(
                "bot {number}: {} mispredictions, by up to {:.3} m",
                predictions.corrected, predictions.worst
            );
            broken.push((what, is_late(record)));
        }
    }
    // Over all players: a single late packet of one of them is too much for a share this small.
    if let Some(most) = profile.rules.starvation {
        let sum = |of: fn(&Record) -> u64| records.iter().map(of).sum::<u64>();
        let starved = sum(|record| record.statistics.predictions.starved);
        let executed = sum(|record| record.statistics.predictions.executed);
        let share = float(starved) / float(executed.max(1));
        if share > most {
            let what = format!(
                "{starved} of {executed} ticks without an input in time; {:.0} may be",
                most * float(executed)
            );
            broken.push((what, records.iter().any(is_late)));
        }
    }
    // Over all players: a single gap of one of them is too much for a share this small.
    if let Some(most) = profile.rules.wide_gaps {
        let wide: u64 = records.iter().map(|record| record.wide_gaps).sum();
        let gaps: u64 = records.iter().map(|record| record.gaps.count()).sum();
        if float(wide) > most * float(gaps) {
            let what = format!(
                "{wide} of {gaps} gaps between snapshots above {WIDE_GAP:?}; {:.0} may be",
                most * float(gaps)
            );
            broken.push((what, records.iter().any(is_busy)));
        }
    }
    if let (Some(most), Some(server)) = (profile.rules.debt, server)
        && server.debt_dropped > most
    {
        let what = format!("{} ticks were given up", server.debt_dropped);
        broken.push((what, records.iter().any(is_busy)));
    }
    broken
}

/// Whether a bot missed more than one deadline of a hundred: a machine that is so busy has no time
/// for a server beside it either.
fn is_busy(record: &Record) -> bool {
    let usual = record.lateness.summary().map(|times| times.p99_ms);
    usual.is_some_and(|usual| usual > 1_000.0 * STEP.as_secs_f64())
}

/// Whether a bot was so late once that its next deadline was over too.
fn is_late(record: &Record) -> bool {
    let worst = record.lateness.summary().map(|times| times.max_ms);
    worst.is_some_and(|worst| worst > 1_000.0 * STEP.as_secs_f64())
}

fn broken_by(profile: &Profile, record: &Record) -> Vec<String> {
    let Rules {
        mispredictions: _,
        starvation: _,
        may_resync,
        resumes_within,
        expires,
        down,
        wide_gaps: _,
        debt: _,
    } = profile.rules;
    let mut broken = Vec::new();
    let statistics = &record.statistics;
    let predictions = &statistics.predictions;
    let overflowed: u64 = record.links.iter().map(|link| link.overflowed).sum();
    if overflowed > 0 {
        broken.push(format!("{overflowed} packets more than the link carries"));
    }
    if statistics.damaged > 0 {
        broken.push(format!("{} payloads were damaged", statistics.damaged));
    }
    let is_in_order = profile.link.reordered == 0.0 && profile.link.jitter.is_zero();
    if is_in_order && profile.rebind.is_none() && statistics.overtaken > 0 {
        broken.push(format!("{} snapshots out of order", statistics.overtaken));
    }
    if expires {
        if record.way != Way::Over(End::Expired) {
            broken.push(format!("{} and not expired", record.way));
        }
        if record.returns > 0 {
            broken.push("came back after its session had expired".to_owned());
        }
    } else if record.way != Way::Playing {
        broken.push(format!("{} and not playing at the end", record.way));
    }
    if statistics.hash_mismatches > 0 {
        broken.push(format!(
            "{} of {} hashes of what it shows differ from the server's",
            statistics.hash_mismatches, statistics.hashes
        ));
    }
    if statistics.hashes == 0 {
        broken.push("no hash of what it shows was compared".to_owned());
    }
    // That of a keyframe says nothing of what the deltas after it come to.
    let is_due = is_in_order && record.played >= LONG_ENOUGH;
    if statistics.listed_hashes == 0 && (is_due || predictions.snapshots >= OFTEN_ENOUGH) {
        broken.push("no hash of what it knew before was compared".to_owned());
    }
    if predictions.exact == 0 {
        broken.push("no prediction was confirmed".to_owned());
    }
    if !may_resync {
        for (count, what) in [
            (predictions.resyncs, "resynchronizations"),
            (statistics.missing_baselines, "missing baselines"),
            (statistics.reconnects, "reconnects"),
        ] {
            if count > 0 {
                broken.push(format!("{count} {what}"));
            }
        }
    }
    if let Some(most) = resumes_within {
        let has_fault = profile.blackout.is_some() || profile.rebind.is_some();
        let worst = if has_fault {
            record.resumed
        } else {
            record
                .gaps
                .summary()
                .map(|gaps| Duration::from_secs_f64(gaps.max_ms / 1_000.0))
        };
        match worst {
            None => broken.push("got no snapshot after the fault".to_owned()),
            Some(worst) if worst > most => {
                broken.push(format!("resumed after {worst:.1?}, later than {most:?}"));
            }
            Some(_) => {}
        }
    }
    let seconds = record.played.as_secs_f64().max(0.001);
    let rate = float(8 * statistics.bytes_down) / seconds;
    if let Some(most) = down
        && rate > float(most)
    {
        broken.push(format!("{rate:.0} bit/s down, more than {most}"));
    }
    broken
}

/// The reports as a table, and what was broken below it.
pub fn markdown(reports: &[Report]) -> String {
    let mut text = String::from(
        "| profile | players | s | verdict | mispredictions | hash mismatches | starved | gap p99 | wide gaps | \
         input to ack p50 / p99 | reconnect p99 | resumed | down | up | bots late p99 |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for report in reports {
        let verdict = if report.passes() { "pass" } else { "**fail**" };
        let starved = 100.0 * float(report.starved_ticks) / float(report.executed_ticks.max(1));
        let p99 = |times: Option<TimesSummary>| {
            times.map_or_else(|| "–".to_owned(), |times| format!("{:.1} ms", times.p99_ms))
        };
        let latency = report.input_to_ack.map_or_else(
            || "–".to_owned(),
            |times| format!("{:.1} / {:.1} ms", times.p50_ms, times.p99_ms),
        );
        let resumed = report
            .resumed_max_ms
            .map_or_else(|| "–".to_owned(), |time| format!("{time:.0} ms"));
        // Writing to a string cannot fail.
        writeln!(
            text,
            "| {} | {} | {:.0} | {verdict} | {} of {} | {} of {} | {starved:.3} % | {} | {} | {latency} | {} | \
             {resumed} | {:.0} kbit/s | {:.0} kbit/s | {} |",
            report.profile,
            report.players,
            report.seconds,
            report.mispredictions,
            report.predictions,
            report.hash_mismatches,
            report.hashes,
            p99(report.gaps),
            report.wide_gaps,
            p99(report.reconnect),
            report.down_bits / 1_000.0,
            report.up_bits / 1_000.0,
            p99(report.bot_lateness),
        )
        .ok();
    }
    for report in reports {
        if let Some(server) = &report.server {
            writeln!(
                text,
                "\n{}: server tick p99 {:.2} ms{}, {} ticks given up, {} kicked, {} refused, \
                 {} dropped by the kernel.",
                report.profile,
                server.tick_p99_ms,
                server
                    .quiet_tick_p99_ms
                    .map_or_else(String::new, |quiet| format!(
                        " ({quiet:.2} ms in the quiet)"
                    )),
                server.debt_dropped,
                server.kicked,
                server.refused,
                server.dropped,
            )
            .ok();
        }
        if let Some(flood) = &report.flood {
            writeln!(
                text,
                "\n{}: {} datagrams of random bytes, {} shaped like packets, {} forged requests.",
                report.profile, flood.random, flood.shaped, flood.requests,
            )
            .ok();
        }
        for what in &report.broken {
            writeln!(text, "\n- {}: {what}", report.profile).ok();
        }
        for what in &report.late {
            writeln!(
                text,
                "\n- {}: {what} (by bots that were late)",
                report.profile
            )
            .ok();
        }
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "far below 52 bits")]
const fn float(count: u64) -> f64 {
    count as f64
}
