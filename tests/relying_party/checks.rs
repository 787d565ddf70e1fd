//! What the modules check that more than one plan has, by either way back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::support::browser::Browser;
use super::support::foreign::{Foreign, Mode, Provider, values};
use super::support::keys::{Key, Kind};
use super::support::world::World;
use super::support::{PATIENCE, eventually};
use super::{assert_refused, assert_shut_out, world};

/// With these faults on, nobody is logged in, for this reason.
#[track_caller]
pub fn refused(mode: Mode, login: &str, faults: &[&str], reason: &str) {
    let (world, mut browser) = (world(mode, login), Browser::default());
    faults.iter().for_each(|fault| world.order(fault));
    let page = world.log_in(&mut browser, "/x");
    assert!(page.url.starts_with(&world.url("/.tollgate/callback")), "{}", page.url);
    assert_refused(&page.response, reason, &world.gateway, &world.upstream);
    assert_shut_out(&mut browser, &world.url("/x"), &world.upstream);
    it_was_the_fault(&world, &mut browser);
}

/// Every fault was made, and without them this browser is logged in.
#[track_caller]
pub fn it_was_the_fault(world: &World, browser: &mut Browser) {
    let made = world.control("GET", "/faults", "").json();
    assert!(made["on"].as_array().expect("a list").iter().all(|fault| fault["made"] != 0), "{made}");
    assert_eq!(world.control("DELETE", "/faults", "").status, 200);
    // What could not be read is asked for again after a moment.
    let page = eventually("the login begins", PATIENCE, || {
        Some(browser.visit(&world.url("/x"))).filter(|page| page.response.status < 500)
    });
    let page = browser.sign_in(page, "alice", "wonderland");
    assert_eq!(page.response.status, 200, "it was the fault, and nothing else: {}", page.response.text());
}

/// With these faults on, people are logged in all the same.
#[track_caller]
pub fn accepted(mode: Mode, login: &str, faults: &[&str]) {
    let (world, mut browser) = (world(mode, login), Browser::default());
    faults.iter().for_each(|fault| world.order(fault));
    let page = world.log_in(&mut browser, "/x");
    assert_eq!((page.response.status, page.url), (200, world.url("/x")));
    assert_eq!(world.upstream.only().header("x-auth-subject"), Some("user-alice"));
}

/// A plain login: authorization request, token request, userinfo. `openid` is asked for; redirect URI and client are the
/// same everywhere; access token and secret are in no URL.
pub fn client_test(mode: Mode) {
    let provider = Provider::start();
    provider.userinfo(json!({ "sub": "alice", "email": "alice@acme.example" }));
    let (world, mut browser) = (Foreign::at(provider, mode, "userinfo = true"), Browser::default());
    let asked = world.ask(&mut browser, "/x");
    let callback = world.url("/.tollgate/callback");
    let mode = if mode == Mode::FormPost { vec!["form_post"] } else { vec![] };
    let one = |name: &str| values(&asked, name).join("|");
    assert_eq!((one("response_type"), one("client_id"), one("redirect_uri")), ("code".into(), "web".into(), callback));
    assert_eq!((values(&asked, "response_mode"), one("scope")), (mode, "openid".into()));
    assert_eq!((one("code_challenge_method"), one("code_challenge").len()), ("S256".into(), 43));
    assert!(one("state").len() >= 43 && one("nonce").len() >= 43 && one("state") != one("nonce"), "{asked:?}");
    let back = world.come_back(&mut browser, &asked);
    assert_eq!((back.status, back.header("location")), (303, Some("/x")), "{}", back.text());
    let form = world.provider.forms("/token").swap_remove(0);
    for (name, value) in [("grant_type", "authorization_code"), ("code", "c"), ("redirect_uri", &one("redirect_uri"))] {
        assert_eq!(values(&form, name), [value], "{name}");
    }
    assert_eq!(values(&form, "code_verifier")[0].len(), 43);
    let info = world.provider.asked("/userinfo").swap_remove(0);
    assert!(info.header("authorization").is_some_and(|field| field.starts_with("Bearer ey")), "{info:?}");
    assert_eq!((&*info.target, info.body.len()), ("/userinfo", 0), "the access token is in the header alone");
    assert_eq!(world.provider.asked("/token")[0].target, "/token");
    assert_eq!(browser.step("GET", &world.url("/x"), "").status, 200);
    assert_eq!(world.upstream.only().header("x-auth-subject"), Some("alice"));
}

/// `iss` of the ID token with something behind it.
pub fn invalid_iss(mode: Mode) {
    refused(mode, "", &["fault=wrong_iss"], "the iss of the ID token is not the login's issuer");
    refused(mode, "", &["fault=missing_iss"], "the ID token is refused");
}

/// An ID token about nobody.
pub fn missing_sub(mode: Mode) {
    refused(mode, "", &["fault=missing_sub"], "the ID token has no sub");
}

/// An ID token for another client.
pub fn invalid_aud(mode: Mode) {
    refused(mode, "", &["fault=wrong_aud"], "aud does not name the client");
    refused(mode, "", &["fault=missing_aud"], "aud does not name the client");
}

/// An ID token of no time.
pub fn missing_iat(mode: Mode) {
    refused(mode, "", &["fault=missing_iat"], "the ID token has no iat");
}

/// No `kid` in the ID token, and one key of each type: the type says which it is.
pub fn kid_absent_single_jwks(mode: Mode) {
    let world = Foreign::start(mode);
    let keys = [Key::of(Kind::P256, 0, "e"), Key::of(Kind::Rsa, 0, "r"), Key::of(Kind::Ed25519, 0, "d")];
    world.provider.publish(keys.iter().map(Key::public).collect());
    world.provider.id_token(|good| good.without_header("kid").sign());
    assert_eq!(world.logged_in().1["sub"], "alice");
}

/// No `kid` in the ID token, and several keys of each type without one: all that fit are tried.
pub fn kid_absent_multiple_jwks(mode: Mode) {
    let world = Foreign::start(mode);
    let of = |kind| (0..3).map(move |slot| Key::of(kind, 2 - slot, "").public());
    world.provider.publish(of(Kind::P256).chain(of(Kind::Rsa)).chain(of(Kind::Ed25519)).collect());
    world.provider.id_token(|good| good.without_header("kid").sign());
    assert_eq!(world.logged_in().1["sub"], "alice");
    // The same against the authority, whose keys then are nameless too.
    accepted(mode, "", &["fault=missing_kid", "fault=nameless_keys"]);
}

/// An ID token that is signed by RS256.
pub fn idtoken_sig_rs256(mode: Mode) {
    let world = Foreign::start(mode);
    world.provider.id_token(|good| {
        let token = good.sign();
        let header = token.split('.').next().expect("a header");
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).expect("base64url");
        assert_eq!(serde_json::from_slice::<Value>(&header).expect("JSON")["alg"], "RS256");
        token
    });
    assert_eq!(world.logged_in().1["sub"], "alice");
}

/// An ID token without a signature, straight from the token endpoint: refused, as nobody can have it otherwise.
pub fn idtoken_sig_none(mode: Mode) {
    refused(mode, "", &["fault=unsigned"], "the ID token is refused");
    refused(mode, "", &["fault=hmac"], "the ID token is refused");
}

/// A signature that is another's.
pub fn invalid_sig_rs256(mode: Mode) {
    refused(mode, "", &["fault=bad_signature"], "the ID token is refused");
}

/// Userinfo about somebody else is not used, and the login is refused.
pub fn userinfo_invalid_sub(mode: Mode) {
    let reason = "userinfo is about somebody else than the ID token";
    refused(mode, "userinfo = true", &["fault=wrong_sub&at=userinfo"], reason);
    refused(mode, "userinfo = true", &["fault=missing_sub&at=userinfo"], reason);
}

/// Another nonce than the one that was sent, or none.
pub fn nonce_invalid(mode: Mode) {
    refused(mode, "", &["fault=wrong_nonce"], "the nonce of the ID token is another login's");
    refused(mode, "", &["fault=missing_nonce"], "the ID token has no nonce");
}

/// The standard scopes are asked for, and their claims are taken from userinfo.
pub fn scope_userinfo_claims(mode: Mode) {
    let provider = Provider::start();
    let address = json!({ "formatted": "1 Main St", "country": "US" });
    let claims = json!({ "name": "Alice", "email": "a@acme.example", "phone_number": "+1", "address": address });
    let mut info = claims.clone();
    info["sub"] = json!("alice");
    provider.userinfo(info);
    let login = "userinfo = true\nscopes = [\"profile\", \"email\", \"phone\", \"address\"]";
    let world = Foreign::at(provider, mode, login);
    let asked = world.ask(&mut Browser::default(), "/x");
    assert_eq!(values(&asked, "scope"), ["openid profile email phone address"]);
    assert_eq!(world.logged_in().1["claims"], claims);
}

/// Secret and id are form-encoded before they are put together (RFC 6749, section 2.3.1).
pub fn client_secret_basic(mode: Mode) {
    let world = Foreign::start(mode);
    world.logged_in();
    let basic = format!("Basic {}", STANDARD.encode("web:web%3A+secret%2F%2B%25"));
    let asked = world.provider.asked("/token").swap_remove(0);
    assert_eq!(asked.header("authorization"), Some(&*basic));
    assert_eq!(values(&world.provider.forms("/token")[0], "client_secret"), [""; 0]);
    accepted(mode, "", &[]);
}

/// The normal key set of the suite, which is hostile to simple clients: several keys of each type that say nothing of
/// their algorithm, a curve that nobody here knows, and keys for encryption.
pub fn hostile_jwks(mode: Mode) {
    let key = |kind, slot, kid: &str| Key::of(kind, slot, kid);
    let signing = [
        key(Kind::Rsa, 1, "rsa-a"),
        key(Kind::Rsa, 0, "rsa-b"),
        key(Kind::P256, 1, "ec-a"),
        key(Kind::P256, 0, "ec-b"),
        key(Kind::Ed25519, 0, "ed"),
    ];
    let point = key(Kind::P256, 2, "k").jwk();
    let koblitz =
        json!({ "kty": "EC", "crv": "secp256k1", "use": "sig", "kid": "k1", "x": point["x"], "y": point["y"] });
    let for_encryption = |mut jwk: Value, alg: &str| {
        (jwk["use"], jwk["alg"]) = (json!("enc"), json!(alg));
        jwk
    };
    let mut keys = vec![
        for_encryption(key(Kind::Rsa, 2, "enc-rsa").jwk(), "RSA-OAEP"),
        koblitz,
        for_encryption(key(Kind::P256, 2, "enc-ec").jwk(), "ECDH-ES"),
    ];
    keys.extend(signing.iter().map(Key::jwk));
    assert!(keys[3..].iter().all(|jwk| jwk.get("alg").is_none()));
    let world = Foreign::start(mode);
    world.provider.publish(keys);
    for key in signing {
        let kid = key.kid.clone();
        world.provider.id_token(move |good| good.alg(key.algorithm()).header("kid", &*key.kid).sign_with(&key));
        assert_eq!(world.logged_in().1["sub"], "alice", "{kid}");
    }
    // Keys for other things sign nothing, whatever their type.
    let stranger = key(Kind::Rsa, 2, "enc-rsa");
    world.provider.id_token(move |good| good.header("kid", "enc-rsa").sign_with(&stranger));
    let mut browser = Browser::default();
    let back = world.log_in(&mut browser);
    assert!(world.upstream.seen().is_empty());
    assert_refused(&back, "the ID token is refused", &world.gateway, &world.upstream);
    assert_eq!(World::session_cookie(&browser), None);
}
