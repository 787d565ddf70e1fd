// Userinfo by each way that OpenID Connect Core 5.3 and RFC 6750 know, and their refusals.
import * as oidc from 'openid-client';
import { assert, check, done, need } from './check.mjs';
import { connect, login } from './peer.mjs';

const config = await need('discovery', () => connect());
const { tokens } = await need('login', () => login(config));
const { userinfo_endpoint: url } = config.serverMetadata();
const { access_token: token, id_token: idToken } = tokens;
const { sub } = tokens.claims();
const bearer = (value) => ({ authorization: `Bearer ${value}` });
const body = () => new URLSearchParams({ access_token: token });

await check('GET by openid-client, claims of the right types', async () => {
  const claims = await oidc.fetchUserInfo(config, token, sub);
  const types = { name: 'string', email_verified: 'boolean', phone_number_verified: 'boolean', updated_at: 'number', address: 'object' };
  for (const [name, type] of Object.entries(types)) assert(typeof claims[name] === type, `${name} is ${typeof claims[name]}`);
  return Object.keys(claims).join(' ');
});
for (const [name, init] of [['POST with header', { headers: bearer(token) }], ['POST with body', { body: body() }]]) {
  await check(name, async () => {
    const answer = await fetch(url, { method: 'POST', ...init });
    assert(answer.status === 200 && (await answer.json()).sub === sub, `status ${answer.status}`);
  });
}
for (const [name, to, init, status, error] of [
  ['no token', url, {}, 401, undefined],
  ['a token in the query', `${url}?access_token=${token}`, {}, 401, undefined],
  ['unknown token', url, { headers: bearer('unknown') }, 401, 'invalid_token'],
  ['an ID token', url, { headers: bearer(idToken) }, 401, 'invalid_token'],
  ['two ways at once', url, { method: 'POST', headers: bearer(token), body: body() }, 400, 'invalid_request'],
]) {
  await check(`${name}: ${status} ${error ?? 'without an error code'}`, async () => {
    const answer = await fetch(to, init);
    const challenge = answer.headers.get('www-authenticate') ?? '';
    assert(answer.status === status, `status ${answer.status}`);
    assert(/^Bearer\b/.test(challenge) && challenge.match(/error="([^"]*)"/)?.[1] === error, `challenge ${challenge}`);
  });
}
done();
