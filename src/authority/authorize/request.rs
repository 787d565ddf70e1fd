//! The authorization request (RFC 6749, section 4.1.1; OpenID Connect Core 1.0, section 3.1.2.1), read and judged.
//!
//! As long as client and redirect URI are in doubt, every refusal is shown to the person; only then may it be sent to
//! the client (RFC 6749, section 4.1.2.1). Refuses whatever it would have to ignore: request objects, the PKCE method
//! `plain`, a response type that the client did not register for.

use std::collections::BTreeSet;

use super::super::State;
use super::super::claims::{self, ClaimsRequest};
use super::super::dpop;
use super::super::errors::{ErrorCode, OauthError};
use super::super::flows;
use super::super::form::Form;
use super::super::keys::KeySet;
use super::super::scope;
use super::super::settings::{Client, Grant};
use super::redirect;

/// Characters of one free text; more is a mistake or mischief.
const MAX_TEXT: usize = 4096;
/// Characters of all parameters that are kept.
const MAX_REQUEST: usize = 8192;

/// A request that may be put before a person.
#[derive(Debug, Clone)]
pub(in super::super) struct AuthorizationRequest {
    /// The client's id, which is known.
    pub(super) client: String,
    /// Where the answer goes, and how.
    pub(super) back: WayBack,
    /// Whether the request named the redirect URI.
    pub(super) named_redirect: bool,
    /// What the answer has in it.
    pub(super) kind: ResponseType,
    /// What is asked for.
    pub(super) scopes: Vec<String>,
    /// Where (RFC 8707).
    pub(super) resources: Vec<String>,
    /// For the ID tokens.
    pub(super) nonce: Option<String>,
    /// PKCE, always S256 (RFC 7636).
    pub(super) challenge: Option<String>,
    /// Thumbprint of the key that the tokens will be bound to (`dpop_jkt`; RFC 9449, section 10).
    pub(super) key: Option<String>,
    /// What may or must be asked.
    pub(super) prompt: Prompt,
    /// Seconds since the last sign-in, at most.
    pub(super) max_age: Option<u64>,
    /// Who will probably sign in.
    pub(super) login_hint: Option<String>,
    /// The subject that the client takes this browser's person for.
    pub(super) expected_subject: Option<String>,
    /// Context classes, the best first.
    pub(super) acr_values: Vec<String>,
    /// Single claims.
    pub(super) claims: ClaimsRequest,
}

/// Where and how an answer goes.
#[derive(Debug, Clone)]
pub(in super::super) struct WayBack {
    pub(super) redirect_uri: String,
    pub(super) mode: ResponseMode,
    pub(super) state: Option<String>,
}

/// How an answer travels (OAuth 2.0 Multiple Response Type Encoding Practices; OAuth 2.0 Form Post Response Mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ResponseMode {
    Query,
    Fragment,
    FormPost,
}

impl ResponseMode {
    /// All of them by name.
    pub(in super::super) const NAMES: [&'static str; 3] = ["query", "fragment", "form_post"];

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "query" => Some(Self::Query),
            "fragment" => Some(Self::Fragment),
            "form_post" => Some(Self::FormPost),
            _ => None,
        }
    }
}

/// What an answer has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct ResponseType {
    pub(super) code: bool,
    pub(super) token: bool,
    pub(super) id_token: bool,
}

impl ResponseType {
    /// All of them by name, words in the usual order.
    pub(in super::super) const NAMES: [&'static str; 7] =
        ["code", "token", "id_token", "id_token token", "code id_token", "code token", "code id_token token"];

    /// The order of the words does not matter (RFC 6749, section 3.1.1).
    fn from_name(name: &str) -> Option<Self> {
        let mut kind = Self::default();
        for word in name.split(' ') {
            let part = match word {
                "code" => &mut kind.code,
                "token" => &mut kind.token,
                "id_token" => &mut kind.id_token,
                _ => return None,
            };
            if std::mem::replace(part, true) {
                return None;
            }
        }
        Some(kind)
    }

    /// Whether tokens come through the browser.
    fn is_front_channel(self) -> bool {
        self.token || self.id_token
    }
}

/// `prompt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Prompt {
    pub(super) none: bool,
    pub(super) login: bool,
    pub(super) consent: bool,
    pub(super) select_account: bool,
}

/// A request that cannot be granted.
#[derive(Debug)]
pub(in super::super) enum Refused {
    /// For the person to read.
    Shown(OauthError),
    /// For the client.
    Sent(WayBack, OauthError),
}

impl AuthorizationRequest {
    /// Reads the parameters.
    pub(super) fn read(state: &State, keys: &KeySet, form: &Form) -> Result<Self, Refused> {
        let (client, redirect_uri) = destination(state, form).map_err(Refused::Shown)?;
        let kind = form.get("response_type").and_then(ResponseType::from_name);
        let mode = form.get("response_mode").map(ResponseMode::from_name);
        let usual =
            if kind.unwrap_or_default().is_front_channel() { ResponseMode::Fragment } else { ResponseMode::Query };
        // Tokens must not come in a query, and neither must the news that they do not come.
        let forbidden = mode == Some(Some(ResponseMode::Query)) && usual == ResponseMode::Fragment;
        let back = WayBack {
            redirect_uri,
            mode: mode.flatten().filter(|_| !forbidden).unwrap_or(usual),
            state: form.get("state").map(str::to_owned),
        };
        if forbidden || mode == Some(None) {
            let error = ErrorCode::InvalidRequest.because("response_mode does not fit: query carries no tokens");
            return Err(Refused::Sent(back, error));
        }
        match Self::judge(client, back.clone(), kind, form, keys) {
            Ok(request) => Ok(request),
            Err(error) => Err(Refused::Sent(back, error)),
        }
    }

    fn judge(
        client: &Client,
        back: WayBack,
        kind: Option<ResponseType>,
        form: &Form,
        keys: &KeySet,
    ) -> Result<Self, OauthError> {
        refuse_what_is_not_taken(form)?;
        refuse_what_is_too_long(form)?;
        let kind = response_type(client, kind, form)?;
        let scopes = scope::scopes(client, form)?;
        let openid = scopes.iter().any(|scope| scope == "openid");
        if kind.id_token && !openid {
            return Err(ErrorCode::InvalidRequest.because("an ID token needs the scope openid"));
        }
        let nonce = text(form, "nonce")?;
        if kind.id_token && nonce.is_none() {
            return Err(ErrorCode::InvalidRequest.because("an ID token through the browser needs a nonce"));
        }
        let claims = form.get("claims").map(ClaimsRequest::parse).transpose()?.unwrap_or_default();
        let mut acr_values = claims.acr_values.clone();
        acr_values.extend(words(form, "acr_values"));
        Ok(Self {
            client: client.id.clone(),
            named_redirect: form.get("redirect_uri").is_some(),
            challenge: challenge(client, kind, form)?,
            key: dpop_jkt(form)?,
            resources: scope::resources(form)?,
            prompt: prompt(form)?,
            max_age: max_age(form)?,
            login_hint: text(form, "login_hint")?,
            expected_subject: expected_subject(form, keys)?.or_else(|| claims.subject.clone()),
            back,
            kind,
            scopes,
            nonce,
            acr_values,
            claims,
        })
    }

    /// Who will probably sign in, by what was typed or chosen; a text that is no name is not kept.
    pub(super) fn expect(&mut self, name: &str) {
        self.login_hint = Some(name).filter(|name| name.len() <= MAX_TEXT).map(str::to_owned);
    }

    /// The claims that are asked for by name, without those that the scopes give, each once.
    pub(super) fn single_claims(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> =
            self.claims.id_token.iter().chain(&self.claims.userinfo).map(String::as_str).collect();
        names.into_iter().filter(|name| claims::is_about_a_person(name) && !claims::is_given(name, &self.scopes))
    }

    /// All that the person has to agree to. No two kinds can be taken for one another, since no scope has a blank in it.
    pub(super) fn wishes(&self) -> Vec<String> {
        let claims = self.single_claims().map(|claim| format!("claim {claim}"));
        let places = self.resources.iter().map(|resource| format!("at {resource}"));
        self.scopes.iter().cloned().chain(claims).chain(places).collect()
    }
}

/// The client and where it wants its answer: the two that decide whether anything may be sent at all.
fn destination<'a>(state: &'a State, form: &Form) -> Result<(&'a Client, String), OauthError> {
    let id = form.get("client_id").ok_or_else(|| ErrorCode::InvalidRequest.because("client_id is missing"))?;
    let client = state.settings.client(id);
    let client = client.ok_or_else(|| ErrorCode::InvalidRequest.because(format!("there is no client {id}")))?;
    match (form.get("redirect_uri"), client.redirect_uris.as_slice()) {
        (Some(asked), _) if redirect::fits(client, asked) => Ok((client, asked.to_owned())),
        (Some(asked), _) if flows::awaits(state, client, asked, form.get("state")) => Ok((client, asked.to_owned())),
        (Some(asked), _) => Err(ErrorCode::InvalidRequest
            .because(format!("redirect_uri {asked} is not one of those that are registered for {id}"))),
        // RFC 6749, section 3.1.2.3; OpenID Connect always wants it named.
        (None, [only]) if !form.get("scope").is_some_and(|scope| scope.split(' ').any(|scope| scope == "openid")) => {
            Ok((client, only.clone()))
        }
        (None, _) => Err(ErrorCode::InvalidRequest.because("redirect_uri is missing")),
    }
}

fn refuse_what_is_not_taken(form: &Form) -> Result<(), OauthError> {
    if form.get("request").is_some() {
        return Err(ErrorCode::RequestNotSupported.because("request objects are not supported"));
    }
    if form.get("request_uri").is_some() {
        return Err(ErrorCode::RequestUriNotSupported.because("request_uri is not supported"));
    }
    if form.get("registration").is_some() {
        return Err(ErrorCode::RegistrationNotSupported.because("registration is not supported"));
    }
    Ok(())
}

/// A request is kept for as long as the person thinks, and so are others that nobody means.
fn refuse_what_is_too_long(form: &Form) -> Result<(), OauthError> {
    let kept = form.pairs().filter(|(name, _)| *name != "id_token_hint");
    match kept.map(|(name, value)| name.len() + value.len()).sum::<usize>() {
        0..=MAX_REQUEST => Ok(()),
        _ => Err(ErrorCode::InvalidRequest.because(format!("the request is longer than {MAX_REQUEST} characters"))),
    }
}

fn response_type(client: &Client, kind: Option<ResponseType>, form: &Form) -> Result<ResponseType, OauthError> {
    let name = form.get("response_type");
    let name = name.ok_or_else(|| ErrorCode::InvalidRequest.because("response_type is missing"))?;
    let Some(kind) = kind else {
        return Err(ErrorCode::UnsupportedResponseType.because(format!("the response type {name} is not offered")));
    };
    let needs = [(kind.code, Grant::AuthorizationCode), (kind.is_front_channel(), Grant::Implicit)];
    match needs.iter().find(|(needed, grant)| *needed && !client.may(*grant)) {
        Some((_, grant)) => {
            Err(ErrorCode::UnauthorizedClient
                .because(format!("the response type {name} needs the grant {}", grant.name())))
        }
        None if kind.token && client.has_bound_tokens() => Err(ErrorCode::UnauthorizedClient
            .because("this client's access tokens are bound, and a browser that brings one proves nothing")),
        None => Ok(kind),
    }
}

fn challenge(client: &Client, kind: ResponseType, form: &Form) -> Result<Option<String>, OauthError> {
    let (challenge, method) = (form.get("code_challenge"), form.get("code_challenge_method"));
    let Some(challenge) = challenge.filter(|_| kind.code) else {
        return match (method, client.is_public() && kind.code) {
            (Some(_), _) if kind.code => {
                Err(ErrorCode::InvalidRequest.because("code_challenge_method came without code_challenge"))
            }
            (_, true) => {
                Err(ErrorCode::InvalidRequest.because("a public client needs PKCE: code_challenge is missing"))
            }
            (_, false) => Ok(None),
        };
    };
    if method != Some("S256") {
        return Err(
            ErrorCode::InvalidRequest.because("code_challenge_method must be S256; the default, plain, is refused")
        );
    }
    if challenge.len() != 43 || !challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(ErrorCode::InvalidRequest.because("code_challenge is not a base64url SHA-256"));
    }
    Ok(Some(challenge.to_owned()))
}

fn dpop_jkt(form: &Form) -> Result<Option<String>, OauthError> {
    match form.get("dpop_jkt") {
        Some(thumbprint) if !dpop::is_thumbprint(thumbprint) => {
            Err(ErrorCode::InvalidRequest.because("dpop_jkt is not a base64url SHA-256"))
        }
        thumbprint => Ok(thumbprint.map(str::to_owned)),
    }
}

fn prompt(form: &Form) -> Result<Prompt, OauthError> {
    let mut prompt = Prompt::default();
    for word in words(form, "prompt") {
        match word.as_str() {
            "none" => prompt.none = true,
            "login" => prompt.login = true,
            "consent" => prompt.consent = true,
            "select_account" => prompt.select_account = true,
            // `create` is a registration, which there is none of here.
            _ => return Err(ErrorCode::InvalidRequest.because(format!("prompt {word} is not known"))),
        }
    }
    if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
        return Err(ErrorCode::InvalidRequest.because("prompt none excludes all others"));
    }
    Ok(prompt)
}

fn max_age(form: &Form) -> Result<Option<u64>, OauthError> {
    let bad = |_| ErrorCode::InvalidRequest.because("max_age is not a whole number of seconds");
    form.get("max_age").map(|text| text.parse().map_err(bad)).transpose()
}

/// The subject of `id_token_hint`, which must be one of ours, over or not.
fn expected_subject(form: &Form, keys: &KeySet) -> Result<Option<String>, OauthError> {
    let Some(hint) = form.get("id_token_hint") else { return Ok(None) };
    let subject = keys.verified("JWT", hint).and_then(|claims| claims["sub"].as_str().map(str::to_owned));
    subject.map(Some).ok_or_else(|| ErrorCode::InvalidRequest.because("id_token_hint is not an ID token of ours"))
}

fn text(form: &Form, name: &'static str) -> Result<Option<String>, OauthError> {
    match form.get(name) {
        Some(text) if text.len() > MAX_TEXT => Err(ErrorCode::InvalidRequest.because(format!("{name} is too long"))),
        text => Ok(text.map(str::to_owned)),
    }
}

fn words(form: &Form, name: &'static str) -> Vec<String> {
    let words = form.get(name).unwrap_or_default().split(' ');
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
