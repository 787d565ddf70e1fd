//! The settings of the embedded authority, from the config.

use crate::authority::{
    Client, ClientAuth, FaultSettings, Grant, RefreshLifetimes, Settings, SigningAlgorithm, TokenForm, User,
};
use crate::config::model;

pub(super) fn settings(authority: &model::Authority) -> Settings {
    Settings {
        listen: authority.listen,
        issuer: authority.issuer.clone(),
        audience: authority.audience.clone(),
        token_lifetime: authority.token_lifetime,
        code_lifetime: authority.code_lifetime,
        refresh: RefreshLifetimes {
            idle: authority.refresh_token_idle,
            absolute: authority.refresh_token_lifetime,
            grace: authority.refresh_token_grace,
        },
        session_lifetime: authority.session_lifetime,
        dpop_nonce: authority.dpop_nonce,
        scopes: authority.scopes.clone(),
        users: authority.users.iter().map(user).collect(),
        clients: authority.clients.iter().map(client).collect(),
        faults: authority
            .faults
            .as_ref()
            .map(|faults| FaultSettings { control: faults.control, on: faults.on.clone() }),
    }
}

fn user(user: &model::AuthorityUser) -> User {
    User {
        name: user.name.clone(),
        sub: user.sub.clone(),
        password: user.password.clone(),
        claims: user.claims.clone(),
    }
}

fn client(client: &model::AuthorityClient) -> Client {
    let signing = SigningAlgorithm::ALL.iter().find(|algorithm| algorithm.name() == client.signing_alg);
    Client {
        id: client.id.clone(),
        secret: client.secret.clone(),
        grants: client.grants.iter().filter_map(|name| grant(name)).collect(),
        scopes: client.scopes.clone(),
        auth: client.auth.map(|auth| match auth {
            model::AuthorityAuth::None => ClientAuth::None,
            model::AuthorityAuth::Basic => ClientAuth::Basic,
            model::AuthorityAuth::Post => ClientAuth::Post,
        }),
        signing_alg: signing.copied().unwrap_or_default(),
        access_tokens: if client.opaque_tokens { TokenForm::Opaque } else { TokenForm::Jwt },
        dpop_bound_access_tokens: client.dpop_bound_access_tokens,
        redirect_uris: client.redirect_uris.clone(),
        post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
        backchannel_logout_uri: client.backchannel_logout_uri.clone(),
        frontchannel_logout_uri: client.frontchannel_logout_uri.clone(),
    }
}

/// The grant of a word of the config, which refuses those that the authority does not have.
fn grant(word: &str) -> Option<Grant> {
    match word {
        "device_code" => Some(Grant::DeviceCode),
        word => Grant::from_name(word),
    }
}
