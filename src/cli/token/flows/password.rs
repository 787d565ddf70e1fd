//! A person's name and password, given to the client (RFC 6749, section 4.3). Discouraged (RFC 9700, section 2.4): the
//! client sees the password. It is here for servers that still need it.

use crate::cli::token::answer::Answer;
use crate::cli::token::args::Order;
use crate::cli::token::endpoint::Server;
use crate::cli::token::failure::Failure;
use crate::cli::token::prompt;
use crate::cli::token::shown::shown;
use crate::secret::Secret;

pub(super) async fn run(
    order: &Order,
    username: &str,
    password: Option<&Secret>,
    server: &Server<'_>,
) -> Result<Answer, Failure> {
    // Asked for only now that the server is known to be there.
    let asked = match password {
        Some(_) => None,
        None => {
            let question = format!("Password of {} at {}: ", shown(username), server.metadata.issuer);
            Some(prompt::secret(&question).await?)
        }
    };
    let password = password.or(asked.as_ref()).map(Secret::expose).unwrap_or_default();
    super::grant(order, server, &[("grant_type", "password"), ("username", username), ("password", password)]).await
}
