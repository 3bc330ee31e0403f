//! How many datagrams the kernel dropped before the server could see them: what the filter takes
//! for junk, and what found a full buffer.
//!
//! The kernel counts per socket, and shows it in the tables of `/proc/self/net`. These may be long
//! on a host with many sockets, so they are read once a second, and never by the thread that ticks.

use std::convert::Infallible;
use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::time::MissedTickBehavior;

/// The tables, of sockets of IPv4 and of IPv6 or both.
const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where a row has the socket's number, and where the count.
const INODE: usize = 9;
const DROPS: usize = 12;

/// A socket, by the number that the kernel's tables have for it.
#[derive(Clone, Copy, Debug)]
pub struct Drops {
    inode: u64,
}

impl Drops {
    /// What was dropped in front of a socket.
    pub fn of(socket: &UdpSocket) -> std::io::Result<Self> {
        let file = File::from(OwnedFd::from(socket.try_clone()?));
        let inode = file.metadata()?.ino();
        Ok(Self { inode })
    }

    /// How many there were, around 2^32; none if the kernel does not tell. Reads files.
    fn read(self) -> Option<u32> {
        TABLES.iter().find_map(|table| {
            let table = fs::read_to_string(table).ok()?;
            find(&table, self.inode)
        })
    }

    /// Adds what is dropped to a counter, for as long as this is waited for.
    pub async fn add_to(self, counter: IntCounter) -> Infallible {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = 0;
        loop {
            ticks.tick().await;
            let looked = tokio::task::spawn_blocking(move || self.read()).await;
            let Ok(Some(count)) = looked else {
                tracing::warn!("The kernel does not tell how many datagrams it drops");
                return std::future::pending().await;
            };
            counter.inc_by(u64::from(count.wrapping_sub(before)));
            before = count;
        }
    }
}

/// The count of the socket with this number.
fn find(table: &str, inode: u64) -> Option<u32> {
    table.lines().skip(1).find_map(|row| {
        let mut fields = row.split_ascii_whitespace().skip(INODE);
        let is_it = fields.next()?.parse() == Ok(inode);
        fields
            .nth(DROPS - INODE - 1)
            .filter(|_| is_it)?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    use super::*;
    use crate::arena::net::filter;

    #[test]
    fn a_row_of_the_table_is_found_by_its_socket() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            11212: 0100007F:8714 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41 2 00000000295982d0 7\n\
            11213: 0100007F:8715 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 42 2 00000000295982d1 4294967295\n\
            broken\n";
        assert_eq!(find(table, 41), Some(7));
        assert_eq!(find(table, 42), Some(u32::MAX));
        assert_eq!(find(table, 2), None);
        assert_eq!(find("", 41), None);
    }

    #[test]
    fn the_kernel_tells_what_its_filter_dropped() {
        for any in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()] {
            let server = UdpSocket::bind(SocketAddr::new(any, 0)).unwrap();
            filter::attach(&server).unwrap();
            let drops = Drops::of(&server).unwrap();
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = server.local_addr().unwrap().port();
            for _ in 0..5 {
                filter::tests::send_and_wait(
                    &client,
                    &server,
                    (Ipv4Addr::LOCALHOST, port),
                    &[7; 9],
                );
            }
            assert_eq!(drops.read(), Some(5), "{any}");
        }
    }

    #[tokio::test]
    async fn what_is_dropped_is_added_to_the_counter() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        filter::attach(&server).unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        filter::tests::send_and_wait(&client, &server, server.local_addr().unwrap(), &[7; 9]);
        let counter = IntCounter::new("dropped", "dropped").unwrap();
        let until_seen = async {
            while counter.get() == 0 {
                tokio::task::yield_now().await;
            }
        };
        let drops = Drops::of(&server).unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            tokio::select! {
                never = drops.add_to(counter.clone()) => match never {},
                () = until_seen => {}
            }
        });
        waited.await.unwrap();
        assert_eq!(counter.get(), 1);
    }
}
