//! The flows that can be walked: what each is for, in words for a person who never read RFC 6749, which clients can walk
//! it, and what to write into the config when none can.

use super::super::settings::{Client, ClientAuth, Grant, TokenForm};

/// A flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Flow {
    /// Authorization code with PKCE.
    Code,
    /// Rotation of refresh tokens.
    Refresh,
    /// Client credentials.
    Machine,
    /// Device authorization.
    Device,
    /// Opaque tokens beside JWTs.
    Forms,
    /// Code and token through the browser.
    Hybrid,
    /// Tokens through the browser.
    Implicit,
    /// Resource owner password credentials.
    Password,
}

/// How the walker proves who a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// By nothing but its id.
    Id,
    /// The secret in the Authorization header.
    Basic,
    /// The secret in the body.
    Post,
}

impl Proof {
    /// What the config says of `client`. `None` for a client with a private key, which only the client itself has.
    pub(super) fn of(client: &Client) -> Option<Self> {
        match client.auth {
            _ if client.has_bound_tokens() => None,
            Some(ClientAuth::PrivateKeyJwt | ClientAuth::Tls | ClientAuth::SelfSignedTls) => None,
            _ if client.secret.is_none() => Some(Self::Id),
            Some(ClientAuth::None) => Some(Self::Id),
            Some(ClientAuth::Post) => Some(Self::Post),
            Some(ClientAuth::Basic) | None => Some(Self::Basic),
        }
    }
}

impl Flow {
    /// All of them, in the order of the page: first what to use, then what to know of.
    pub(in super::super) const ALL: [Self; 8] = [
        Self::Code,
        Self::Refresh,
        Self::Machine,
        Self::Device,
        Self::Forms,
        Self::Hybrid,
        Self::Implicit,
        Self::Password,
    ];

    /// Its name in forms.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::Machine => "client-credentials",
            Self::Device => "device",
            Self::Forms => "token-forms",
            Self::Hybrid => "hybrid",
            Self::Implicit => "implicit",
            Self::Password => "password",
        }
    }

    /// The flow of that name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flow| flow.name() == name)
    }

    /// Its title.
    pub(in super::super) const fn title(self) -> &'static str {
        match self {
            Self::Code => "Authorization code with PKCE",
            Self::Refresh => "Refresh tokens",
            Self::Machine => "Client credentials",
            Self::Device => "Device authorization",
            Self::Forms => "Opaque token or JWT",
            Self::Hybrid => "Hybrid",
            Self::Implicit => "Implicit",
            Self::Password => "Resource owner password",
        }
    }

    /// Who uses it, in three words.
    pub(in super::super) const fn fits_whom(self) -> &'static str {
        match self {
            Self::Code => "A person, with any application",
            Self::Refresh => "An application that stays signed in",
            Self::Machine => "A program, with no person",
            Self::Device => "A television, a console, a command line",
            Self::Forms => "An API that has to know what a token means",
            Self::Hybrid => "An application that wants to know the person first",
            Self::Implicit => "Old applications in the browser",
            Self::Password => "Old applications of the same house",
        }
    }

    /// What happens, in two or three sentences. Backticks set code.
    pub(in super::super) const fn summary(self) -> &'static str {
        match self {
            Self::Code => {
                "The browser brings a short-lived code, the client trades it for tokens over a connection of its own. \
                 PKCE makes the code worthless to whoever else may have seen it. This is the flow to begin with."
            }
            Self::Refresh => {
                "Access tokens end after minutes. A refresh token gets the next one without asking the person again. It \
                 works once and brings its successor; when an old one comes back, somebody stole it, and all of them end."
            }
            Self::Machine => {
                "The client shows its own secret and gets a token that speaks for the client itself. No browser, no \
                 person, no refresh token: it can simply ask again."
            }
            Self::Device => {
                "The device shows a short code. The person types it in on a phone or laptop, signs in and agrees there. \
                 Meanwhile the device asks every few seconds whether it is done."
            }
            Self::Forms => {
                "A JWT says everything itself: the API checks its signature and asks nobody. An opaque token is a random \
                 number: the API has to ask the Authorization Server what it means. See what each costs when a token is \
                 taken back."
            }
            Self::Hybrid => {
                "One answer through the browser has both: an ID token, so that the client knows at once who it is, and a \
                 code for the rest. The ID token holds the code's hash, so the two cannot be torn apart."
            }
            Self::Implicit => {
                "The tokens themselves come through the browser, behind the `#` of the address. It dates from a time when \
                 scripts could not call other origins."
            }
            Self::Password => {
                "The person types the password into the client, and the client sends it on. Everything that OAuth was \
                 made to avoid, kept for moving old applications over."
            }
        }
    }

    /// What a reader should keep in mind afterwards.
    pub(super) const fn lesson(self) -> &'static str {
        match self {
            Self::Code => {
                "The browser saw a code, never a token. The client never saw the password. The code alone was worth \
                 nothing without the verifier, which the browser never saw either."
            }
            Self::Refresh => {
                "Each refresh token worked once. When the old one came back, the server could not know whether the thief \
                 or the client held the newest, so it ended them all: the person signs in again, the thief is out."
            }
            Self::Machine => "The secret is all there is. Whoever has it is the client, so it stays on the server.",
            Self::Device => {
                "The device never saw the password, and needed no browser. Its weakness is the person: somebody could \
                 send them a code of another device, so the page asks whether it is the one in front of them."
            }
            Self::Forms => {
                "A JWT is fast and cannot be taken back before its end, so it should be short. An opaque token ends at \
                 once, for the price of a question at each use (or each few seconds, with a cache)."
            }
            Self::Hybrid => {
                "It shows why `nonce` and `c_hash` exist: what comes through the browser needs something that ties it to \
                 this browser and this request. Most clients are better off with the code alone."
            }
            Self::Implicit => {
                "The token was in the address line of a browser, readable for every script of the page, and nothing ties \
                 it to this client. With the code flow it would have been in none of those places."
            }
            Self::Password => {
                "The client saw the password, and could keep it, log it, or do anything else in your name. A second \
                 factor or a passkey would not have fitted in at all."
            }
        }
    }

    /// Why nobody should begin with it today.
    pub(in super::super) const fn discouraged(self) -> Option<&'static str> {
        match self {
            Self::Implicit | Self::Hybrid => Grant::Implicit.discouraged(),
            Self::Password => Grant::Password.discouraged(),
            Self::Code | Self::Refresh | Self::Machine | Self::Device | Self::Forms => None,
        }
    }

    /// Whether `client` can walk it.
    pub(in super::super) fn suits(self, client: &Client) -> bool {
        let has_grants = match self {
            Self::Code => client.may(Grant::AuthorizationCode),
            Self::Refresh => client.may(Grant::AuthorizationCode) && client.may(Grant::RefreshToken),
            Self::Machine => client.may(Grant::ClientCredentials) && !client.is_public(),
            Self::Forms => client.access_tokens == TokenForm::Opaque && Self::Machine.suits(client),
            Self::Device => client.may(Grant::DeviceCode),
            Self::Hybrid => client.may(Grant::AuthorizationCode) && client.may(Grant::Implicit),
            Self::Implicit => client.may(Grant::Implicit),
            Self::Password => client.may(Grant::Password),
        };
        has_grants && Proof::of(client).is_some()
    }

    /// A client that could walk it, as the config would have it.
    pub(in super::super) const fn example(self) -> &'static str {
        match self {
            Self::Code => {
                "[[authority.clients]]\nid = \"app\"\ngrants = [\"authorization_code\"]\n\
                 redirect_uris = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\", \"profile\"]"
            }
            Self::Refresh => {
                "[[authority.clients]]\nid = \"app\"\ngrants = [\"authorization_code\", \"refresh_token\"]\n\
                 redirect_uris = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\", \"profile\"]"
            }
            Self::Machine => {
                "[[authority.clients]]\nid = \"batch\"\nsecret = \"batch-secret\"\ngrants = [\"client_credentials\"]\n\
                 scopes = [\"orders:read\"]"
            }
            Self::Device => {
                "[[authority.clients]]\nid = \"tv\"\ngrants = [\"device_code\"]\nscopes = [\"openid\", \"profile\"]"
            }
            Self::Forms => {
                "[[authority.clients]]\nid = \"batch\"\nsecret = \"batch-secret\"\ngrants = [\"client_credentials\"]\n\
                 scopes = [\"orders:read\"]\naccess_tokens = \"opaque\""
            }
            Self::Hybrid => {
                "[[authority.clients]]\nid = \"portal\"\nsecret = \"portal-secret\"\n\
                 grants = [\"authorization_code\", \"implicit\"]\nredirect_uris = [\"http://127.0.0.1:8080/callback\"]\n\
                 scopes = [\"openid\", \"profile\"]"
            }
            Self::Implicit => {
                "[[authority.clients]]\nid = \"legacy\"\ngrants = [\"implicit\"]\n\
                 redirect_uris = [\"http://127.0.0.1:8080/legacy\"]\nscopes = [\"openid\", \"profile\"]"
            }
            Self::Password => {
                "[[authority.clients]]\nid = \"legacy\"\nsecret = \"legacy-secret\"\ngrants = [\"password\"]\n\
                 scopes = [\"orders:read\"]"
            }
        }
    }
}
