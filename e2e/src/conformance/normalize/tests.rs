use serde_json::{Value, json};

use super::{Known, normalize};

fn normalized(answers: &[Value], source: &str) -> Vec<Value> {
    let known = Known {
        names: vec![("ns1-7".to_owned(), "$NS")],
        source,
    };
    normalize(answers, &known)
}

#[test]
fn equal_uids_get_equal_placeholders() {
    let one = "0a1b2c3d-0000-4000-8000-00000000000a";
    let other = "0a1b2c3d-0000-4000-8000-00000000000b";
    let answers = [
        json!({ "body": { "uid": one, "text": format!("of {other}") } }),
        json!({ "body": [other, one] }),
    ];
    assert_eq!(
        normalized(&answers, ""),
        [
            // Keys in order: the text comes first.
            json!({ "body": { "uid": "<uid-2>", "text": "of <uid-1>" } }),
            json!({ "body": ["<uid-1>", "<uid-2>"] }),
        ]
    );
}

#[test]
fn versions_of_objects_keep_their_order_and_those_of_lists_have_none() {
    let object = |version: &str| json!({ "metadata": { "name": "a", "resourceVersion": version } });
    let answers = [
        object("1000"),
        object("999"),
        json!({ "items": [object("1001")], "metadata": { "resourceVersion": "1002" } }),
        json!({ "message": "too old resource version: 999 (1234)" }),
    ];
    let expected = |rank: &str| json!({ "metadata": { "name": "a", "resourceVersion": rank } });
    assert_eq!(
        normalized(&answers, ""),
        [
            expected("<version-2>"),
            expected("<version-1>"),
            json!({
                "items": [expected("<version-3>")],
                "metadata": { "resourceVersion": "<version>" },
            }),
            json!({ "message": "too old resource version: <version-1> (<version>)" }),
        ]
    );
}

#[test]
fn what_stands_in_the_case_is_kept() {
    let answers = [json!({ "asked": "2026-01-02T03:04:05Z", "made": "2026-01-02T03:04:06Z" })];
    assert_eq!(
        normalized(&answers, "renewTime: 2026-01-02T03:04:05Z"),
        [json!({ "asked": "2026-01-02T03:04:05Z", "made": "<time>" })]
    );
}

#[test]
fn names_that_were_made_are_replaced_everywhere() {
    let answers = [json!({
        "metadata": { "generateName": "web-", "name": "web-x7k2p", "namespace": "ns1-7" },
        "message": "web-x7k2p of ns1-7",
    })];
    assert_eq!(
        normalized(&answers, ""),
        [json!({
            "metadata": { "generateName": "web-", "name": "web-<suffix-1>", "namespace": "$NS" },
            "message": "web-<suffix-1> of $NS",
        })]
    );
}

#[test]
fn causes_come_in_one_order() {
    let status = |message: &str, fields: [&str; 2]| {
        let causes = fields.map(|field| json!({ "field": field, "message": "wrong" }));
        json!({ "kind": "Status", "message": message, "details": { "causes": causes } })
    };
    let one = status("X \"a\" is invalid: [b: wrong, a: wrong]", ["b", "a"]);
    let other = status("X \"a\" is invalid: [a: wrong, b: wrong]", ["a", "b"]);
    assert_eq!(normalized(&[one], ""), [other]);
}

#[test]
fn managed_fields_are_one_line_each_in_one_order() {
    let answers = [json!({ "managedFields": [
        {
            "manager": "b",
            "operation": "Update",
            "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:b": {}, ".": {} } },
        },
        { "manager": "a", "operation": "Update", "fieldsType": "Other", "fieldsV1": {} },
    ] })];
    assert_eq!(
        normalized(&answers, ""),
        [json!({ "managedFields": [
            "operation=Update manager=a {\"fieldsType\":\"Other\"} ",
            "operation=Update manager=b f:spec{. f:b}",
        ] })]
    );
}
