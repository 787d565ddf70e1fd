// oauth4webapi: the code flow; then its resource server (RFC 9068) judges the access token. Options: dpop, resource;
// audience, which the token must be meant for.
import * as oauth from 'oauth4webapi';
import { check, done, need, refused } from './check.mjs';
import { as, insecure, login, server } from './oauth4webapi-peer.mjs';
import { peer } from './peer.mjs';

const who = await as();
const { client } = who;
const DPoP = peer.dpop ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined;
const resource = peer.resource ? { resource: peer.resource } : {};

const tokens = await need('code flow, ID token signature checked', () =>
  login(who, { more: resource, options: { DPoP, additionalParameters: resource } }));
const claims = oauth.getValidatedIdTokenClaims(tokens);

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
