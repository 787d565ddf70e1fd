//! Rehearsals: one request judged without being sent, by the very steps that the gateway takes, each of them told.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde_json::{Map, Value, json};

use crate::clock::UnixTime;
use crate::gateway::judge::{self, Held};
use crate::gateway::snapshot::Snapshot;
use crate::pattern::canonical_host;
use crate::policy::{self, Access, Denial};
use crate::token::cache::Local;
use crate::token::principal::Principal;
use crate::token::{Rejection, RejectionCode};

use super::report::{access, matches};

/// Who asks.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody known.
    Anonymous,
    /// Who brings this token; it is verified for real.
    Token(String),
    /// Whom these claims speak for, as if a good token had them; absent `iss`, `aud` and `exp` get good values.
    Claims(Map<String, Value>),
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
            "steps": steps,
        })
    }
}

/// Judges `method` on the absolute `url` as `caller` would be.
pub async fn rehearse(snapshot: &Snapshot, method: &Method, url: &Uri, caller: Caller, now: UnixTime) -> Rehearsal {
    let mut rehearsal = Rehearsal { request: format!("{method} {url}"), route: None, steps: Vec::new(), denial: None };
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
    let located = judge::locate(snapshot, Some(&host), url, method)?;
    let spelling = match &located.path {
        Cow::Borrowed(path) => (*path).to_owned(),
        Cow::Owned(path) => format!("{path} (judged and forwarded in this spelling)"),
    };
    told.steps.push(("path", spelling));
    told.route = Some(located.route);
    let (route, written) = (&snapshot.routes[located.route], &snapshot.config.routes[located.route]);
    told.steps.push(("route", format!("{:?} at line {}: {}", route.name, written.line, matches(written))));
    told.steps.push(("rule", access(written, &snapshot.config)));
    let speaker = speaker(told, snapshot, located.route, caller, now).await?;
    policy::decide(&route.rule, speaker, now)?;
    let upstream = &snapshot.config.upstreams[route.upstream];
    told.steps.push(("upstream", upstream.name.to_string()));
    Ok(())
}

enum Speaker {
    Held(Held),
    Written(Box<Principal>),
}

impl policy::Speaks for Speaker {
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
    caller: Caller,
    now: UnixTime,
) -> Result<Option<Speaker>, Rejection> {
    let compiled = &snapshot.routes[route];
    if compiled.rule.access == Access::Public {
        told.steps.push(("caller", "not looked at, the route is public".into()));
        return Ok(None);
    }
    let speaker = match caller {
        Caller::Anonymous => None,
        Caller::Token(token) => {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                Rejection::new(RejectionCode::BadCredentialSyntax, "the token has characters that no header can hold")
            })?;
            headers.insert(AUTHORIZATION, value);
            let verdicts = Local::new(&snapshot.verdicts);
            let found = judge::authenticate(snapshot, &verdicts, compiled, (&headers, None), now).await?;
            found.map(|(held, _)| Speaker::Held(held))
        }
        Caller::Claims(claims) => Some(Speaker::Written(Box::new(written(snapshot, route, claims, now)?))),
    };
    let who = match &speaker {
        None => "anonymous".to_owned(),
        Some(speaker) => describe(policy::Speaks::principal(speaker), snapshot),
    };
    told.steps.push(("caller", who));
    Ok(speaker)
}

/// The principal of written claims: of the issuer that `iss` names, or else of the first that the route takes.
fn written(
    snapshot: &Snapshot,
    route: usize,
    mut claims: Map<String, Value>,
    now: UnixTime,
) -> Result<Principal, Rejection> {
    let rule = &snapshot.routes[route].rule;
    let position = match claims.get("iss").and_then(Value::as_str) {
        Some(iss) => snapshot.issuer(iss).map(|(position, _)| position),
        None => rule.issuers.first().copied(),
    };
    let Some(issuer) = position.and_then(|position| snapshot.issuers.get(position)) else {
        return Err(Rejection::new(RejectionCode::UnknownIssuer, "`iss` of the claims is no issuer of the config"));
    };
    if !claims.contains_key("aud")
        && let Some(audience) = rule.audiences.first()
    {
        claims.insert("aud".into(), Value::from(audience.as_str()));
    }
    issuer.checks.principal_from_claims(claims, now)
}

fn describe(principal: &Principal, snapshot: &Snapshot) -> String {
    let issuer =
        snapshot.issuers.get(principal.issuer).map_or_else(|| Arc::from("?"), |issuer| Arc::clone(&issuer.name));
    let subject = principal.subject.as_deref().unwrap_or("(no sub)");
    let scopes =
        if principal.scopes.is_empty() { "no scopes".into() } else { format!("scopes {}", principal.scopes.joined()) };
    let client = principal.client.as_deref().map(|client| format!(", client {client}")).unwrap_or_default();
    format!("{subject:?} of issuer {issuer:?}{client}, {scopes}")
}
