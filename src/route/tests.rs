use super::*;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

/// A route as a test writes it: name, hosts, methods (empty: the default), path.
type Written = (&'static str, &'static [&'static str], &'static str, &'static str);

fn table(routes: &[Written]) -> RouteTable {
    table_with(routes, EncodedSlash::Separates, None)
}

fn table_with(routes: &[Written], encoded_slash: EncodedSlash, strip_prefix: Option<&str>) -> RouteTable {
    let parsed: Vec<_> = routes
        .iter()
        .map(|(name, hosts, methods, path)| {
            let hosts: Vec<_> = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
            let methods = match *methods {
                "" => MethodSet::DEFAULT,
                names => names.split(' ').map(|name| MethodSet::parse(name).unwrap()).collect(),
            };
            (*name, hosts, methods, PathPattern::parse(path).unwrap())
        })
        .collect();
    RouteTable::build(parsed.iter().map(|(name, hosts, methods, path)| Entry {
        name,
        hosts,
        path,
        methods: *methods,
        encoded_slash,
        strip_prefix,
    }))
}

/// The name of the route, or the code of the denial.
fn ask(table: &RouteTable, host: Option<&str>, path: &str, method: &Method) -> String {
    match table.locate(host, path, method) {
        Ok(located) => table.routes[located.route].name.to_string(),
        Err(denial) => denial.code().to_owned(),
    }
}

fn get(table: &RouteTable, path: &str) -> String {
    ask(table, None, path, &Method::GET)
}

#[test]
fn the_most_specific_path_decides() {
    let table = table(&[
        ("root", &[], "", "/"),
        ("a", &[], "", "/a"),
        ("a-slash", &[], "", "/a/"),
        ("a-b", &[], "", "/a/b"),
        ("a-x", &[], "", "/a/{x}"),
        ("a-x-c", &[], "", "/a/{x}/c"),
        ("a-b-d", &[], "", "/a/b/d"),
        ("a-b-rest", &[], "", "/a/b/e/{*rest}"),
        ("deep", &[], "", "/{x}/b/f"),
        ("files", &[], "", "/files/{*rest}"),
        ("dot", &[], "", "/a.b"),
        ("cafe", &[], "", "/café/{x}"),
    ]);
    for (path, expected) in [
        ("/", "root"),
        ("/a", "a"),
        ("/a/", "a-slash"),
        ("/a/b", "a-b"),
        ("/a/q", "a-x"),
        ("/a/q/c", "a-x-c"),
        ("/a/b/c", "a-x-c"),
        ("/a/b/d", "a-b-d"),
        ("/a/b/e", "a-b-rest"),
        ("/a/b/e/", "a-b-rest"),
        ("/a/b/e/f/g", "a-b-rest"),
        ("/a/b/f", "deep"),
        ("/a/b/g", "no_route"),
        ("/a/b/", "no_route"),
        ("/b", "no_route"),
        ("/files", "files"),
        ("/files/", "files"),
        ("/files/x/y", "files"),
        ("/filesx", "no_route"),
        ("/axb", "no_route"),
        ("/a.b", "dot"),
        ("/caf%c3%a9/1", "cafe"),
        ("/café/1", "cafe"),
        ("/cafe/1", "no_route"),
    ] {
        assert_eq!(get(&table, path), expected, "{path}");
    }
}

#[test]
fn the_most_specific_host_with_a_matching_path_decides() {
    let table = table(&[
        ("any", &[], "", "/x"),
        ("any-health", &[], "", "/health"),
        ("wild", &["*.acme.example"], "", "/x"),
        ("wild-deep", &["*.eu.acme.example"], "", "/x"),
        ("exact", &["api.acme.example", "api.other.example"], "", "/x"),
        ("six", &["[::1]"], "", "/x"),
    ]);
    for (host, path, expected) in [
        (None, "/x", "any"),
        (Some("acme.example"), "/x", "any"),
        (Some("api.acme.example"), "/x", "exact"),
        (Some("api.other.example"), "/x", "exact"),
        (Some("web.acme.example"), "/x", "wild"),
        (Some("a.b.acme.example"), "/x", "wild"),
        (Some("a.eu.acme.example"), "/x", "wild-deep"),
        (Some("eu.acme.example"), "/x", "wild"),
        (Some("evilacme.example"), "/x", "any"),
        (Some("api.acme.example"), "/health", "any-health"),
        (Some("[::1]"), "/x", "six"),
        (Some("api.acme.example"), "/y", "no_route"),
    ] {
        assert_eq!(ask(&table, host, path, &Method::GET), expected, "{host:?} {path}");
    }
}

#[test]
fn the_method_comes_last_and_never_falls_through() {
    let table = table(&[
        ("all", &[], "", "/x"),
        ("read", &[], "GET HEAD", "/x"),
        ("get", &[], "GET", "/x"),
        ("post", &[], "POST", "/y"),
        ("dav", &[], "PROPFIND", "/y"),
        ("rest", &[], "", "/{*rest}"),
        ("host-put", &["h"], "PUT", "/{*rest}"),
    ]);
    let propfind = Method::from_bytes(b"PROPFIND").unwrap();
    let frob = Method::from_bytes(b"FROB").unwrap();
    for (host, method, path, expected) in [
        (None, Method::GET, "/x", "get"),
        (None, Method::HEAD, "/x", "read"),
        (None, Method::POST, "/x", "all"),
        (None, frob.clone(), "/x", "all"),
        (None, Method::TRACE, "/x", "method_not_allowed"),
        (None, Method::POST, "/y", "post"),
        (None, propfind, "/y", "dav"),
        (None, frob, "/y", "method_not_allowed"),
        (None, Method::GET, "/y", "method_not_allowed"),
        (Some("h"), Method::GET, "/x", "method_not_allowed"),
        (None, Method::CONNECT, "h:443", "bad_request"),
        (None, Method::OPTIONS, "*", "bad_request"),
    ] {
        assert_eq!(ask(&table, host, path, &method), expected, "{method} {path}");
    }
    let Err(Denial::MethodNotAllowed { allow }) = table.locate(None, "/y", &Method::GET) else { panic!("a denial") };
    assert_eq!(allow.to_string(), "POST, PROPFIND");
}

#[test]
fn no_route_is_a_closed_table() {
    assert_eq!(get(&RouteTable::default(), "/"), "no_route");
    assert_eq!(get(&RouteTable::default(), "/a/../b"), "no_route");
}

const SHOP: [Written; 6] = [
    ("public", &[], "", "/public/{*rest}"),
    ("admin", &[], "", "/admin/{*rest}"),
    ("order", &[], "GET", "/orders/{id}"),
    ("new", &[], "POST", "/orders/new"),
    ("root", &[], "", "/"),
    ("a.b", &[], "", "/a.b"),
];

#[test]
fn odd_paths_pass_only_where_every_reading_stays() {
    let table = table(&SHOP);
    let [public, admin, order, ambiguous, bad, none] =
        ["public", "admin", "order", "ambiguous_path", "bad_request", "no_route"];
    for (path, expected) in [
        // Inside one route.
        ("/public/a//b", public),
        ("/public/a/./b", public),
        ("/public/a/../b", public),
        ("/public/a/%2e%2e/b", public),
        ("/public/..a/b", public),
        ("/public/a;v=1/b", public),
        ("/public/a%2Fb", public),
        ("/public/a%5cb", public),
        ("/public/a%252fb", public),
        ("/public/100%25", public),
        ("/public/a%23b", public),
        ("/public/what%3f", public),
        ("/public/v1.", public),
        ("/public/...", ambiguous),
        ("/public/a/...", public),
        ("/public/日本", public),
        ("/public/½", public),
        ("/public/{a}", public),
        ("/%70ublic/x", public),
        ("/public/%", bad),
        ("/orders/7;v=1", order),
        ("/orders/a%20b", order),
        ("/orders/john.", order),
        ("/orders/%41", order),
        ("/orders/50%25off", order),
        ("/admin/a/../b", admin),
        // Dots.
        ("/public/../admin", ambiguous),
        ("/public/..", ambiguous),
        ("/public/../", ambiguous),
        ("/public/%2e%2e/admin", ambiguous),
        ("/public/.%2E/admin/x", ambiguous),
        ("/public/%2e%2e%2fadmin", ambiguous),
        ("/public/..%2fadmin", ambiguous),
        ("/public/..%5cadmin", ambiguous),
        ("/public/..\\admin", ambiguous),
        ("/public/..;/admin", ambiguous),
        ("/public/..;a=b/admin", ambiguous),
        ("/public/..%3b/admin", ambiguous),
        ("/public/a/..;/..;/admin", ambiguous),
        ("/public/x;/../../admin", ambiguous),
        ("/public/%252e%252e/admin", ambiguous),
        ("/public/%252e%252e%252fadmin", ambiguous),
        ("/public/%25252e%25252e%25252fadmin", ambiguous),
        ("/public/%25%32%65%25%32%65/admin", ambiguous),
        ("/public/.%20./admin", ambiguous),
        ("/public/..%20/admin", ambiguous),
        ("/public/%20../admin", ambiguous),
        ("/public/..%c2%a0/admin", ambiguous),
        ("/public/．．/admin", ambiguous),
        ("/public/‥/admin", ambiguous),
        ("/public/..／admin", ambiguous),
        ("/public/..%ef%bc%8fadmin", ambiguous),
        ("/public/..%255cadmin", ambiguous),
        ("/public/%25c0%25ae%25c0%25ae/admin", ambiguous),
        ("/public/%25u002e%25u002e/admin", ambiguous),
        ("/public//..//..//admin", ambiguous),
        ("/public/a/../../admin/x", ambiguous),
        ("/public/../public/x", public),
        ("/public/../../public/x", public),
        // Slashes.
        ("//admin", none),
        ("/%2fadmin", none),
        ("/\\admin", none),
        ("/admin%5c", none),
        ("/admin%2f", none),
        ("/admin;", none),
        ("/admin%20", none),
        ("/orders/7%2f8", ambiguous),
        ("/orders/7%5c", ambiguous),
        ("/orders/%2e", ambiguous),
        ("/orders/..", ambiguous),
        ("/orders/%20", ambiguous),
        ("/orders/;a", ambiguous),
        ("/orders/%3fa", ambiguous),
        ("/orders/new;x", ambiguous),
        ("/orders/new%20", ambiguous),
        ("/orders/new.", ambiguous),
        ("/orders/new%23", ambiguous),
        ("/orders/new%2500", ambiguous),
        ("/orders/ｎew", ambiguous),
        // Never.
        ("/public#/../private", bad),
        ("/public%00", bad),
        ("/public/%0a", bad),
        ("/public/%c0%ae%c0%ae/admin", bad),
        ("/public/%u002e%u002e/admin", bad),
        ("/public/%zz", bad),
        ("/public?x", bad),
        ("public", bad),
        ("", bad),
        ("/axb", none),
    ] {
        assert_eq!(get(&table, path), expected, "{path}");
    }
}

#[test]
fn a_catch_all_takes_nothing_from_a_route_beside_it() {
    let table = table(&[
        ("rest", &[], "", "/{*rest}"),
        ("admin", &[], "", "/admin"),
        ("team", &[], "", "/team/{*rest}"),
        ("user", &[], "", "/users/{id}"),
        ("me", &[], "", "/users/me"),
        ("both", &[], "", "/both"),
        ("both/", &[], "", "/both/"),
        ("slash/", &[], "", "/slash/"),
        ("upper", &[], "", "/Case"),
        ("lower", &[], "", "/case"),
    ]);
    for (path, expected) in [
        ("/", "rest"),
        ("/other", "rest"),
        ("/Other/", "rest"),
        ("/admin/x", "rest"),
        ("/admin", "admin"),
        ("//admin", "ambiguous_path"),
        ("/%2fadmin", "ambiguous_path"),
        ("/\\admin", "ambiguous_path"),
        ("/admin%5c", "ambiguous_path"),
        ("//host/admin", "ambiguous_path"),
        ("/admin;x", "ambiguous_path"),
        ("/admin.", "ambiguous_path"),
        ("/admin;/x", "ambiguous_path"),
        ("/admin%2500x", "ambiguous_path"),
        ("/admin/...", "ambiguous_path"),
        ("/x/../admin", "ambiguous_path"),
        ("/x/../ADMIN", "ambiguous_path"),
        ("/Admin", "ambiguous_path"),
        ("/admin/", "ambiguous_path"),
        ("/ADMIN/", "ambiguous_path"),
        ("/%41dmin", "ambiguous_path"),
        ("/Team/x", "ambiguous_path"),
        ("/team", "team"),
        ("/team/", "team"),
        ("/team/X/", "team"),
        ("/users/7", "user"),
        ("/users/Mo", "user"),
        ("/users/me", "me"),
        ("/users/Me", "ambiguous_path"),
        ("/users/7/", "ambiguous_path"),
        ("/both", "both"),
        ("/both/", "both/"),
        ("/slash/", "slash/"),
        ("/slash", "ambiguous_path"),
        ("/Case", "upper"),
        ("/case", "lower"),
        ("/CASE", "ambiguous_path"),
    ] {
        assert_eq!(get(&table, path), expected, "{path}");
    }
}

#[test]
fn a_less_specific_host_takes_nothing_from_a_more_specific_one() {
    let table = table(&[("open", &[], "", "/{*rest}"), ("admin", &["api.example"], "", "/admin/{*rest}")]);
    for (host, path, expected) in [
        ("api.example", "/admin/x", "admin"),
        ("api.example", "/Admin/x", "ambiguous_path"),
        ("api.example", "//admin/x", "ambiguous_path"),
        ("api.example", "/other", "open"),
        ("web.example", "/admin/x", "open"),
        ("web.example", "/Admin/x", "open"),
    ] {
        assert_eq!(ask(&table, Some(host), path, &Method::GET), expected, "{host} {path}");
    }
}

#[test]
fn a_reading_that_has_not_the_method_is_another_result() {
    let table = table(&[("rest", &[], "", "/{*rest}"), ("write", &[], "POST", "/orders")]);
    for (method, path, expected) in [
        (Method::GET, "/x/../orders", "ambiguous_path"),
        (Method::POST, "/x/../orders", "ambiguous_path"),
        (Method::GET, "/Orders", "ambiguous_path"),
        (Method::GET, "/x/../y", "rest"),
    ] {
        assert_eq!(ask(&table, None, path, &method), expected, "{method} {path}");
    }
}

#[test]
fn an_encoded_slash_may_be_a_character_of_its_segment() {
    let routes: [Written; 2] = [("project", &[], "", "/projects/{id}"), ("admin", &[], "", "/projects/{id}/admin")];
    let [strict, tolerant] =
        [EncodedSlash::Separates, EncodedSlash::InSegment].map(|slash| table_with(&routes, slash, None));
    for (path, in_strict, in_tolerant) in [
        ("/projects/group%2Fproject", "ambiguous_path", "project"),
        ("/projects/group%2fadmin", "ambiguous_path", "project"),
        ("/projects/group%2Fproject/admin", "ambiguous_path", "admin"),
        ("/projects/group%5cadmin", "ambiguous_path", "ambiguous_path"),
        ("/projects/..", "ambiguous_path", "ambiguous_path"),
    ] {
        assert_eq!(get(&strict, path), in_strict, "{path}");
        assert_eq!(get(&tolerant, path), in_tolerant, "{path}");
    }
}

#[test]
fn what_is_left_after_a_stripped_prefix_is_read_on_its_own() {
    let routes: [Written; 2] = [("rest", &[], "", "/v1/{*rest}"), ("deep", &[], "", "/v1/v1/{*rest}")];
    let [whole, stripped] = [None, Some("/v1")].map(|prefix| table_with(&routes, EncodedSlash::Separates, prefix));
    let path = "/v1/x/../../v1/y";
    assert_eq!(get(&whole, path), "rest", "as a whole, it stays inside");
    assert_eq!(get(&stripped, path), "ambiguous_path", "the upstream sees /x/../../v1/y, which is /v1/v1/y to us");
    assert_eq!(get(&stripped, "/v1/x/../y"), "rest");
    assert_eq!(get(&stripped, "/v1/../v1/y"), "ambiguous_path");
    assert_eq!(get(&stripped, "/v1"), "rest");
}

#[test]
fn parameters_and_whether_they_are_certain() {
    let table = table(&[("tenant", &[], "", "/tenants/{tenant}/{*rest}")]);
    for (path, tenant, rest, certain) in [
        ("/tenants/a/x/y", "a", "x/y", true),
        ("/tenants/a", "a", "", true),
        ("/tenants/caf%C3%A9/x", "café", "x", true),
        ("/tenants/a/x/../y", "a", "x/../y", true),
        ("/tenants/a/../b/x", "a", "../b/x", false),
        ("/tenants/a;b/x", "a;b", "x", false),
    ] {
        let located = table.locate(None, path, &Method::GET).unwrap();
        let params: Vec<_> = table.params(&located).collect();
        let params: Vec<_> = params.iter().map(|(name, value)| (*name, &**value)).collect();
        assert_eq!(params, [("tenant", tenant), ("rest", rest)], "{path}");
        assert_eq!(located.certain, certain, "{path}");
    }
}

#[test]
fn what_is_forwarded_is_canonical() {
    let table = table(&[("rest", &[], "", "/{*rest}")]);
    for (raw, forwarded) in
        [("/a/%7eb", "/a/~b"), ("/caf\u{e9}", "/caf%C3%A9"), ("/a%2fb", "/a%2Fb"), ("/a\\b", "/a%5Cb"), ("//a", "//a")]
    {
        assert_eq!(table.locate(None, raw, &Method::GET).unwrap().path, forwarded);
    }
    assert!(matches!(table.locate(None, "/a/b", &Method::GET).unwrap().path, Cow::Borrowed("/a/b")));
}

#[test]
fn a_refusal_says_which_reading_leads_where() {
    let table = table(&SHOP);
    for (path, detail) in [
        (
            "/public/..%2fadmin/",
            "as sent, the path leads to the route \"public\"; with %2F as a slash and dot segments resolved, it reads \
             \"/admin/\" and leads to the route \"admin\"",
        ),
        (
            "/orders/7%2f8",
            "as sent, the path leads to the route \"order\"; with %2F as a slash, it reads \"/orders/7/8\" and leads \
             to no route",
        ),
        (
            "/orders/new.",
            "as sent, the path leads to the route \"order\"; with dots and blanks after segments trimmed, it reads \
             \"/orders/new\" and leads to routes without this method",
        ),
        (
            "/orders/New",
            "as sent, the path leads to the route \"order\"; with letter case and a last slash left aside, it leads \
             to the route \"new\"",
        ),
    ] {
        assert_eq!(table.locate(None, path, &Method::GET).unwrap_err().detail(), detail);
    }
}

/// Pieces that odd paths are made of.
const PIECES: [&str; 44] = [
    "/", "/", "/", "/", "..", "..", ".", "admin", "public", "a", "x", ";", ";a=b", "..;", "%2e", "%2E", "%2f", "%2F",
    "%5c", "\\", "%3b", "%25", "%252e", "%252f", "%255c", "%2525", "2e", "2f", "%23", "%3f", "%20", "%c2%a0", "．",
    "％", "／", "；", "%61", "%64min", "Admin", "%2500", "25", "3b", "%253b", "ａ",
];

const SLASHES: [&str; 10] = ["/", "/", "/", "//", "%2f", "\\", "%5c", "%252F", "%25255c", "／"];
const CLIMBS: [&str; 18] = [
    "..",
    "..",
    "%2e%2e",
    ".%2E",
    "%252e.",
    "%25%32%65.",
    "．．",
    "‥",
    "..%20",
    "%20..",
    "..;",
    "..;a=b",
    "..%3b",
    "..%253bx",
    "..%23",
    "..%2500",
    ".",
    "x",
];

/// Half of them any pieces, half of them a way out of `/public` that may or may not work.
fn odd_path() -> impl Strategy<Value = String> {
    let pieces = |max| prop::collection::vec(prop::sample::select(&PIECES[..]), 0..max).prop_map(|all| all.concat());
    let front = prop::sample::select(&["/", "/public/", "/a/", "/public/x/"][..]);
    let any = (front, pieces(9)).prop_map(|(front, tail)| front.to_owned() + &tail);
    let [slash, climb] = [&SLASHES[..], &CLIMBS[..]].map(prop::sample::select);
    let step = (slash.clone(), climb).prop_map(|(slash, climb)| slash.to_owned() + climb);
    let out =
        (prop::collection::vec(step, 1..4), slash, prop::sample::select(&["admin", "%61dmin", "x"][..]), pieces(3))
            .prop_map(|(steps, slash, name, tail)| format!("/public{}{slash}{name}{tail}", steps.concat()));
    prop_oneof![any, out]
}

/// What some upstream does to a path that it was sent, over plain strings and without any of the code under test.
#[derive(Debug, Clone, Copy)]
enum Habit {
    Decode,
    BackslashAsSlash,
    DropParameters,
    CutAtSemicolon,
    CutAtFragment,
    CutAtQuery,
    CutAtNul,
    Merge,
    ResolveDots,
    TrimBlanks,
    TrimTail,
    Nfkc,
}

const HABITS: [Habit; 12] = [
    Habit::Decode,
    Habit::BackslashAsSlash,
    Habit::DropParameters,
    Habit::CutAtSemicolon,
    Habit::CutAtFragment,
    Habit::CutAtQuery,
    Habit::CutAtNul,
    Habit::Merge,
    Habit::ResolveDots,
    Habit::TrimBlanks,
    Habit::TrimTail,
    Habit::Nfkc,
];

impl Habit {
    fn apply(self, path: &str) -> String {
        let segments = |f: &dyn Fn(&str) -> String| path.split('/').map(f).collect::<Vec<_>>().join("/");
        let cut = |mark: char| path.split(mark).next().unwrap().to_owned();
        match self {
            Self::Decode => naive_decode(path),
            Self::BackslashAsSlash => path.replace('\\', "/"),
            Self::DropParameters => segments(&|segment| segment.split(';').next().unwrap().to_owned()),
            Self::CutAtSemicolon => cut(';'),
            Self::CutAtFragment => cut('#'),
            Self::CutAtQuery => cut('?'),
            Self::CutAtNul => cut('\0'),
            Self::Merge => {
                let mut merged = path.to_owned();
                while merged.contains("//") {
                    merged = merged.replace("//", "/");
                }
                merged
            }
            Self::ResolveDots => naive_resolve(path),
            Self::TrimBlanks => segments(&|segment| segment.trim().to_owned()),
            Self::TrimTail => segments(&|segment| match segment.trim_end_matches(['.', ' ']) {
                "" => segment.to_owned(),
                trimmed => trimmed.to_owned(),
            }),
            Self::Nfkc => path.nfkc().collect(),
        }
    }
}

fn naive_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn naive_resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut open = false;
    for segment in path.split('/').skip(1) {
        open = matches!(segment, "." | "..");
        match segment {
            ".." => {
                kept.pop();
            }
            "." => {}
            other => kept.push(other),
        }
    }
    format!("/{}{}", kept.join("/"), if open && !kept.is_empty() { "/" } else { "" })
}

/// What habits in any order and number make of a path.
fn every_way(path: &str) -> Vec<String> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while next < found.len().min(200) {
        for habit in HABITS {
            let read = habit.apply(&found[next]);
            if !found.contains(&read) {
                found.push(read);
            }
        }
        next += 1;
    }
    found
}

/// Which route a path string belongs to, for an upstream that has done all its decoding.
fn naive_route(path: &str) -> &'static str {
    let under = |front: &str| path == front || path.strip_prefix(front).is_some_and(|tail| tail.starts_with('/'));
    match () {
        () if under("/admin") => "admin",
        () if under("/public") => "public",
        () => "rest",
    }
}

fn three_routes() -> RouteTable {
    table(&[
        ("public", &[], "", "/public/{*rest}"),
        ("admin", &[], "", "/admin/{*rest}"),
        ("rest", &[], "", "/{*rest}"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn no_upstream_reaches_what_was_not_judged(path in odd_path()) {
        let table = three_routes();
        let Ok(located) = table.locate(None, &path, &Method::GET) else { return Ok(()) };
        let judged = &*table.routes[located.route].name;
        for read in every_way(&located.path) {
            // What is looked up now may be looked up decoded, too.
            for seen in [&read, &naive_decode(&read)] {
                prop_assert_eq!(naive_route(seen), judged, "{} read as {}", path, seen);
            }
        }
    }

    #[test]
    fn every_reading_of_what_passes_leads_to_the_same_route(path in odd_path()) {
        let table = three_routes();
        let Ok(located) = table.locate(None, &path, &Method::GET) else { return Ok(()) };
        for reading in reading::readings(&located.path, EncodedSlash::Separates).unwrap() {
            let again = table.choose(Asked { host: None, method: MethodSet::of(&Method::GET) }, &reading.path);
            prop_assert_eq!(again.map(|chosen| chosen.route), Ok(located.route), "{} as {:?}", path, reading);
        }
    }

    #[test]
    fn what_was_judged_is_judged_the_same_again(path in odd_path()) {
        let table = three_routes();
        let Ok(located) = table.locate(None, &path, &Method::GET) else { return Ok(()) };
        let again = table.locate(None, &located.path, &Method::GET);
        prop_assert_eq!(again.as_ref(), Ok(&located));
    }

    #[test]
    fn nothing_panics(path in "(?s).{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40), host in "\\PC{0,20}") {
        let table = table(&SHOP);
        for path in [path, format!("/{}", String::from_utf8_lossy(&bytes))] {
            let _ = table.locate(Some(&host), &path, &Method::GET);
        }
    }

    #[test]
    fn the_trie_finds_what_a_search_of_all_patterns_finds(
        patterns in prop::collection::vec(prop::collection::vec(0..4_usize, 1..5), 1..8),
        path in prop::collection::vec(0..3_usize, 1..5),
    ) {
        let patterns: Vec<PathPattern> = patterns.iter().map(|pieces| pattern_of(pieces)).collect();
        let table = RouteTable::build(patterns.iter().map(|path| Entry {
            name: "x", hosts: &[], path, methods: MethodSet::DEFAULT, encoded_slash: EncodedSlash::Separates,
            strip_prefix: None,
        }));
        let path: String = path.iter().map(|piece| ["/a", "/b", "/c"][*piece]).collect();
        let literal = PathPattern::parse(&path).unwrap();
        let best = (0..patterns.len()).filter(|at| patterns[*at].covers(&literal)).min_by_key(|at| rank(&patterns[*at]));
        prop_assert_eq!(table.locate(None, &path, &Method::GET).ok().map(|located| located.route), best);
    }
}

fn pattern_of(pieces: &[usize]) -> PathPattern {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            0 | 1 => text.push_str(["/a", "/b"][*piece]),
            2 => text.push_str(&format!("/{{p{at}}}")),
            _ => {
                text.push_str("/{*rest}");
                break;
            }
        }
    }
    PathPattern::parse(&text).unwrap()
}

/// Smaller is more specific: literal, `{name}`, the end, `{*rest}`.
fn rank(pattern: &PathPattern) -> Vec<u8> {
    let kinds = pattern.segments().iter().map(|segment| match segment {
        crate::pattern::Segment::Literal(_) => 0,
        crate::pattern::Segment::Param(_) => 1,
        crate::pattern::Segment::Rest(_) => 3,
    });
    kinds.chain([2]).collect()
}
