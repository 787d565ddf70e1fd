//! The flows, one module each. They differ in what is sent to which endpoint; what an answer must hold is the same.

mod client_credentials;
mod code;
mod device;
mod implicit;
mod password;
mod refresh;
mod visit;

use super::answer::Answer;
use super::args::{Flow, Order};
use super::endpoint::{Server, TOKEN_ENDPOINT, with_targets};
use super::failure::Failure;

/// Gets a token as ordered.
pub(super) async fn run(order: &Order, server: &Server<'_>) -> Result<Answer, Failure> {
    match &order.flow {
        Flow::ClientCredentials => client_credentials::run(order, server).await,
        Flow::Code(visit) => code::run(order, visit, server).await,
        Flow::Implicit(visit) => implicit::run(order, visit, server).await,
        Flow::Password { username, password } => password::run(order, username, password.as_ref(), server).await,
        Flow::Refresh { token, file } => refresh::run(order, token, file.as_deref(), server).await,
        Flow::Device { wait } => device::run(order, *wait, server).await,
    }
}

/// One request to the token endpoint that says all there is to say: the grant, scope and targets, and what was added.
async fn grant(order: &Order, server: &Server<'_>, grant: &[(&str, &str)]) -> Result<Answer, Failure> {
    let scope = order.scopes.join(" ");
    let mut form = with_targets(grant.to_vec(), order, &scope);
    form.extend(order.params());
    Answer::new(TOKEN_ENDPOINT, server.token(&form).await?, &order.scopes)
}
