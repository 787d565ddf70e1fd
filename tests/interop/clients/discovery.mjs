// The metadata and the key set, as the OpenID Connect Config OP plan looks at them.
import { assert, check, done, need } from './check.mjs';
import { connect, peer } from './peer.mjs';

const base = new URL(peer.issuer);
const openid = `${peer.issuer}/.well-known/openid-configuration`;
async function json(url) {
  const answer = await fetch(url);
  assert(answer.status === 200, `status ${answer.status}`);
  assert(/^application\/(jwk-set\+)?json\b/.test(answer.headers.get('content-type')), answer.headers.get('content-type'));
  return answer.json();
}

const metadata = await need('the document is JSON', () => json(openid));
await check('the issuer is the one that was asked', () => assert(metadata.issuer === peer.issuer, metadata.issuer));
for (const name of ['authorization', 'token', 'userinfo', 'introspection', 'revocation', 'end_session', 'device_authorization', 'pushed_authorization_request']) {
  await check(`${name}_endpoint is below the issuer`, () => {
    const url = new URL(metadata[`${name}_endpoint`]);
    assert(url.origin === base.origin && !url.hash, url.href);
  });
}
const lists = {
  response_types_supported: ['code', 'id_token', 'id_token token', 'code id_token', 'code token', 'code id_token token', 'token'],
  response_modes_supported: ['query', 'fragment', 'form_post'],
  grant_types_supported: ['authorization_code', 'implicit', 'password', 'client_credentials', 'refresh_token'],
  id_token_signing_alg_values_supported: ['RS256'],
  code_challenge_methods_supported: ['S256'],
  subject_types_supported: ['public'],
};
for (const [name, expected] of Object.entries(lists)) {
  await check(name, () => {
    const told = metadata[name];
    assert(Array.isArray(told) && new Set(told).size === told.length, 'not a list of distinct texts');
    for (const value of expected) assert(told.includes(value), `lacks ${value}`);
    assert(!told.includes('none') && !told.includes('plain'), 'offers none or plain');
  });
}
await check('keys are public, distinct and strong', async () => {
  const { keys } = await json(metadata.jwks_uri);
  assert(new Set(keys.map(({ kid }) => kid)).size === keys.length, 'two have one kid');
  for (const key of keys) {
    for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert(!(member in key), `private member ${member}`);
    assert(key.kty !== 'RSA' || Buffer.from(key.n, 'base64url').length >= 256, 'an RSA key under 2048 bits');
  }
  for (const alg of metadata.id_token_signing_alg_values_supported) assert(keys.some((key) => key.alg === alg), `no key for ${alg}`);
  return keys.map(({ alg }) => alg).join(' ');
});
await check('the document of RFC 8414 agrees', async () => {
  const other = await json(new URL('/.well-known/oauth-authorization-server', base));
  for (const [name, value] of Object.entries(other)) assert(JSON.stringify(metadata[name]) === JSON.stringify(value), name);
});
await check('openid-client takes it', () => connect());
done();
