//! Puts words in the place of what differs between runs: times, identities, ports, usage.

use std::sync::LazyLock;

use regex::Regex;

/// What is replaced by what, in this order.
const MASKS: [(&str, &str); 17] = [
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uid>"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "<time>"),
    (
        r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [+-][0-9]{4}",
        "<time>",
    ),
    // The API server makes names of these characters.
    (
        r"simple-server-[bcdfghjklmnpqrstvwxz2456789]{5}-[bcdfghjklmnpqrstvwxz2456789]{5}",
        "simple-server-<set>-<server>",
    ),
    (
        r"simple-server-[bcdfghjklmnpqrstvwxz2456789]{5}",
        "simple-server-<set>",
    ),
    (r"(Resource Version: *)[0-9]+", "$1<version>"),
    (r#"("resourceVersion": )"[0-9]+""#, r#"$1"<version>""#),
    (r#"(resourceVersion: )"[0-9]+""#, r#"$1"<version>""#),
    // Where in the source a line of a log was written.
    (r#""target":"[a-z_:]+""#, r#""target":"<target>""#),
    // Several changes of an object may become one.
    (r"(?m)^( +[Gg]eneration: +)[0-9]+$", "$1<generation>"),
    (r"process://[0-9]+", "process://<pid>"),
    // Ports of game servers and of the command: see the harness.
    (r"(?-u:\b)[23][0-9]{4}(?-u:\b)", "<port>"),
    // Usage, as `kubectl top` prints it.
    (
        r"(?m)^(this-machine|simple-server) +[0-9]+m +([0-9]+% +)?[0-9]+Mi( +[0-9]+%)?",
        "$1   <usage>",
    ),
    // Ages stand at the end of a row, or at its start among events.
    (r"(?m)([^ :\n]  +)([0-9]+[dhms])+$", "$1<age>"),
    (r"(?m)^([0-9]+[dhms])+(  +)", "<age>$2"),
    // Columns are as wide as what is masked by now.
    (r"(?m) +$", ""),
    (r"([^ \n])  +", "$1   "),
];

/// The masked text.
pub(crate) fn mask(text: &str) -> String {
    static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let compile = |(pattern, word): (&str, &'static str)| (Regex::new(pattern).unwrap(), word);
        MASKS.into_iter().map(compile).collect()
    });
    COMPILED
        .iter()
        .fold(text.to_owned(), |text, (pattern, word)| {
            pattern.replace_all(&text, *word).into_owned()
        })
}
