//! A person's visit to the authorization endpoint (RFC 6749, section 4.1.1; RFC 8252): the address, the browser, and
//! the answer that comes back to this machine.

use crate::cli::token::args::{Order, Visit};
use crate::cli::token::browser;
use crate::cli::token::callback::{Callback, Parameters, Question, Way, address};
use crate::cli::token::endpoint::{Server, with_targets};
use crate::cli::token::failure::Failure;
use crate::secret::random_id;

/// What came back, and what it belongs to.
#[derive(Debug)]
pub(super) struct Visited {
    pub(super) answer: Parameters,
    /// As the server got it, and must get it again with a code.
    pub(super) redirect_uri: String,
    /// What an ID token must repeat; only asked for with `openid`.
    pub(super) nonce: Option<String>,
}

/// Sends the person there with `asked` and waits for the answer.
pub(super) async fn visit(
    order: &Order,
    visit: &Visit,
    way: Way,
    asked: &[(&str, &str)],
    server: &Server<'_>,
) -> Result<Visited, Failure> {
    let endpoint = server.metadata.endpoint("authorization_endpoint")?;
    let callback = Callback::listen(&visit.redirect)?;
    let redirect_uri = callback.redirect_uri.clone();
    let (state, nonce) = (random_id(), order.asks_openid().then(random_id));
    let scope = order.scopes.join(" ");
    let mut parameters = asked.to_vec();
    parameters.extend([("client_id", &*order.client.id), ("redirect_uri", &*redirect_uri), ("state", &*state)]);
    parameters.extend(nonce.as_deref().map(|nonce| ("nonce", nonce)));
    parameters = with_targets(parameters, order, &scope);
    parameters.extend(order.params());
    let then = format!("Waiting for the answer at {redirect_uri}");
    browser::visit(&address(endpoint, &parameters), visit.open, &then);
    let (issuer, promises_iss) = (server.metadata.issuer.clone(), server.metadata.promises_iss());
    let answer = callback.receive(way, Question { state, issuer, promises_iss }, visit.wait).await?;
    Ok(Visited { answer, redirect_uri, nonce })
}
