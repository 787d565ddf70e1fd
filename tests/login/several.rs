//! Several logins of one application, and several logins of one browser on their way.

use std::net::SocketAddr;

use super::World;
use super::answer_for;
use super::support::browser::Browser;
use super::support::foreign::{Provider, values};
use super::support::gateway::Gateway;
use super::support::upstream::{Upstream, nobody};

/// An application behind a gateway, with a login at each of two issuers.
struct Two {
    honest: Provider,
    evil: Provider,
    upstream: Upstream,
    address: SocketAddr,
    gateway: Gateway,
}

impl Two {
    /// The callback of a login, by its name.
    #[track_caller]
    fn start(callback: impl Fn(&str) -> String) -> Self {
        Self::with("", callback)
    }

    /// With more tables.
    #[track_caller]
    fn with(more: &str, callback: impl Fn(&str) -> String) -> Self {
        let (honest, evil, upstream, address) = (Provider::start(), Provider::start(), Upstream::echo(), nobody());
        let login = |name: &str, provider: &Provider| {
            format!(
                "[issuers.{name}]\nissuer = \"{}\"\n[logins.{name}]\nissuer = \"{name}\"\nclient_id = \"web\"\n\
                 public_url = \"http://{address}\"\ncallback = \"{}\"\n\
                 [[routes]]\npath = \"/{name}\"\nupstream = \"app\"\nlogin = \"{name}\"\nissuers = [\"{name}\"]\n",
                provider.url,
                callback(name)
            )
        };
        let config = format!(
            "[server]\nlisten = [\"{address}\"]\n{more}\n{}\n{}{}",
            upstream.toml("app"),
            login("honest", &honest),
            login("evil", &evil)
        );
        let gateway = Gateway::start(&config);
        Self { honest, evil, upstream, address, gateway }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What the issuer of this name is asked for when somebody wants to see its page.
    #[track_caller]
    fn begin(&self, browser: &mut Browser, name: &str) -> Vec<(String, String)> {
        let sent = browser.step("GET", &self.url(&format!("/{name}")), "");
        let query = sent.header("location").and_then(|to| to.split_once('?')).expect("a way").1;
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Each answer is refused, with no code brought anywhere and no session begun.
    #[track_caller]
    fn refuses(&self, browser: &Browser, answers: &[(&str, String)]) {
        for (what, answer) in answers {
            let mut browser = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
            let refused = browser.step("GET", &self.url(&format!("/.tollgate/callback{answer}")), "");
            assert_eq!(refused.status, 400, "{what}: {}", refused.text());
            assert!(browser.cookies.keys().all(|(_, name)| name.contains("-tx-")), "{what}: no session");
        }
        for provider in [&self.honest, &self.evil] {
            assert!(provider.asked("/token").is_empty(), "no code was brought anywhere");
        }
        assert!(self.upstream.seen().is_empty() && !self.gateway.stderr().contains("panicked"));
    }
}

/// One of two issuers is the attacker's: it has people sign in at the other one and come back to where its own answers are
/// taken, so that their code is brought to it (RFC 9207, section 1; RFC 9700, section 4.4).
#[test]
fn mix_up_the_answer_of_one_issuer_is_never_brought_to_another() {
    let two = Two::start(|name| format!("/.tollgate/callback/{name}"));
    let mut browser = Browser::default();
    let (at_evil, at_honest) = (two.begin(&mut browser, "evil"), two.begin(&mut browser, "honest"));
    assert_eq!(values(&at_evil, "redirect_uri"), [two.url("/.tollgate/callback/evil")]);
    assert_eq!(values(&at_honest, "redirect_uri"), [two.url("/.tollgate/callback/honest")]);
    let (evil_state, honest_state) = (values(&at_evil, "state")[0], values(&at_honest, "state")[0]);
    let iss = &two.honest.url;
    let answers = [
        ("it says whose it is", format!("/evil?code=c&state={evil_state}&iss={iss}")),
        ("the state of the other login", format!("/evil?code=c&state={honest_state}&iss={iss}")),
        ("without iss", format!("/evil?code=c&state={honest_state}")),
        ("the other way round", format!("/honest?code=c&state={evil_state}&iss={}", two.evil.url)),
        ("with an error", format!("/evil?error=access_denied&state={honest_state}&iss={iss}")),
    ];
    two.refuses(&browser, &answers);
}

/// With one callback for both, `iss` alone says whose answer it is.
#[test]
fn mix_up_at_a_callback_that_two_logins_share_is_seen_by_iss() {
    let two = Two::start(|_| "/.tollgate/callback".into());
    let mut browser = Browser::default();
    let sent = browser.step("GET", &two.url("/honest"), "");
    assert_eq!(sent.status, 502, "an issuer that does not announce RFC 9207 shares no callback: {}", sent.text());
    let told = || two.gateway.logs().contains("give the login a callback of its own").then_some(());
    two.gateway.until("the log says why", told);
    let announces = |mut document: serde_json::Value| {
        document["authorization_response_iss_parameter_supported"] = true.into();
        document
    };
    let two = Two::start(|_| "/.tollgate/callback".into());
    two.honest.metadata(announces);
    two.evil.metadata(announces);
    let (at_evil, at_honest) = (two.begin(&mut browser, "evil"), two.begin(&mut browser, "honest"));
    let (evil_state, honest_state) = (values(&at_evil, "state")[0], values(&at_honest, "state")[0]);
    let (honest, evil) = (&two.honest.url, &two.evil.url);
    let answers = [
        ("the attacker's state, the code of the other", format!("?code=c&state={evil_state}&iss={honest}")),
        ("without iss", format!("?code=c&state={evil_state}")),
        ("without iss, the other way round", format!("?code=c&state={honest_state}")),
        ("with an empty iss", format!("?code=c&state={honest_state}&iss=")),
        ("the attacker's iss", format!("?code=c&state={honest_state}&iss={evil}")),
        ("an error", format!("?error=access_denied&state={evil_state}&iss={honest}")),
        ("no state", format!("?code=c&iss={honest}")),
        ("no state of this browser", format!("?code=c&state={}&iss={honest}", "x".repeat(43))),
    ];
    two.refuses(&browser, &answers);
    // Those were used up. Two others are on their way at once, and each comes back to its own.
    let (at_evil, at_honest) = (two.begin(&mut browser, "evil"), two.begin(&mut browser, "honest"));
    for (name, provider, asked) in [("honest", &two.honest, &at_honest), ("evil", &two.evil, &at_evil)] {
        provider.expect(asked);
        let answer = format!("?code=c&state={}&iss={}", values(asked, "state")[0], provider.url);
        let back = browser.step("GET", &two.url(&format!("/.tollgate/callback{answer}")), "");
        let went = (back.status, back.header("location"));
        assert_eq!(went, (303, Some(&*format!("/{name}"))), "{}", back.text());
        assert_eq!(provider.asked("/token").len(), 1);
        assert_eq!(browser.step("GET", &two.url(&format!("/{name}")), "").status, 200);
    }
}

/// Whichever of the logins somebody came by, that one's session it is that is asked for and ended.
#[test]
fn each_of_two_logins_has_its_own_session_and_its_own_end() {
    let sealed = "[sessions]\nstore = \"cookie\"\nkey = \"0123456789abcdef0123456789abcdef\"";
    for (more, name) in ["", sealed].iter().flat_map(|more| ["honest", "evil"].map(|name| (more, name))) {
        let two = Two::with(more, |name| format!("/.tollgate/callback/{name}"));
        let provider = if name == "honest" { &two.honest } else { &two.evil };
        let log_in = |sid: &'static str| {
            provider.id_token(move |good| good.claim("sid", sid).sign());
            let mut browser = Browser::default();
            let asked = two.begin(&mut browser, name);
            provider.expect(&asked);
            let answer = format!("/.tollgate/callback/{name}?code=c&state={}", values(&asked, "state")[0]);
            assert_eq!(browser.step("GET", &two.url(&answer), "").status, 303);
            let who = browser.send("GET", &two.url("/.tollgate/session"), &[], "");
            assert_eq!((who.status, who.json()["login"].as_str()), (200, Some(name)), "{more}");
            browser
        };
        let mut browser = log_in("s-1");
        let out = browser.step("POST", &two.url("/.tollgate/logout"), "");
        let to = out.header("location").unwrap_or_default();
        assert!(out.status == 303 && to.starts_with(&format!("{}/logout?", provider.url)), "{more} {name}: {to}");
        assert_eq!(browser.send("GET", &two.url("/.tollgate/session"), &[], "").code(), "no_credential");
        // A frame names the issuer, and thereby the login.
        let mut browser = log_in("s-2");
        let frame = two.url(&format!("/.tollgate/frontchannel-logout?iss={}&sid=s-2", provider.url));
        let ended = Browser::default().step("GET", &frame, "").status;
        assert_eq!(ended, if more.is_empty() { 200 } else { 501 }, "{more} {name}");
        let lives = browser.send("GET", &two.url("/.tollgate/session"), &[], "").status == 200;
        assert_eq!(lives, !more.is_empty(), "{more} {name}");
    }
}

/// A page that has a browser begin logins without end fills no cookie jar.
#[test]
fn a_browser_has_few_logins_on_their_way_and_the_oldest_make_room() {
    let (world, mut browser) = (World::start(), Browser::default());
    let first = answer_for(&world, &mut browser, "/first");
    let on_their_way = |browser: &Browser| browser.cookies.keys().filter(|(_, name)| name.contains("web-tx-")).count();
    for n in 0..12 {
        let sent = browser.step("GET", &world.url(&format!("/{n}")), "");
        assert_eq!(sent.status, 303);
        assert!(on_their_way(&browser) <= 5, "{n}: {:?}", browser.cookies);
    }
    assert_eq!(on_their_way(&browser), 5);
    assert_eq!(browser.step("GET", &first, "").status, 400, "the first made room");
    browser.stop_at = None;
    let last = browser.visit(&world.url("/last"));
    assert_eq!((last.response.status, last.url), (200, world.url("/last")), "the issuer knows the person by now");
}
