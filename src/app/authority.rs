//! The settings of the embedded authority, from the config.

use std::sync::Arc;

use crate::authority::{
    Client, ClientAuth, FaultSettings, Grant, RefreshLifetimes, Settings, SigningAlgorithm, Tls, TokenForm, User,
};
use crate::config::model;
use crate::server::presented::Authorities;
use crate::server::tls::{self, Clients, TlsError};

/// Reads the files of `[authority.tls]`.
///
/// # Errors
/// The first that cannot be used.
pub(super) fn settings(authority: &model::Authority) -> Result<Settings, TlsError> {
    Ok(Settings {
        listen: authority.listen,
        tls: authority.tls.as_ref().map(serving).transpose()?,
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
        resources: authority
            .opaque_resources
            .iter()
            .map(|(resource, opaque)| (resource.clone(), form(*opaque)))
            .collect(),
        scopes: authority.scopes.clone(),
        users: authority.users.iter().map(user).collect(),
        clients: authority.clients.iter().map(client).collect(),
        faults: authority
            .faults
            .as_ref()
            .map(|faults| FaultSettings { control: faults.control, on: faults.on.clone() }),
    })
}

fn serving(files: &model::AuthorityTls) -> Result<Tls, TlsError> {
    let server = tls::Files {
        certificate: files.certificate.clone(),
        private_key: files.private_key.clone(),
        clients: Clients::Unverified,
    };
    let server = tls::server_config(&server, tls::HTTP1)?;
    let client_authorities = files.client_ca.as_deref().map(Authorities::read).transpose()?;
    Ok(Tls { server: Arc::new(server), client_authorities })
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
            model::AuthorityAuth::PrivateKeyJwt => ClientAuth::PrivateKeyJwt,
            model::AuthorityAuth::TlsClientAuth => ClientAuth::Tls,
            model::AuthorityAuth::SelfSignedTls => ClientAuth::SelfSignedTls,
        }),
        signing_alg: signing.copied().unwrap_or_default(),
        access_tokens: form(client.opaque_tokens),
        jwks: client.jwks.clone(),
        certificate_name: client.certificate_name.clone(),
        certificates: client.certificates.clone(),
        certificate_bound_access_tokens: client.certificate_bound_access_tokens,
        dpop_bound_access_tokens: client.dpop_bound_access_tokens,
        redirect_uris: client.redirect_uris.clone(),
        post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
        backchannel_logout_uri: client.backchannel_logout_uri.clone(),
        frontchannel_logout_uri: client.frontchannel_logout_uri.clone(),
    }
}

const fn form(opaque: bool) -> TokenForm {
    if opaque { TokenForm::Opaque } else { TokenForm::Jwt }
}

/// The grant of a word of the config, which refuses those that the authority does not have.
fn grant(word: &str) -> Option<Grant> {
    match word {
        "device_code" => Some(Grant::DeviceCode),
        "token_exchange" => Some(Grant::TokenExchange),
        word => Grant::from_name(word),
    }
}
