//! What an introspector tells of itself, for metrics and the status page, and why a question brought nothing.

use http::StatusCode;

use crate::fetch::{Fault, FetchError};
use crate::token::{Rejection, RejectionCode};

/// How a question ended: the values of the label `result` of `tollgate_introspections_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskResult {
    /// The token is active.
    Active,
    /// It is not.
    Inactive,
    /// An answer with a member of a wrong type, or one that can be read in two ways.
    Malformed,
    /// No answer: name, connection, TLS, time, an answer that broke off.
    Unreachable,
    /// A status other than 200, redirects included.
    Status,
    /// A longer answer than we take.
    TooLarge,
    /// An answer that is no introspection answer, or that the issuer did not sign as it should.
    Invalid,
    /// Not asked: the issuer did not answer before, its endpoint is not known, or too many questions are under way.
    Skipped,
}

impl AskResult {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Active,
        Self::Inactive,
        Self::Malformed,
        Self::Unreachable,
        Self::Status,
        Self::TooLarge,
        Self::Invalid,
        Self::Skipped,
    ];

    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Malformed => "malformed",
            Self::Unreachable => "unreachable",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Skipped => "skipped",
        }
    }
}

/// How asking an issuer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Where it is asked; `None` while that is not known.
    pub endpoint: Option<String>,
    /// Whether it is left alone at the moment, as it did not answer.
    pub resting: bool,
    /// Why the last question brought nothing; `None` when it brought an answer.
    pub last_error: Option<String>,
}

/// What a failed question says of the issuer as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is there; that it gave no good answer may depend on the token.
    Up,
    /// It cannot be asked.
    Down,
    /// Nothing: it was not asked.
    None,
}

/// Why there is no answer. The token is not known to be bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) result: AskResult,
    pub(super) sign: Sign,
    /// For operators, one line.
    pub(super) detail: String,
}

impl Trouble {
    pub(super) fn skipped(detail: impl Into<String>) -> Self {
        Self { result: AskResult::Skipped, sign: Sign::None, detail: detail.into() }
    }

    pub(super) fn silent(detail: impl Into<String>) -> Self {
        Self { result: AskResult::Unreachable, sign: Sign::Down, detail: detail.into() }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self { result: AskResult::Invalid, sign: Sign::Up, detail: detail.into() }
    }

    /// Of a server in distress, or one that does not know us, more of the same would come. Other 4xx may be about the token.
    pub(super) fn status(status: StatusCode) -> Self {
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": does the issuer know the gateway as a client?",
            _ => "",
        };
        let detail = format!("answered {}{hint}", status.as_u16());
        let down = !status.is_client_error() || refused.contains(&status);
        Self { result: AskResult::Status, sign: if down { Sign::Down } else { Sign::Up }, detail }
    }

    pub(super) fn rejection(&self, issuer: &str) -> Rejection {
        let detail = format!("the issuer {issuer:?} could not be asked about the token: {}", self.detail);
        Rejection::new(RejectionCode::IssuerUnavailable, detail)
    }
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        let (result, sign) = match &error.fault {
            Fault::Redirect { .. } => (AskResult::Status, Sign::Down),
            Fault::TooLarge { .. } => (AskResult::TooLarge, Sign::Up),
            Fault::Encoded => (AskResult::Invalid, Sign::Up),
            Fault::Url(_) => (AskResult::Invalid, Sign::Down),
            Fault::Resolve(_)
            | Fault::Connect(_)
            | Fault::NoRoots
            | Fault::Tls(_)
            | Fault::Exchange(_)
            | Fault::Body(_)
            | Fault::Timeout { .. } => (AskResult::Unreachable, Sign::Down),
        };
        Self { result, sign, detail: error.to_string() }
    }
}
