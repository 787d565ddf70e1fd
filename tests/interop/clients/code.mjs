// openid-client: the code flow with PKCE, and the API behind the gateway with what came of it.
// Options: response_mode, resource, par (the request is pushed), dpop (the token is bound to a key), api (a URL).
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { asksFor, authorizationRequest, connect, halfHash, login, peer, person, redeem } from './peer.mjs';
import { callApi } from './api.mjs';

const config = await need('discovery', () => connect());
const DPoP = peer.dpop ? oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256')) : undefined;
const options = { DPoP };
const extra = peer.response_mode ? { response_mode: peer.response_mode } : {};

async function pushed() {
  const agent = person();
  const request = await authorizationRequest(config, extra);
  const url = await oidc.buildAuthorizationUrlWithPAR(config, request.parameters, options);
  assert(url.searchParams.get('request_uri')?.startsWith('urn:'), `not pushed: ${url}`);
  const answer = await agent.signIn(url, peer.redirect_uri);
  return { agent, request, answer, tokens: await redeem(config, request, answer, options) };
}

const { request, answer, tokens } = await need('code flow', () => (peer.par ? pushed() : login(config, { extra, options })));
await check('the answer came by the mode that was asked for', () => assert(!!answer.form === (peer.response_mode === 'form_post')));
await check('token answer', () => {
  assert(tokens.token_type === (peer.dpop ? 'dpop' : 'bearer'), `token_type ${tokens.token_type}`);
  assert(tokens.expires_in > 0, 'no expires_in');
  return `scope ${tokens.scope ?? 'as asked'}`;
});
if (asksFor('openid')) {
  await check('ID token', () => {
    const { alg } = jose.decodeProtectedHeader(tokens.id_token);
    assert(alg === (peer.client.id_token_alg ?? 'RS256'), `alg ${alg}`);
    const { at_hash } = tokens.claims();
    assert(!at_hash || at_hash === halfHash(alg, tokens.access_token), 'at_hash is wrong');
    return `${alg}, sub ${tokens.claims().sub}`;
  });
  if (!peer.resource) {
    await check('userinfo speaks of the same person', async () => {
      const claims = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, options);
      return Object.keys(claims).join(' ');
    });
  }
}
if (peer.api) await callApi(peer.api, tokens.access_token);
await refused('the code works once', /invalid_grant/, () => redeem(config, request, answer, options));
done();
