//! Records which calls came, for the conformance tests of Agones' SDKs. Pure.
//!
//! Expected and received calls are compared as sets: neither order nor number matters.

use std::collections::BTreeSet;

use crate::backend::Call;

/// The calls that came, and those that should.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    expected: BTreeSet<String>,
    received: BTreeSet<&'static str>,
}

/// How the calls that came differ from those that should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "conformance test failed: expected but not received: [{}]; received but not expected: [{}]",
    missing.join(", "),
    unexpected.join(", ")
)]
pub struct Mismatch {
    /// Expected calls that did not come.
    pub missing: Vec<String>,
    /// Calls that came and were not expected.
    pub unexpected: Vec<String>,
}

impl Recorder {
    pub(crate) fn new(expected: impl IntoIterator<Item = String>) -> Self {
        Self {
            expected: expected.into_iter().collect(),
            received: BTreeSet::new(),
        }
    }

    pub(crate) fn record(&mut self, name: &'static str) {
        self.received.insert(name);
    }

    /// Records a call; a label or annotation counts only if its value proves that the client has
    /// read the object: its creation time, or its UID.
    pub(crate) fn record_call(&mut self, call: &Call, creation_time: i64, uid: &str) {
        let name = name(call);
        let (value, wanted) = match call {
            Call::SetLabel { value, .. } => (value.as_str(), creation_time.to_string()),
            Call::SetAnnotation { value, .. } => (value.as_str(), uid.to_owned()),
            _ => return self.record(name),
        };
        if value == wanted {
            self.record(name);
        } else {
            tracing::error!(
                "Expected to receive {wanted:?} as value for {name:?} request but received {value:?}"
            );
        }
    }

    /// Compares what came with what should.
    pub(crate) fn compare(&self) -> Result<(), Mismatch> {
        let missing: Vec<_> = self
            .expected
            .iter()
            .filter(|name| !self.received.contains(name.as_str()))
            .cloned()
            .collect();
        let unexpected: Vec<_> = self
            .received
            .iter()
            .filter(|name| !self.expected.contains(**name))
            .map(|name| (*name).to_owned())
            .collect();
        if missing.is_empty() && unexpected.is_empty() {
            Ok(())
        } else {
            Err(Mismatch {
                missing,
                unexpected,
            })
        }
    }
}

/// The name that the conformance tests give a call.
fn name(call: &Call) -> &'static str {
    match call {
        Call::Ready => "ready",
        Call::Allocate => "allocate",
        Call::Shutdown => "shutdown",
        Call::Reserve { .. } => "reserve",
        Call::SetLabel { .. } => "setlabel",
        Call::SetAnnotation { .. } => "setannotation",
        // No conformance client makes these calls; one that did would be told.
        Call::PlayerJoined { .. } => "playerjoined",
        Call::PlayerLeft { .. } => "playerleft",
        Call::EndMatch { .. } => "endmatch",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(expected: &str) -> Recorder {
        Recorder::new(expected.split(',').map(str::to_owned))
    }

    #[test]
    fn order_and_number_do_not_matter() {
        let mut recorder = recorder("ready,health,gameserver");
        for name in ["gameserver", "health", "health"] {
            recorder.record(name);
        }
        recorder.record_call(&Call::Ready, 0, "");
        recorder.compare().unwrap();
    }

    #[test]
    fn a_mismatch_lists_what_is_missing_and_what_is_too_much() {
        let mut recorder = recorder("ready,reserve,watch");
        recorder.record("ready");
        recorder.record("gameserver");
        assert_eq!(
            recorder.compare().unwrap_err().to_string(),
            "conformance test failed: expected but not received: [reserve, watch]; \
             received but not expected: [gameserver]"
        );
    }

    #[test]
    fn metadata_counts_only_with_the_value_that_the_object_shows() {
        let key = || "key".to_owned();
        let mut recorder = recorder("setlabel,setannotation");
        for value in ["x", "77"] {
            let label = Call::SetLabel {
                key: key(),
                value: value.into(),
            };
            recorder.record_call(&label, 77, "uid");
            let annotation = Call::SetAnnotation {
                key: key(),
                value: value.into(),
            };
            recorder.record_call(&annotation, 77, "uid");
        }
        assert_eq!(recorder.compare().unwrap_err().missing, ["setannotation"]);
        let annotation = Call::SetAnnotation {
            key: key(),
            value: "uid".into(),
        };
        recorder.record_call(&annotation, 77, "uid");
        recorder.compare().unwrap();
    }
}
