//! The client as itself (RFC 6749, section 4.4).

use crate::cli::token::answer::Answer;
use crate::cli::token::args::Order;
use crate::cli::token::endpoint::Server;
use crate::cli::token::failure::Failure;

pub(super) async fn run(order: &Order, server: &Server<'_>) -> Result<Answer, Failure> {
    super::grant(order, server, &[("grant_type", "client_credentials")]).await
}
