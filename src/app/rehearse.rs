//! Rehearsals: one request judged without being sent, by the very steps that the gateway takes, each of them told.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde_json::{Map, Value, json};

use crate::clock::UnixTime;
use crate::gateway::asking::{Asking, Shown};
use crate::gateway::judge::{self, Held, Target};
use crate::gateway::snapshot::{Route, Snapshot};
use crate::pattern::canonical_host;
use crate::policy::{self, Access, Denial, Rule, Speaks};
use crate::token::cache::Local;
use crate::token::checks::IssuerChecks;
use crate::token::dpop::FIELD;
use crate::token::envelope::is_jwt;
use crate::token::principal::Principal;
use crate::token::{Rejection, RejectionCode};

use super::report::{access, matches};

/// How long a token lives that does not say so.
const LIFE: Duration = Duration::from_secs(3600);

/// Who asks.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody known.
    Anonymous,
    /// Who brings this token; it is verified for real.
    Token {
        /// The token.
        token: String,
        /// The DPoP proof that comes with it, which is checked as that of a first use.
        proof: Option<String>,
        /// The SHA-256 of the certificate that the client shows.
        certificate: Option<[u8; 32]>,
    },
    /// Whom these claims speak for, as if a good token had them, and as if its sender had proven to hold what `cnf` binds it
    /// to; absent `iss`, `aud` and `exp` get good values.
    Claims(Map<String, Value>),
}

impl Caller {
    fn certificate(&self) -> Option<[u8; 32]> {
        match self {
            Self::Token { certificate, .. } => *certificate,
            Self::Anonymous | Self::Claims(_) => None,
        }
    }
}

/// One judged request.
#[derive(Debug)]
pub struct Rehearsal {
    /// What was asked.
    pub request: String,
    /// Position of the route, if one matched.
    pub route: Option<usize>,
    /// The steps, as a heading and what came of it.
    pub steps: Vec<(&'static str, String)>,
    /// The clause that refuses, by its key, and the table that it is of.
    pub clause: Option<(String, String)>,
    /// Why it would be refused; `None`: it would be allowed.
    pub denial: Option<Denial>,
}

impl Rehearsal {
    /// `allow` or the code of the denial.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        self.denial.as_ref().map_or("allow", Denial::code)
    }

    /// For a program to read.
    #[must_use]
    pub fn to_json(&self, snapshot: &Snapshot) -> Value {
        let steps: Vec<Value> =
            self.steps.iter().map(|(step, result)| json!({ "step": step, "result": result })).collect();
        json!({
            "request": self.request,
            "verdict": self.verdict(),
            "route": self.route.map(|route| snapshot.routes[route].name.to_string()),
            "upstream": self.route.map(|route| snapshot.upstream_names[snapshot.routes[route].upstream].to_string()),
            "detail": self.denial.as_ref().map(Denial::detail),
            "clause": self.clause.as_ref().map(|(key, of)| json!({ "key": key, "of": of })),
            "steps": steps,
        })
    }
}

/// Judges `method` on the absolute `url` as `caller` would be.
pub async fn rehearse(snapshot: &Snapshot, method: &Method, url: &Uri, caller: Caller, now: UnixTime) -> Rehearsal {
    let request = format!("{method} {url}");
    let mut rehearsal = Rehearsal { request, route: None, steps: Vec::new(), clause: None, denial: None };
    if let Err(denial) = walk(&mut rehearsal, snapshot, (method, url), caller, now).await {
        rehearsal.denial = Some(denial);
    }
    rehearsal
}

async fn walk(
    told: &mut Rehearsal,
    snapshot: &Snapshot,
    (method, url): (&Method, &Uri),
    caller: Caller,
    now: UnixTime,
) -> Result<(), Denial> {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host =
        canonical_host(authority).ok_or(Denial::BadRequest { detail: "The request's Host is not a valid one." })?;
    told.steps.push(("host", host.to_string()));
    let located = judge::locate(snapshot, Some(&host), url, method)
        .inspect_err(|_| told.steps.push(("path", url.path().to_owned())))?;
    let spelling = match &located.path {
        Cow::Borrowed(path) => (*path).to_owned(),
        Cow::Owned(path) => format!("{path} (judged and forwarded in this spelling)"),
    };
    told.steps.push(("path", spelling));
    told.route = Some(located.route);
    let (route, written) = (&snapshot.routes[located.route], &snapshot.config.routes[located.route]);
    told.steps.push(("route", format!("{:?} at line {}: {}", route.name, written.line, matches(written))));
    told.steps.push(("rule", access(route, &snapshot.config)));
    let scheme = if url.scheme_str() == Some("http") { "http" } else { "https" };
    let (target, headers) = (Target::of(authority), HeaderMap::new());
    let certificate = Shown::Itself(caller.certificate());
    let asked = Asking { method, uri: url, headers: &headers, scheme, target: target.as_ref(), certificate, now };
    let speaker = speaker(told, snapshot, located.route, &asked, caller).await?;
    let given = judge::circumstances(&located, now);
    let principal = speaker.as_ref().map(Speaks::principal).filter(|speaker| route.rule.takes_issuer(speaker.issuer));
    if let Some(clause) = principal.and_then(|principal| route.rule.refusing(principal, given)) {
        let (key, of) = (clause.key().into_owned(), clause.origin().into_owned());
        told.steps.push(("clause", format!("{key} of {of}")));
        told.clause = Some((key, of));
    }
    policy::decide(&route.rule, speaker, given)?;
    let upstream = &snapshot.config.upstreams[route.upstream];
    told.steps.push(("upstream", upstream.name.to_string()));
    Ok(())
}

enum Speaker {
    Held(Held),
    Written(Box<Principal>),
}

impl Speaks for Speaker {
    fn principal(&self) -> &Principal {
        match self {
            Self::Held(held) => held.principal(),
            Self::Written(principal) => principal,
        }
    }
}

async fn speaker(
    told: &mut Rehearsal,
    snapshot: &Snapshot,
    route: usize,
    asked: &Asking<'_>,
    caller: Caller,
) -> Result<Option<Speaker>, Denial> {
    let compiled = &snapshot.routes[route];
    if compiled.rule.access == Access::Public {
        told.steps.push(("caller", "not looked at, the route is public".into()));
        return Ok(None);
    }
    let speaker = match caller {
        Caller::Anonymous => None,
        Caller::Token { token, proof, certificate: _ } => {
            let headers = headers(&token, proof.as_deref())?;
            told.steps.extend(form_of(&token, snapshot, compiled).map(|form| ("token", form)));
            let verdicts = Local::new(&snapshot.verdicts);
            let asking = Asking { headers: &headers, ..*asked };
            let found = judge::authenticate(snapshot, &verdicts, compiled, &asking).await?;
            found.map(|found| Speaker::Held(found.held))
        }
        Caller::Claims(claims) => Some(Speaker::Written(Box::new(written(snapshot, route, claims, asked.now)?))),
    };
    let who = match &speaker {
        None => "anonymous".to_owned(),
        Some(speaker) => describe(speaker.principal(), snapshot),
    };
    told.steps.push(("caller", who));
    Ok(speaker)
}

/// The fields that a token, and perhaps a proof, come in.
fn headers(token: &str, proof: Option<&str>) -> Result<HeaderMap, Rejection> {
    let value = |text: &str| {
        HeaderValue::try_from(text).map_err(|_| {
            let detail = "the token or the proof has characters that no header can hold";
            Rejection::new(RejectionCode::BadCredentialSyntax, detail)
        })
    };
    let scheme = if proof.is_some() { "DPoP" } else { "Bearer" };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value(&format!("{scheme} {token}"))?);
    if let Some(proof) = proof {
        headers.insert(FIELD, value(proof)?);
    }
    Ok(headers)
}

/// What an opaque token is, and who is asked about it; nothing when it is judged by itself.
fn form_of(token: &str, snapshot: &Snapshot, route: &Route) -> Option<String> {
    let (issuer, introspector) = snapshot.introspecting(&route.rule).filter(|_| !is_jwt(token))?;
    let place = introspector.status().endpoint.unwrap_or_else(|| "the endpoint that its metadata name".into());
    Some(format!("opaque; the issuer {:?} is asked at {place}", issuer.name))
}

/// The principal of written claims: of the issuer that `iss` names, or else of the first that the route takes. Where that
/// one is there for logins only, they are those of a session.
fn written(
    snapshot: &Snapshot,
    route: usize,
    mut claims: Map<String, Value>,
    now: UnixTime,
) -> Result<Principal, Rejection> {
    let compiled = &snapshot.routes[route];
    if let Some((checks, client_id)) = of_session(snapshot, compiled, &claims) {
        claims.entry("client_id").or_insert_with(|| json!(client_id));
        return checks.of_sessions(client_id).principal_from_claims(claims, now);
    }
    let issuer = match claims.get("iss").and_then(Value::as_str) {
        Some(iss) => Some(judge::trusted_issuer(snapshot, compiled, iss)?),
        None => compiled.rule.issuers.first().and_then(|position| snapshot.issuers.get(*position)),
    };
    let Some(issuer) = issuer else {
        return Err(Rejection::new(RejectionCode::UnknownIssuer, "the config has no issuer"));
    };
    let name = issuer.checks.audience_claim();
    if !claims.contains_key(name)
        && !claims.contains_key("aud")
        && let Some(audience) = good_audience(compiled.rule.audiences(), issuer.checks.audiences())
    {
        claims.insert(name.into(), audience);
    }
    good_life(&mut claims, &compiled.rule, now);
    issuer.checks.principal_from_claims(claims, now)
}

/// The issuer of the route's login, and which client that is, if only a session can have these claims.
fn of_session<'s>(
    snapshot: &'s Snapshot,
    route: &Route,
    claims: &Map<String, Value>,
) -> Option<(&'s IssuerChecks, &'s str)> {
    let settings = &snapshot.logins.get(route.login?)?.settings;
    let meant = match claims.get("iss").and_then(Value::as_str) {
        Some(iss) => snapshot.issuer(iss)?.0,
        None => *route.rule.issuers.first()?,
    };
    let checks = &snapshot.issuers[settings.issuer].checks;
    (meant == settings.issuer && checks.audiences().is_empty()).then_some((checks, &*settings.client_id))
}

/// What a token must be meant for, when a route asks for more than its issuer does: for each list one audience, and if
/// none of these pleases the issuer, one that does.
fn good_audience<'a>(lists: impl Iterator<Item = &'a [String]>, of_issuer: &'a [String]) -> Option<Value> {
    let mut chosen: Vec<&String> = Vec::new();
    for list in lists {
        if !list.iter().any(|audience| chosen.contains(&audience)) {
            chosen.push(list.iter().find(|audience| of_issuer.contains(audience)).or(list.first())?);
        }
    }
    let pleases = chosen.iter().any(|audience| of_issuer.contains(audience));
    match chosen.as_slice() {
        [] => None,
        [one] if pleases => Some(json!(one)),
        all if pleases => Some(json!(all)),
        all => Some(json!([of_issuer.first().into_iter().collect(), all.to_vec()].concat())),
    }
}

/// When a token that does not say so was issued and expires, on a route that asks for a certain life.
fn good_life(claims: &mut Map<String, Value>, rule: &Rule, now: UnixTime) {
    let (at_least, at_most) = rule.life();
    if claims.contains_key("exp") || (at_least.is_none() && at_most.is_none()) {
        return;
    }
    let life = at_least.map_or(LIFE, |least| LIFE.max(least + Duration::from_secs(1)));
    let life = at_most.map_or(life, |most| life.min(most));
    claims.insert("exp".into(), json!(now.plus(life).secs()));
    if at_most.is_some() {
        claims.entry("iat").or_insert_with(|| json!(now.secs()));
    }
}

fn describe(principal: &Principal, snapshot: &Snapshot) -> String {
    let issuer =
        snapshot.issuers.get(principal.issuer).map_or_else(|| Arc::from("?"), |issuer| Arc::clone(&issuer.name));
    let subject = principal.subject.as_deref().unwrap_or("(no sub)");
    let scopes =
        if principal.scopes.is_empty() { "no scopes".into() } else { format!("scopes {}", principal.scopes.joined()) };
    let client = principal.client.as_deref().map(|client| format!(", client {client}")).unwrap_or_default();
    let bound = match principal.binding.map(|binding| (binding.key.is_some(), binding.certificate.is_some())) {
        Some((true, true)) => ", bound to a key and to a certificate (taken as proven)",
        Some((true, false)) => ", bound to a key by DPoP (taken as proven)",
        Some((false, true)) => ", bound to a certificate by mTLS (taken as proven)",
        Some((false, false)) | None => "",
    };
    format!("{subject:?} of issuer {issuer:?}{client}, {scopes}{bound}")
}

#[cfg(test)]
mod tests;
