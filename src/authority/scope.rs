//! Scopes and resources of a request: what may be asked for, and what is left of it.

use url::Url;

use super::errors::{ErrorCode, OauthError};
use super::form::Form;
use super::settings::Client;

/// More resources than a developer would name in one request.
const MAX_RESOURCES: usize = 8;

/// Bytes of a resource, or of the name of an audience.
const MAX_NAME: usize = 512;

/// Scopes that speak to the authority about a person, so that they are never granted unasked, nor to a client alone.
const OF_PERSONS: [&str; 2] = ["openid", "offline_access"];

/// Whether a scope needs a person.
pub(super) fn needs_a_person(scope: &str) -> bool {
    OF_PERSONS.contains(&scope)
}

/// The scopes that `client` asks for, each once; all of the client's but the two of OpenID Connect when it asks for none
/// (RFC 6749, section 3.3).
pub(super) fn scopes(client: &Client, form: &Form) -> Result<Vec<String>, OauthError> {
    let Some(asked) = form.get("scope") else {
        return Ok(client.scopes.iter().filter(|scope| !needs_a_person(scope)).cloned().collect());
    };
    let granted = listed(asked)?;
    match granted.iter().find(|scope| !client.scopes.contains(scope)) {
        Some(scope) => Err(ErrorCode::InvalidScope.because(format!("the client may not ask for the scope {scope}"))),
        None => Ok(granted),
    }
}

/// What is left of `granted` when a later request names fewer scopes (RFC 6749, section 6).
pub(super) fn narrowed(granted: &[String], form: &Form) -> Result<Vec<String>, OauthError> {
    let Some(asked) = form.get("scope") else { return Ok(granted.to_vec()) };
    let asked = listed(asked)?;
    match asked.iter().find(|scope| !granted.contains(scope)) {
        Some(scope) => Err(ErrorCode::InvalidScope.because(format!("the scope {scope} was not granted"))),
        None => Ok(asked),
    }
}

fn listed(text: &str) -> Result<Vec<String>, OauthError> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split(' ') {
        if scope.is_empty() || !scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            return Err(ErrorCode::InvalidScope.because("scope is not a list of scope names with one blank between"));
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(scopes)
}

/// The resources that a token is asked for (RFC 8707, section 2), each once.
pub(super) fn resources(form: &Form) -> Result<Vec<String>, OauthError> {
    let mut resources: Vec<String> = Vec::new();
    for resource in form.all("resource") {
        if !is_absolute_uri(resource) {
            return Err(ErrorCode::InvalidTarget
                .because("resource must be an absolute URI without a fragment, and not a long one"));
        }
        if !resources.iter().any(|known| known == resource) {
            resources.push(resource.to_owned());
        }
    }
    if resources.len() > MAX_RESOURCES {
        return Err(ErrorCode::InvalidTarget.because("there are too many resources"));
    }
    Ok(resources)
}

/// Where an exchanged token is meant for: URIs by `resource`, names by `audience` (RFC 8693, section 2.1).
pub(super) fn targets(form: &Form) -> Result<Vec<String>, OauthError> {
    let mut targets = resources(form)?;
    for name in form.all("audience") {
        if name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(ErrorCode::InvalidTarget.because("an audience is too long, or not plain text"));
        }
        if !targets.iter().any(|known| known == name) {
            targets.push(name.to_owned());
        }
    }
    if targets.len() > MAX_RESOURCES {
        return Err(ErrorCode::InvalidTarget.because("there are too many resources and audiences"));
    }
    Ok(targets)
}

/// The resources of a token request: some of those that were `granted`, or all (RFC 8707, section 2.2).
pub(super) fn narrowed_resources(granted: &[String], form: &Form) -> Result<Vec<String>, OauthError> {
    let asked = resources(form)?;
    if asked.is_empty() {
        return Ok(granted.to_vec());
    }
    match asked.iter().find(|resource| !granted.is_empty() && !granted.contains(resource)) {
        Some(resource) => Err(ErrorCode::InvalidTarget.because(format!("the resource {resource} was not granted"))),
        None => Ok(asked),
    }
}

/// An absolute URI (RFC 3986, section 4.3). The parser forgives blanks and controls, so the alphabet is checked before.
fn is_absolute_uri(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    text.len() <= MAX_NAME && text.bytes().all(legal) && Url::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_an_absolute_uri_without_fragment() {
        for good in ["https://api.example", "https://api.example/a?b=c", "urn:example:api", "http://[::1]:8080/"] {
            assert!(is_absolute_uri(good), "{good}");
        }
        for bad in
            ["", "api", "/api", "//api.example/x", "https://", "https://a#", "https://a#f", " https://a", "https://a b"]
        {
            assert!(!is_absolute_uri(bad), "{bad}");
        }
    }

    #[test]
    fn later_requests_only_narrow() {
        let granted = ["a".to_owned(), "b".to_owned()];
        let form = |text: &str| Form::parse(text.as_bytes()).unwrap();
        assert_eq!(narrowed(&granted, &form("")).unwrap(), granted);
        assert_eq!(narrowed(&granted, &form("scope=b")).unwrap(), ["b"]);
        assert!(narrowed(&granted, &form("scope=a+c")).is_err());
        let granted = ["urn:a".to_owned()];
        assert_eq!(narrowed_resources(&granted, &form("")).unwrap(), granted);
        assert!(narrowed_resources(&granted, &form("resource=urn:b")).is_err());
        assert_eq!(narrowed_resources(&[], &form("resource=urn:b")).unwrap(), ["urn:b"]);
    }
}
