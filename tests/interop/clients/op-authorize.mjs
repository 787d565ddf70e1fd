// openid-client: what the OpenID Connect Basic OP plan and OAuth ask of the authorization endpoint.
import * as oidc from 'openid-client';
import { no, submit } from './agent.mjs';
import { assert, check, done, need } from './check.mjs';
import { authorizationRequest, connect, peer, person, redeem } from './peer.mjs';

const config = await need('discovery', () => connect());

// One request, changed by `edit` on its way; what came back, and the tokens if it was a code.
async function ask({ extra = {}, agent = person(), edit = () => undefined } = {}) {
  const request = await authorizationRequest(config, extra);
  edit(request.url.searchParams);
  const answer = await agent.signIn(request.url, peer.redirect_uri);
  return { agent, request, answer, query: answer.url.searchParams };
}
async function login(how) {
  const came = await ask(how);
  assert(!came.query.has('error'), `${came.query.get('error')}: ${came.query.get('error_description')}`);
  return { ...came, tokens: await redeem(config, came.request, came.answer) };
}
const errorOf = async (how) => (await ask(how)).query.get('error') ?? 'no error';

const base = await need('login', () => login());
const again = (extra, edit) => login({ extra, edit, agent: base.agent });

await check('code, state and iss once, and nothing else in the query', () => {
  assert([...base.query.keys()].sort().join(' ') === 'code iss state', `${base.query}`);
  assert(base.query.get('iss') === peer.issuer && base.query.get('state') === base.request.state, `${base.query}`);
});
await check('without nonce: none in the ID token', async () => {
  const { request, answer } = await ask({ agent: base.agent, extra: { nonce: undefined } });
  const checks = { pkceCodeVerifier: request.verifier, expectedState: request.state };
  const tokens = await oidc.authorizationCodeGrant(config, answer.url, checks);
  assert(tokens.claims().nonce === undefined, 'it came');
});
for (const [scope, expected] of [['profile', 'name'], ['email', 'email'], ['address', 'address'], ['phone', 'phone_number']]) {
  await check(`scope ${scope} gives ${expected}`, async () => {
    const { tokens } = await again({ scope: `openid ${scope}` });
    const claims = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    const others = ['name', 'email', 'address', 'phone_number'].filter((name) => name !== expected && name in claims);
    assert(expected in claims && others.length === 0, Object.keys(claims).join(' '));
  });
}
await check('a claim by the claims parameter', async () => {
  const { tokens } = await again({ scope: 'openid', claims: JSON.stringify({ userinfo: { name: { essential: true } } }) });
  const claims = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  assert(claims.name && !claims.given_name, Object.keys(claims).join(' '));
});
for (const [name, value] of [['display', 'popup'], ['extra', 'foobar'], ['login_hint', peer.user.name], ['ui_locales', 'se'], ['claims_locales', 'se']]) {
  await check(`${name}=${value} is no error`, () => again({ [name]: value }));
}

await check('prompt=none is silent, and speaks of the same sign-in', async () => {
  const { tokens } = await again({ prompt: 'none', id_token_hint: base.tokens.id_token });
  const [before, after] = [base.tokens.claims(), tokens.claims()];
  assert(before.sub === after.sub && before.auth_time === after.auth_time, JSON.stringify(after));
});
await check('prompt=none for a stranger: login_required', async () => {
  const error = await errorOf({ extra: { prompt: 'none' } });
  assert(error === 'login_required', error);
});
await check('prompt=none with login: invalid_request', async () => {
  const error = await errorOf({ extra: { prompt: 'none login' } });
  assert(error === 'invalid_request', error);
});
await check('max_age=10000 asks nobody', async () => {
  const { tokens } = await again({ max_age: '10000', prompt: 'none' });
  assert(tokens.claims().auth_time === base.tokens.claims().auth_time, 'auth_time changed');
});
// auth_time counts in seconds: a later one can be told from this one when the next second has begun.
await new Promise((resolve) => setTimeout(resolve, (base.tokens.claims().auth_time + 2) * 1000 - Date.now()));
for (const extra of [{ max_age: '1' }, { prompt: 'login' }]) {
  await check(`${Object.entries(extra)[0].join('=')} asks anew, auth_time is later`, async () => {
    const { tokens } = await again(extra);
    assert(tokens.claims().auth_time > base.tokens.claims().auth_time, 'the same auth_time');
  });
}
await check('acr_values: the first one is in the ID token', async () => {
  const { tokens } = await again({ acr_values: 'silver gold' });
  assert(tokens.claims().acr === 'silver', `acr ${tokens.claims().acr}`);
});
await check('the request by POST', async () => {
  const request = await authorizationRequest(config);
  const { origin, pathname, searchParams } = request.url;
  const { location } = await base.agent.request(origin + pathname, { method: 'POST', body: searchParams.toString() });
  const tokens = await redeem(config, request, await base.agent.signIn(location, peer.redirect_uri));
  assert(tokens.access_token, 'no token');
});

for (const [name, error, edit] of [
  ['no response_type', 'invalid_request', (query) => query.delete('response_type')],
  ['unknown response_type', 'unsupported_response_type', (query) => query.set('response_type', 'nonsense')],
  ['a request object', 'request_not_supported', (query) => query.set('request', 'eyJhbGciOiJub25lIn0.e30.')],
  ['a request object elsewhere', 'request_uri_not_supported', (query) => query.set('request_uri', 'https://rp.test/request.jwt')],
  ['PKCE by plain', 'invalid_request', (query) => query.set('code_challenge_method', 'plain')],
  ['a scope that the client may not have', 'invalid_scope', (query) => query.set('scope', 'openid no:such:scope')],
]) {
  await check(`${name}: ${error}, with the state`, async () => {
    const { query, request } = await ask({ edit });
    assert(query.get('error') === error && query.get('state') === request.state, `${query}`);
  });
}
for (const [name, edit] of [
  ['unregistered redirect_uri', (query) => query.set('redirect_uri', 'https://evil.test/cb')],
  ['redirect_uri with a longer path', (query) => query.set('redirect_uri', `${peer.redirect_uri}/more`)],
  ['redirect_uri with a query', (query) => query.set('redirect_uri', `${peer.redirect_uri}?x=y`)],
  ['redirect_uri with a user before the host', (query) => query.set('redirect_uri', peer.redirect_uri.replace('://', '://127.0.0.1@evil.test:'))],
  ['redirect_uri twice', (query) => query.append('redirect_uri', 'https://evil.test/cb')],
  ['a parameter twice', (query) => query.append('scope', 'openid')],
  ['unknown client', (query) => query.set('client_id', 'nobody')],
]) {
  await check(`${name}: shown, no redirect`, async () => {
    const request = await authorizationRequest(config);
    edit(request.url.searchParams);
    const page = await person().request(request.url);
    assert(page.status === 400 && !page.location, `status ${page.status}, to ${page.location}`);
  });
}
await check('the person says no: access_denied, with the state', async () => {
  const request = await authorizationRequest(config);
  const agent = person();
  const form = await agent.walk(request.url, ({ page }) => page?.forms.find(no));
  const sent = submit(form, no(form));
  const { location } = await agent.request(sent.to, sent);
  assert(location.searchParams.get('error') === 'access_denied' && location.searchParams.get('state') === request.state, `${location}`);
});
done();
