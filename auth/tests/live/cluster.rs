//! What only the tests of live state do with Valkey: clusters of it, and commands of their own.

use redis::FromRedisValue;

use super::server::Server;

impl Server {
    /// Three servers that share the slots of a cluster.
    pub(crate) async fn start_cluster() -> Vec<Self> {
        let nodes: Vec<Self> = (0..3).map(|_| Self::on_free_ports(true)).collect();
        let shares = [(0, 5460), (5461, 10922), (10923, 16383)];
        for (node, (first, last)) in nodes.iter().zip(shares) {
            let mut assign = redis::cmd("CLUSTER");
            assign.arg("ADDSLOTSRANGE").arg(first).arg(last);
            node.ask::<()>(&assign).await;
            let (port, bus) = nodes[0].ports;
            let mut meet = redis::cmd("CLUSTER");
            meet.arg("MEET").arg("127.0.0.1").arg(port).arg(bus);
            node.ask::<()>(&meet).await;
        }
        for node in &nodes {
            super::until("a cluster of three", async || {
                let info: String = node.ask(redis::cmd("CLUSTER").arg("INFO")).await;
                info.contains("cluster_state:ok") && info.contains("cluster_size:3")
            })
            .await;
        }
        nodes
    }

    /// Does one command on a connection of its own.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }
}
