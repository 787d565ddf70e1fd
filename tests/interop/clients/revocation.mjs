// openid-client: tokens are given back (RFC 7009).
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { connect, login, peer } from './peer.mjs';

const config = await need('discovery', () => connect());
const server = await need('the resource server connects', () => connect(peer.resource_server));
const isActive = async (token) => (await oidc.tokenIntrospection(server, token)).active;
const revoke = (token, as = config) => oidc.tokenRevocation(as, token);

const first = await need('login', async () => (await login(config)).tokens);
await check('active before', async () => assert(await isActive(first.access_token), 'inactive'));
await check("another client's request does nothing", async () => {
  // Whether it is told so is open (RFC 7009, section 2.1).
  await revoke(first.access_token, await connect(peer.other_client)).catch(() => undefined);
  assert(await isActive(first.access_token), 'it is gone');
});
await check('the access token', () => revoke(first.access_token));
await check('is inactive after', async () => assert(!(await isActive(first.access_token)), 'still active'));

const second = await need('another login', async () => (await login(config)).tokens);
await check('the refresh token', () => revoke(second.refresh_token));
await refused('is dead after', /invalid_grant/, () => oidc.refreshTokenGrant(config, second.refresh_token));
await check('its access token is, too', async () => assert(!(await isActive(second.access_token)), 'still active'));

await check('an unknown token is no error', () => revoke('no-such-token'));
await check('no credentials: refused', async () => {
  const answer = await fetch(config.serverMetadata().revocation_endpoint, { method: 'POST', body: new URLSearchParams({ token: 'x' }) });
  assert(answer.status === 401, `status ${answer.status}`);
});
done();
