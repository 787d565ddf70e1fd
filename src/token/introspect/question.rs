//! The request that asks about a token (RFC 7662 section 2.1).

use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, HeaderValue};
use url::Url;

use super::MAX_ANSWER_BYTES;
use super::status::Trouble;
use crate::clock::UnixTime;
use crate::config::model::{AnswerForm, Introspection, Issuer};
use crate::fetch::Request;
use crate::token::client::OwnClient;
use crate::token::signer::SignerError;

/// Writes the questions to one issuer.
pub(super) struct Question {
    client: OwnClient,
    answer: AnswerForm,
}

impl Question {
    pub(super) fn new(issuer: &Issuer, settings: &Introspection) -> Result<Self, SignerError> {
        let client = OwnClient::new(&issuer.issuer, &settings.client_id, &settings.auth)?;
        Ok(Self { client, answer: settings.answer })
    }

    /// Whether it is asked with a certificate.
    pub(super) const fn shows_certificate(&self) -> bool {
        self.client.shows_certificate()
    }

    /// The question about `token`.
    pub(super) fn write(
        &self,
        endpoint: Url,
        token: &str,
        now: UnixTime,
        timeout: Duration,
    ) -> Result<Request, Trouble> {
        let form = self.client.form(&[("token", token), ("token_type_hint", "access_token")], now);
        let (mut headers, body) = form.map_err(|error| Trouble::skipped(error.to_string()))?;
        let accept = match self.answer {
            AnswerForm::Json => "application/json",
            AnswerForm::Jwt => "application/token-introspection+jwt",
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Ok(Request { method: Method::POST, url: endpoint, headers, body, timeout, max_bytes: MAX_ANSWER_BYTES })
    }
}
