//! The English of the gateway: every sentence that a caller or a person is told, in one place.
//!
//! Callers are programs and their makers: they are told what is wrong with the request, in a sentence without quotes or
//! backslashes, so that it fits `error_description` (RFC 6750 section 3). People are told what happened and what they can
//! do. Neither is told of the inside. A template may have other words for a page by its code.

use crate::login::Told;
use crate::policy::Denial;
use crate::token::RejectionCode;

use super::respond::Broken;

/// A link to a login.
const LOG_IN: &str = "Log in";
/// The same where somebody else might be let in.
const ANOTHER_ACCOUNT: &str = "Log in with another account";
/// The same after a login that failed.
pub(super) const TRY_AGAIN: &str = "Try again";
/// A link to where everything begins.
pub(super) const HOME: &str = "To the front page";

/// A heading, and a sentence below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) title: &'static str,
    pub(super) sentence: &'static str,
}

const fn said(title: &'static str, sentence: &'static str) -> Said {
    Said { title, sentence }
}

/// The chooser.
pub(super) const CHOOSER: Said = said("Log in", "Where do you have your account?");
/// After a logout.
pub(super) const LOGGED_OUT: Said = said("Logged out", "You are logged out. Close the browser if others use it too.");

/// What follows from a login that is missing where something was sent.
pub(super) const NOT_TAKEN: &str = "What you sent was not taken in. Log in, then send it again.";
/// What else can be done about a failed login.
pub(super) const GET_HELP: &str =
    "If it goes on like this, ask the people who run this site for help, and give them the reference.";

/// What a person gives to those whom they ask for help.
pub(super) fn reference(reference: &str) -> String {
    format!("login_failed, reference {reference}")
}

/// A login or a logout that failed, for a person.
pub(super) const fn failure(told: Told) -> Said {
    match told {
        Told::NotHere => said(
            "Login failed",
            "This login cannot be completed here: it was begun in another browser, took too long, or is done already.",
        ),
        Told::Cancelled => said("Not logged in", "The login was cancelled."),
        Told::SignInThere => said("Login failed", "The login server needs you to sign in there first."),
        Told::Refused => said("Login failed", "The login server refused the login."),
        Told::NoAnswer => said("Login failed", "The login server gave no usable answer. Please try again in a moment."),
        Told::NoCookie => said(
            "Login failed",
            "Your browser did not bring back the cookie of this login. It may refuse cookies from this site; or the login was begun \
             in another browser, took too long, or is done already. Allow cookies, and try again.",
        ),
        Told::TooWeak => said(
            "Stronger sign-in needed",
            "This page needs a stronger sign-in, and the login server did not confirm one. Try again, and sign in there in the \
             way that it offers for this.",
        ),
        Told::TooOld => {
            said("Sign in anew", "This page needs you to sign in anew, and the login server did not ask you to.")
        }
        Told::OfUnknownAge => said(
            "Sign in anew",
            "This page needs a recent sign-in, and the login server does not say when you signed in.",
        ),
        Told::CookieRefused => said(
            "Login failed",
            "The login works, but your browser does not send back the cookie that it gets for it. Allow cookies for this site, \
             and try again.",
        ),
        Told::CookieTwice => said(
            "Login failed",
            "The login works, but your browser holds more than one cookie for it. Delete the cookies of this site, and try \
             again.",
        ),
        Told::EndsAtOnce => said("Login failed", "The login works, but it ends at once."),
        Told::TooLarge => said(
            "Login failed",
            "The login worked, but the login server says more of you than can be kept here. It will not help to try again.",
        ),
        Told::NotKept => said("Login failed", "The login worked, but it cannot be kept. Please try again in a moment."),
        Told::NotLoggedOut => said("Logout failed", "You could not be logged out. Please try again in a moment."),
        Told::NobodyNamed => said("Logout failed", "The logout names no session."),
    }
}

/// A link to a login beside a refusal.
pub(super) const fn login(denial: &Denial) -> &'static str {
    match denial {
        Denial::InsufficientScope { .. } | Denial::ClaimRefused { .. } | Denial::Token(_) => ANOTHER_ACCOUNT,
        _ => LOG_IN,
    }
}

/// A refused request, for a person.
pub(super) const fn refusal(denial: &Denial) -> Said {
    match denial {
        Denial::NoCredential => said("Not logged in", "You have to be logged in for this."),
        Denial::SessionExpired => said("Not logged in any more", "Your session is over. Please log in again."),
        Denial::CrossSite => {
            said("Not from there", "Another site made your browser send this, so it was not taken in.")
        }
        Denial::StepUpRequired { .. } => said("Log in again", "This needs a stronger or a more recent login."),
        Denial::InsufficientScope { .. } | Denial::ClaimRefused { .. } => {
            said("No access", "Your account does not have the rights that this needs.")
        }
        Denial::NoRoute => said("Nothing here", "There is no page at this address."),
        Denial::MethodNotAllowed { .. } => said("Not this way", "This page does not take what your browser sent."),
        Denial::AmbiguousPath { .. } => {
            said("This address does not work", "It can be read in more than one way. Please check how it is spelt.")
        }
        Denial::BadRequest { .. } => said("This does not work", "Your browser sent what cannot be read here."),
        Denial::BodyTooLarge => said("Too large", "What you sent is larger than what is taken here."),
        Denial::HeadersTooLarge => said(
            "Too large",
            "Your browser sent too much with its request. Deleting the cookies of this site may help.",
        ),
        Denial::Token(rejection) => match rejection.code {
            RejectionCode::IssuerUnavailable | RejectionCode::StoreUnavailable => {
                said("Not at the moment", "It cannot be checked now who you are. Please try again in a moment.")
            }
            RejectionCode::Expired => said("Not logged in any more", "The access that your browser has is over."),
            RejectionCode::Revoked => said("No access", "Your access was taken back."),
            _not_accepted => said("No access", "The access token that your browser sent is not accepted."),
        },
    }
}

/// An upstream that failed, for a person.
pub(super) const fn broken(broken: Broken) -> Said {
    let sentence = match broken {
        Broken::Unreachable => "The application cannot be reached. Please try again in a moment.",
        Broken::Timeout => "The application did not answer in time. Please try again in a moment.",
        Broken::Protocol => "The application gave no usable answer. Please try again in a moment.",
    };
    said("Not at the moment", sentence)
}

/// A request without a credential where a person can log in, for the maker of a caller.
pub(super) const NOBODY: &str = "Nobody is logged in. A person can log in at the URL that the member login has.";

/// A refused request, for the maker of a caller.
pub(super) const fn denial(denial: &Denial) -> &'static str {
    match denial {
        Denial::NoCredential => "This resource needs an access token, sent as Authorization: Bearer TOKEN.",
        Denial::Token(rejection) => self::rejection(rejection.code),
        Denial::SessionExpired => "You are not logged in any more.",
        Denial::CrossSite => "This request comes from another site, and changes something here.",
        Denial::InsufficientScope { .. } => "The access token does not have the scope that this needs.",
        Denial::ClaimRefused { .. } => "The access token does not carry the claims that this needs.",
        Denial::StepUpRequired { .. } => "This needs a stronger or a more recent login.",
        Denial::NoRoute => "There is nothing here.",
        Denial::MethodNotAllowed { .. } => "This resource does not have this method.",
        Denial::AmbiguousPath { .. } => "The path can be read in more than one way. Send it in its plain form.",
        Denial::BadRequest { detail } => detail,
        Denial::BodyTooLarge => "The request body is too large.",
        Denial::HeadersTooLarge => "The request head is too large.",
    }
}

const fn rejection(code: RejectionCode) -> &'static str {
    match code {
        RejectionCode::BadCredentialSyntax => "Send exactly one Authorization header with exactly one token.",
        RejectionCode::MalformedToken => "The access token is not a well-formed JWT.",
        RejectionCode::UnknownIssuer => "The access token comes from an issuer that is not accepted here.",
        RejectionCode::WrongType => "This is not an access token. An ID token cannot be used in its place.",
        RejectionCode::AlgorithmRefused => "The access token is signed with an algorithm that is not accepted.",
        RejectionCode::UnknownKey => "The access token is signed with a key that its issuer does not publish.",
        RejectionCode::BadSignature => "The signature of the access token is not valid.",
        RejectionCode::Expired => "The access token has expired.",
        RejectionCode::NotYetValid => "The access token is not valid yet.",
        RejectionCode::WrongAudience => "The access token was issued for another audience.",
        RejectionCode::MissingClaim => "The access token lacks a required claim.",
        RejectionCode::Inactive => "The access token is not active.",
        RejectionCode::Revoked => "The access token was revoked.",
        RejectionCode::BadBinding => "The access token is not bound to its sender, or the sender has not proven it.",
        RejectionCode::BadProof => "The DPoP proof is not valid for this request.",
        RejectionCode::ProofNonceRequired => "The DPoP proof needs the nonce of the DPoP-Nonce header.",
        RejectionCode::IssuerUnavailable => "The token cannot be judged now, as its issuer cannot be reached.",
        RejectionCode::StoreUnavailable => "The request cannot be judged now. Try again later.",
    }
}

/// An upstream that failed, for the maker of a caller.
pub(super) const fn fault(broken: Broken) -> &'static str {
    match broken {
        Broken::Unreachable => "The service behind this gateway cannot be reached.",
        Broken::Timeout => "The service behind this gateway did not answer in time.",
        Broken::Protocol => "The service behind this gateway gave no usable answer.",
    }
}
