// oauth4webapi set up with what a script is told (see peer.mjs): each step of a flow is a call of its own there.
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { need } from './check.mjs';
import { peer, person } from './peer.mjs';

export const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(peer.issuer);

export const server = await need('discovery', async () =>
  oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...insecure })));

// A client, and how it proves that it is this one.
export async function as({ id: client_id, secret, auth, key, id_token_alg } = peer.client) {
  const authentication = {
    none: () => oauth.None(),
    client_secret_basic: () => oauth.ClientSecretBasic(secret),
    client_secret_post: () => oauth.ClientSecretPost(secret),
    private_key_jwt: async () => oauth.PrivateKeyJwt({ key: await jose.importJWK(key, key.alg), kid: key.kid }),
  };
  const client = { client_id, ...(id_token_alg ? { id_token_signed_response_alg: id_token_alg } : {}) };
  return { client, proof: await authentication[auth]() };
}

// What an authorization request has, and what the client keeps of it.
export async function authorizationRequest({ client }, more = {}) {
  const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
  const parameters = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: peer.redirect_uri,
    response_type: 'code',
    scope: peer.scope,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...more,
  });
  return { verifier, state, nonce, parameters };
}

// Where the browser comes back to, with the form if the answer was posted.
export async function visit(query) {
  const url = new URL(server.authorization_endpoint);
  url.search = query;
  return person().signIn(url, peer.redirect_uri);
}

// Trades a code, which is in `parameters`; the signature of the ID token is checked with the published keys.
export async function redeem({ client, proof }, { verifier, nonce }, parameters, options = {}) {
  const all = { ...options, ...insecure };
  const response = await oauth.authorizationCodeGrantRequest(server, client, proof, parameters, peer.redirect_uri, verifier, all);
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(server, response, insecure);
  return tokens;
}

// The whole code flow.
export async function login(who, { more, options } = {}) {
  const request = await authorizationRequest(who, more);
  const answer = await visit(request.parameters);
  return redeem(who, request, oauth.validateAuthResponse(server, who.client, answer.url, request.state), options);
}
