//! How the gateway shows an issuer which client it is (RFC 6749 section 2.3, OpenID Connect Core 1.0 section 9, RFC 8705
//! section 2), at whichever endpoint.
//!
//! Promises that a form goes out with exactly one proof, that an assertion names the issuer alone as its audience, lasts a
//! minute and is never used twice, and that no secret is shown in a log, not even when the issuer repeats it. A certificate
//! is shown in the TLS handshake, so there the form only names the client.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::json;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::signer::{Signer, SignerError};
use crate::clock::UnixTime;
use crate::config::model::ClientAuth;
use crate::secret::{self, Secret};

/// How long an assertion of ours is good: it is used at once.
const ASSERTION_LIFE: Duration = Duration::from_secs(60);
/// Parameters of forms whose values nobody else may know.
const CONFIDENTIAL: [&str; 6] = ["code", "code_verifier", "refresh_token", "token", "state", "nonce"];
/// So many bytes of a secret, in a row, are as secret as the whole.
const TELLING: usize = 12;
/// What stands in the place of a secret.
const WITHHELD: &str = "[withheld]";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The gateway as a client of one issuer.
#[derive(Debug)]
pub struct OwnClient {
    issuer: String,
    id: String,
    /// The secret as it was configured, to know it when it comes back.
    secret: Option<Secret>,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    None,
    /// The whole value of `Authorization`.
    Basic(Secret),
    Post(Secret),
    Assertion(Signer),
    Certificate,
}

/// Why a form cannot go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It has characters that no header field takes.
    #[error("the client secret is no header value")]
    Secret,
    /// The machine gave no randomness, or no memory.
    #[error("the client assertion could not be signed")]
    Assertion,
}

impl OwnClient {
    /// The client `id` of `issuer`, which proves itself by `auth`.
    ///
    /// # Errors
    /// When the private key that it needs is of no use.
    pub fn new(issuer: &str, id: &str, auth: &ClientAuth) -> Result<Self, SignerError> {
        let proof = match auth {
            ClientAuth::None => Proof::None,
            ClientAuth::Basic(secret) => Proof::Basic(basic(id, secret)),
            ClientAuth::Post(secret) => Proof::Post(secret.clone()),
            ClientAuth::PrivateKeyJwt { private_key, key_id } => {
                Proof::Assertion(Signer::read(private_key, key_id.clone())?)
            }
            ClientAuth::Mtls { .. } => Proof::Certificate,
        };
        let secret = match auth {
            ClientAuth::Basic(secret) | ClientAuth::Post(secret) => Some(secret.clone()),
            ClientAuth::None | ClientAuth::PrivateKeyJwt { .. } | ClientAuth::Mtls { .. } => None,
        };
        Ok(Self { issuer: issuer.to_owned(), id: id.to_owned(), secret, proof })
    }

    /// Whether it shows a certificate, for which an issuer may have endpoints of their own (RFC 8705 section 5).
    #[must_use]
    pub const fn shows_certificate(&self) -> bool {
        matches!(self.proof, Proof::Certificate)
    }

    /// A form with these parameters and the proof of who sends it.
    ///
    /// # Errors
    /// When there is no proof to be had.
    pub fn form(&self, parameters: &[(&str, &str)], now: UnixTime) -> Result<(HeaderMap, Bytes), Unproven> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(parameters);
        // A pushed authorization request names the client anyway, and a parameter comes once.
        let named = parameters.iter().any(|(name, _)| *name == "client_id");
        if !named && !matches!(self.proof, Proof::Basic(_)) {
            form.append_pair("client_id", &self.id);
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        match &self.proof {
            Proof::Basic(value) => {
                let mut value = HeaderValue::try_from(value.expose()).map_err(|_| Unproven::Secret)?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            Proof::None | Proof::Certificate => {}
            Proof::Post(secret) => drop(form.append_pair("client_secret", secret.expose())),
            Proof::Assertion(signer) => {
                let assertion = self.assertion(signer, now)?;
                form.append_pair("client_assertion_type", ASSERTION_TYPE).append_pair("client_assertion", &assertion);
            }
        }
        Ok((headers, Bytes::from(form.finish())))
    }

    /// Words of the issuer's, fit for a log: without what it was told in confidence by a form with these parameters. Some
    /// issuers repeat what they refuse, or a part of it.
    #[must_use]
    pub fn quoted(&self, words: &str, parameters: &[(&str, &str)]) -> String {
        let secrets = self.confided(parameters);
        let whole = secrets.iter().fold(words.to_owned(), |words, secret| words.replace(secret, WITHHELD));
        let parts = whole.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && !"-_.~+/".contains(c));
        let telling = |part: &str| {
            let word = part.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            // A JWT is one of ours that was made for the occasion, or as confidential.
            let is_jwt = word.starts_with("eyJ");
            word.len() >= TELLING && (is_jwt || secrets.iter().any(|secret| secret.contains(word)))
        };
        parts.map(|part| if telling(part) { format!("{WITHHELD} ") } else { part.to_owned() }).collect()
    }

    /// What the issuer is told in confidence by a form with these parameters, but for an assertion.
    fn confided<'a>(&'a self, parameters: &[(&str, &'a str)]) -> Vec<&'a str> {
        let encoded = match &self.proof {
            Proof::Basic(value) => Some(value.expose().trim_start_matches("Basic ")),
            Proof::None | Proof::Post(_) | Proof::Assertion(_) | Proof::Certificate => None,
        };
        let own = self.secret.as_ref().map(Secret::expose);
        let sent = parameters.iter().filter(|(name, _)| CONFIDENTIAL.contains(name)).map(|(_, value)| *value);
        sent.chain(own).chain(encoded).filter(|text| !text.is_empty()).collect()
    }

    /// RFC 7523 section 3. The issuer's identifier is the one audience that no other server can take for its own.
    fn assertion(&self, signer: &Signer, now: UnixTime) -> Result<String, Unproven> {
        let claims = json!({
            "iss": self.id, "sub": self.id, "aud": self.issuer, "jti": secret::random_id(),
            "iat": now.secs(), "exp": now.plus(ASSERTION_LIFE).secs(),
        });
        signer.jwt(&claims).map_err(|_| Unproven::Assertion)
    }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined, as the WHATWG serializes forms.
fn basic(id: &str, secret: &Secret) -> Secret {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: &str, auth: &ClientAuth) -> (Option<String>, String) {
        let client = OwnClient::new("https://issuer.example", id, auth).expect("a client");
        let (headers, form) = client.form(&[("token", "a b")], UnixTime::from_secs(1)).expect("a form");
        let basic = headers.get(AUTHORIZATION).map(|value| {
            let value = value.to_str().expect("text").strip_prefix("Basic ").expect("Basic");
            String::from_utf8(STANDARD.decode(value).expect("base64")).expect("text")
        });
        (basic, String::from_utf8(form.to_vec()).expect("text"))
    }

    #[test]
    fn one_proof_goes_out_and_ids_and_secrets_are_form_encoded() {
        let odd = || Secret::new("a:b *-._~/+%\u{e9}".into());
        let basic = sent("web 1", &ClientAuth::Basic(odd()));
        let encoded = "web+1:a%3Ab+*-._%7E%2F%2B%25%C3%A9";
        assert_eq!(basic, (Some(encoded.into()), "token=a+b".into()));
        let (_, post) = sent("web", &ClientAuth::Post(odd()));
        assert_eq!(post, "token=a+b&client_id=web&client_secret=a%3Ab+*-._%7E%2F%2B%25%C3%A9");
        assert_eq!(sent("web", &ClientAuth::None), (None, "token=a+b&client_id=web".into()));
        let public = OwnClient::new("https://issuer.example", "web", &ClientAuth::None).expect("a client");
        let (_, named) = public.form(&[("client_id", "web")], UnixTime::from_secs(1)).expect("a form");
        assert_eq!(&*named, b"client_id=web");
        let certificate = ClientAuth::Mtls { certificate: "c".into(), private_key: "k".into() };
        assert_eq!(sent("web", &certificate), (None, "token=a+b&client_id=web".into()));
    }

    #[test]
    fn what_an_issuer_repeats_of_our_secrets_is_withheld() {
        let secret = "0123456789-the-secret";
        let sent =
            [("grant_type", "authorization_code"), ("code", "abcdefghijklmnop"), ("redirect_uri", "https://app/cb")];
        let by = |auth: &ClientAuth| OwnClient::new("https://issuer.example", "web", auth).expect("a client");
        let basic = by(&ClientAuth::Basic(Secret::new(secret.into())));
        let header = basic.form(&sent, UnixTime::from_secs(1)).expect("a form").0[AUTHORIZATION].clone();
        let header = header.to_str().expect("text").to_owned();
        for (words, quoted) in [
            ("the code is over", "the code is over"),
            ("authorization_code for https://app/cb", "authorization_code for https://app/cb"),
            ("no code abcdefghijklmnop here", "no code [withheld] here"),
            ("\"abcdefghijklmnop\"", "\"[withheld]\""),
            ("begins with abcdefghijkl...", "begins with [withheld] "),
            ("token code=abcdefghijkl...", "token code=[withheld] "),
            ("bad client_assertion eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "bad client_assertion [withheld] "),
            ("0123456789-the-secret!", "[withheld]!"),
            (&format!("bad {header}"), "bad Basic [withheld]"),
        ] {
            assert_eq!(basic.quoted(words, &sent), quoted, "{words}");
        }
        let posted = by(&ClientAuth::Post(Secret::new("a b".into())));
        assert_eq!(posted.quoted("no a b", &[]), "no [withheld]");
        assert_eq!(by(&ClientAuth::None).quoted("", &[("code", "")]), "");
    }
}
