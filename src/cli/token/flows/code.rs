//! A person signs in with the browser, and the client trades the code that comes back (RFC 6749, section 4.1), with PKCE
//! (RFC 7636): a code that somebody else picks up is of no use.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::cli::token::answer::Answer;
use crate::cli::token::args::{Order, Visit};
use crate::cli::token::callback::Way;
use crate::cli::token::endpoint::{Server, TOKEN_ENDPOINT};
use crate::cli::token::failure::Failure;
use crate::cli::token::id_token::Expected;
use crate::secret::{Secret, random_bytes, sha256};

use super::visit::{Visited, visit};

pub(super) async fn run(order: &Order, to: &Visit, server: &Server<'_>) -> Result<Answer, Failure> {
    // A server that cannot take the code is not worth a sign-in.
    server.metadata.endpoint("token_endpoint")?;
    let verifier = Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()));
    let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.expose().as_bytes()));
    let asked = [("response_type", "code"), ("code_challenge", &*challenge), ("code_challenge_method", "S256")];
    let visited = visit(order, to, Way::Query, &asked, server).await?;
    let code = visited.answer.get("code").and_then(Value::as_str).filter(|code| !code.is_empty());
    let code = code.ok_or_else(|| Failure::fault("the authorization endpoint answered without a `code`"))?;
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &*visited.redirect_uri),
        ("code_verifier", verifier.expose()),
    ];
    // RFC 8707, section 2.2; the scope is that of the code.
    form.extend(order.resources.iter().map(|resource| ("resource", resource.as_str())));
    let answer = Answer::new(TOKEN_ENDPOINT, server.token(&form).await?, &order.scopes)?;
    check_id_token(order, &visited, server, answer)
}

fn check_id_token(
    order: &Order,
    visited: &Visited,
    server: &Server<'_>,
    mut answer: Answer,
) -> Result<Answer, Failure> {
    let Some(nonce) = visited.nonce.as_deref() else { return Ok(answer) };
    let Some(id_token) = answer.text("id_token") else {
        answer.notes.push("no ID token came, though `openid` was asked for".into());
        return Ok(answer);
    };
    let issuer = &server.metadata.issuer;
    let (access_token, now) = (answer.access_token(), server.clock.now());
    Expected { issuer, client_id: &order.client.id, nonce, access_token, through_the_browser: false, now }
        .check(id_token)?;
    Ok(answer)
}
