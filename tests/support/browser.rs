//! A browser as far as logins need one: it keeps cookies by host, follows redirects over all servers, fills in forms, and
//! says what browsers say of themselves (`Sec-Fetch-*`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::client::{Request, Response};
use super::tls;

/// More steps than any login has.
const MAX_STEPS: usize = 16;

/// One browser. Cookies belong to a host, whatever its port, as in real ones; of other sites it sends along those alone that
/// say `SameSite=None`. A site is an origin here, which is stricter than real ones are.
#[derive(Default)]
pub struct Browser {
    pub cookies: BTreeMap<(String, String), String>,
    /// Cookies that go along from other sites.
    pub for_other_sites: BTreeSet<(String, String)>,
    /// Every request: method and URL.
    pub history: Vec<String>,
    /// Redirects to what begins like this are not followed; the page is the redirect itself.
    pub stop_at: Option<String>,
    /// Cookies that it does not keep, by name.
    pub refuses: Option<fn(&str) -> bool>,
}

/// Where a browser is, and what it sees there.
pub struct Page {
    pub url: String,
    pub response: Response,
}

impl Page {
    /// The value of a parameter of its URL's query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.url.split_once('?')?;
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    }
}

impl Browser {
    /// Types an address, and follows where that leads.
    #[track_caller]
    pub fn visit(&mut self, url: &str) -> Page {
        self.follow("GET", url, "", &origin(url))
    }

    /// Sends a form as a script-less page of the same origin does, and follows where that leads.
    #[track_caller]
    pub fn post(&mut self, url: &str, form: &str) -> Page {
        self.follow("POST", url, form, &origin(url))
    }

    /// What a page of `from` leads to.
    #[track_caller]
    fn follow(&mut self, method: &str, url: &str, form: &str, from: &str) -> Page {
        let (mut method, mut url, mut form) = (method.to_owned(), url.to_owned(), form.to_owned());
        for _ in 0..MAX_STEPS {
            let response = self.step_from(&method, &url, &form, from);
            match response.header("location") {
                Some(location) => {
                    url = join(&url, location);
                    if self.stop_at.as_ref().is_some_and(|stop| url.starts_with(stop)) {
                        return Page { url, response };
                    }
                }
                None => return Page { url, response },
            }
            // 303, and what browsers make of 302.
            (method, form) = ("GET".into(), String::new());
        }
        panic!("no end of redirects: {:?}", self.history);
    }

    /// One request, and no further.
    #[track_caller]
    pub fn step(&mut self, method: &str, url: &str, form: &str) -> Response {
        self.step_from(method, url, form, &origin(url))
    }

    /// One request that a page of `from` leads to, and no further.
    #[track_caller]
    pub fn step_from(&mut self, method: &str, url: &str, form: &str, from: &str) -> Response {
        // A GET navigation takes Lax cookies along from anywhere, and so counts as of the same site here.
        let foreign = method == "POST" && *from != *origin(url);
        let site = if foreign { "cross-site" } else { "same-origin" };
        let navigation = [("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html"), ("Sec-Fetch-Site", site)];
        let origin = [("Origin", from)];
        let origin = origin.iter().filter(|_| method == "POST").copied();
        self.exchange((method, url), &navigation.into_iter().chain(origin).collect::<Vec<_>>(), form, foreign)
    }

    /// One request with these fields, cookies among them.
    #[track_caller]
    pub fn send(&mut self, method: &str, url: &str, fields: &[(&str, &str)], form: &str) -> Response {
        self.exchange((method, url), fields, form, false)
    }

    #[track_caller]
    fn exchange(
        &mut self,
        (method, url): (&str, &str),
        fields: &[(&str, &str)],
        form: &str,
        foreign: bool,
    ) -> Response {
        self.history.push(format!("{method} {url}"));
        let parsed: url::Url = url.parse().expect("a URL");
        let host = parsed.host_str().expect("a host").to_owned();
        let address: SocketAddr = format!("{host}:{}", parsed.port().expect("a port")).parse().expect("an address");
        let target = &parsed[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::new(method, target).host(&address.to_string());
        for (name, value) in fields {
            request = request.field(name, value);
        }
        let goes = |key: &(String, String)| key.0 == host && (!foreign || self.for_other_sites.contains(key));
        let own = self.cookies.iter().filter(|(key, _)| goes(key));
        let crumbs: Vec<_> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
        if !crumbs.is_empty() {
            request = request.field("Cookie", &crumbs.join("; "));
        }
        if method == "POST" {
            request = request.field("Content-Type", "application/x-www-form-urlencoded").body(form.as_bytes());
        }
        let response = match parsed.scheme() {
            "https" => {
                let (mut conn, _) =
                    tls::connect(address, &host, &tls::client(&["http/1.1"], None)).expect("a handshake");
                conn.call(&request)
            }
            _ => request.send(address),
        };
        for set in response.head.all("set-cookie") {
            let (name, value) = set.split(';').next().and_then(|crumb| crumb.split_once('=')).expect("a cookie");
            if self.refuses.is_some_and(|refuses| refuses(name)) {
                continue;
            }
            let key = (host.clone(), name.to_owned());
            if set.contains("SameSite=None") && set.contains("Secure") {
                self.for_other_sites.insert(key.clone());
            }
            if set.contains("Max-Age=0") {
                self.cookies.remove(&key)
            } else {
                self.cookies.insert(key, value.into())
            };
        }
        response
    }

    /// Fills in the first form of a page, with these fields over what it has, by its first button.
    #[track_caller]
    pub fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let text = page.response.text();
        let form = between(&text, "<form", "</form>").unwrap_or_else(|| panic!("no form at {}: {text}", page.url));
        let action = between(form, "action=\"", "\"").unwrap_or("").replace("&amp;", "&");
        let mut values: Vec<(String, String)> = Vec::new();
        for input in form.split("<input").skip(1).filter(|input| input.contains("type=\"hidden\"")) {
            let value = |name: &str| between(input, &format!("{name}=\""), "\"").unwrap_or("").replace("&amp;", "&");
            values.push((value("name"), value("value")));
        }
        if let Some(button) = between(form, "<button", ">") {
            let value = |name: &str| between(button, &format!("{name}=\""), "\"").unwrap_or("").to_owned();
            values.push((value("name"), value("value")));
        }
        values.retain(|(name, _)| !name.is_empty() && !fields.iter().any(|(own, _)| own == name));
        values.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&values).finish();
        self.follow("POST", &join(&page.url, &action), &form, &origin(&page.url))
    }

    /// Signs in at the embedded authority and agrees, from its login page on.
    #[track_caller]
    pub fn sign_in(&mut self, page: Page, name: &str, password: &str) -> Page {
        let mut page = page;
        for _ in 0..5 {
            let text = page.response.text();
            if text.contains("type=\"password\"") {
                page = self.submit(&page, &[("username", name), ("password", password)]);
            } else if text.contains("value=\"allow\"") || text.contains("document.forms[0].submit()") {
                page = self.submit(&page, &[]);
            } else {
                return page;
            }
        }
        panic!("the sign-in does not end: {}", page.response.text());
    }
}

fn origin(url: &str) -> String {
    url.parse::<url::Url>().expect("a URL").origin().ascii_serialization()
}

fn join(base: &str, reference: &str) -> String {
    base.parse::<url::Url>().and_then(|base| base.join(reference)).expect("a reference").into()
}

/// What stands between two marks.
fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let from = text.find(start)? + start.len();
    let length = text[from..].find(end)?;
    Some(&text[from..from + length])
}
