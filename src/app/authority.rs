//! The settings of the embedded authority, from the config.

use crate::authority::{Client, ClientAuth, Grant, Settings, SigningAlgorithm, User};
use crate::config::model;

pub(super) fn settings(authority: &model::Authority) -> Settings {
    Settings {
        listen: authority.listen,
        issuer: authority.issuer.clone(),
        audience: authority.audience.clone(),
        token_lifetime: authority.token_lifetime,
        users: authority.users.iter().map(user).collect(),
        clients: authority.clients.iter().map(client).collect(),
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
    Client {
        id: client.id.clone(),
        secret: client.secret.clone(),
        // The config refuses grants that the authority does not have.
        grants: client.grants.iter().filter_map(|name| Grant::from_name(name)).collect(),
        scopes: client.scopes.clone(),
        auth: client.auth.map(|auth| match auth {
            model::ClientAuth::Basic => ClientAuth::Basic,
            model::ClientAuth::Post => ClientAuth::Post,
        }),
        signing_alg: SigningAlgorithm::default(),
    }
}
