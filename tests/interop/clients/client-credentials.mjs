// openid-client: the client speaks for itself. Option: api (a URL behind the gateway).
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { connect, isJwt, peer } from './peer.mjs';
import { callApi } from './api.mjs';

const config = await need('discovery', () => connect());
const ask = (scope, as = config) => oidc.clientCredentialsGrant(as, { scope });

const tokens = await need('client credentials grant', () => ask(peer.scope));
await check('a bearer token alone', () => {
  assert(tokens.token_type === 'bearer' && tokens.expires_in > 0, JSON.stringify(tokens));
  assert(!tokens.refresh_token && !tokens.id_token, 'more than an access token');
  return `scope ${tokens.scope}, ${isJwt(tokens.access_token) ? 'a JWT' : 'opaque'}`;
});
if (peer.api) await callApi(peer.api, tokens.access_token);
await refused('scope that the client may not have', /invalid_scope/, () => ask('no:such:scope'));
if (peer.client.secret) {
  await refused('wrong secret', /invalid_client|WWW_AUTHENTICATE/, async () => ask(peer.scope, await connect({ ...peer.client, secret: 'wrong' })));
}
done();
