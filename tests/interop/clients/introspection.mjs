// openid-client: a resource server asks what a token means (RFC 7662). Option: resource_server, its credentials.
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { connect, isJwt, login, peer } from './peer.mjs';

const config = await need('discovery', () => connect());
const server = await need('the resource server connects', () => connect(peer.resource_server));
const { tokens } = await need('login', () => login(config));
const ask = (token, token_type_hint) => oidc.tokenIntrospection(server, token, token_type_hint ? { token_type_hint } : undefined);

await check('an access token', async () => {
  const told = await ask(tokens.access_token, 'access_token');
  assert(told.active === true && told.client_id === peer.client.id && told.sub === tokens.claims().sub, JSON.stringify(told));
  assert(told.exp * 1000 > Date.now() && told.iss === peer.issuer && told.scope, JSON.stringify(told));
  return isJwt(tokens.access_token) ? 'a JWT' : 'opaque';
});
await check('a wrong hint does not matter', async () => assert((await ask(tokens.access_token, 'refresh_token')).active, 'inactive'));
await check('a refresh token', async () => assert(typeof (await ask(tokens.refresh_token)).active === 'boolean', 'no answer'));
await check('of an unknown token it says nothing but that it is inactive', async () => {
  const told = await ask('no-such-token');
  assert(JSON.stringify(told) === '{"active":false}', JSON.stringify(told));
});
await check('of an ID token, too', async () => assert((await ask(tokens.id_token)).active === false, 'active'));
await refused('wrong secret', /invalid_client|WWW_AUTHENTICATE/, async () =>
  oidc.tokenIntrospection(await connect({ ...peer.resource_server, secret: 'wrong' }), tokens.access_token));

const { introspection_endpoint: endpoint } = config.serverMetadata();
for (const [name, request] of [
  ['no credentials', () => fetch(endpoint, { method: 'POST', body: new URLSearchParams({ token: tokens.access_token }) })],
  ['a token in the query', () => fetch(`${endpoint}?token=${tokens.access_token}`)],
]) {
  await check(`${name}: refused`, async () => {
    const { status } = await request();
    assert(status >= 400 && status < 500, `status ${status}`);
    return `status ${status}`;
  });
}
done();
