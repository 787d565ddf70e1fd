// What a script is told, as one JSON argument (tests/outside_clients.rs), and openid-client set up with it.
import { createHash } from 'node:crypto';
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { Agent } from './agent.mjs';

export const peer = { scope: 'openid', ...JSON.parse(process.argv[2]) };
export const asksFor = (scope) => peer.scope.split(' ').includes(scope);
export const person = () => new Agent(peer.user);

async function authentication({ auth, secret, key }) {
  switch (auth ?? (secret ? 'client_secret_basic' : 'none')) {
    case 'none': return oidc.None();
    case 'client_secret_basic': return oidc.ClientSecretBasic(secret);
    case 'client_secret_post': return oidc.ClientSecretPost(secret);
    case 'private_key_jwt': return oidc.PrivateKeyJwt({ key: await jose.importJWK(key, key.alg), kid: key.kid });
    default: throw new Error(`no such authentication: ${auth}`);
  }
}

// Discovery, as this client. ID tokens are checked with the published keys, not only trusted for where they came from.
export async function connect(client = peer.client) {
  const metadata = client.id_token_alg ? { id_token_signed_response_alg: client.id_token_alg } : {};
  const config = await oidc.discovery(new URL(peer.issuer), client.id, metadata, await authentication(client), {
    execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
  });
  return config;
}

// An authorization request with PKCE; a parameter that is `undefined` in `extra` is left out.
export async function authorizationRequest(config, extra = {}) {
  const secrets = { verifier: oidc.randomPKCECodeVerifier(), state: oidc.randomState(), nonce: oidc.randomNonce() };
  const parameters = {
    redirect_uri: peer.redirect_uri,
    scope: peer.scope,
    state: secrets.state,
    nonce: asksFor('openid') ? secrets.nonce : undefined,
    prompt: asksFor('offline_access') ? 'consent' : undefined,
    resource: peer.resource,
    code_challenge: await oidc.calculatePKCECodeChallenge(secrets.verifier),
    code_challenge_method: 'S256',
    ...extra,
  };
  const kept = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return { ...secrets, parameters: Object.fromEntries(kept), url: oidc.buildAuthorizationUrl(config, Object.fromEntries(kept)) };
}

// What came back, in the form in which openid-client wants it.
export function received({ url, form }) {
  if (!form) return url;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return new Request(peer.redirect_uri, { method: 'POST', body: form, headers });
}

export function redeem(config, request, answer, options) {
  const checks = { pkceCodeVerifier: request.verifier, expectedState: request.state };
  if (asksFor('openid')) Object.assign(checks, { expectedNonce: request.nonce, idTokenExpected: true });
  const resource = peer.resource ? { resource: peer.resource } : {};
  return oidc.authorizationCodeGrant(config, received(answer), checks, resource, options);
}

// The whole code flow.
export async function login(config, { extra, agent = person(), options } = {}) {
  const request = await authorizationRequest(config, extra);
  const answer = await agent.signIn(request.url, peer.redirect_uri);
  return { agent, request, answer, tokens: await redeem(config, request, answer, options) };
}

// Core 3.1.3.6: the left half of the hash that goes with the algorithm; Ed25519 goes with SHA-512.
export function halfHash(algorithm, value) {
  const bits = algorithm === 'EdDSA' ? 512 : Number(algorithm.slice(2));
  const digest = createHash(`sha${bits}`).update(value).digest();
  return digest.subarray(0, digest.length / 2).toString('base64url');
}

export const basic = ({ id, secret }) =>
  `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`;

export const isJwt = (token) => token.split('.').length === 3;
