//! Where each endpoint is: its URL for others and its path for us, both derived from the issuer once, at start.

use url::Url;

/// One endpoint.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// As others are told.
    pub(super) url: String,
    /// As requests name it.
    pub(super) path: String,
}

/// All endpoints.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    pub(super) index: Endpoint,
    pub(super) authorize: Endpoint,
    /// Where the account chooser posts.
    pub(super) choose: Endpoint,
    /// Where the sign-in page posts.
    pub(super) login: Endpoint,
    /// Where the consent page posts.
    pub(super) consent: Endpoint,
    /// Where requests are pushed.
    pub(super) pushed: Endpoint,
    /// Where a device begins.
    pub(super) device_authorization: Endpoint,
    /// Where a person goes on.
    pub(super) device: Endpoint,
    pub(super) token: Endpoint,
    pub(super) userinfo: Endpoint,
    pub(super) introspect: Endpoint,
    pub(super) revoke: Endpoint,
    pub(super) end_session: Endpoint,
    /// What the walks of the flow page have for themselves is below it.
    pub(super) flows: Endpoint,
    /// Where the browser comes back to in a walk.
    pub(super) flow_callback: Endpoint,
    /// What a walk gets its tokens for.
    pub(super) flow_resource: Endpoint,
    pub(super) jwks: Endpoint,
    pub(super) openid_configuration: Endpoint,
    /// RFC 8414 (section 3) puts the well-known part before the issuer's path.
    pub(super) authorization_server: Endpoint,
    origin: String,
}

/// The issuer is not what RFC 8414 (section 2) allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authority's issuer must be an http or https URL without query and fragment")]
pub(super) struct BadIssuer;

impl Endpoints {
    /// The endpoints below `issuer`. Its one trailing slash, if any, is not doubled.
    pub(super) fn of(issuer: &str) -> Result<Self, BadIssuer> {
        let url = Url::parse(issuer).map_err(|_| BadIssuer)?;
        let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
        if !plain || !url.username().is_empty() || url.password().is_some() {
            return Err(BadIssuer);
        }
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let path = url.path().strip_suffix('/').unwrap_or(url.path());
        let origin = url.origin().ascii_serialization();
        let below = |tail: &str| Endpoint { url: format!("{base}{tail}"), path: format!("{path}{tail}") };
        let inserted = format!("/.well-known/oauth-authorization-server{path}");
        Ok(Self {
            index: below("/"),
            authorize: below("/authorize"),
            choose: below("/authorize/account"),
            login: below("/authorize/login"),
            consent: below("/authorize/consent"),
            pushed: below("/par"),
            device_authorization: below("/device_authorization"),
            device: below("/device"),
            token: below("/token"),
            userinfo: below("/userinfo"),
            introspect: below("/introspect"),
            revoke: below("/revoke"),
            end_session: below("/logout"),
            flows: below("/flows"),
            flow_callback: below("/flows/callback"),
            flow_resource: below("/flows/resource"),
            jwks: below("/jwks"),
            openid_configuration: below("/.well-known/openid-configuration"),
            authorization_server: Endpoint { url: format!("{origin}{inserted}"), path: inserted },
            origin,
        })
    }

    /// Whether `origin` is that of the issuer.
    pub(super) fn is_origin(&self, origin: &str) -> bool {
        self.origin == origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_follow_the_issuer() {
        for (issuer, token, openid, oauth) in [
            (
                "http://a:9",
                "http://a:9/token",
                "/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server",
            ),
            (
                "http://a:9/",
                "http://a:9/token",
                "/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server",
            ),
            (
                "https://a/t/1",
                "https://a/t/1/token",
                "/t/1/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/t/1",
            ),
        ] {
            let endpoints = Endpoints::of(issuer).unwrap();
            assert_eq!(endpoints.token.url, token);
            assert_eq!(endpoints.openid_configuration.path, openid);
            assert_eq!(endpoints.authorization_server.path, oauth);
        }
        for bad in ["", "a", "ftp://a", "http://a?b", "http://a/#", "http://u@a/", "https://"] {
            assert!(Endpoints::of(bad).is_err(), "{bad}");
        }
    }
}
