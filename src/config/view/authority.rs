//! The embedded authority, as an operator may see it.

use serde_json::{Map, Value, json};

use super::{REDACTED, period};
use crate::config::model::{Authority, AuthorityAuth, AuthorityClient, AuthorityFaults};

/// `[authority]`
pub fn authority(authority: &Authority) -> Value {
    let users = authority
        .users
        .iter()
        .map(|user| json!({ "name": user.name, "sub": user.sub, "password": REDACTED, "claims": user.claims }));
    let resources = authority.opaque_resources.iter();
    let resources = resources.map(|(resource, opaque)| (resource.clone(), token_form(*opaque).into()));
    json!({
        "listen": authority.listen.to_string(),
        "tls": authority.tls.as_ref().map(|tls| json!({
            "certificate": tls.certificate,
            "private_key": tls.private_key,
            "client_ca": tls.client_ca,
        })),
        "issuer": authority.issuer,
        "audience": authority.audience,
        "token_lifetime": period(authority.token_lifetime),
        "code_lifetime": period(authority.code_lifetime),
        "refresh_token_idle": period(authority.refresh_token_idle),
        "refresh_token_lifetime": period(authority.refresh_token_lifetime),
        "refresh_token_grace": period(authority.refresh_token_grace),
        "session_lifetime": period(authority.session_lifetime),
        "dpop_nonce": authority.dpop_nonce,
        "resources": resources.collect::<Map<_, _>>(),
        "scopes": authority.scopes,
        "users": users.collect::<Value>(),
        "clients": authority.clients.iter().map(client).collect::<Value>(),
        "faults": authority.faults.as_ref().map(faults),
    })
}

fn client(client: &AuthorityClient) -> Value {
    json!({
        "id": client.id,
        "secret": client.secret.as_ref().map(|_| REDACTED),
        "grants": client.grants,
        "scopes": client.scopes,
        "auth": client.auth.map(auth),
        "access_tokens": token_form(client.opaque_tokens),
        "signing_alg": client.signing_alg,
        "dpop_bound_access_tokens": client.dpop_bound_access_tokens,
        "tls_client_certificate_bound_access_tokens": client.certificate_bound_access_tokens,
        "redirect_uris": client.redirect_uris,
        "post_logout_redirect_uris": client.post_logout_redirect_uris,
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "frontchannel_logout_uri": client.frontchannel_logout_uri,
    })
}

const fn auth(auth: AuthorityAuth) -> &'static str {
    match auth {
        AuthorityAuth::None => "none",
        AuthorityAuth::Basic => "client_secret_basic",
        AuthorityAuth::Post => "client_secret_post",
        AuthorityAuth::PrivateKeyJwt => "private_key_jwt",
        AuthorityAuth::TlsClientAuth => "tls_client_auth",
        AuthorityAuth::SelfSignedTls => "self_signed_tls_client_auth",
    }
}

const fn token_form(opaque: bool) -> &'static str {
    if opaque { "opaque" } else { "jwt" }
}

fn faults(faults: &AuthorityFaults) -> Value {
    let on = faults.on.iter().map(|order| {
        json!({
            "fault": order.fault.word,
            "at": order.place.word(),
            "count": order.count,
            "delay": order.delay.map(period),
            "status": order.status,
        })
    });
    json!({ "control": faults.control.map(|address| address.to_string()), "on": on.collect::<Value>() })
}
