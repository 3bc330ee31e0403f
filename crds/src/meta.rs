//! Names of labels, annotations and finalizers. Everything is Agones' key under `muster.dev/`.

/// The API group of all kinds but the autoscaler.
pub const GROUP: &str = "muster.dev";

/// Label on game server pods; its value is [`ROLE_GAMESERVER`].
pub const ROLE_LABEL: &str = "muster.dev/role";
/// The value of [`ROLE_LABEL`] on game server pods.
pub const ROLE_GAMESERVER: &str = "gameserver";
/// Label on pods: the game server's name.
pub const GAMESERVER_LABEL: &str = "muster.dev/gameserver";
/// Label on sets and game servers: the fleet's name.
pub const FLEET_LABEL: &str = "muster.dev/fleet";
/// Label on game servers: the set's name.
pub const GAMESERVERSET_LABEL: &str = "muster.dev/gameserverset";
/// Label on game servers that were allocated with a request id: that id. For a MatchAllocation it
/// is the object's uid.
pub const REQUEST_LABEL: &str = "muster.dev/request";
/// Label on pods: `"false"` while the pod must not be evicted.
pub const SAFE_TO_EVICT_LABEL: &str = "muster.dev/safe-to-evict";

/// Annotation on pods: the name of the game container.
pub const CONTAINER_ANNOTATION: &str = "muster.dev/container";
/// Annotation on pods and game servers: the version of Muster that made them.
pub const VERSION_ANNOTATION: &str = "muster.dev/sdk-version";
/// Annotation on game servers: when the server went to Error, RFC 3339.
pub const ERRORED_AT_ANNOTATION: &str = "muster.dev/errored-at";
/// Annotation on game servers: when the server went to Unhealthy, RFC 3339.
pub const UNHEALTHY_AT_ANNOTATION: &str = "muster.dev/unhealthy-at";
/// Annotation on game servers: when the server was last allocated, RFC 3339.
pub const LAST_ALLOCATED_ANNOTATION: &str = "muster.dev/last-allocated";
/// Annotation on game servers: the match that they are allocated for, a [`crate::matches::Match`]
/// as JSON. Written with the allocation.
pub const MATCH_ANNOTATION: &str = "muster.dev/match";
/// Annotation on game servers: how their match ended, a [`crate::matches::MatchEnd`] as JSON.
pub const MATCH_RESULT_ANNOTATION: &str = "muster.dev/match-result";
/// Annotation on game servers: when the first player of the match joined, RFC 3339.
pub const CLAIM_TIME_ANNOTATION: &str = "muster.dev/claim-time";
/// Annotation on game servers: players of the match who are there, by the game's word.
pub const PLAYER_COUNT_ANNOTATION: &str = "muster.dev/player-count";
/// Annotation on game servers: the address of a development server that has no pod.
pub const DEV_ADDRESS_ANNOTATION: &str = "muster.dev/dev-address";
/// Annotation on pods: which ports are passed through, as JSON from container to port indexes.
pub const PASSTHROUGH_ANNOTATION: &str = "muster.dev/container-passthrough-port-assignment";
/// Annotation read by the cluster autoscaler.
pub const CLUSTER_AUTOSCALER_ANNOTATION: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// Prefix of labels and annotations that a game server sets through its SDK.
pub const SDK_PREFIX: &str = "muster.dev/sdk-";

/// Secret in Muster's own namespace: the master keys of connect tokens.
pub const CONNECT_KEYS_SECRET: &str = "muster-connect-keys";

/// Finalizer of a MatchAllocation: its server must be released first.
pub const RELEASE_FINALIZER: &str = "muster.dev/release";

/// The audience of the tokens by which SDK servers prove their pod to the hub.
pub const TOKEN_AUDIENCE: &str = "muster.dev";
