// openid-client and plain requests: what OAuth asks of the token endpoint.
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { authorizationRequest, basic, connect, peer, person, redeem } from './peer.mjs';

const config = await need('discovery', () => connect());
const { token_endpoint: endpoint } = config.serverMetadata();
const agent = person();

// A new code, for the person who is signed in.
async function fresh(extra) {
  const request = await authorizationRequest(config, extra);
  return { request, answer: await agent.signIn(request.url, peer.redirect_uri) };
}
const post = (form, headers = { authorization: basic(peer.client) }) =>
  fetch(endpoint, { method: 'POST', headers, body: new URLSearchParams(form) });

await check('200, JSON, not to be stored', async () => {
  const { request, answer } = await fresh();
  const code = answer.url.searchParams.get('code');
  const reply = await post({ grant_type: 'authorization_code', code, redirect_uri: peer.redirect_uri, code_verifier: request.verifier });
  const [type, caching] = [reply.headers.get('content-type'), reply.headers.get('cache-control')];
  assert(reply.status === 200 && /^application\/json/.test(type) && /no-store/.test(caching), `${reply.status} ${type} ${caching}`);
});
await check('a code used twice is refused, and what it gave is dead', async () => {
  const { request, answer } = await fresh();
  const tokens = await redeem(config, request, answer);
  const second = await redeem(config, request, answer).catch(({ error }) => error);
  assert(second === 'invalid_grant', `${second}`);
  const userinfo = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub).catch(() => 'dead');
  assert(userinfo === 'dead', 'the access token is alive');
});
await refused('another code_verifier', /invalid_grant/, async () => {
  const { request, answer } = await fresh();
  return redeem(config, { ...request, verifier: oidc.randomPKCECodeVerifier() }, answer);
});
await refused('no code_verifier', /invalid_grant/, async () => {
  const { request, answer } = await fresh();
  return redeem(config, { ...request, verifier: undefined }, answer);
});
await refused('a code_verifier without a challenge', /invalid_grant/, async () => {
  const { request, answer } = await fresh({ code_challenge: undefined, code_challenge_method: undefined });
  return redeem(config, request, answer);
});
await refused("another client's code", /invalid_grant/, async () => {
  const { request, answer } = await fresh();
  return redeem(await connect(peer.other_client), request, answer);
});

const code = { grant_type: 'authorization_code', code: 'unknown', redirect_uri: peer.redirect_uri };
for (const [name, status, error, form, headers] of [
  ['wrong secret', 401, 'invalid_client', code, { authorization: basic({ ...peer.client, secret: 'wrong' }) }],
  ['no client authentication', 401, 'invalid_client', { ...code, client_id: peer.client.id }, {}],
  ['unknown code', 400, 'invalid_grant', code],
  ['unknown grant_type', 400, 'unsupported_grant_type', { grant_type: 'nonsense' }],
  ['no grant_type', 400, 'invalid_request', {}],
]) {
  await check(`${name}: ${status} ${error}`, async () => {
    const answer = await post(form, headers);
    const told = await answer.json();
    assert(answer.status === status && told.error === error, `${answer.status} ${JSON.stringify(told)}`);
    assert(status !== 401 || /^Basic\b/.test(answer.headers.get('www-authenticate')), 'no challenge');
  });
}
await check('another redirect_uri: invalid_grant', async () => {
  const { request, answer } = await fresh();
  const form = { ...code, code: answer.url.searchParams.get('code'), code_verifier: request.verifier };
  const told = await (await post({ ...form, redirect_uri: `${peer.redirect_uri}x` })).json();
  assert(told.error === 'invalid_grant', JSON.stringify(told));
});
for (const [name, url, init] of [
  ['GET', `${endpoint}?grant_type=client_credentials`, {}],
  ['JSON', endpoint, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"grant_type":"client_credentials"}' }],
]) {
  await check(`${name} is refused`, async () => {
    const { status } = await fetch(url, init);
    assert(status >= 400 && status < 500, `status ${status}`);
    return `status ${status}`;
  });
}
done();
