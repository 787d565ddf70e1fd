//! Logins, sessions and pages, as an operator may see them.

use serde_json::{Value, json};

use super::{REDACTED, add_client_auth, period};
use crate::config::model::{Config, Login, OwnPage, Pages, SessionStore, Sessions};

/// `[logins.NAME]`
pub fn login(login: &Login, config: &Config) -> Value {
    let mut view = json!({
        "issuer": config.issuers.get(login.issuer).map(|issuer| &*issuer.name),
        "label": login.label,
        "client_id": login.client_id,
        "scopes": login.scopes,
        "resource": login.resource,
        "prompt": login.prompt,
        "login_hint": login.login_hint,
        "acr_values": login.acr_values,
        "max_age": login.max_age.map(period),
        "public_url": login.public_url,
        "callback": login.callback,
        "response_mode": if login.form_post { "form_post" } else { "query" },
        "userinfo": login.userinfo,
        "trusted_audiences": login.trusted_audiences,
        "session_claims": login.session_claims,
    });
    add_client_auth(&mut view, &login.auth);
    view
}

/// `[sessions]`
pub fn sessions(sessions: &Sessions) -> Value {
    json!({
        "store": match sessions.store {
            SessionStore::Memory => "memory",
            SessionStore::Cookie => "cookie",
            SessionStore::Redis => "redis",
        },
        "key": sessions.keys.first().map(|_| REDACTED),
        "previous_key": sessions.keys.get(1).map(|_| REDACTED),
        "idle_timeout": period(sessions.idle_timeout),
        "lifetime": period(sessions.lifetime),
    })
}

/// `[pages]`
pub fn pages(pages: &Pages) -> Value {
    let path = |page: &Option<OwnPage>| page.as_ref().map(|page| page.path.clone());
    json!({
        "chooser": path(&pages.chooser),
        "error": path(&pages.error),
        "logged_out": path(&pages.logged_out),
        "refusal": path(&pages.refusal),
    })
}
