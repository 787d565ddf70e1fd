// openid-client's generic grant: the password of the resource owner.
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { connect, peer } from './peer.mjs';

const config = await need('discovery', () => connect());
const ask = (username, password) =>
  oidc.genericGrantRequest(config, 'password', { username, scope: peer.scope, ...(password === undefined ? {} : { password }) });
const { name, password } = peer.user;

const tokens = await need('password grant', () => ask(name, password));
await check('a bearer token, a refresh token, never an ID token', () => {
  assert(tokens.token_type === 'bearer' && tokens.refresh_token && !tokens.id_token, JSON.stringify(Object.keys(tokens)));
  return `scope ${tokens.scope}`;
});
await check('refreshed', () => oidc.refreshTokenGrant(config, tokens.refresh_token));
await refused('wrong password', /invalid_grant/, () => ask(name, `${password}x`));
await refused('unknown person', /invalid_grant/, () => ask('nobody', password));
await refused('no password', /invalid_request/, () => ask(name));
done();
