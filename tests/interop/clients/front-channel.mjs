// The implicit and hybrid response types, by fragment and by form_post. openid-client judges `id_token` and
// `code id_token`, which it knows; the others are judged with jose by the rules of OpenID Connect Core 3.2 and 3.3.
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { authorizationRequest, connect, halfHash, peer, person, received } from './peer.mjs';

const config = await need('discovery', () => connect());
const metadata = config.serverMetadata();
const keys = jose.createRemoteJWKSet(new URL(metadata.jwks_uri));

// `nonce` and PKCE only where they have a meaning.
async function ask(type, mode, extra = {}) {
  const parts = type.split(' ');
  const request = await authorizationRequest(config, {
    response_type: type,
    response_mode: mode === 'fragment' ? undefined : mode,
    ...(parts.includes('code') ? {} : { code_challenge: undefined, code_challenge_method: undefined }),
    ...extra,
  });
  const answer = await person().signIn(request.url, peer.redirect_uri);
  return { request, answer, values: answer.form ?? new URLSearchParams(answer.url.hash.slice(1)) };
}

function rightParts(parts, { request, answer, values }, mode) {
  assert(!values.get('error'), `${values.get('error')}: ${values.get('error_description')}`);
  assert(!!answer.form === (mode === 'form_post'), 'it came by another mode');
  assert(answer.url.search === '', `in the query: ${answer.url.search}`);
  assert(values.get('state') === request.state, 'another state');
  assert(values.get('iss') === metadata.issuer, `iss ${values.get('iss')}`);
  for (const [part, key] of [['token', 'access_token'], ['code', 'code'], ['id_token', 'id_token']]) {
    assert(parts.includes(part) === values.has(key), `${key} ${values.has(key) ? 'came unasked' : 'is missing'}`);
  }
  assert(!values.has('refresh_token'), 'a refresh token in the front channel');
  if (!parts.includes('token')) return;
  assert(values.get('token_type') === 'Bearer' && Number(values.get('expires_in')) > 0, `${values}`);
}

async function rightIdToken(parts, { request, values }) {
  const { payload, protectedHeader } = await jose.jwtVerify(values.get('id_token'), keys, {
    issuer: metadata.issuer,
    audience: peer.client.id,
    requiredClaims: ['sub', 'exp', 'iat', 'nonce'],
  });
  assert(payload.nonce === request.nonce, 'another nonce');
  const hashed = (key) => halfHash(protectedHeader.alg, values.get(key));
  if (parts.includes('token')) assert(payload.at_hash === hashed('access_token'), `at_hash ${payload.at_hash}`);
  if (parts.includes('code')) assert(payload.c_hash === hashed('code'), `c_hash ${payload.c_hash}`);
  return payload;
}

// The code of a hybrid answer is redeemed like any other.
async function redeem({ request, values }) {
  const query = new URLSearchParams({ code: values.get('code'), state: request.state, iss: metadata.issuer });
  const checks = { pkceCodeVerifier: request.verifier, expectedState: request.state, expectedNonce: request.nonce };
  return oidc.authorizationCodeGrant(config, new URL(`${peer.redirect_uri}?${query}`), checks);
}

async function judgedByOpenidClient(type, { request, answer }) {
  const own = await connect();
  if (type === 'id_token') {
    oidc.useIdTokenResponseType(own);
    await oidc.implicitAuthentication(own, received(answer), request.nonce, { expectedState: request.state });
  } else {
    oidc.useCodeIdTokenResponseType(own);
    const checks = { pkceCodeVerifier: request.verifier, expectedState: request.state, expectedNonce: request.nonce };
    await oidc.authorizationCodeGrant(own, received(answer), checks);
  }
}

for (const type of peer.response_types) {
  const parts = type.split(' ');
  for (const mode of ['fragment', 'form_post']) {
    await check(`${type} by ${mode}`, async () => {
      const came = await ask(type, mode);
      rightParts(parts, came, mode);
      const claims = parts.includes('id_token') ? await rightIdToken(parts, came) : undefined;
      if (parts.includes('token') && claims) await oidc.fetchUserInfo(config, came.values.get('access_token'), claims.sub);
      if (['id_token', 'code id_token'].includes(type)) {
        await judgedByOpenidClient(type, came);
        return 'openid-client agrees';
      }
      if (!parts.includes('code')) return undefined;
      const tokens = await redeem(came);
      assert(!claims || tokens.claims().sub === claims.sub, 'the two ID tokens speak of different people');
      return undefined;
    });
  }
  if (parts.includes('id_token')) {
    await check(`${type} without nonce is refused in the fragment`, async () => {
      const { values } = await ask(type, 'fragment', { nonce: undefined });
      assert(values.get('error') === 'invalid_request' && !values.has('id_token'), `${values}`);
    });
  }
}
await refused('response_mode=query is refused for tokens', /invalid_request/, async () => {
  const { values, answer } = await ask(peer.response_types[0], 'query');
  throw new Error(values.get('error') ?? `not refused: ${answer.url}`);
});
done();
