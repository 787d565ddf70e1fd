//! The configuration as an operator may see it: every value in force, defaults included, and no secret.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::model::{
    Accepted, Access, AccessLog, AnswerForm, Bind, CertificateFormat, ClaimTest, ClientAuth, ClientCertificate, Config,
    Credential, Introspection, Issuer, KeySource, Origin, Param, Redis, Requirements, Route, Scheme, Server,
    SubjectLog, TokenType, Upstream, UpstreamHost,
};

mod authority;
mod login;

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";

/// The configuration as JSON, with the keys of the file, for the admin listener.
#[must_use]
pub fn redacted(config: &Config) -> Value {
    json!({
        "server": server(&config.server),
        "admin": config.admin.as_ref().map(|admin| json!({
            "listen": admin.listen.to_string(),
            "token": admin.token.as_ref().map(|_| REDACTED),
        })),
        "revocation": {
            "lifetime": period(config.revocation.lifetime),
            "max_entries": config.revocation.max_entries,
            "max_stale": period(config.revocation.max_stale),
            "on_store_loss": if config.revocation.serve_on_store_loss { "serve" } else { "refuse" },
        },
        "redis": config.redis.as_ref().map(redis),
        "logins": by_name(config.logins.iter().map(|login| (&*login.name, login::login(login, config)))),
        "sessions": login::sessions(&config.sessions),
        "pages": login::pages(&config.pages),
        "issuers": by_name(config.issuers.iter().map(|issuer| (&*issuer.name, self::issuer(issuer)))),
        "upstreams": by_name(config.upstreams.iter().map(|upstream| (&*upstream.name, self::upstream(upstream)))),
        "routes": config.routes.iter().map(|route| self::route(route, config)).collect::<Value>(),
        "identity_headers": by_name(config.identity_headers.iter().map(|(name, pointer)| (name.as_str(), pointer.clone().into()))),
        "dpop": {
            "offered": config.dpop.offered,
            "proof_lifetime": period(config.dpop.proof_lifetime),
            "clock_skew": period(config.dpop.clock_skew),
            "algorithms": config.dpop.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect::<Value>(),
            "nonce": config.dpop.nonce,
            "nonce_lifetime": period(config.dpop.nonce_lifetime),
            "nonce_secret": config.dpop.nonce_secret.as_ref().map(|_| REDACTED),
            "max_proofs": config.dpop.max_proofs,
        },
        "log": {
            "access": match config.log.access {
                AccessLog::Json => "json",
                AccessLog::Pretty => "pretty",
                AccessLog::Auto => "auto",
                AccessLog::Off => "off",
            },
            "level": config.log.level,
            "subject": match config.log.subject {
                SubjectLog::Hash => "hash",
                SubjectLog::Plain => "plain",
                SubjectLog::None => "none",
            },
        },
        "authority": config.authority.as_ref().map(authority::authority),
        "tests": config.tests.len(),
        "watched_files": config.files.iter().map(|path| path.display().to_string()).collect::<Value>(),
    })
}

fn by_name<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(entries.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// As it could be written in the file.
#[must_use]
pub fn period(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (secs, millis @ 1..) => format!("{}ms", secs * 1000 + u64::from(millis)),
        (secs, 0) if secs >= 3600 && secs.is_multiple_of(3600) => format!("{}h", secs / 3600),
        (secs, 0) if secs >= 60 && secs.is_multiple_of(60) => format!("{}m", secs / 60),
        (secs, 0) => format!("{secs}s"),
    }
}

/// What a rule asks of a claim, as it could be written in the file.
#[must_use]
pub fn claim_test_as_written(test: &ClaimTest<Param>) -> Value {
    let one = |accepted: &Accepted<Param>| match accepted {
        Accepted::Value(Value::String(text)) if text.starts_with('{') && text.ends_with('}') => {
            format!("{{{text}}}").into()
        }
        Accepted::Value(value) => value.clone(),
        Accepted::Param(param) => format!("{{{}}}", param.name).into(),
    };
    let all = |values: &[Accepted<Param>]| values.iter().map(one).collect::<Value>();
    match test {
        ClaimTest::Exists => json!({ "exists": true }),
        ClaimTest::Absent => json!({ "exists": false }),
        ClaimTest::Has(values) => all(values),
        ClaimTest::OneOf(values) => json!({ "one_of": all(values) }),
        ClaimTest::Contains(value) => json!({ "contains": one(value) }),
    }
}

/// What one table asks: the keys that are written.
fn requirements(asks: &Requirements) -> Map<String, Value> {
    let claims = asks.claims.iter().map(|(pointer, test)| (&**pointer, claim_test_as_written(test)));
    let lists = [
        ("audiences", &asks.audiences),
        ("scopes", &asks.scopes),
        ("any_scope", &asks.any_scope),
        ("client_ids", &asks.client_ids),
        ("acr", &asks.acr),
    ];
    let periods = [
        ("max_age", asks.max_age),
        ("min_remaining_life", asks.min_remaining_life),
        ("max_total_life", asks.max_total_life),
    ];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| (key, json!(list)));
    let periods = periods.into_iter().filter_map(|(key, span)| Some((key, json!(period(span?)))));
    let claims = (!asks.claims.is_empty()).then(|| ("claims", by_name(claims)));
    lists.chain(periods).chain(claims).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn add_client_auth(view: &mut Value, auth: &ClientAuth) {
    let (auth, secret, private_key, key_id, certificate) = match auth {
        ClientAuth::None => ("none", None, None, None, None),
        ClientAuth::Basic(_) => ("basic", Some(REDACTED), None, None, None),
        ClientAuth::Post(_) => ("post", Some(REDACTED), None, None, None),
        ClientAuth::PrivateKeyJwt { private_key, key_id } => {
            ("private_key_jwt", None, Some(private_key), key_id.as_deref(), None)
        }
        ClientAuth::Mtls { certificate, private_key } => ("mtls", None, Some(private_key), None, Some(certificate)),
    };
    view["auth"] = json!(auth);
    view["client_secret"] = json!(secret);
    view["private_key"] = json!(private_key);
    view["key_id"] = json!(key_id);
    view["certificate"] = json!(certificate);
}

fn redis(redis: &Redis) -> Value {
    json!({
        "url": REDACTED,
        "cluster": redis.cluster.iter().map(|node| without_login(node)).collect::<Value>(),
        "username": redis.username,
        "password": redis.password.as_ref().map(|_| REDACTED),
        "ca_file": redis.ca_file,
        "client_certificate": redis.identity.as_ref().map(|(certificate, _)| certificate),
        "client_key": redis.identity.as_ref().map(|(_, key)| key),
        "connect_timeout": period(redis.connect_timeout),
        "timeout": period(redis.timeout),
        "prefix": redis.prefix,
    })
}

/// A URL without what stands before the @.
fn without_login(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{REDACTED}@{rest}"),
        _ => url.to_owned(),
    }
}

fn server(server: &Server) -> Value {
    let addresses = |listen: &[std::net::SocketAddr]| listen.iter().map(ToString::to_string).collect::<Value>();
    json!({
        "listen": addresses(&server.listen),
        "workers": server.workers,
        "public_url": server.public_url,
        "state_dir": server.state_dir,
        "trusted_proxies": server.trusted_proxies.iter().map(ToString::to_string).collect::<Value>(),
        "forwarded_certificate": server.forwarded_certificate.as_ref().map(|forwarded| json!({
            "header": forwarded.header.as_str(),
            "format": match forwarded.format {
                CertificateFormat::Envoy => "envoy",
                CertificateFormat::Pem => "pem",
                CertificateFormat::Base64 => "base64",
                CertificateFormat::Rfc9440 => "rfc9440",
            },
        })),
        "drain_timeout": period(server.drain_timeout),
        "tls": server.tls.as_ref().map(|tls| json!({
            "listen": addresses(&tls.listen),
            "certificate": tls.certificate,
            "private_key": tls.private_key,
            "client_ca": tls.client_ca,
            "client_certificate": match tls.client_certificate {
                ClientCertificate::NotAsked => None,
                ClientCertificate::Required => Some("required"),
                ClientCertificate::Optional => Some("optional"),
                ClientCertificate::Unverified => Some("unverified"),
            },
        })),
        "limits": {
            "header_timeout": period(server.limits.header_timeout),
            "idle_timeout": period(server.limits.idle_timeout),
            "max_header_bytes": server.limits.max_header_bytes,
            "max_headers": server.limits.max_headers,
            "max_body_bytes": server.limits.max_body_bytes,
            "max_connections": server.limits.max_connections,
        },
    })
}

fn issuer(issuer: &Issuer) -> Value {
    let token_type = |kind: &TokenType| match kind {
        TokenType::Named(name) => name.clone(),
        TokenType::Absent => "absent".to_owned(),
    };
    let (jwks_uri, jwks_file) = match &issuer.keys {
        KeySource::Discovery => (None, None),
        KeySource::Uri(uri) => (Some(uri), None),
        KeySource::File(path) => (None, Some(path)),
    };
    json!({
        "issuer": &*issuer.issuer,
        "audiences": issuer.audiences,
        "profile": issuer.profile.as_str(),
        "token_types": issuer.token_types.iter().map(token_type).collect::<Value>(),
        "jwks_uri": jwks_uri,
        "jwks_file": jwks_file,
        "algorithms": issuer.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect::<Value>(),
        "clock_skew": period(issuer.clock_skew),
        "required_claims": issuer.required_claims,
        "ca_file": issuer.ca_file,
        "allow_http": issuer.allow_http,
        "max_stale": period(issuer.max_stale),
        "refetch_cooldown": period(issuer.refetch_cooldown),
        "introspect": issuer.introspection.as_ref().map(|asked| if asked.always { "always" } else { "opaque" }),
        "introspection": issuer.introspection.as_ref().map(introspection),
    })
}

fn introspection(introspection: &Introspection) -> Value {
    let mut view = json!({
        "endpoint": introspection.endpoint,
        "client_id": introspection.client_id,
        "audience": if introspection.audience_optional { "optional" } else { "required" },
        "answer": match introspection.answer {
            AnswerForm::Json => "json",
            AnswerForm::Jwt => "jwt",
        },
        "cache": period(introspection.cache),
        "negative_cache": period(introspection.negative_cache),
        "timeout": period(introspection.timeout),
        "serve_stale": period(introspection.serve_stale),
    });
    add_client_auth(&mut view, &introspection.auth);
    view
}

fn upstream(upstream: &Upstream) -> Value {
    json!({
        "servers": upstream.servers.iter().map(origin).collect::<Value>(),
        "host": match &upstream.host {
            UpstreamHost::Keep => "keep",
            UpstreamHost::Upstream => "upstream",
            UpstreamHost::Named(name) => name,
        },
        "connect_timeout": period(upstream.connect_timeout),
        "response_timeout": period(upstream.response_timeout),
        "idle_timeout": period(upstream.idle_timeout),
        "ca_file": upstream.ca_file,
    })
}

fn origin(origin: &Origin) -> String {
    let scheme = match origin.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
        Scheme::H2c => "h2c",
    };
    match origin.host.contains(':') {
        true => format!("{scheme}://[{}]:{}", origin.host, origin.port),
        false => format!("{scheme}://{}:{}", origin.host, origin.port),
    }
}

fn route(route: &Route, config: &Config) -> Value {
    let issuers = route.issuers.iter().filter_map(|position| config.issuers.get(*position));
    let sets = route.requirements.iter().filter_map(|asks| Some((asks.set.as_deref()?, requirements(asks).into())));
    let mut shown = json!({
        "name": &*route.name,
        "hosts": route.hosts.iter().map(ToString::to_string).collect::<Value>(),
        "path": route.path.as_str(),
        "methods": route.methods.iter().collect::<Value>(),
        "upstream": config.upstreams.get(route.upstream).map(|upstream| &*upstream.name),
        "access": match route.access {
            Access::Token => "token",
            Access::Optional => "optional",
            Access::Public => "public",
        },
        "issuers": issuers.map(|issuer| &*issuer.name).collect::<Value>(),
        "bind": route.bind.map(Bind::as_str),
        "token_from": route.token_from.as_ref().map(|from| json!({
            "query": from.query,
            "subprotocol": from.subprotocol,
            "cookie": from.cookie,
            "cookie_origins": from.cookie_origins,
        })),
        "credential": match route.credential {
            Credential::Pass => "pass",
            Credential::Drop => "drop",
        },
        "strip_prefix": route.strip_prefix,
        "resource": route.resource,
        "encoded_slash": route.encoded_slash_in_segment.then_some("segment"),
        "rules": by_name(sets),
        "line": route.line,
    });
    let own = route.requirements.iter().filter(|asks| asks.set.is_none()).flat_map(requirements);
    own.for_each(|(key, value)| shown[key] = value);
    shown
}
