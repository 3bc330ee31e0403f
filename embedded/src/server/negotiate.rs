//! In which form a client wants its answer.

use http::HeaderMap;
use http::header::ACCEPT;

use super::body::media_type;
use super::catalog::Served;
use super::protobuf;
use crate::present::table::Include;
use crate::status::Status;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
    /// Protobuf, of kinds that have it.
    Protobuf,
}

/// What is made of the objects in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing.
    #[default]
    Whole,
    /// A `Table`.
    Table,
    /// Only metadata.
    Metadata,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// How it is written.
    pub(crate) encoding: Encoding,
    /// What is made of objects.
    pub(crate) form: Form,
    /// What the rows of a table say of their objects.
    pub(crate) include: Include,
}

/// What kind of answer there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// One object.
    Object,
    /// A list.
    List,
    /// A stream of events.
    Watch,
    /// Something that only exists as itself.
    Plain,
}

/// Chooses the first acceptable form. `served` is the kind, where there is one.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    offer: Offer,
    served: Option<&Served>,
) -> Result<Wanted, Status> {
    let custom = served.is_some_and(Served::is_custom);
    // Requests for built-in kinds are routed by whole media types, `application/*` is none.
    let (mut any, mut is_routed, mut heard) = (false, custom, Vec::new());
    let mut clauses: Vec<(f32, Wanted)> = Vec::new();
    for header in headers.get_all(ACCEPT) {
        for clause in header.to_str().unwrap_or_default().split(',') {
            let clause = clause.trim();
            if clause.is_empty() {
                continue;
            }
            any = true;
            let media_type = media_type(clause);
            let known = encoding(media_type);
            is_routed |= known.is_some() && media_type != RANGE;
            heard.extend(known);
            // Custom resources have no protobuf, but their metadata does.
            clauses.extend(read(clause, offer).filter(|(_, wanted)| {
                !custom || wanted.encoding != Encoding::Protobuf || wanted.form == Form::Metadata
            }));
        }
    }
    if !any {
        return Ok(Wanted::default());
    }
    if !is_routed {
        return Err(unheard_of(offer));
    }
    // A stable sort keeps the client's order among equals.
    clauses.sort_by(|left, right| right.0.total_cmp(&left.0));
    clauses.first().map(|(_, wanted)| *wanted).ok_or_else(|| {
        if heard.contains(&Encoding::Yaml) && offer == Offer::Watch {
            not_acceptable(STREAMS)
        } else {
            not_acceptable(WHOLE)
        }
    })
}

fn encoding(media_type: &str) -> Option<Encoding> {
    match media_type {
        "application/json" | RANGE | "*/*" => Some(Encoding::Json),
        "application/yaml" => Some(Encoding::Yaml),
        protobuf::MEDIA_TYPE => Some(Encoding::Protobuf),
        _ => None,
    }
}

/// What one clause of the header asks for; none if that is not offered.
fn read(clause: &str, offer: Offer) -> Option<(f32, Wanted)> {
    let mut parts = clause.split(';').map(str::trim);
    let encoding = encoding(parts.next()?)?;
    if encoding == Encoding::Yaml && offer == Offer::Watch {
        return None;
    }
    let mut quality = 1.0;
    let (mut target, mut group, mut version) = ("", "", "");
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.trim() {
            "as" => target = value,
            "g" => group = value,
            "v" => version = value,
            "q" => quality = value.parse().unwrap_or(1.0),
            "stream" if value != "watch" => return None,
            _ => {}
        }
    }
    let ours = group == "meta.k8s.io" && version == "v1";
    let form = match (target, offer) {
        ("", _) => Form::Whole,
        ("Table", Offer::Object | Offer::List | Offer::Watch) if ours => Form::Table,
        ("PartialObjectMetadata", Offer::Object | Offer::Watch)
        | ("PartialObjectMetadataList", Offer::List)
            if ours =>
        {
            Form::Metadata
        }
        _ => return None,
    };
    // There is no message for tables.
    if form == Form::Table && encoding == Encoding::Protobuf {
        return None;
    }
    let wanted = Wanted {
        encoding,
        form,
        include: Include::default(),
    };
    Some((quality, wanted))
}

/// 406 of a media type that is known, in a form that is not offered.
fn not_acceptable(accepted: &str) -> Status {
    Status::new(
        406,
        "NotAcceptable",
        format!("only the following media types are accepted: {accepted}"),
    )
}

/// 406 of media types that no built-in kind knows, which is another layer's to say.
fn unheard_of(offer: Offer) -> Status {
    let mut accepted = WHOLE.to_owned();
    if matches!(offer, Offer::List | Offer::Watch) {
        accepted.push_str(", ");
        accepted.push_str(STREAMS);
    }
    Status {
        details: Some(Box::default()),
        ..Status::new(
            406,
            "NotAcceptable",
            format!("406: Not Acceptable\n\nAvailable representations: {accepted}"),
        )
    }
}

/// Any of the media types that are offered.
const RANGE: &str = "application/*";
const WHOLE: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const STREAMS: &str =
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &'static str, offer: Offer) -> Result<(Encoding, Form), String> {
        let headers = HeaderMap::from_iter([(ACCEPT, http::HeaderValue::from_static(accept))]);
        negotiate(&headers, offer, None)
            .map(|wanted| (wanted.encoding, wanted.form))
            .map_err(|status| status.message)
    }

    #[test]
    fn the_first_form_that_is_offered_is_chosen() {
        for (accept, offer, wanted) in [
            ("*/*", Offer::Object, (Encoding::Json, Form::Whole)),
            (
                "application/*,application/yaml",
                Offer::Object,
                (Encoding::Json, Form::Whole),
            ),
            // As kubectl asks.
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Offer::Object,
                (Encoding::Protobuf, Form::Whole),
            ),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Offer::List,
                (Encoding::Json, Form::Table),
            ),
            (
                "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/yaml",
                Offer::List,
                (Encoding::Yaml, Form::Whole),
            ),
            (
                "application/json;q=0.5,application/vnd.kubernetes.protobuf;stream=watch",
                Offer::Watch,
                (Encoding::Protobuf, Form::Whole),
            ),
            (
                "application/yaml,application/json",
                Offer::Watch,
                (Encoding::Json, Form::Whole),
            ),
        ] {
            assert_eq!(chosen(accept, offer), Ok(wanted), "{accept}");
        }
    }

    #[test]
    fn refusals_list_what_is_offered() {
        for (accept, offer, wanted) in [
            (
                "text/plain",
                Offer::Object,
                "406: Not Acceptable\n\nAvailable representations: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf",
            ),
            (
                "application/*, text/html",
                Offer::Object,
                "406: Not Acceptable\n\nAvailable representations: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf",
            ),
            (
                "text/plain",
                Offer::Watch,
                "406: Not Acceptable\n\nAvailable representations: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf, \
                 application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
            ),
            (
                "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
                Offer::List,
                "only the following media types are accepted: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf",
            ),
            (
                "application/yaml",
                Offer::Watch,
                "only the following media types are accepted: application/json;stream=watch, \
                 application/vnd.kubernetes.protobuf;stream=watch",
            ),
        ] {
            assert_eq!(chosen(accept, offer), Err(wanted.to_owned()), "{accept}");
        }
    }
}
