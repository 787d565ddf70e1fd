// The API behind the gateway: with the token, without one, and with a broken one (RFC 6750).
import { assert, check } from './check.mjs';

export async function callApi(url, token) {
  const call = (headers) => fetch(url, { headers, redirect: 'manual' });
  const bearer = (value) => ({ authorization: `Bearer ${value}` });
  await check('the gateway lets the token through', async () => {
    const answer = await call(bearer(token));
    assert(answer.status === 200, `status ${answer.status} ${answer.headers.get('www-authenticate')}`);
  });
  await check('without a token it gives a challenge, and no error code', async () => {
    const answer = await call({});
    const challenge = answer.headers.get('www-authenticate') ?? '';
    assert(answer.status === 401 && /^Bearer\b/.test(challenge) && !/error=/.test(challenge), `${answer.status} ${challenge}`);
  });
  await check('a broken token is invalid_token', async () => {
    const other = token.at(-5) === 'A' ? 'B' : 'A';
    const answer = await call(bearer(token.slice(0, -5) + other + token.slice(-4)));
    const challenge = answer.headers.get('www-authenticate') ?? '';
    assert(answer.status === 401 && /error="invalid_token"/.test(challenge), `${answer.status} ${challenge}`);
  });
}
