//! Alice and her browser, as far as the tour needs them: cookies, redirects, and the forms of the authority's pages.

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::{Position, Url, form_urlencoded};

use crate::secret::{random_bytes, random_id, sha256};

use super::tour::request;
use super::wire::{Answer, ask};

/// Where an application on this machine would wait for its answer. Nobody does: the browser of the tour stops there.
const BACK: &str = "http://127.0.0.1/callback";

/// Redirects and forms that are gone through at most.
const STEPS: usize = 16;

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// A client that wants a token for whoever signs in.
pub(super) struct SignIn {
    pub(super) client: &'static str,
    pub(super) scope: &'static str,
    pub(super) implicit: bool,
}

pub(super) struct Browser {
    authority: SocketAddr,
    cookies: Vec<(String, String)>,
}

impl Browser {
    pub(super) const fn at(authority: SocketAddr) -> Self {
        Self { authority, cookies: Vec::new() }
    }

    /// Walks a flow. The access token, and what the tour shows of the answer: the ID token by its claims, else what came
    /// back with the browser.
    pub(super) fn get_token(&mut self, client: &SignIn) -> io::Result<(String, Answer)> {
        if client.implicit { self.by_fragment(client) } else { self.by_code(client) }
    }

    fn by_fragment(&mut self, client: &SignIn) -> io::Result<(String, Answer)> {
        let (back, mut answer) = self.visit(client, &[("response_type", "token")])?;
        let token = parameter(back.fragment(), "access_token")?;
        answer.body = format!("location: {}", back.as_str().replace(&token, &format!("{token:.12}...")));
        Ok((token, answer))
    }

    fn by_code(&mut self, client: &SignIn) -> io::Result<(String, Answer)> {
        let verifier = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        let asked = [("response_type", "code"), ("code_challenge", &challenge), ("code_challenge_method", "S256")];
        let (back, _) = self.visit(client, &asked)?;
        let code = parameter(back.query(), "code")?;
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "authorization_code"), ("client_id", client.client), ("code", &code)])
            .extend_pairs([("redirect_uri", BACK), ("code_verifier", &verifier)])
            .finish();
        let mut answer = ask(self.authority, &request("POST", "/token", self.authority, FORM, &form), None)?;
        let tokens = answer.json();
        let text = |member: &str| tokens[member].as_str().map(str::to_owned);
        let (Some(token), Some(id_token)) = (text("access_token"), text("id_token")) else {
            return Ok(("".into(), answer));
        };
        answer.body = format!("the ID token says: {}", claims(&id_token)?);
        Ok((token, answer))
    }

    /// From an authorization request to where the authority sends the browser back to.
    fn visit(&mut self, client: &SignIn, asked: &[(&str, &str)]) -> io::Result<(Url, Answer)> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("client_id", client.client), ("redirect_uri", BACK), ("scope", client.scope)])
            .extend_pairs(asked)
            .append_pair("state", &random_id())
            .finish();
        match self.follow("GET", url(self.authority, &format!("/authorize?{query}"))?)? {
            (at, answer) if at.as_str().starts_with(BACK) => Ok((at, answer)),
            (_, answer) => Err(io::Error::other(format!("a page without a form: {}", answer.status))),
        }
    }

    /// Opens a page, or presses a button that leads to it; signs in where that is asked. What is shown is its heading, or
    /// what it has instead of one.
    pub(super) fn open(&mut self, method: &str, place: SocketAddr, target: &str) -> io::Result<Answer> {
        let (_, mut answer) = self.follow(method, url(place, target)?)?;
        if let Some((_, rest)) = answer.body.split_once("<h1>") {
            answer.body = rest.split("</h1>").next().unwrap_or_default().to_owned();
        }
        Ok(answer)
    }

    /// Goes where redirects lead, fills in the forms of the authority, and stops at a page without one or at [`BACK`].
    fn follow(&mut self, method: &str, mut at: Url) -> io::Result<(Url, Answer)> {
        let mut answer = self.send(method, &at, "")?;
        for _ in 0..STEPS {
            let to = answer.field("location").map(str::to_owned);
            let form = form(&answer.body).filter(|_| address(&at).ok() == Some(self.authority));
            (at, answer) = match (to, form) {
                (Some(to), _) if to.starts_with(BACK) => {
                    return Ok((Url::parse(&to).map_err(io::Error::other)?, answer));
                }
                (Some(to), _) => self.next("GET", &at, &to, "")?,
                (None, Some((action, content))) => self.next("POST", &at, &action, &content)?,
                (None, None) => return Ok((at, answer)),
            };
        }
        Err(io::Error::other("the sign-in does not end"))
    }

    fn next(&mut self, method: &str, from: &Url, to: &str, content: &str) -> io::Result<(Url, Answer)> {
        let at = from.join(to).map_err(io::Error::other)?;
        let answer = self.send(method, &at, content)?;
        Ok((at, answer))
    }

    /// Cookies belong to a host, whatever its port.
    fn send(&mut self, method: &str, at: &Url, content: &str) -> io::Result<Answer> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = "accept: text/html\r\n".to_owned();
        if !cookies.is_empty() {
            head.push_str(&format!("cookie: {}\r\n", cookies.join("; ")));
        }
        if method == "POST" {
            head.push_str(FORM);
        }
        let (place, target) = (address(at)?, &at[Position::BeforePath..Position::AfterQuery]);
        let answer = ask(place, &request(method, target, place, &head, content), None)?;
        for line in answer.fields("set-cookie") {
            let pair = line.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.retain(|(kept, _)| kept != name);
                if !line.contains("Max-Age=0") {
                    self.cookies.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        Ok(answer)
    }
}

fn url(place: SocketAddr, target: &str) -> io::Result<Url> {
    Url::parse(&format!("http://{place}{target}")).map_err(io::Error::other)
}

/// Everything of the demo is at an address of this machine.
fn address(at: &Url) -> io::Result<SocketAddr> {
    at[Position::BeforeHost..Position::AfterPort]
        .parse()
        .map_err(|_| io::Error::other(format!("not a place of the demo: {at}")))
}

/// The first form of a page, with Alice's name and password in it and its first button pressed: where it goes, and what
/// is sent.
fn form(page: &str) -> Option<(String, String)> {
    let (_, form) = page.split_once("<form method=\"post\"")?;
    let form = form.split("</form>").next()?;
    let mut content = form_urlencoded::Serializer::new(String::new());
    for control in form.split('<').filter(|tag| tag.starts_with("input ")) {
        let name = attribute(control, "name")?;
        let value = match name {
            "username" => "alice",
            "password" => "wonderland",
            _ => attribute(control, "value")?,
        };
        content.append_pair(name, value);
    }
    if let Some(button) = form.split('<').find(|tag| tag.starts_with("button ")) {
        content.append_pair(attribute(button, "name")?, attribute(button, "value")?);
    }
    Some((attribute(form, "action")?.to_owned(), content.finish()))
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

fn parameter(from: Option<&str>, name: &str) -> io::Result<String> {
    let mut pairs = form_urlencoded::parse(from.unwrap_or_default().as_bytes());
    let found = pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    found.ok_or_else(|| io::Error::other(format!("no {name} in {}", from.unwrap_or("an empty answer"))))
}

/// What is in an ID token. Nothing is verified: `tollgate token` does that.
fn claims(token: &str) -> io::Result<Value> {
    let part = token.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(io::Error::other)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_filled_in() {
        let page = "<p>Sign in</p><form method=\"post\" action=\"/authorize/login\">\n\
                    <input type=\"hidden\" name=\"transaction\" value=\"id\">\n\
                    <input id=\"username\" name=\"username\" value=\"\"><input name=\"password\" type=\"password\">\
                    <button name=\"action\" value=\"sign-in\">Sign in</button>\
                    <button name=\"action\" value=\"cancel\">Cancel</button></form>";
        let (action, content) = form(page).unwrap();
        assert_eq!(action, "/authorize/login");
        assert_eq!(content, "transaction=id&username=alice&password=wonderland&action=sign-in");
        assert_eq!(form("<p>Nothing</p>"), None);
    }
}
