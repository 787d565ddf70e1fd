//! The gateway's pages for people: what they say, what they may do in a browser, and files in their place.

use super::support::browser::{Browser, Page};
use super::support::client::{Request, Response};
use super::support::gateway::run;
use super::support::world::Setting;
use super::{World, answer_for, script};

/// A second login of the same application.
const OTHER: &str = r#"label = "Staff <of> Acme"

[logins.other]
issuer = "main"
client_id = "other"
public_url = "http://@address"
callback = "/.tollgate/callback/other"
"#;

/// Asks for each page in turn: the chooser, a failed login, after a logout, refusals.
fn all(world: &World) -> [(&'static str, Response); 5] {
    let mut browser = Browser::default();
    let mut page = |path: &str| browser.step("GET", &world.url(path), "");
    let chooser = page("/.tollgate/login?return_to=%2Fdeep%3Fa%3D%22b%22");
    let error = page("/.tollgate/callback?state=x&error=access_denied");
    let logged_out = page("/.tollgate/logged-out");
    let nothing = page("/.tollgate/nothing");
    let sent = browser.step("POST", &world.url("/x"), "a=b");
    [("chooser", chooser), ("error", error), ("logged-out", logged_out), ("refusal", nothing), ("refusal", sent)]
}

#[test]
fn every_page_is_whole_in_itself() {
    let world = World::with(OTHER, "");
    let site = world.address.to_string();
    for (kind, page) in all(&world) {
        let (text, policy) = (page.text(), page.header("content-security-policy").unwrap_or_default());
        assert!(text.contains(&format!("<body class=\"{kind}\">")), "{text}");
        assert!(kind == "refusal" || text.contains(&format!("<header>{site}</header>")), "{text}");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{kind}: {policy}");
        assert!(policy.contains("form-action 'none'; frame-ancestors 'none'"), "{kind}: {policy}");
        assert!(!policy.contains("self") && !policy.contains("unsafe"), "{kind}: {policy}");
        let fields = ["cache-control", "referrer-policy", "x-content-type-options"].map(|name| page.header(name));
        assert_eq!(fields, [Some("no-store"), Some("no-referrer"), Some("nosniff")], "{kind}");
        for elsewhere in ["<script", "src=", "@import", "url(", "style=\""] {
            assert!(!text.contains(elsewhere), "{kind}: {elsewhere}");
        }
    }
}

#[test]
fn pages_say_what_happened_and_what_to_do() {
    let world = World::with(OTHER, "");
    let [(_, chooser), (_, error), (_, logged_out), (_, nothing), (_, sent)] =
        all(&world).map(|(kind, page)| (kind, page.text()));
    let login =
        |name: &str, rest: &str| format!("href=\"http://{}/.tollgate/login?login={name}&amp;{rest}\"", world.address);
    assert!(chooser.contains(&login("other", "return_to=%2Fdeep%3Fa%3D%22b%22")), "{chooser}");
    assert!(chooser.contains(">Staff &lt;of&gt; Acme</a>") && chooser.contains(">other</a>"), "{chooser}");
    assert!(error.contains("Login failed") && error.contains(&login("web", "return_to=%2F")), "{error}");
    assert!(!error.contains("state"), "no internals: {error}");
    assert!(logged_out.contains("You are logged out."), "{logged_out}");
    assert!(nothing.contains("There is no page at this address.") && nothing.contains("404 no_route"), "{nothing}");
    assert!(sent.contains("What you sent was not taken in."), "{sent}");
    let more = |path: &str| Browser::default().step("GET", &world.url(path), "").text();
    let frame = more("/.tollgate/frontchannel-logout?iss=x&sid=y");
    assert!(frame.contains("Logout failed") && !frame.contains("Try again"), "a login does not help: {frame}");
    let chooser = more("/.tollgate/login?return_to=%2Fdeep&login_hint=bob&acr_values=gold&max_age=5");
    assert!(chooser.contains(&login("web", "login_hint=bob&amp;return_to=%2Fdeep")), "{chooser}");
    assert!(!chooser.contains("acr_values") && !chooser.contains("max_age"), "not every login has that: {chooser}");
}

/// Who is not let in by this account may have another; a program is told no such thing.
#[test]
fn who_may_not_is_offered_to_log_in_with_another_account() {
    let bob = "[[authority.users]]\nname = \"bob\"\nsub = \"user-bob\"\npassword = \"builder\"\n\
               [[routes]]\npath = \"/bobs\"\nupstream = \"app\"\nlogin = \"web\"\nclaims = { \"/sub\" = \"user-bob\" }";
    let (world, mut browser) = (World::with("", bob), Browser::default());
    let page = world.log_in(&mut browser, "/bobs?week=1");
    assert_eq!((page.response.status, page.response.header("set-cookie")), (403, None));
    let link = "/.tollgate/login?login=web&prompt=select_account&return_to=%2Fbobs%3Fweek%3D1";
    let shown = format!("<a href=\"{}\">Log in with another account</a>", world.url(link).replace('&', "&amp;"));
    assert!(page.response.text().contains(&shown), "{}", page.response.text());
    let sent = browser.step("POST", &world.url("/bobs"), "a=b").text();
    assert!(sent.contains("return_to=%2F\">Log in with another account") && !sent.contains("not taken in"), "{sent}");
    let told = script(&world, &mut browser, "/bobs");
    assert_eq!((told.status, told.json().get("login")), (403, None), "{}", told.text());
    // However often the same person comes back.
    for _ in 0..4 {
        let chooser = browser.visit(&world.url(link));
        let page = browser.submit(&chooser, &[("account", "alice")]);
        assert_eq!(browser.sign_in(page, "alice", "wonderland").response.status, 403);
    }
    let chooser = browser.visit(&world.url(link));
    assert!(chooser.response.text().contains("Choose an account"), "{}", chooser.response.text());
    let password = browser.submit(&chooser, &[("account", "bob")]);
    let page = browser.sign_in(password, "bob", "builder");
    assert_eq!((page.response.status, page.url), (200, world.url("/bobs?week=1")));
    let nothing = browser.step("GET", &world.url("/.tollgate/nothing"), "").text();
    assert!(!nothing.contains("another account"), "nobody finds it: {nothing}");
}

#[test]
fn whom_an_operator_turned_out_is_offered_another_account_too() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    let request = Request::new("POST", "/revocations").host("localhost").field("Content-Type", "application/json");
    assert_eq!(request.body(b"{\"sub\": \"user-alice\"}").send(world.gateway.admin()).status, 201);
    let page = browser.step("GET", &world.url("/x"), "");
    let text = page.text();
    assert!(page.status == 401 && text.contains("Your access was taken back."), "{text}");
    assert!(text.contains("Log in with another account") && text.contains("401 revoked"), "{text}");
}

#[test]
fn who_says_no_can_try_again_for_the_same_page() {
    let (world, mut browser) = (World::start(), Browser::default());
    let page = browser.visit(&world.url("/deep?a=1"));
    let denied = browser.submit(&page, &[("action", "cancel")]);
    let text = denied.response.text();
    assert_eq!(denied.response.status, 400, "{text}");
    assert!(
        text.contains("The login was cancelled.") && text.contains("return_to=%2Fdeep%3Fa%3D1\">Try again"),
        "{text}"
    );
    assert!(!text.contains("If it goes on like this"), "nothing went wrong: {text}");
    let again = follow(&mut browser, &text, "Try again");
    assert_eq!(browser.sign_in(again, "alice", "wonderland").url, world.url("/deep?a=1"));
}

#[test]
fn after_a_form_that_was_not_taken_in_the_login_leads_back_to_its_page() {
    let (world, mut browser) = (World::start(), Browser::default());
    let fields = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin")];
    let own = world.url("/form?draft=7");
    let cases = [
        (&*own, "return_to=%2Fform%3Fdraft%3D7\""),
        ("https://evil.example/form", "return_to=%2F\""),
        (&format!("{}.evil.example/form", world.url("")), "return_to=%2F\""),
        (&format!("{}@evil.example/form", world.url("")), "return_to=%2F\""),
    ];
    for (from, to) in cases {
        let answer = browser.send("POST", &world.url("/x"), &[&fields[..], &[("Referer", from)]].concat(), "a=b");
        assert_eq!(answer.status, 401);
        assert!(answer.text().contains(to), "{from}: {}", answer.text());
    }
}

/// The page behind a link of that text.
fn follow(browser: &mut Browser, html: &str, text: &str) -> Page {
    let before = html.split(&format!("\">{text}</a>")).next().expect("the link");
    let url = before.rsplit("href=\"").next().expect("its target").replace("&amp;", "&");
    browser.visit(&url)
}

const TEMPLATE: &str = "<title>{{ title }}</title><style>p{}</style><body class='{{ page }}'>Acme {{ reference }}\
    {% for link in links %}<a href='{{ link.url }}'>{{ link.text }}</a>{% endfor %}";

/// A world whose pages are of files: one for all, and one for after a logout.
fn own_pages() -> World {
    let setting = Setting {
        login: &format!("{OTHER}\n[pages]\ntemplate = \"all.html\"\nlogged_out = \"bye.html\""),
        ..Setting::default()
    };
    std::fs::write(setting.folder.path().join("all.html"), TEMPLATE).expect("ours");
    std::fs::write(setting.folder.path().join("bye.html"), "Bye, {{ page }}.").expect("ours");
    World::set(setting)
}

#[test]
fn files_take_the_place_of_pages() {
    let world = own_pages();
    for (kind, page) in all(&world) {
        let text = page.text();
        match kind {
            "logged-out" => assert_eq!(text, "Bye, logged-out."),
            kind => assert!(text.contains(&format!("<body class='{kind}'>Acme")), "{text}"),
        }
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("style-src 'self'") && policy.contains("img-src 'self' data:;"), "{policy}");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("script-src"), "{policy}");
        assert!(policy.contains("sha256-") == (kind != "logged-out"), "{kind}: {policy}");
    }
    let mut browser = Browser::default();
    let answer = answer_for(&world, &mut browser, "/x");
    let refused = Browser::default().step("GET", &answer, "").text();
    let reference = refused.split("Acme ").nth(1).and_then(|rest| rest.get(..8)).expect("a reference").to_owned();
    world.gateway.until("the reference is in the log", || {
        world.gateway.access_log().into_iter().find(|line| line.to_string().contains(&reference))
    });
}

#[test]
fn a_changed_template_is_read_anew_and_a_broken_one_is_not_taken() {
    let world = own_pages();
    let page = || Browser::default().step("GET", &world.url("/.tollgate/logged-out"), "").text();
    let file = world.gateway.folder().join("bye.html");
    std::fs::write(&file, "<p>{{ titel }}</p>").expect("ours");
    world.gateway.until("the flaw is in the log", || {
        world.gateway.stderr().contains("line 1: there is no placeholder `titel`").then_some(())
    });
    assert_eq!(page(), "Bye, logged-out.", "what was good stays");
    std::fs::write(&file, "<p>{{ title }}</p>").expect("ours");
    world.gateway.until("the new one is in force", || (page() == "<p>Logged out</p>").then_some(()));
}

#[test]
fn a_template_that_cannot_do_its_work_is_found_by_check() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("tollgate.toml");
    std::fs::write(&file, "[pages]\ntemplate = \"page.html\"\n").expect("ours");
    let check = |content: Option<&[u8]>| {
        if let Some(content) = content {
            std::fs::write(folder.path().join("page.html"), content).expect("ours");
        }
        let output = run(&["check", "--config", &file.display().to_string()]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
    };
    assert!(check(None).contains("error[file-unreadable]"));
    let big = vec![b' '; 65 * 1024];
    let cases: [(&[u8], &str); 5] = [
        (
            b"{% for link in links %}{{ link.url }}{% endfor %}\n{{ reference }} {{ ttle }}",
            "line 2: there is no placeholder `ttle`",
        ),
        (&big, "65536 bytes at most, and this one 66560"),
        (b"\xff", "it is not UTF-8"),
        (b"{{ reference }}", "has to show its links"),
        (b"{% for link in links %}{{ link.url }}{% endfor %}", "has to show its reference"),
    ];
    for (content, told) in cases {
        let said = check(Some(content));
        assert!(said.contains("error[bad-template]") && said.contains(told), "{told}: {said}");
    }
}
