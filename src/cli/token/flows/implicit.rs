//! A person signs in with the browser, and the token itself comes back through it (RFC 6749, section 4.2). Discouraged
//! (RFC 9700, section 2.1.2): the token passes through the address bar. It is here for servers that still need it.

use serde_json::Value;

use crate::cli::token::answer::Answer;
use crate::cli::token::args::{Order, Visit};
use crate::cli::token::callback::Way;
use crate::cli::token::endpoint::Server;
use crate::cli::token::failure::Failure;
use crate::cli::token::id_token::{Expected, verify_signature};

use super::visit::visit;

pub(super) async fn run(order: &Order, to: &Visit, server: &Server<'_>) -> Result<Answer, Failure> {
    let response_type = if order.asks_openid() { "id_token token" } else { "token" };
    let visited = visit(order, to, Way::Fragment, &[("response_type", response_type)], server).await?;
    let mut members = visited.answer;
    for ours in ["state", "iss"] {
        members.remove(ours);
    }
    // In a fragment everything is text; in an answer this is a number (RFC 6749, section 5.1).
    if let Some(seconds) = members.get("expires_in").and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok()) {
        members.insert("expires_in".into(), seconds.into());
    }
    let answer = Answer::new("the authorization endpoint", members, &order.scopes)?;
    let Some(nonce) = visited.nonce.as_deref() else { return Ok(answer) };
    let Some(id_token) = answer.text("id_token") else {
        return Err(Failure::fault("no ID token came, though `id_token token` was asked for"));
    };
    verify_signature(id_token, server).await?;
    let issuer = &server.metadata.issuer;
    let (access_token, now) = (answer.access_token(), server.clock.now());
    Expected { issuer, client_id: &order.client.id, nonce, access_token, through_the_browser: true, now }
        .check(id_token)?;
    Ok(answer)
}
