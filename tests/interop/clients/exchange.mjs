// openid-client's generic grant: token exchange (RFC 8693), by a resource server that goes on to another one. Option:
// exchanger, its credentials.
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { connect, login, peer } from './peer.mjs';

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TYPE = 'urn:ietf:params:oauth:token-type:access_token';
const { tokens } = await need('login', async () => login(await connect()));
const exchanger = await need('the resource server connects', () => connect(peer.exchanger));
const exchange = (more = {}, as = exchanger) =>
  oidc.genericGrantRequest(as, GRANT, { subject_token: tokens.access_token, subject_token_type: TYPE, ...more });

await check('a token for the same person elsewhere, with the scopes of both', async () => {
  const got = await exchange({ audience: 'https://elsewhere.test' });
  assert(got.issued_token_type === TYPE && got.token_type === 'bearer' && got.scope === 'orders:read', JSON.stringify(got));
  assert(!got.refresh_token && !got.id_token, 'more than an access token');
  const keys = jose.createRemoteJWKSet(new URL(exchanger.serverMetadata().jwks_uri));
  const { payload } = await jose.jwtVerify(got.access_token, keys, { issuer: peer.issuer, audience: 'https://elsewhere.test', typ: 'at+jwt' });
  assert(payload.sub === tokens.claims().sub && payload.client_id === peer.exchanger.id, JSON.stringify(payload));
  assert(payload.exp <= jose.decodeJwt(tokens.access_token).exp, 'it outlives the subject token');
});
await refused('a scope that the subject token has and the client may not', /invalid_scope/, () => exchange({ scope: 'profile' }));
await refused('an unknown subject token', /invalid_request/, () => exchange({ subject_token: 'unknown' }));
await refused('a client that may not', /unauthorized_client/, async () => exchange({}, await connect(peer.other_client)));
done();
