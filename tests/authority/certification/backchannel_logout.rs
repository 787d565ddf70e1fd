//! Back-Channel Logout OP, at the request of a client.

use http::Method;
use serde_json::json;

use super::rp::{BYE, Flow, Refusal, Rp, authority_with};
use crate::flows::{encode, hear_logout, payload};

#[test]
fn oidcc_backchannel_rp_initiated_logout_discovery_endpoint_verification() {
    let rp = Rp::new(super::rp::shared(), Flow::CODE);
    assert_eq!(rp.metadata["backchannel_logout_supported"], true);
    assert_eq!(rp.metadata["backchannel_logout_session_supported"], true);
    rp.at("end_session_endpoint");
}

/// The client is told by a logout token of that sign-in, and the browser comes back without a session.
#[test]
fn oidcc_backchannel_rp_initiated_logout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/heard", listener.local_addr().unwrap());
    let authority = authority_with(|client| client.backchannel_logout_uri = Some(uri));
    let hearing = hear_logout(listener);
    let rp = Rp::new(&authority, Flow::CODE);
    let login = rp.login(&[]);
    let bye = encode(&[("id_token_hint", &login.id_token), ("post_logout_redirect_uri", BYE), ("state", "s")]);
    let back = rp.browser.send(Method::GET, &format!("{}?{bye}", rp.at("end_session_endpoint")), "");
    assert_eq!((back.status, back.header("location")), (303, Some(&*format!("{BYE}?state=s"))));
    let heard = hearing.join().unwrap();
    assert!(heard.to_lowercase().contains("content-type: application/x-www-form-urlencoded"), "{heard}");
    let token = heard.split_once("\r\n\r\nlogout_token=").unwrap().1;
    // It is signed and addressed as an ID token is, and has no nonce.
    let claims = rp.judge_id_token(token, None, &[]);
    assert_eq!(jsonwebtoken::decode_header(token).unwrap().typ.as_deref(), Some("logout+jwt"));
    assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
    assert!(claims["jti"].as_str().is_some_and(|id| !id.is_empty()) && claims.get("nonce").is_none(), "{claims}");
    let id = payload(&login.id_token);
    assert!(id["sid"].is_string() && claims["sid"] == id["sid"] && claims["sub"] == id["sub"], "{claims}");
    assert_eq!(rp.refused(&[("prompt", "none")]), Refusal::Sent("login_required".into()));
}
