// openid-client: logout that the relying party asks for, with good and bad requests. What shows that it worked is that
// prompt=none fails afterwards.
import * as oidc from 'openid-client';
import { assert, check, done, need } from './check.mjs';
import { authorizationRequest, connect, login, peer, person } from './peer.mjs';

const back = peer.post_logout_redirect_uri;
const config = await need('discovery', () => connect());

async function silently(agent) {
  const request = await authorizationRequest(config, { prompt: 'none' });
  const { url } = await agent.signIn(request.url, peer.redirect_uri);
  return url.searchParams.get('error') ?? 'signed in';
}
async function signedIn() {
  const { agent, tokens } = await login(config);
  assert((await silently(agent)) === 'signed in', 'not silently');
  return { agent, hint: tokens.id_token };
}
const signOut = (agent, parameters) =>
  agent.walk(oidc.buildEndSessionUrl(config, parameters), ({ to, page }) => {
    if (to?.href.startsWith(back)) return { returned: to };
    return page && page.forms.length === 0 ? { shown: page.status } : undefined;
  });

const first = await need('login, silent with prompt=none', signedIn);
await check('with hint, URI and state it returns to the URI', async () => {
  const { returned } = await signOut(first.agent, { id_token_hint: first.hint, post_logout_redirect_uri: back, state: 'st-1' });
  assert(returned?.href === `${back}?state=st-1`, `${returned}`);
});
await check('afterwards login is required', async () => assert((await silently(first.agent)) === 'login_required', await silently(first.agent)));
const second = await need('login again', signedIn);
await check('without state it returns without state', async () => {
  const { returned } = await signOut(second.agent, { id_token_hint: second.hint, post_logout_redirect_uri: back });
  assert(returned?.href === back, `${returned}`);
});

const third = await need('and again', signedIn);
const [head, claims] = third.hint.split('.');
const none = Buffer.from('{"alg":"none"}').toString('base64url');
for (const [name, parameters] of [
  ['unregistered URI', { id_token_hint: third.hint, post_logout_redirect_uri: `${back}/evil` }],
  ['URI with a query', { id_token_hint: third.hint, post_logout_redirect_uri: `${back}?foo=bar` }],
  ['unsigned hint', { id_token_hint: `${none}.${claims}.`, post_logout_redirect_uri: back }],
  ['hint with a broken signature', { id_token_hint: `${head}.${claims}.AAAA`, post_logout_redirect_uri: back }],
]) {
  await check(`${name}: no redirect`, async () => {
    const answer = await person().request(oidc.buildEndSessionUrl(config, parameters));
    assert(!answer.location && answer.status === 400, `status ${answer.status}, to ${answer.location}`);
  });
}
await check('they ended nothing', async () => assert((await silently(third.agent)) === 'signed in', 'signed out'));
await check('without parameters it asks, and signs out', async () => {
  const { shown } = await signOut(third.agent, {});
  assert(shown === 200, `${shown}`);
  assert((await silently(third.agent)) === 'login_required', 'still signed in');
});
done();
