//! Faults of forwarding: what broke between us and an upstream, on whose side, and the chain of causes.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The cause under a fault.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Forwarding broke before the head of a response was there.
#[derive(Debug)]
pub struct Fault {
    /// What broke.
    pub kind: FaultKind,
    /// The upstream's name in the config.
    pub upstream: Arc<str>,
    /// `host:port` of the server that was tried last.
    pub server: Option<Arc<str>>,
    source: Option<Cause>,
}

/// What broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// No server of the upstream could be connected to (name, TCP, TLS, or no answer to these in time). Nothing was sent.
    Unreachable,
    /// The request was sent, and the head of the response did not come within `response_timeout`.
    Timeout,
    /// What came is not HTTP, or the connection ended before the head of a response.
    Protocol,
    /// The client ended its request before all of it was there.
    ClientGone,
    /// The client sent nothing of its request's body for `response_timeout`.
    ClientStalled,
    /// The body grew longer than `max_body_bytes`.
    BodyTooLarge,
    /// The request cannot be written in the upstream's protocol, such as a Host that is none.
    Unforwardable,
}

/// Who has to look into a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The caller.
    Client,
    /// The resource server.
    Upstream,
}

impl FaultKind {
    /// Who has to look into it.
    #[must_use]
    pub const fn side(self) -> Side {
        match self {
            Self::Unreachable | Self::Timeout | Self::Protocol => Side::Upstream,
            Self::ClientGone | Self::ClientStalled | Self::BodyTooLarge | Self::Unforwardable => Side::Client,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Unreachable => "cannot be reached",
            Self::Timeout => "did not answer in time",
            Self::Protocol => "did not answer in proper HTTP",
            Self::ClientGone => "was not sent the whole request: the client went away",
            Self::ClientStalled => "was not sent the whole request: the client stalled",
            Self::BodyTooLarge => "was not sent the whole request: its body is longer than max_body_bytes",
            Self::Unforwardable => "cannot be sent this request",
        }
    }
}

impl Fault {
    /// A fault of the upstream with this name.
    #[must_use]
    pub fn new(kind: FaultKind, upstream: &Arc<str>) -> Self {
        Self { kind, upstream: upstream.clone(), server: None, source: None }
    }

    /// Names the server that was tried.
    #[must_use]
    pub fn at(self, server: &Arc<str>) -> Self {
        Self { server: Some(server.clone()), ..self }
    }

    /// Keeps what caused it.
    #[must_use]
    pub fn because(self, cause: impl Into<Cause>) -> Self {
        Self { source: Some(cause.into()), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the upstream {:?}", self.upstream)?;
        if let Some(server) = &self.server {
            write!(f, " ({server})")?;
        }
        write!(f, " {}", self.kind.text())
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
