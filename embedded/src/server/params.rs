//! Query parameters, as the API server reads them.

use crate::status::{Cause, Status};

/// The query of a request, decoded, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query such as `limit=5&labelSelector=a%3Db`.
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|part| !part.is_empty());
        Self(
            pairs
                .map(|part| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Text of a parameter; empty counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A flag: absent, `false` and `0` are false, anything else is true.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)
            .map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!(
                    "strconv.ParseInt: parsing \"{text}\": invalid syntax"
                ))
            }),
        }
    }
}

/// Undoes percent encoding; `+` is a space.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let hex = bytes
            .get(index + 1..index + 3)
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                decoded.push(value);
                index += 2;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// How fields are treated that a kind does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Dropped silently.
    Ignore,
    /// Dropped with a warning.
    #[default]
    Warn,
    /// Refused.
    Strict,
}

/// What every write may say in its query.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    /// Everything but the write itself.
    pub(crate) dry_run: bool,
    /// Who owns the fields that change; none to take it from the User-Agent.
    pub(crate) manager: Option<String>,
    /// Unknown and duplicate fields.
    pub(crate) validation: FieldValidation,
    /// Take fields from other appliers.
    pub(crate) force: bool,
}

impl WriteOptions {
    /// Reads and checks the options. `options_kind` is such as `CreateOptions`; `apply` tells of
    /// a patch whether it is an apply patch.
    pub(crate) fn read(
        params: &Params,
        options_kind: &str,
        apply: Option<bool>,
    ) -> Result<Self, Status> {
        let mut causes = Vec::new();
        let manager = params.text("fieldManager").map(ToOwned::to_owned);
        let force = params.flag("force");
        match apply {
            Some(true) if manager.is_none() => {
                causes.push(Cause::required(
                    "fieldManager",
                    "is required for apply patch",
                ));
            }
            Some(false) if force.is_some() => {
                causes.push(Cause::forbidden(
                    "force",
                    "may not be specified for non-apply patch",
                ));
            }
            _ => {}
        }
        if let Some(manager) = &manager {
            check_manager(manager, &mut causes);
        }
        let dry_run: Vec<&str> = params.all("dryRun").collect();
        check_dry_run(&dry_run, &mut causes);
        let validation = match params.get("fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                causes.push(unsupported(
                    "fieldValidation",
                    &format!("\"{other}\""),
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        if !causes.is_empty() {
            return Err(Status::invalid("meta.k8s.io", options_kind, "", causes));
        }
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            manager,
            validation,
            force: force.unwrap_or_default(),
        })
    }
}

/// Checks the values of `dryRun`.
pub(crate) fn check_dry_run(values: &[&str], causes: &mut Vec<Cause>) {
    if values.iter().any(|value| *value != "All") {
        let shown: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
        causes.push(unsupported(
            "dryRun",
            &format!("[{}]", shown.join(",")),
            &["All"],
        ));
    }
}

fn check_manager(manager: &str, causes: &mut Vec<Cause>) {
    const LONGEST: usize = 128;
    if manager.len() > LONGEST {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {LONGEST} bytes"),
            field: "fieldManager".to_owned(),
        });
    }
    for (position, character) in manager.char_indices() {
        if character.is_control() {
            let code = u32::from(character);
            causes.push(Cause::invalid(
                "fieldManager",
                &format!("{manager:?}"),
                &format!("invalid character U+{code:04X} (at position {position})"),
            ));
        }
    }
}

/// The value is none of those that are known.
pub(crate) fn unsupported(field: &str, shown: &str, supported: &[&str]) -> Cause {
    let list: Vec<String> = supported.iter().map(|name| format!("\"{name}\"")).collect();
    Cause {
        reason: "FieldValueNotSupported",
        message: format!(
            "Unsupported value: {shown}: supported values: {}",
            list.join(", ")
        ),
        field: field.to_owned(),
    }
}

/// How the version of a list is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    /// At least as new.
    NotOlderThan,
    /// As it was then.
    Exact,
}

/// What lists and watches may say in their query.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    /// Label selector as written.
    pub(crate) labels: String,
    /// Field selector as written.
    pub(crate) fields: String,
    /// Whether it is a watch.
    pub(crate) watch: bool,
    /// Whether the client understands bookmarks.
    pub(crate) bookmarks: bool,
    /// Version as written; empty for none.
    pub(crate) version: String,
    /// How the version is meant.
    pub(crate) version_match: Option<VersionMatch>,
    /// After how many seconds a watch ends.
    pub(crate) timeout_seconds: Option<u64>,
    /// Objects per page; none for all.
    pub(crate) limit: Option<usize>,
    /// Where the page begins.
    pub(crate) continue_token: Option<String>,
    /// Whether a watch begins with what exists.
    pub(crate) initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks the options.
    pub(crate) fn read(params: &Params, watch: bool) -> Result<Self, Status> {
        let mut options = Self {
            labels: params.get("labelSelector").unwrap_or_default().to_owned(),
            fields: params.get("fieldSelector").unwrap_or_default().to_owned(),
            watch,
            bookmarks: params.flag("allowWatchBookmarks").unwrap_or_default(),
            version: params.get("resourceVersion").unwrap_or_default().to_owned(),
            version_match: None,
            timeout_seconds: params
                .number("timeoutSeconds")?
                .and_then(|seconds| u64::try_from(seconds).ok()),
            limit: params
                .number("limit")?
                .and_then(|limit| usize::try_from(limit).ok())
                .filter(|limit| *limit > 0),
            continue_token: params.text("continue").map(ToOwned::to_owned),
            initial_events: params.flag("sendInitialEvents"),
        };
        let written = params.text("resourceVersionMatch");
        options.version_match = match written {
            Some("Exact") => Some(VersionMatch::Exact),
            Some("NotOlderThan") => Some(VersionMatch::NotOlderThan),
            _ => None,
        };
        let causes = if options.watch {
            options.check_watch(written)
        } else {
            options.check_list(written)
        };
        if causes.is_empty() {
            Ok(options)
        } else {
            Err(Status::invalid("meta.k8s.io", "ListOptions", "", causes))
        }
    }

    fn check_list(&self, written: Option<&str>) -> Vec<Cause> {
        let field = "resourceVersionMatch";
        let mut causes = Vec::new();
        if let Some(written) = written {
            if self.version.is_empty() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if self.continue_token.is_some() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if self.version_match.is_none() {
                causes.push(unsupported(
                    field,
                    &format!("\"{written}\""),
                    &["Exact", "NotOlderThan", ""],
                ));
            }
            if self.version_match == Some(VersionMatch::Exact) && self.version == "0" {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if self.initial_events.is_some() {
            causes.push(Cause::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            ));
        }
        causes
    }

    fn check_watch(&self, written: Option<&str>) -> Vec<Cause> {
        let field = "resourceVersionMatch";
        let mut causes = Vec::new();
        let not_older = self.version_match == Some(VersionMatch::NotOlderThan);
        if self.initial_events.is_some() && !not_older {
            causes.push(Cause::forbidden(
                field,
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if let Some(written) = written {
            if self.initial_events.is_none() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                     provided",
                ));
            }
            if !not_older {
                causes.push(unsupported(
                    field,
                    &format!("\"{written}\""),
                    &["NotOlderThan"],
                ));
            }
            if self.continue_token.is_some() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
        }
        causes
    }
}
