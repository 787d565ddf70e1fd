// openid-client: rotation, reuse of a rotated token (which ends the family), narrowing of scope, a foreign client.
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { asksFor, connect, login, peer } from './peer.mjs';

const config = await need('discovery', () => connect());
const refresh = (token, parameters, as = config) => oidc.refreshTokenGrant(as, token, parameters);

const first = await need('login', async () => (await login(config)).tokens);
await need('refresh token', () => assert(first.refresh_token, 'none came'));
const second = await need('refresh', () => refresh(first.refresh_token));
await check('both tokens are new', () => {
  assert(second.access_token !== first.access_token, 'the same access token');
  assert(second.refresh_token && second.refresh_token !== first.refresh_token, 'the same refresh token');
});
await check('the new ID token speaks of the same sign-in', () => {
  const [before, after] = [first.claims(), second.claims()];
  for (const name of ['iss', 'sub', 'aud', 'auth_time']) assert(before[name] === after[name], `${name} changed`);
});
await check('the new access token works', () => oidc.fetchUserInfo(config, second.access_token, second.claims().sub));
await refused('wider scope', /invalid_scope/, () => refresh(second.refresh_token, { scope: `${peer.scope} api:read` }));
const third = await need('narrower scope', async () => {
  const tokens = await refresh(second.refresh_token, { scope: 'openid' });
  assert(tokens.scope === 'openid', `scope ${tokens.scope}`);
  return tokens;
});
await refused('the first refresh token again', /invalid_grant/, () => refresh(first.refresh_token));
await refused('which ended the newest one', /invalid_grant/, () => refresh(third.refresh_token));
await refused('and the newest access token', /invalid_token|WWW_AUTHENTICATE/, () => oidc.fetchUserInfo(config, third.access_token, oidc.skipSubjectCheck));
if (asksFor('offline_access')) {
  const plain = await need('login without offline_access', () => login(config, { extra: { scope: 'openid', prompt: undefined } }));
  await check('gives no refresh token', () => assert(!plain.tokens.refresh_token, 'it came'));
}
const other = await need('another login', async () => (await login(config)).tokens);
await refused('a refresh token of another client', /invalid_grant/, async () => refresh(other.refresh_token, undefined, await connect(peer.other_client)));
done();
