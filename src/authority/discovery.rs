//! What the authority says of itself: the metadata documents of OpenID Connect Discovery 1.0 (section 3) and RFC 8414
//! (section 2), and the key set. Only what works is announced.

use http::StatusCode;
use serde_json::{Value, json};

use super::authorize::request::{ResponseMode, ResponseType};
use super::claims;
use super::endpoints::Endpoints;
use super::keys::{KeySet, SigningAlgorithm};
use super::reply::{self, Reply};
use super::settings::{ClientAuth, Grant, Settings};

/// How long a client may go on with what it has read. Short: a developer changes things and looks at once.
const MAX_AGE: &str = "public, max-age=60";

/// The OpenID Connect document: the RFC 8414 one and what OpenID Connect requires on top.
pub(super) fn openid_configuration(settings: &Settings, endpoints: &Endpoints) -> Reply {
    let mut document = metadata(settings, endpoints);
    document["subject_types_supported"] = json!(["public"]);
    document["id_token_signing_alg_values_supported"] = names(SigningAlgorithm::ALL, |alg| alg.name());
    document["userinfo_endpoint"] = json!(endpoints.userinfo.url);
    document["end_session_endpoint"] = json!(endpoints.end_session.url);
    for notice in [
        "backchannel_logout_supported",
        "backchannel_logout_session_supported",
        "frontchannel_logout_supported",
        "frontchannel_logout_session_supported",
    ] {
        document[notice] = json!(true);
    }
    document["claims_supported"] = json!(claims::supported(&settings.users));
    document["claims_parameter_supported"] = json!(true);
    document["claim_types_supported"] = json!(["normal"]);
    document["request_parameter_supported"] = json!(false);
    // Its default is true.
    document["request_uri_parameter_supported"] = json!(false);
    public(&document)
}

/// The RFC 8414 document.
pub(super) fn authorization_server(settings: &Settings, endpoints: &Endpoints) -> Reply {
    public(&metadata(settings, endpoints))
}

/// The JWK Set.
pub(super) fn jwks(keys: &KeySet) -> Reply {
    public(&keys.published())
}

fn metadata(settings: &Settings, endpoints: &Endpoints) -> Value {
    let mut scopes: Vec<_> = settings.clients.iter().flat_map(|client| &client.scopes).collect();
    scopes.sort();
    scopes.dedup();
    let mut document = json!({
        "issuer": settings.issuer,
        "authorization_endpoint": endpoints.authorize.url,
        "pushed_authorization_request_endpoint": endpoints.pushed.url,
        "device_authorization_endpoint": endpoints.device_authorization.url,
        "token_endpoint": endpoints.token.url,
        "introspection_endpoint": endpoints.introspect.url,
        "revocation_endpoint": endpoints.revoke.url,
        "jwks_uri": endpoints.jwks.url,
        "response_types_supported": ResponseType::NAMES,
        "response_modes_supported": ResponseMode::NAMES,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "grant_types_supported": names(Grant::ALL, |grant| grant.name()),
    });
    let signing = json!(SigningAlgorithm::names_for_clients());
    let offered: Vec<_> = ClientAuth::ALL.iter().copied().filter(|auth| auth.is_offered(settings)).collect();
    // A public client proves nothing, and so learns nothing.
    let proving: Vec<_> = offered.iter().copied().filter(|auth| *auth != ClientAuth::None).collect();
    for (endpoint, methods) in [("token", &offered), ("revocation", &offered), ("introspection", &proving)] {
        document[format!("{endpoint}_endpoint_auth_methods_supported")] = names(methods, |auth| auth.name());
        document[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")] = signing.clone();
    }
    if settings.tls.is_some() {
        document["tls_client_certificate_bound_access_tokens"] = json!(true);
    }
    document["dpop_signing_alg_values_supported"] = signing;
    // A list without elements is left out (RFC 8414, section 3.2).
    if !scopes.is_empty() {
        document["scopes_supported"] = json!(scopes);
    }
    document
}

fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Value {
    all.iter().map(|one| name(*one)).collect()
}

fn public(document: &Value) -> Reply {
    let mut reply = reply::json(StatusCode::OK, document);
    reply::allow_storing(&mut reply, MAX_AGE);
    reply
}
