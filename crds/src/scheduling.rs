//! The order in which servers are taken, by the scheduling strategy: API semantics, shared by the
//! operator (scale-down) and the allocator.

use std::cmp::Ordering;

use crate::gameserver::Scheduling;

/// What the order of scale-down looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Name of the server.
    pub name: &'a str,
    /// Node of the server; empty while it has none.
    pub node: &'a str,
    /// Whether the server is Ready.
    pub ready: bool,
    /// Ready and Allocated servers on that node.
    pub node_load: usize,
    /// Creation time in seconds since the Unix epoch.
    pub created: i64,
}

/// Compares two servers; the lesser is removed first.
///
/// Packed empties the least used nodes: unscheduled servers first, then those on the node with
/// the fewest Ready and Allocated servers, not-Ready before Ready. Distributed removes the newest
/// first. Names decide ties, so that the order is total.
pub fn scale_down_order(scheduling: Scheduling, a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    match scheduling {
        Scheduling::Packed => (!a.node.is_empty())
            .cmp(&!b.node.is_empty())
            .then_with(|| a.node_load.cmp(&b.node_load))
            .then_with(|| a.node.cmp(b.node))
            .then_with(|| a.ready.cmp(&b.ready)),
        Scheduling::Distributed => b.created.cmp(&a.created),
    }
    .then_with(|| a.name.cmp(b.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(scheduling: Scheduling, mut servers: Vec<Candidate<'_>>) -> Vec<&str> {
        servers.sort_by(|a, b| scale_down_order(scheduling, a, b));
        servers.into_iter().map(|server| server.name).collect()
    }

    const fn server<'a>(
        name: &'a str,
        node: &'a str,
        ready: bool,
        node_load: usize,
        created: i64,
    ) -> Candidate<'a> {
        Candidate {
            name,
            node,
            ready,
            node_load,
            created,
        }
    }

    #[test]
    fn packed_empties_the_least_used_node() {
        let servers = vec![
            server("full-1", "b", true, 3, 1),
            server("full-2", "b", false, 3, 2),
            server("lone", "a", true, 1, 3),
            server("homeless", "", false, 0, 4),
        ];
        assert_eq!(
            order(Scheduling::Packed, servers),
            ["homeless", "lone", "full-2", "full-1"]
        );
    }

    #[test]
    fn distributed_removes_the_newest() {
        let servers = vec![
            server("old", "a", true, 1, 10),
            server("new", "b", true, 9, 30),
            server("middle", "c", false, 2, 20),
        ];
        assert_eq!(
            order(Scheduling::Distributed, servers),
            ["new", "middle", "old"]
        );
    }
}
