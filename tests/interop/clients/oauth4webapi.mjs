// oauth4webapi, where each step of the code flow is a call of its own; then its resource server (RFC 9068) judges the
// access token. Options: dpop, resource; audience, which the token must be meant for.
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { check, done, need, refused } from './check.mjs';
import { peer, person } from './peer.mjs';

const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(peer.issuer);
const server = await need('discovery', async () =>
  oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...insecure })));

const { id: client_id, secret, auth, key, id_token_alg } = peer.client;
const client = { client_id, ...(id_token_alg ? { id_token_signed_response_alg: id_token_alg } : {}) };
const authentication = {
  none: () => oauth.None(),
  client_secret_basic: () => oauth.ClientSecretBasic(secret),
  client_secret_post: () => oauth.ClientSecretPost(secret),
  private_key_jwt: async () => oauth.PrivateKeyJwt({ key: await jose.importJWK(key, key.alg), kid: key.kid }),
};
const proof = await authentication[auth]();
const DPoP = peer.dpop ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined;
const resource = peer.resource ? { resource: peer.resource } : {};

const { tokens, claims } = await need('code flow, ID token signature checked', async () => {
  const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id,
    redirect_uri: peer.redirect_uri,
    response_type: 'code',
    scope: peer.scope,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...resource,
  });
  const answer = await person().signIn(url, peer.redirect_uri);
  const parameters = oauth.validateAuthResponse(server, client, answer.url, state);
  const options = { DPoP, additionalParameters: resource, ...insecure };
  const response = await oauth.authorizationCodeGrantRequest(server, client, proof, parameters, peer.redirect_uri, verifier, options);
  const result = await oauth.processAuthorizationCodeResponse(server, client, response, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(server, response, insecure);
  return { tokens: result, claims: oauth.getValidatedIdTokenClaims(result) };
});

const forged = (query) => async () => oauth.validateAuthResponse(server, client, new URL(`${peer.redirect_uri}?${new URLSearchParams(query)}`), 'mine');
await refused('an answer with another state', /state/, forged({ code: 'x', state: 'other', iss: server.issuer }));
await refused('an answer of another issuer', /iss/, forged({ code: 'x', state: 'mine', iss: 'https://evil.test' }));
await refused('an answer without issuer, since it is announced', /iss/, forged({ code: 'x', state: 'mine' }));
if (!peer.resource) {
  await check('userinfo', async () => {
    const response = await oauth.userInfoRequest(server, client, tokens.access_token, { DPoP, ...insecure });
    return (await oauth.processUserInfoResponse(server, client, claims.sub, response)).sub;
  });
}

// The request that a client would send to an API, as its resource server gets it.
async function atTheApi() {
  let request;
  const url = new URL('https://api.test/orders');
  const caught = { [oauth.customFetch]: async (to, { headers }) => ((request = new Request(to, { headers })), new Response('{}')) };
  await oauth.protectedResourceRequest(tokens.access_token, 'GET', url, undefined, undefined, { DPoP, ...caught });
  return request;
}
const judge = async (audience) => oauth.validateJwtAccessToken(server, await atTheApi(), audience, insecure);
await check(`its resource server takes the access token for ${peer.audience}`, async () => {
  const { scope, cnf } = await judge(peer.audience);
  return `scope ${scope}${cnf ? ', bound' : ''}`;
});
await refused('but not for another audience', /aud/, () => judge('https://nobody.test'));
if (peer.dpop) {
  await refused('nor as a bearer token', /cnf|DPoP|jkt|scheme/i, async () => {
    const headers = { authorization: `Bearer ${tokens.access_token}` };
    return oauth.validateJwtAccessToken(server, new Request('https://api.test/orders', { headers }), peer.audience, insecure);
  });
}
done();
