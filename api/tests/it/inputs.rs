//! What clients get wrong: whatever it is, the problem names the field in words of JSON, and tells nothing of how the house is built.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::test_api::{Answer, Gateway, TestApi};

/// Words of Rust, of serde and of the standard library, and of what stands behind the API.
const BANNED: &str = "expected|invalid type|invalid value|invalid length|invalid digit|unknown variant|unknown field|missing field|\
    duplicate field|premature|trailing input|out of range|EOF|struct |enum |variant|tuple|newtype|sequence|Option|u8|u16|u32|u64|i8|\
    i16|i32|i64|usize|serde|deserialize|UUID parsing|sqlx|panick";

/// Bodies that are no JSON, or not the JSON that was asked for.
const BODIES: [&[u8]; 22] = [
    b"",
    b"{",
    b"}",
    b"[",
    b"nul",
    b"\xff\xfe",
    b"{\"a\":\"\xc3\x28\"}",
    b"{\"a\":1,}",
    b"{\"a\" 1}",
    b"{'a':1}",
    b"{\"a\":\"\\ud800\"}",
    b"{\"a\":\"\\q\"}",
    b"{\"a\":\"\n\"}",
    b"{\"a\":1e999}",
    b"{\"a\":01}",
    b"{} x",
    b"[]",
    b"[1,2]",
    b"\"text\"",
    b"7",
    b"null",
    b"true",
];

fn hostile() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(99_999_999_999_u64),
        json!(""),
        json!("\u{200b}"),
        json!("x"),
        json!("\u{0}"),
        json!("<script>alert(1)</script>"),
        json!("x".repeat(5_000)),
        json!([]),
        json!([null]),
        json!([[1]]),
        json!({}),
        json!({"a": 1}),
        json!({"after": "x"}),
        json!({"until": "x"}),
        json!("2027-13-45T99:99:99Z"),
        json!("0199c0de"),
    ]
}

#[track_caller]
fn check(answer: &Answer, what: &str) {
    let text = answer.text();
    assert!(answer.status.is_client_error(), "{what}: {} {text}", answer.status);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}: {text}");
    let problem = answer.json();
    let mut said = vec![problem["detail"].as_str().unwrap_or_default().to_owned()];
    for error in problem["errors"].as_array().into_iter().flatten() {
        said.push(error["message"].as_str().unwrap().to_owned());
        assert!(!error["field"].as_str().unwrap().is_empty(), "{what}: {text}");
    }
    assert!(said.iter().any(|words| !words.is_empty()) || answer.status == 404, "{what}: {text}");
    for banned in BANNED.split('|') {
        let is_said = |words: &String| {
            words.split(|letter: char| !letter.is_alphanumeric() && letter != ' ').any(|part| {
                part.contains(banned)
                    && (banned.contains(' ') || banned.len() > 4 || part.split(' ').any(|word| word == banned.trim()))
            })
        };
        assert!(!said.iter().any(is_said), "{what}: `{banned}` in {said:?}");
    }
    assert!(text.len() < 4_000, "{what}: {text}");
}

fn concrete(path: &str) -> String {
    let parts = path.split('/').skip(1);
    parts.map(|part| if part.starts_with('{') { format!("/{}", Uuid::nil()) } else { format!("/{part}") }).collect()
}

async fn send(client: &Gateway, method: &Method, path: &str, body: Vec<u8>) -> Answer {
    let request = client.request(method.clone(), path).header("content-type", "application/json");
    Answer::of(request.body(body)).await
}

/// A value that reads well for a schema of the document: every other field stands while one is hostile.
fn good(document: &Value, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return good(document, document.pointer(name.trim_start_matches('#')).unwrap());
    }
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return good(document, choices.iter().find(|choice| choice["type"] != "null").unwrap());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
    match (kind, schema["format"].as_str()) {
        ("object", _) => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields
                .filter(|(name, _)| required.contains(&json!(name)))
                .map(|(name, field)| (name.clone(), good(document, field)))
                .collect()
        }
        ("string", Some("uuid")) => json!(Uuid::nil()),
        ("string", Some("date-time")) => json!("2190-01-04T09:00:00Z"),
        ("string", Some("date")) => json!("2190-01-04"),
        ("string", _) => json!("x"),
        ("array", _) => json!([]),
        ("boolean", _) => json!(true),
        _ => schema["minimum"].clone(),
    }
}

/// The names of all fields of a schema, needed or not.
fn fields(document: &Value, schema: &Value) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return fields(document, document.pointer(name.trim_start_matches('#')).unwrap());
    }
    let choices = schema["oneOf"].as_array().into_iter().flatten().flat_map(|choice| fields(document, choice));
    schema["properties"].as_object().into_iter().flat_map(|own| own.keys().cloned()).chain(choices).collect()
}

/// R78: every route that takes a body, with what is no JSON, with each of its fields hostile, and with one that it does not know.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_hostile_body_is_met_with_words(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, admin) = (api.tenant().await, api.admin().await);
    let document = serde_json::to_value(api::document()).unwrap();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            let client = if operation["security"].to_string().contains("admin_key") { &admin } else { &tenant };
            let (method, path): (Method, _) = (method.to_uppercase().parse().unwrap(), concrete(path));
            for body in BODIES {
                if body.is_empty() && operation["requestBody"]["required"] != true {
                    continue; // it may be missing
                }
                let answer = send(client, &method, &path, body.to_vec()).await;
                check(&answer, &format!("{method} {path} {}", String::from_utf8_lossy(body)));
                tried += 1;
            }
            let fine = good(&document, schema);
            let mut stranger = fine.clone();
            stranger["lable"] = json!(1);
            let answer = send(client, &method, &path, stranger.to_string().into_bytes()).await;
            check(&answer, &format!("{method} {path} {stranger}"));
            for name in fields(&document, schema) {
                for value in hostile() {
                    let mut body = fine.clone();
                    body[&name] = value;
                    let answer = send(client, &method, &path, body.to_string().into_bytes()).await;
                    if answer.status.is_success() {
                        continue; // it reads well
                    }
                    let what = body.to_string().chars().take(300).collect::<String>();
                    check(&answer, &format!("{method} {path} {what}"));
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

/// R78: every parameter of every query, and one that there is not.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_hostile_query_is_met_with_words(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, admin) = (api.tenant().await, api.admin().await);
    let document = serde_json::to_value(api::document()).unwrap();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let of_query: Vec<_> = parameters.iter().filter(|one| one["in"] == "query").collect();
        if of_query.is_empty() {
            continue;
        }
        let client = if operation["security"].to_string().contains("admin_key") { &admin } else { &tenant };
        let mut queries = vec![("limt".to_owned(), "limt=1".to_owned())];
        for parameter in of_query {
            let name = parameter["name"].as_str().unwrap();
            for value in [
                "",
                "x",
                "-1",
                "1.5",
                "99999999999999999999",
                "%00",
                "%ff",
                "null",
                "[]",
                "2027-13-45T99:99:99Z",
                "%3Cscript%3E",
            ] {
                queries.push((name.to_owned(), format!("{name}={value}")));
            }
            queries.push((name.to_owned(), format!("{name}=1&{name}=2")));
        }
        for (name, query) in queries {
            let request = client.request(Method::GET, &format!("{}?{query}", concrete(path)));
            let answer = Answer::of(request).await;
            if answer.status.is_success() {
                continue;
            }
            check(&answer, &format!("{path}?{query}"));
            if answer.status == 422 {
                assert_eq!(answer.fields(), [name], "{path}?{query}: {}", answer.text());
            }
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

/// R78: what is said names the field, what it may be, and what a good value looks like.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn words_that_help(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let message = format!("/v1/accounts/{}/messages", tenant.account("A").await);
    let schedule = |changes: Value| {
        let mut wish = json!({"start": "2190-01-04T09:00", "timezone": "Europe/Berlin"});
        wish.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        wish
    };
    for (path, body, field, words) in [
        (
            "/v1/accounts",
            json!({}),
            "label",
            "is required: a text of 1 to 100 characters, such as \"Sales, front desk\"",
        ),
        (
            "/v1/accounts",
            json!({"label": 7}),
            "label",
            "must be a text of 1 to 100 characters, such as \"Sales, front desk\"",
        ),
        ("/v1/accounts", json!({"lable": "x"}), "lable", "is not known here; did you mean `label`?; known are `label`"),
        ("/v1/accounts", json!({"label": "\u{200b}\u{2060}"}), "label", "must not be empty"),
        ("/v1/accounts", json!(["A"]), "body", "must be an object with the field `label`, not a list"),
        (
            message.as_str(),
            json!({"to": "1@g.us", "text": "x", "expires_at": "tomorrow"}),
            "expires_at",
            "must be a date and time with its offset, such as \"2027-01-04T09:00:00Z\"",
        ),
        (
            "/v1/webhooks",
            json!({"url": "https://example.com", "kinds": "all"}),
            "kinds",
            "must be a list of up to 50 items",
        ),
        ("/v1/reminders/preview", schedule(json!({"count": "x"})), "count", "must be a whole number from 1 to 50"),
        (
            "/v1/reminders/preview",
            schedule(json!({"recurrence": {"kind": "dayly"}})),
            "recurrence.kind",
            "must be one of `none`, `daily`, `weekly`, `monthly`, `yearly`; did you mean `daily`?",
        ),
        (
            "/v1/reminders/preview",
            schedule(json!({"recurrence": ["daily", 1, [], null, "never"]})),
            "recurrence",
            "must be an object, not a list",
        ),
        (
            "/v1/reminders/preview",
            schedule(json!({"timezone": "Europe/Berln"})),
            "timezone",
            "`Europe/Berln` is not a known IANA zone such as Europe/Berlin; did you mean `Europe/Berlin`",
        ),
    ] {
        let refused = tenant.post(path, body).await.expect(422).json();
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
        let said = refused["errors"][0]["message"].as_str().unwrap();
        assert!(said.starts_with(words), "{said}");
    }
    let refused = tenant.get("/v1/runs?status=lost&limit=5").await.expect(422).json();
    assert!(
        refused["errors"][0]["message"].as_str().unwrap().starts_with("must be one of `pending`, `running`"),
        "{refused}"
    );
    let refused = tenant.get("/v1/notifications?unread=maybe").await.expect(422).json();
    assert_eq!(refused["errors"][0]["message"], "must be `true` or `false`");
    for (path, header, value, status, words) in [
        ("/v1/events", "Last-Event-ID", "x", 422, "must be the id of an event, such as 1234-5678"),
        ("/v1/accounts/0199c0de-0000-7000-8000-000000000000/qr", "Accept", "video/mp4", 406, "There are image/png"),
    ] {
        let refused = Answer::of(tenant.request(Method::GET, path).header(header, value)).await.expect(status);
        assert!(refused.text().contains(words), "{}", refused.text());
        check(&refused, header);
    }
    let packed =
        tenant.request(Method::POST, "/v1/accounts").header("content-encoding", "gzip").json(&json!({"label": "x"}));
    let refused = Answer::of(packed).await.expect(415);
    assert_eq!(refused.json()["detail"], "Send the body as it is, without `Content-Encoding`");
    let plain = tenant
        .request(Method::POST, "/v1/accounts")
        .header("content-encoding", "identity")
        .json(&json!({"label": "x"}));
    Answer::of(plain).await.expect(201);
}

/// R79, R80: numbers as people write them, and what hides before the `@`.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn numbers_as_people_write_them(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("A").await;
    api.set_status(&id, "connected").await;
    let path = format!("/v1/accounts/{id}/messages");
    for (to, chat) in [
        ("+44 (0)7700 900123", "447700900123@s.whatsapp.net"),
        ("tel:+44-7700-900.123", "447700900123@s.whatsapp.net"),
        ("4917012345678-1612345678", "4917012345678-1612345678@g.us"),
    ] {
        assert_eq!(tenant.post(&path, json!({"to": to, "text": "x"})).await.expect(202).json()["to"], chat);
    }
    for (to, words) in [
        ("+44 07700 900123", "has a 0 behind the country code that is only dialled at home: leave it out"),
        ("+44 7700", "is too short for a phone number with its country code"),
        ("49151.00000999@c.us", "the part before the @ must be a phone number in digits"),
        ("4917012345678:<script>@c.us", "the part before the @ must be a phone number in digits"),
    ] {
        let refused = tenant.post(&path, json!({"to": to, "text": "x"})).await.expect(422).json();
        assert!(refused["errors"][0]["message"].as_str().unwrap().starts_with(words), "{refused}");
    }
    let fresh = format!("/v1/accounts/{}/pair", tenant.account("B").await);
    tenant.post(&fresh, json!({"method": "code", "phone": "+44 (0)7700 900123"})).await.expect(202);
    let kept = "SELECT count(*) FROM pairings WHERE phone = '447700900123'";
    assert_eq!(api.count(kept).await, 1);
    assert_eq!(
        tenant.post(&fresh, json!({"method": "code", "phone": "+44 7700"})).await.expect(422).fields(),
        ["phone"]
    );
}

/// R81: the longest text fits, however it is escaped; a body that is too long is told how long it may be.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_longest_text_fits_however_it_is_escaped(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("A").await;
    api.set_status(&id, "connected").await;
    let path = format!("/v1/accounts/{id}/messages");
    let text = |times: usize| "\\ud83d\\udc4b".repeat(times);
    let message = |times: usize| format!(r#"{{"to":"+44 7700 900123","text":"{}"}}"#, text(times)).into_bytes();
    let sent = send(&tenant, &Method::POST, &path, message(65_536)).await.expect(202);
    assert_eq!(sent.json()["text"].as_str().unwrap().chars().count(), 65_536);
    let longer = send(&tenant, &Method::POST, &path, message(65_537)).await.expect(422).json();
    assert_eq!(longer["errors"], json!([{"field": "text", "message": "must have at most 65536 characters"}]));
    let texts = vec![format!("\"{}\"", text(65_536)); 10].join(",");
    let targets: Vec<String> = (0..6).map(|n| format!("\"1203630412345678{n:02}@g.us\"")).collect();
    let reminder = format!(
        r#"{{"account_id":"{id}","name":"R","messages":[{texts}],"targets":[{}],"start":"2190-01-04T09:00","timezone":"UTC"}}"#,
        targets.join(",")
    );
    send(&tenant, &Method::POST, "/v1/reminders", reminder.into_bytes()).await.expect(201);
    for (path, limit) in [("/v1/accounts", 262_144), (path.as_str(), 851_968), ("/v1/reminders", 8_126_464)] {
        let refused = send(&tenant, &Method::POST, path, vec![b' '; limit + 1]).await.expect(413);
        assert_eq!(refused.json()["detail"], format!("This route takes at most {limit} bytes"), "{path}");
        let chunked = futures::stream::iter((0..4).map(move |_| Ok::<_, std::io::Error>(vec![b' '; limit / 4 + 1])));
        let request = tenant.request(Method::POST, path).header("content-type", "application/json");
        Answer::of(request.body(reqwest::Body::wrap_stream(chunked))).await.expect(413);
    }
}
