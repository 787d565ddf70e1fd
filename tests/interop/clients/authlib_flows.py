"""authlib as the client, joserfc for ID tokens: `authlib_flows.py FLOW PEER`, where PEER is the JSON that the scripts of
openid-client get, and FLOW one of code, implicit, client_credentials, password, device, metadata."""

import json
import re
import secrets
import sys
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

FLOW, PEER = sys.argv[1], json.loads(sys.argv[2])
CLIENT, ISSUER = PEER["client"], PEER["issuer"]
COUNTS = {"PASS": 0, "FAIL": 0}


def told(verdict, line):
    COUNTS[verdict] += 1
    print(verdict, line, flush=True)


def check(name, run):
    """Runs a check; what it gives, or None when it failed."""
    try:
        result = run()
    except Exception as error:  # whatever a library raises is the answer
        told("FAIL", f"{name}: {type(error).__name__} {error}")
        return None
    told("PASS", name + (f" ({result})" if isinstance(result, str) else ""))
    return True if result is None else result


def refused(name, pattern, run):
    def attempt():
        try:
            result = run()
        except Exception as error:
            assert re.search(pattern, f"{error}"), f"refused, but with {error}"
            return f"{error}"[:100]
        raise AssertionError(f"not refused: {result}")

    check(name, attempt)


def done():
    print(f"{COUNTS['PASS']} passed, {COUNTS['FAIL']} failed")
    sys.exit(1 if COUNTS["FAIL"] else 0)


class Form(HTMLParser):
    """The first form of a page that is posted, filled in by the person."""

    def __init__(self, html):
        super().__init__()
        self.action, self.content, self.open = None, {}, False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form" and self.action is None and given.get("method", "").lower() == "post":
            self.action, self.open = given.get("action") or "", True
        elif tag in ("input", "button") and self.open and given.get("name"):
            self.control(given, given.get("type", "text" if tag == "input" else "submit"))

    def handle_endtag(self, tag):
        self.open = self.open and tag != "form"

    def control(self, given, kind):
        typed = {"text": PEER["user"]["name"], "password": PEER["user"]["password"]}
        unwanted = kind == "submit" and re.search("cancel|deny", str(given), re.I)
        if not unwanted and (kind not in ("checkbox", "radio") or "checked" in given):
            self.content.setdefault(given["name"], typed.get(kind, given.get("value") or ""))


def sign_in(url):
    """Signs in and agrees; the URL that the browser is sent back to."""
    browser = requests.Session()
    answer = browser.get(url, allow_redirects=False, timeout=20)
    for _ in range(20):
        if "location" in answer.headers:
            to = urljoin(answer.url, answer.headers["location"])
            if re.split("[?#]", to)[0] == PEER["redirect_uri"]:
                return to
            answer = browser.get(to, allow_redirects=False, timeout=20)
            continue
        form = Form(answer.text)
        assert answer.ok and form.action is not None, f"stuck at {answer.url}: {answer.text[:300]}"
        to = urljoin(answer.url, form.action)
        answer = browser.post(to, data=form.content, allow_redirects=False, timeout=20)
    raise AssertionError("too many pages")


def session(client=CLIENT, **more):
    auth = client.get("auth", "client_secret_basic")
    made = OAuth2Session(
        client["id"],
        ECKey.import_key(client["key"]) if "key" in client else client.get("secret"),
        scope=PEER.get("scope", "openid"),
        redirect_uri=PEER.get("redirect_uri"),
        token_endpoint_auth_method=auth,
        revocation_endpoint_auth_method=auth,
        code_challenge_method="S256",
        **more,
    )
    if auth == "private_key_jwt":
        made.register_client_auth_method(PrivateKeyJWT(METADATA["token_endpoint"], alg=client["key"]["alg"]))
    return made


def is_active(token):
    server = session(PEER["resource_server"])
    return server.introspect_token(METADATA["introspection_endpoint"], token=token).json()["active"]


def id_token(token, nonce):
    keys = KeySet.import_key_set(requests.get(METADATA["jwks_uri"], timeout=20).json())
    decoded = jwt.decode(token, keys, algorithms=["RS256", "ES256", "EdDSA"])
    must = {"iss": ISSUER, "aud": CLIENT["id"], "nonce": nonce}
    rules = {name: {"essential": True, "value": value} for name, value in must.items()}
    jwt.JWTClaimsRegistry(**rules, exp={"essential": True}, sub={"essential": True}).validate(decoded.claims)
    return decoded.header["alg"]


def code():
    client, verifier, nonce = session(), secrets.token_urlsafe(48), secrets.token_urlsafe(16)

    def login():
        url, state = client.create_authorization_url(METADATA["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
        back = sign_in(url)
        assert parse_qs(urlsplit(back).query)["iss"] == [ISSUER], back
        return client.fetch_token(ENDPOINT, authorization_response=back, state=state, code_verifier=verifier)

    tokens = check("code with PKCE", login) or done()

    check("ID token by joserfc", lambda: id_token(tokens["id_token"], nonce))
    check("userinfo", lambda: client.get(METADATA["userinfo_endpoint"]).json()["sub"])
    old = tokens["refresh_token"]
    tokens = check("refresh", lambda: client.refresh_token(ENDPOINT, refresh_token=old)) or done()

    def active():
        assert is_active(tokens["access_token"]), "inactive"

    def revoke():
        answer = client.revoke_token(METADATA["revocation_endpoint"], token=tokens["access_token"])
        assert answer.status_code == 200, answer.status_code

    def inactive():
        assert not is_active(tokens["access_token"]), "active"

    check("introspected: active", active)
    check("revoked", revoke)
    check("introspected: inactive", inactive)


def implicit():
    client, nonce = session(), secrets.token_urlsafe(16)
    asked = {"response_type": "id_token token", "nonce": nonce}

    def login():
        url, state = client.create_authorization_url(METADATA["authorization_endpoint"], **asked)
        back = sign_in(url)
        assert urlsplit(back).query == "", back
        return client.fetch_token(authorization_response=back, state=state)

    tokens = check("tokens in the fragment", login) or done()
    check("ID token by joserfc", lambda: id_token(tokens["id_token"], nonce))
    check("userinfo", lambda: client.get(METADATA["userinfo_endpoint"]).json()["sub"])

    def another_state():
        url, _ = client.create_authorization_url(METADATA["authorization_endpoint"], **asked)
        return client.fetch_token(authorization_response=sign_in(url), state="another")

    refused("another state", "state", another_state)


def device():
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    asked = {"client_id": CLIENT["id"], "scope": PEER["scope"]}
    codes = requests.post(METADATA["device_authorization_endpoint"], data=asked, timeout=20).json()
    client = session()

    def ask():
        return client.fetch_token(ENDPOINT, grant_type=grant, device_code=codes["device_code"])

    refused("before the person answered", "authorization_pending", ask)
    check("a person types the code in", lambda: sign_in_at_device(codes["verification_uri_complete"]))
    check("tokens for the device", lambda: ask()["scope"])
    refused("once", "invalid_grant", ask)


def sign_in_at_device(url):
    browser = requests.Session()
    answer = browser.get(url, timeout=20)
    for _ in range(5):
        form = Form(answer.text)
        if form.action is None:
            break
        # The code is in its field already.
        typed = form.content if "password" in form.content else {**form.content, "user_code": url.split("=")[1]}
        answer = browser.post(urljoin(answer.url, form.action), data=typed, timeout=20)
    assert "is connected" in answer.text, answer.text[:300]


def client_credentials():
    check("client credentials", lambda: session().fetch_token(ENDPOINT, grant_type="client_credentials")["scope"])
    wrong = session({**CLIENT, "secret": "wrong"})
    refused("wrong secret", "invalid_client", lambda: wrong.fetch_token(ENDPOINT, grant_type="client_credentials"))


def password():
    name, secret = PEER["user"]["name"], PEER["user"]["password"]
    tokens = check("password grant", lambda: session().fetch_token(ENDPOINT, username=name, password=secret)) or done()
    refused("wrong password", "invalid_grant", lambda: session().fetch_token(ENDPOINT, username=name, password="no"))
    again = session(token=tokens)
    check("refresh", lambda: again.refresh_token(ENDPOINT, refresh_token=tokens["refresh_token"])["token_type"])


def metadata():
    # Its rules want https everywhere, so a loopback issuer is judged by the others.
    document = OpenIDProviderMetadata(METADATA)
    told = [name for name in OpenIDProviderMetadata.REGISTRY_KEYS if name in METADATA]
    judged = [name for name in told if name != "issuer" and not name.endswith(("_endpoint", "_uri"))]

    def valid():
        for name in judged:
            getattr(document, f"validate_{name}")()
        assert "response_types_supported" in judged, judged
        return " ".join(judged)

    check("metadata", valid)


METADATA = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=20).json()
ENDPOINT = METADATA["token_endpoint"]
FLOWS = [code, implicit, client_credentials, password, device, metadata]
{flow.__name__: flow for flow in FLOWS}[FLOW]()
done()
