// What a person does at an application behind a gateway that logs browsers in, whichever issuer it is. Each scenario gets
// `gateway` and `issuer` (origins), whether the issuer `asks` before it signs out, the list of faults, and `open` for a page of
// a browser without cookies, or with those of another page.

import assert from 'node:assert/strict';
import { dark, forgive, heading, phone, signIn } from './browser-scenarios.mjs';

// The application is shown, at this path.
async function arrived(world, page, path) {
  await page.waitForURL(world.gateway + path);
  await heading(page, 'Application');
}

// Signs in and agrees, on the way to `path`, as somebody whom the authority has not seen in this browser.
async function enter(world, page, path) {
  await heading(page, 'Sign in');
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Allow' }).click();
  await arrived(world, page, path);
}

async function logIn(world, page, path) {
  await page.goto(world.gateway + path);
  await enter(world, page, path);
}

// Presses a button of the application that logs out.
async function leave(world, page, button) {
  await page.getByRole('button', { name: button, exact: true }).click();
  if (world.asks) await page.getByRole('button', { name: 'Sign out' }).click();
}

// The status of a request with the cookies of this browser; the page itself does nothing.
async function status(world, page, path) {
  const answer = await page.context().request.get(world.gateway + path, { maxRedirects: 0 });
  return answer.status();
}

async function until(what, probe) {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((go) => setTimeout(go, 200))) {
    const found = await probe();
    if (found) return found;
  }
  return assert.fail(`waited in vain: ${what}`);
}

const shown = (page, id) => page.locator(`#${id}`).textContent();

async function login(world) {
  const page = await world.open();
  await logIn(world, page, '/deep/page?a=1&b=%2F');
  assert.equal(await shown(page, 'who'), 'user-alice');
  assert.equal(await shown(page, 'token'), '', 'no token goes up unless the route says so');
  // Cookies know no ports: those of an issuer on the same host come along.
  assert.doesNotMatch(await shown(page, 'cookies'), /tollgate/, 'the session stays at the gateway');
  assert.equal(await page.evaluate(() => document.cookie), '', 'scripts see no cookie');
  const cookies = (await page.context().cookies()).filter(({ name }) => name.startsWith('tollgate-web'));
  assert(cookies.some(({ name }) => name === 'tollgate-web'));
  for (const { name, httpOnly, sameSite } of cookies) assert.deepEqual([httpOnly, sameSite], [true, 'Lax'], name);
  await page.goto(`${world.gateway}/another`);
  await arrived(world, page, '/another');
  await page.goBack();
  await arrived(world, page, '/deep/page?a=1&b=%2F');
}

async function tabs(world) {
  const one = await world.open();
  const two = await one.another();
  await one.goto(`${world.gateway}/one`);
  await two.goto(`${world.gateway}/two`);
  await enter(world, two, '/two');
  await signIn(one, 'alice', 'wonderland');
  await arrived(world, one, '/one');
  await two.reload();
  await arrived(world, two, '/two');
}

async function expiry(world) {
  const page = await world.open();
  await logIn(world, page, '/form?draft=7');
  await until('the session is over', async () => (await status(world, page, '/.tollgate/session')) === 401);
  await page.getByLabel('Text').fill('a long text');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('What you sent was not taken in.').waitFor();
  forgive(world, 401);
  await page.look('gateway-not-taken-in');
  // The authority still knows who this is, so nothing is asked.
  await page.getByRole('link', { name: 'Log in' }).click();
  await arrived(world, page, '/form?draft=7');
  await page.getByLabel('Text').fill('a long text');
  await page.getByRole('button', { name: 'Save' }).click();
  await heading(page, 'Saved');
  await until('the session is over', async () => (await status(world, page, '/.tollgate/session')) === 401);
  await page.goto(`${world.gateway}/later`);
  await arrived(world, page, '/later');
}

async function refresh(world) {
  const page = await world.open();
  await logIn(world, page, '/reader');
  const first = await shown(page, 'token');
  assert(first, 'the route passes the token');
  const asked = [];
  page.on('request', (request) => {
    if (new URL(request.url()).origin === world.issuer) asked.push(request.url());
  });
  await until('another token goes up', async () => {
    await page.reload();
    return (await shown(page, 'token')) !== first;
  });
  assert.deepEqual(asked, [], 'the browser was not sent anywhere');
}

async function logout(world) {
  const page = await world.open();
  await logIn(world, page, '/deep');
  await page.evaluate(() => localStorage.setItem('draft', 'mine'));
  await leave(world, page, 'Log out');
  await heading(page, 'Logged out');
  assert.equal(new URL(page.url()).pathname, '/.tollgate/logged-out');
  await page.look('gateway-logged-out');
  const left = (await page.context().cookies()).map(({ name }) => name).filter((name) => name.startsWith('tollgate-web'));
  assert.deepEqual(left, []);
  assert.equal(await page.evaluate(() => localStorage.getItem('draft')), null, 'what the application kept is gone');
  await page.goto(`${world.gateway}/deep`);
  await enter(world, page, '/deep');
  await leave(world, page, 'Log out and see what is public');
  await arrived(world, page, '/public?after=logout');
}

async function backChannel(world) {
  const page = await world.open();
  await logIn(world, page, '/deep');
  const other = await page.another();
  const metadata = await fetch(`${world.issuer}/.well-known/openid-configuration`);
  await other.goto((await metadata.json()).end_session_endpoint);
  await other.getByRole('button', { name: 'Sign out' }).click();
  await heading(other, 'You are signed out');
  await until('the session is over', async () => (await status(world, page, '/.tollgate/session')) === 401);
  await page.reload();
  await heading(page, 'Sign in');
}

async function denied(world) {
  const page = await world.open();
  await page.goto(`${world.gateway}/deep?a=1`);
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Deny' }).click();
  await page.getByText('The login was cancelled.').waitFor();
  forgive(world, 400);
  await page.look('gateway-cancelled');
  await page.getByRole('link', { name: 'Try again' }).click();
  await page.getByRole('button', { name: 'Allow' }).click();
  await arrived(world, page, '/deep?a=1');
}

// Pages that need a stronger or a more recent sign-in than the one that was.
async function stepUp(world) {
  const page = await world.open();
  await logIn(world, page, '/deep');
  const session = async () => (await page.context().cookies()).find(({ name }) => name === 'tollgate-web').value;
  const before = await session();
  const told = await page.evaluate(async () => (await fetch('/strong')).json());
  forgive(world, 401);
  assert.equal(told.code, 'step_up_required');
  assert.equal(new URL(told.login).searchParams.get('acr_values'), 'gold silver');
  await page.goto(`${world.gateway}/strong?a=1`);
  await page.getByText('authentication context').waitFor();
  await signIn(page, 'alice', 'wonderland');
  await arrived(world, page, '/strong?a=1');
  assert.notEqual(await session(), before, 'the session has a new id');
  await page.goto(`${world.gateway}/deep`);
  await arrived(world, page, '/deep');
  await page.waitForTimeout(5_000);
  await page.goto(`${world.gateway}/recent`);
  await heading(page, 'Sign in');
  await signIn(page, 'alice', 'wonderland');
  await arrived(world, page, '/recent');
}

// A page that is not for this account, but for another one of the same person.
async function anotherAccount(world) {
  const page = await world.open();
  await logIn(world, page, '/deep');
  await page.goto(`${world.gateway}/bobs`);
  await heading(page, 'No access');
  forgive(world, 403);
  await page.look('gateway-another-account');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await heading(page, 'Choose an account');
  await page.getByRole('button', { name: /bob/ }).click();
  await signIn(page, 'bob', 'builder');
  await page.getByRole('button', { name: 'Allow' }).click();
  await arrived(world, page, '/bobs');
  assert.equal(await shown(page, 'who'), 'user-bob');
}

// The answer of a login that was done already, as by the back button.
async function twice(world) {
  const page = await world.open();
  const answers = [];
  page.on('request', (request) => {
    if (new URL(request.url()).pathname === '/.tollgate/callback') answers.push(request.url());
  });
  await logIn(world, page, '/deep');
  await page.goto(answers[0]);
  await page.getByText('is done already').waitFor();
  forgive(world, 400);
  const reference = await page.locator('code').textContent();
  assert.match(reference, /^login_failed, reference [A-Za-z0-9]{8}$/);
  assert(!(await page.content()).includes(new URL(answers[0]).searchParams.get('code')), 'no internals');
  await page.look('gateway-error');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Try again');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await arrived(world, page, '/');
}

async function chooser(world) {
  const page = await world.open();
  await page.goto(`${world.gateway}/.tollgate/login?return_to=/staff/room`);
  await heading(page, 'Log in');
  await page.look('gateway-chooser');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Staff of Acme');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, 'none', 'the focus can be seen');
  await page.keyboard.press('Enter');
  await heading(page, 'Sign in');
  await page.getByText('to go on to staff').waitFor();
  await enter(world, page, '/staff/room');
}

// Every page once more in every light, on a screen and on a phone.
async function small(world) {
  for (const [suffix, options] of [['', {}], ['-phone', phone], ['-dark', dark], ['-phone-dark', { ...phone, ...dark }]]) {
    const page = await world.open(options);
    const visit = async (path, text, name, failure) => {
      await page.goto(world.gateway + path);
      await page.getByText(text).first().waitFor();
      if (failure) forgive(world, failure);
      await page.look(`gateway-${name}${suffix}`);
    };
    await visit('/.tollgate/login', 'Where do you have your account?', 'all-chooser');
    await visit('/.tollgate/callback?state=x&code=y', 'is done already', 'all-error', 400);
    await visit('/.tollgate/logged-out', 'You are logged out.', 'all-logged-out');
    await visit('/.tollgate/nothing', 'There is no page', 'all-nothing', 404);
    await visit('/broken', 'cannot be reached', 'all-broken', 502);
    await page.goto(`${world.gateway}/public`);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('What you sent was not taken in.').waitFor();
    forgive(world, 401);
    await page.look(`gateway-all-not-taken-in${suffix}`);
    await page.getByRole('link', { name: 'Log in' }).click();
    await enter(world, page, '/public');
    await visit('/writer', 'does not have the rights', 'all-no-access', 403);
  }
}

async function ownPages(world) {
  for (const [suffix, options] of [['', {}], ['-phone-dark', { ...phone, ...dark }]]) {
    const page = await world.open(options);
    await page.goto(`${world.gateway}/.tollgate/callback?state=x&code=y`);
    await page.getByText('Our help desk is at extension 4711').waitFor();
    forgive(world, 400);
    await page.look(`gateway-own-error${suffix}`);
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).maxWidth), 'none', 'its style is taken');
    await page.goto(`${world.gateway}/.tollgate/login`);
    await page.look(`gateway-own-chooser${suffix}`);
  }
}

export const scenarios = {
  'gateway-login': login,
  'gateway-tabs': tabs,
  'gateway-expiry': expiry,
  'gateway-refresh': refresh,
  'gateway-logout': logout,
  'gateway-back-channel': backChannel,
  'gateway-denied': denied,
  'gateway-step-up': stepUp,
  'gateway-another-account': anotherAccount,
  'gateway-twice': twice,
  'gateway-chooser': chooser,
  'gateway-small': small,
  'gateway-own-pages': ownPages,
};
