//! The states of a game server and the legal changes between them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a game server.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum State {
    /// Ports are still to be chosen.
    #[default]
    PortAllocation,
    /// Ports are chosen; the pod is being created.
    Creating,
    /// The pod exists and waits for a node.
    Starting,
    /// The pod is on a node; address and ports are known.
    Scheduled,
    /// The game said that it is ready; the address is still missing.
    RequestReady,
    /// Players can be sent here.
    Ready,
    /// In use by a match. Never deleted by us.
    Allocated,
    /// Set aside by the game itself. Never deleted by us.
    Reserved,
    /// Asked to end; the object is about to be deleted.
    Shutdown,
    /// Could not be created.
    Error,
    /// Failed its health checks or lost its pod.
    Unhealthy,
}

impl State {
    /// Every state, in the order of a server's life.
    pub const ALL: [Self; 11] = [
        Self::PortAllocation,
        Self::Creating,
        Self::Starting,
        Self::Scheduled,
        Self::RequestReady,
        Self::Ready,
        Self::Allocated,
        Self::Reserved,
        Self::Shutdown,
        Self::Error,
        Self::Unhealthy,
    ];

    /// The name as it stands in `status.state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PortAllocation => "PortAllocation",
            Self::Creating => "Creating",
            Self::Starting => "Starting",
            Self::Scheduled => "Scheduled",
            Self::RequestReady => "RequestReady",
            Self::Ready => "Ready",
            Self::Allocated => "Allocated",
            Self::Reserved => "Reserved",
            Self::Shutdown => "Shutdown",
            Self::Error => "Error",
            Self::Unhealthy => "Unhealthy",
        }
    }

    /// Whether the server is on its way to Ready.
    pub const fn is_before_ready(self) -> bool {
        matches!(
            self,
            Self::PortAllocation
                | Self::Creating
                | Self::Starting
                | Self::Scheduled
                | Self::RequestReady
        )
    }

    /// Whether a match or the game itself holds the server: such servers are never deleted by us.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Allocated | Self::Reserved)
    }

    /// Whether the server has ended or is about to.
    pub const fn is_ending(self) -> bool {
        matches!(self, Self::Shutdown | Self::Error | Self::Unhealthy)
    }

    /// Whether a server in this state may go to `next`.
    ///
    /// Skipping early states is legal; going back to them is not. An ended server only goes on
    /// toward Shutdown.
    pub const fn can_become(self, next: Self) -> bool {
        if matches!(self, Self::Error | Self::Unhealthy | Self::Shutdown) {
            // An ended server only goes on toward Shutdown, and Shutdown is the end.
            return !matches!(self, Self::Shutdown) && matches!(next, Self::Shutdown);
        }
        match next {
            // Nothing returns to the states before its pod ran.
            Self::PortAllocation | Self::Creating | Self::Starting | Self::Scheduled => {
                (self as u8) < (next as u8)
            }
            // Error means that the pod could not be made.
            Self::Error => matches!(self, Self::PortAllocation | Self::Creating),
            Self::RequestReady
            | Self::Ready
            | Self::Allocated
            | Self::Reserved
            | Self::Shutdown
            | Self::Unhealthy => true,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::State;

    #[test]
    fn legal_changes_are_exactly_these() {
        let lines: Vec<_> = State::ALL
            .iter()
            .map(|from| {
                let next: Vec<_> = State::ALL
                    .iter()
                    .filter(|next| from.can_become(**next))
                    .map(|next| next.as_str())
                    .collect();
                format!("{from}: {}", next.join(" ")).trim_end().to_owned()
            })
            .collect();
        let table = lines.join("\n") + "\n";
        expect![[r#"
            PortAllocation: Creating Starting Scheduled RequestReady Ready Allocated Reserved Shutdown Error Unhealthy
            Creating: Starting Scheduled RequestReady Ready Allocated Reserved Shutdown Error Unhealthy
            Starting: Scheduled RequestReady Ready Allocated Reserved Shutdown Unhealthy
            Scheduled: RequestReady Ready Allocated Reserved Shutdown Unhealthy
            RequestReady: RequestReady Ready Allocated Reserved Shutdown Unhealthy
            Ready: RequestReady Ready Allocated Reserved Shutdown Unhealthy
            Allocated: RequestReady Ready Allocated Reserved Shutdown Unhealthy
            Reserved: RequestReady Ready Allocated Reserved Shutdown Unhealthy
            Shutdown:
            Error: Shutdown
            Unhealthy: Shutdown
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn names_round_trip() {
        for state in State::ALL {
            let json = serde_json::to_value(state).unwrap();
            assert_eq!(json, state.as_str());
            assert_eq!(serde_json::from_value::<State>(json).unwrap(), state);
        }
    }
}
