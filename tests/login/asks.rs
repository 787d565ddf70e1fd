//! What a login asks of the issuer beside the flow itself, and what becomes of it when the issuer does not comply.

use serde_json::{Value, json};

use super::support::browser::Browser;
use super::support::client::Request;
use super::support::foreign::{Foreign, Mode, Provider, values};
use super::support::now;
use super::support::token::Token;
use super::support::{PATIENCE, eventually};
use super::{World, script};

/// The claims of a JWT, unverified.
fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).expect("three parts");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn the_issuer_is_asked_for_what_the_login_says() {
    let keys = "prompt = [\"login\", \"consent\"]\nlogin_hint = \"acme.example\"\nacr_values = [\"gold\", \"silver\"]\n\
                max_age = \"10m\"\nresource = [\"https://api.test/a?b=c\", \"urn:example:d\"]";
    let (world, mut browser) = (Foreign::with(keys), Browser::default());
    world.provider.answer(|mut answer| {
        answer["expires_in"] = json!(1);
        answer
    });
    world.provider.id_token(|good| good.claim("acr", "silver").sign());
    let asked = world.ask(&mut browser, "/x");
    for (name, value) in
        [("prompt", "login consent"), ("login_hint", "acme.example"), ("acr_values", "gold silver"), ("max_age", "600")]
    {
        assert_eq!(values(&asked, name), [value], "{name}");
    }
    let resources = ["https://api.test/a?b=c", "urn:example:d"];
    assert_eq!(values(&asked, "resource"), resources);
    let back = world.come_back(&mut browser, &asked);
    assert_eq!(back.status, 303, "{}", back.text());
    let refresh = eventually("a refresh", PATIENCE, || {
        browser.send("GET", &world.url("/x"), &[], "");
        world.provider.forms("/token").into_iter().nth(1)
    });
    let code = world.provider.forms("/token").swap_remove(0);
    assert_eq!(values(&code, "grant_type"), ["authorization_code"]);
    assert_eq!(values(&refresh, "grant_type"), ["refresh_token"]);
    for form in [&code, &refresh] {
        assert_eq!(values(form, "resource"), resources, "{form:?}");
    }
    let plain = Foreign::start(Mode::Query);
    let asked = plain.ask(&mut Browser::default(), "/x");
    let names: Vec<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
    let usual = ["response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge"];
    assert_eq!(names, [&usual[..], &["code_challenge_method"]].concat(), "nothing is asked that no key says");
}

#[test]
fn the_login_link_may_say_who_is_about_to_sign_in() {
    let (world, mut browser) = (Foreign::with("login_hint = \"acme.example\""), Browser::default());
    let hint = |browser: &mut Browser, query: &str| {
        let asked = world.ask(browser, &format!("/.tollgate/login?return_to=%2Fx{query}"));
        values(&asked, "login_hint").join("|")
    };
    assert_eq!(hint(&mut browser, "&login_hint=bob%40acme.example%26x%3Dy"), "bob@acme.example&x=y");
    assert_eq!(hint(&mut browser, "&login_hint="), "acme.example", "an empty one is none");
    assert_eq!(hint(&mut browser, "&login_hint=%20%20"), "acme.example", "nor are blanks");
    assert_eq!(hint(&mut browser, ""), "acme.example");
    let long = "a".repeat(321);
    for bad in ["a%00", "a%0d%0aSet-Cookie:%20x=y", "a%7f", &long] {
        let refused = browser.step("GET", &world.url(&format!("/.tollgate/login?login_hint={bad}")), "");
        assert_eq!((refused.status, refused.header("location")), (400, None), "{bad}");
    }
    // It says who is expected, and the ID token who came.
    let asked = world.ask(&mut browser, "/.tollgate/login?return_to=%2Fx&login_hint=bob");
    assert_eq!(world.come_back(&mut browser, &asked).header("location"), Some("/x"));
    let who = browser.send("GET", &world.url("/.tollgate/session"), &[], "");
    assert_eq!(who.json()["sub"], "alice");
}

#[test]
fn the_login_link_may_have_the_issuer_ask() {
    let asked = |keys: &str, query: &str| {
        let asked =
            Foreign::with(keys).ask(&mut Browser::default(), &format!("/.tollgate/login?return_to=%2Fx{query}"));
        values(&asked, "prompt").join("|")
    };
    for (keys, query, prompt) in [
        ("", "&prompt=select_account", "select_account"),
        ("", "&prompt=", ""),
        ("", "&prompt=login&max_age=0", "login"),
        ("prompt = \"none\"", "&prompt=consent", "consent"),
        ("prompt = \"none\"", "", "none"),
        ("prompt = [\"consent\", \"login\"]", "&prompt=select_account", "select_account consent login"),
        ("prompt = [\"consent\"]", "&prompt=consent&max_age=0", "login consent"),
    ] {
        assert_eq!(asked(keys, query), prompt, "{keys} {query}");
    }
    let world = Foreign::with("");
    for bad in ["none", "login%20consent", "LOGIN", "x", "login%0d%0a"] {
        let refused = Browser::default().step("GET", &world.url(&format!("/.tollgate/login?prompt={bad}")), "");
        assert_eq!((refused.status, refused.header("location")), (400, None), "{bad}");
    }
}

/// A route or a link may ask for more than the login does.
#[test]
fn the_shorter_age_is_asked_for_and_the_classes_of_the_route() {
    let strong = "acr_values = [\"silver\"]\nmax_age = \"1m\"\nprompt = [\"login\", \"consent\"]\n\
                  [[routes]]\nname = \"strong\"\npath = \"/strong\"\nupstream = \"app\"\nlogin = \"web\"\nacr = [\"gold\"]";
    let (world, mut browser) = (Foreign::with(strong), Browser::default());
    world.provider.id_token(|good| good.claim("acr", "gold").sign());
    for (query, age, prompt) in
        [("", "60", "login consent"), ("&max_age=600", "60", "login consent"), ("&max_age=5", "5", "login consent")]
    {
        let asked = world.ask(&mut browser, &format!("/.tollgate/login?return_to=%2Fx{query}"));
        let parameters = ["max_age", "acr_values", "prompt"].map(|name| values(&asked, name).join("|"));
        assert_eq!(parameters, [age, "silver", prompt], "{query}");
    }
    let asked = world.ask(&mut browser, "/.tollgate/login?return_to=%2Fx&max_age=0");
    assert_eq!(values(&asked, "prompt"), ["login consent"], "said once, though it has to be said");
    let asked = world.ask(&mut browser, "/strong");
    assert_eq!(values(&asked, "acr_values"), ["gold"]);
    assert_eq!(world.come_back(&mut browser, &asked).header("location"), Some("/strong"));
    let world = Foreign::with("prompt = [\"none\"]");
    let asked = world.ask(&mut browser, "/.tollgate/login?return_to=%2Fx&max_age=0");
    assert_eq!(values(&asked, "prompt"), ["login"], "nobody can sign in anew without being asked to");
}

/// What the login asks of the sign-in is not lost with the first attempt.
#[test]
fn who_tries_again_asks_for_as_much() {
    let world = Foreign::with("");
    world.provider.metadata(|_| json!({}));
    let page = Browser::default().step("GET", &world.url("/.tollgate/login?return_to=%2Fx&max_age=5"), "");
    assert_eq!(page.status, 502, "{}", page.text());
    assert!(page.text().contains("max_age=5&amp;return_to=%2Fx\">Try again"), "{}", page.text());
}

#[test]
fn a_sign_in_that_is_weaker_or_older_than_asked_is_refused() {
    type Change = fn(Token) -> Token;
    let cases: [(&str, Change, &[u16]); 8] = [
        ("as asked", |good| good, &[303]),
        ("the other class", |good| good.claim("acr", "silver"), &[303]),
        ("another class", |good| good.claim("acr", "gold1"), &[400]),
        ("no class", |good| good.without("acr"), &[400]),
        ("no text", |good| good.claim("acr", json!(["gold"])), &[400]),
        ("a minute and the tolerance ago", |good| good.claim("auth_time", now() - 80), &[303]),
        // Asked for once more, without a way around.
        ("longer ago", |good| good.claim("auth_time", now() - 100), &[303, 502]),
        ("nobody says when", |good| good.without("auth_time"), &[502]),
    ];
    let world = Foreign::with("acr_values = [\"gold\", \"silver\"]\nmax_age = \"1m\"");
    for (what, change, answers) in cases {
        world.provider.id_token(move |good| change(good.claim("acr", "gold")).sign());
        let mut browser = Browser::default();
        let mut back = world.log_in(&mut browser);
        assert_eq!(back.status, answers[0], "{what}: {}", back.text());
        if let Some(then) = answers.get(1) {
            let asked = world.sent(&back);
            assert_eq!((values(&asked, "prompt"), values(&asked, "acr_values")), (vec!["login"], vec!["gold silver"]));
            back = world.come_back(&mut browser, &asked);
            assert_eq!(back.status, *then, "{what}: {}", back.text());
        }
        let goes_on = answers == [303];
        assert_eq!(back.header("location") == Some("/x"), goes_on, "{what}: {:?}", back.header("location"));
        assert_eq!(World::session_cookie(&browser).is_some(), goes_on, "{what}");
    }
    assert!(world.upstream.seen().is_empty());
}

/// The ID token is signed, and userinfo is not.
#[test]
fn userinfo_adds_to_what_the_id_token_says_and_changes_nothing_of_it() {
    let world = Foreign::with("userinfo = true");
    world.provider.id_token(|good| good.claim("email", "alice@acme.example").sign());
    world.provider.userinfo(json!({"sub": "alice", "email": "bob@acme.example", "name": "Alice"}));
    let (_, who) = world.logged_in();
    assert_eq!(who["claims"], json!({"email": "alice@acme.example", "name": "Alice"}));
}

/// The authority takes pushed requests, so this goes by the other way too.
#[test]
fn people_sign_in_anew_where_the_login_says_so() {
    for (keys, anew) in
        [("", false), ("max_age = \"0s\"", true), ("prompt = \"login\"", true), ("max_age = \"1h\"", false)]
    {
        let (world, mut browser) = (World::with(keys, ""), Browser::default());
        assert_eq!(world.log_in(&mut browser, "/x").response.status, 200, "{keys}");
        browser.cookies.retain(|(_, name), _| name != "tollgate-web");
        let again = browser.visit(&world.url("/y"));
        assert_eq!(again.response.text().contains("type=\"password\""), anew, "{keys}: {}", again.url);
    }
}

#[test]
fn the_access_token_is_for_the_resource_also_after_a_refresh() {
    let world = World::with("resource = \"https://other.example/r\"", "token_lifetime = \"2s\"");
    let mut browser = Browser::default();
    world.log_in(&mut browser, "/reader");
    let bearer = |seen: super::support::upstream::Seen| seen.header("authorization").map(str::to_owned);
    let first = bearer(world.upstream.only()).expect("the route passes it");
    assert_eq!(claims(&first)["aud"], "https://other.example/r");
    let second = eventually("another token goes up", PATIENCE, || {
        assert_eq!(script(&world, &mut browser, "/reader").status, 200);
        bearer(world.upstream.drain().pop()?).filter(|token| *token != first)
    });
    assert_eq!(claims(&second)["aud"], "https://other.example/r");
}

/// Its sessions open the route, its access tokens open nothing.
#[test]
fn an_issuer_without_audiences_is_there_for_logins_only() {
    let (world, mut browser) = (Foreign::whose_issuer(Provider::start(), Mode::Query, "", ""), Browser::default());
    assert_eq!(world.log_in(&mut browser).status, 303);
    assert_eq!(browser.step("GET", &world.url("/x"), "").status, 200);
    assert_eq!(world.upstream.only().header("x-auth-subject"), Some("alice"));
    let access = Token::new(&world.provider.url, &world.provider.key);
    for token in
        [access.clone(), access.clone().claim("aud", "web"), access.claim("aud", json!([])), world.provider.good()]
    {
        let refused = Request::get("/x").bearer(&token.sign()).host(&world.address.to_string()).send(world.address);
        assert_eq!((refused.status, refused.code()), (401, "unknown_issuer".into()));
    }
    assert!(world.upstream.seen().is_empty());
    let metadata = Request::get("/.well-known/oauth-protected-resource").host(&world.address.to_string());
    let metadata = metadata.send(world.address).json();
    assert_eq!(metadata["authorization_servers"], Value::Null, "{metadata}");
    assert_eq!(metadata["resource"], format!("http://{}", world.address));
}
