// A person signs in at a relying party that is not ours, from its protected page, and out again; then callbacks that are
// forged. Options: url, expect (a text of the page), logout.
import { assert, check, done, need } from './check.mjs';
import { peer, person } from './peer.mjs';

const { url, expect, logout, mode } = peer;
const isIn = async (agent) => (await agent.request(url)).status === 200;
const atPage = ({ page }) => page?.url.href === url && page.status === 200 && page;

await check('a stranger is sent to the authority', async () => {
  const { status, location, text } = await person().request(url);
  assert(status === 302 && location.origin === peer.issuer && !text.includes(expect), `${status} ${location}`);
});

const agent = person();
let asked;
await need('login, back at the page that was wanted', async () => {
  const page = await agent.walk(url, (step) => {
    if (step.to?.pathname === '/authorize') asked ??= step.to.searchParams;
    return atPage(step);
  });
  assert(page.text.includes(expect), page.text.slice(0, 200));
});
await check('what it asked for', () => {
  assert(asked.get('response_type') === peer.response_type, `response_type ${asked.get('response_type')}`);
  assert(asked.get('scope').split(' ').includes('openid'), asked.get('scope'));
  return `nonce: ${asked.has('nonce')}, PKCE: ${asked.get('code_challenge_method')}, mode: ${asked.get('response_mode')}`;
});
await check('the next request needs no login', async () => assert(await isIn(agent), 'not signed in'));

// The request to the callback, caught before it is sent.
async function callback(as) {
  const caught = await as.walk(url, (step) => (step.to?.pathname === '/redirect_uri' ? step : undefined));
  const values = new URLSearchParams(caught.body ?? caught.to.search);
  assert(values.has('state'), `no callback: ${values}`);
  const send = (by) => by.request(caught.to.origin + caught.to.pathname + (mode ? '' : `?${values}`), mode ? { method: 'POST', body: values.toString() } : {});
  return { values, send };
}
await check('a callback with another state signs nobody in', async () => {
  const victim = person();
  const { values, send } = await callback(victim);
  values.set('state', 'forged-state-0123456789');
  await send(victim);
  assert(!(await isIn(victim)), 'signed in');
});
await check('nor does the callback of another browser', async () => {
  const { send } = await callback(person());
  const victim = person();
  await send(victim);
  assert(!(await isIn(victim)), 'signed in');
});
// A token beside a code and without an ID token is tied to nothing; the relying party gets another one for the code.
const tied = peer.response_type.split(' ').filter((part) => part !== 'token' || peer.response_type.includes('id_token'));
for (const part of tied) {
  await check(`nor a callback with another ${part}`, async () => {
    const victim = person();
    const { values, send } = await callback(victim);
    const name = part === 'token' ? 'access_token' : part;
    const value = values.get(name);
    values.set(name, value.slice(0, -8) + (value.endsWith('AAAA') ? 'BBBBBBBB' : 'AAAAAAAA'));
    await send(victim);
    assert(!(await isIn(victim)), 'signed in');
  });
}
await check('logout ends the session here and at the authority', async () => {
  await agent.walk(logout, ({ to, page }) => to?.pathname === '/bye/' || (page?.forms.length === 0 && page));
  const next = await agent.request(url);
  assert(next.status === 302, `status ${next.status}`);
  const { forms } = await agent.request(next.location).then((page) => (page.location ? agent.request(page.location) : page));
  assert(forms.some(({ fields }) => fields.some(({ type }) => type === 'password')), 'the authority did not ask for the password');
});
done();
