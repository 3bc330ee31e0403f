//! The documents of the interface say what there is.

use std::collections::BTreeSet;

use lobby::service::calls;
use lobby::socket::{PATH, close, codec::Codec};
use serde_json::Value;

fn texts(value: &Value) -> BTreeSet<&str> {
    let texts = value.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn every_call_is_a_path_of_http() {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let call = &document["paths"]["/v1/{call}"]["post"];
    let names = texts(&call["parameters"][0]["schema"]["enum"]);
    assert_eq!(names, calls::NAMES.iter().copied().collect());
    for codec in Codec::ALL {
        let content = &call["requestBody"]["content"];
        assert!(content.get(codec.content_type()).is_some());
    }
    assert!(document["paths"].get(PATH).is_some());
}

#[test]
fn every_call_and_every_end_of_a_socket_is_described() {
    let text = include_str!("../../asyncapi/asyncapi.json");
    let document: Value = serde_json::from_str(text).unwrap();
    let socket = &document["channels"]["socket"];
    assert_eq!(socket["address"], PATH);
    let protocols = &socket["bindings"]["ws"]["headers"]["properties"]["Sec-WebSocket-Protocol"];
    let known = Codec::ALL.map(Codec::subprotocol);
    assert_eq!(texts(&protocols["enum"]), known.into_iter().collect());
    let named: BTreeSet<&str> = calls::NAMES.iter().copied().chain(["hello"]).collect();
    assert_eq!(texts(&document["x-calls"]), named);
    let codes = document["x-close-codes"].as_object().unwrap();
    assert_eq!(codes.len(), close::ALL.len());
    for close in close::ALL {
        assert_eq!(codes[&close.code.to_string()]["name"], close.name);
    }
}
