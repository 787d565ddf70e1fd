// What a person does at the pages of the authority. Each scenario gets the application, the list of faults, and `open`
// for a page of a browser without cookies.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';

const VERIFIER = randomBytes(32).toString('base64url');
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');

function authorize({ issuer, client }, more = {}) {
  const parameters = {
    response_type: 'code',
    client_id: 'web',
    redirect_uri: `${client}/callback`,
    scope: 'openid profile orders:read',
    state: 'a-state',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
    ...more,
  };
  return `${issuer}/authorize?${new URLSearchParams(parameters)}`;
}

export async function signIn(page, name, password) {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

export async function heading(page, text) {
  await page.getByRole('heading', { level: 1, name: text }).waitFor();
}

// The last request that the application got at `path`, once it is there.
async function arrived(world, page, path) {
  await page.waitForURL((url) => url.origin === world.client && url.pathname === path);
  const found = world.app.requests.findLast((request) => request.path === path);
  assert(found, `nothing came to ${path}`);
  return found;
}

// Chromium says so when a page comes with an error status, which a wrong password is meant to.
export function forgive(world, status) {
  const expected = world.faults.filter((fault) => !fault.includes(`status of ${status}`));
  assert.notEqual(expected.length, world.faults.length, `nothing was answered with ${status}`);
  world.faults.splice(0, world.faults.length, ...expected);
}

export const phone = { viewport: { width: 390, height: 844 } };
export const dark = { colorScheme: 'dark' };

async function signInAndAgree(world) {
  const page = await world.open();
  await page.goto(authorize(world));
  await heading(page, 'Sign in');
  await page.look('sign-in');
  await signIn(page, 'alice', 'looking-glass');
  await page.getByRole('alert').getByText('do not belong together').waitFor();
  assert.equal(await page.getByLabel('Name').inputValue(), 'alice', 'the name stays');
  assert.equal(await page.getByLabel('Password').inputValue(), '', 'the password does not');
  await page.look('sign-in-wrong');
  forgive(world, 403);
  await signIn(page, 'alice', 'wonderland');
  await heading(page, 'Allow access?');
  for (const words of ['Know who you are', 'Read your orders', 'alice', 'web']) {
    await page.getByRole('main').getByText(words).first().waitFor();
  }
  await page.look('consent');
  await page.getByRole('button', { name: 'Allow' }).click();
  const { query } = await arrived(world, page, '/callback');
  assert(query.get('code') && !query.get('error'));
  assert.deepEqual([query.get('state'), query.get('iss')], ['a-state', world.issuer]);
  // Signed in, and agreed: nothing is asked any more.
  world.app.requests.length = 0;
  await page.goto(authorize(world));
  assert((await arrived(world, page, '/callback')).query.get('code'));
}

async function deny(world) {
  const page = await world.open();
  await page.goto(authorize(world));
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Deny' }).click();
  const { query } = await arrived(world, page, '/callback');
  assert.deepEqual([query.get('error'), query.get('code')], ['access_denied', null]);
  await page.goto(authorize(world, { prompt: 'login' }));
  await page.getByRole('button', { name: 'Cancel' }).click();
  assert.equal((await arrived(world, page, '/callback')).query.get('error'), 'access_denied');
}

async function chooseAccount(world) {
  const page = await world.open();
  await page.goto(authorize(world, { prompt: 'select_account' }));
  await heading(page, 'Choose an account');
  await page.look('accounts');
  await page.getByRole('button', { name: 'bob' }).click();
  await heading(page, 'Sign in');
  assert.equal(await page.getByLabel('Name').inputValue(), 'bob');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'password');
  await signIn(page, 'bob', 'builder');
  await heading(page, 'Allow access?');
  await page.getByRole('button', { name: 'Use another account' }).click();
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Allow' }).click();
  await arrived(world, page, '/callback');
  await page.goto(authorize(world, { prompt: 'select_account' }));
  await page.getByRole('button', { name: 'alice' }).getByText('signed in').waitFor();
  await page.getByRole('button', { name: 'alice' }).click();
  await arrived(world, page, '/callback');
}

async function formPost(world) {
  const page = await world.open();
  await page.goto(authorize(world, { response_mode: 'form_post', prompt: 'login' }));
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Allow' }).click();
  const { method, query, body } = await arrived(world, page, '/callback');
  assert.deepEqual([method, query.size, body.get('state'), body.get('iss')], ['POST', 0, 'a-state', world.issuer]);
  assert(body.get('code'));
}

async function signOut(world) {
  const page = await world.open();
  await page.goto(authorize(world));
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Allow' }).click();
  await arrived(world, page, '/callback');
  const back = `${world.client}/signed-out`;
  await page.goto(`${world.issuer}/logout?${new URLSearchParams({ client_id: 'web', post_logout_redirect_uri: back, state: 's' })}`);
  await heading(page, 'Sign out?');
  await page.look('sign-out');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading(page, 'You are signed out');
  await page.look('signed-out-telling');
  const { query } = await arrived(world, page, '/signed-out');
  assert.equal(query.get('state'), 's');
  const told = world.app.requests.find((request) => request.path === '/frontchannel');
  assert(told && told.query.get('sid') && told.query.get('iss') === world.issuer, 'the frame told the application');
  await page.goto(`${world.issuer}/logout`);
  await heading(page, 'You are signed out');
  await page.look('signed-out');
}

async function device(world) {
  const body = new URLSearchParams({ client_id: 'tv', scope: 'openid orders:read' });
  const begin = async () => (await fetch(`${world.issuer}/device_authorization`, { method: 'POST', body })).json();
  const page = await world.open();
  await page.goto(`${world.issuer}/device`);
  await heading(page, 'Connect a device');
  await page.getByLabel('Code').fill('BBBB-BBBB');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('alert').getByText('no device with this code').waitFor();
  await page.look('device');
  const { user_code, device_code } = await begin();
  await page.getByLabel('Code').fill(user_code.toLowerCase().replace('-', ' '));
  await page.getByRole('button', { name: 'Continue' }).click();
  await signIn(page, 'alice', 'wonderland');
  await heading(page, 'Connect this device?');
  await page.getByText(user_code).waitFor();
  await page.look('device-confirm');
  await page.getByRole('button', { name: 'Allow' }).click();
  await heading(page, 'The device is connected');
  await page.look('device-connected');
  const grant = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code, client_id: 'tv' };
  const answer = await fetch(`${world.issuer}/token`, { method: 'POST', body: new URLSearchParams(grant) });
  assert((await answer.json()).access_token);
  await page.goto((await begin()).verification_uri_complete);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Deny' }).click();
  await heading(page, 'The device was refused');
}

async function errors(world) {
  const page = await world.open();
  await page.goto(authorize(world, { redirect_uri: 'https://evil.example/' }));
  await heading(page, 'This does not work');
  await page.getByText('is not one of those that are registered').waitFor();
  await page.look('error');
  forgive(world, 400);
}

// No mouse at all: from the front page through a flow and back.
async function keyboard(world) {
  const page = await world.open();
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.id);
  const ring = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  const tabTo = async (name) => {
    for (let presses = 0; presses < 60; presses += 1) {
      if ((await focused()).startsWith(name)) {
        assert.notEqual(await ring(), 'none', `the focus on ${name} can be seen`);
        return;
      }
      await page.keyboard.press('Tab');
    }
    assert.fail(`Tab does not lead to ${name}`);
  };
  await page.goto(world.issuer);
  await tabTo('Try it: Authorization code');
  await page.keyboard.press('Enter');
  await heading(page, 'Sign in');
  assert.equal(await focused(), 'username', 'the cursor waits in the name');
  await page.keyboard.type('alice');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'password');
  await page.keyboard.type('wonderland');
  await page.keyboard.press('Enter');
  await heading(page, 'Allow access?');
  await tabTo('Allow');
  await page.keyboard.press('Enter');
  await heading(page, 'Authorization code with PKCE');
  await tabTo('1');
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.hash === '#step-1');
  await tabTo('All flows');
}

// Every page once more on a phone and in the dark.
async function small(world) {
  for (const [suffix, options] of [['phone', phone], ['dark', dark], ['phone-dark', { ...phone, ...dark }]]) {
    const page = await world.open(options);
    await page.goto(world.issuer);
    await page.look(`flows-${suffix}`);
    await page.goto(authorize(world, { prompt: 'select_account' }));
    await page.look(`accounts-${suffix}`);
    await page.getByRole('button', { name: 'alice' }).click();
    await page.look(`sign-in-${suffix}`);
    await signIn(page, 'alice', 'wonderland');
    await heading(page, 'Allow access?');
    await page.look(`consent-${suffix}`);
    await page.getByRole('button', { name: 'Allow' }).click();
    await arrived(world, page, '/callback');
    await walk(world, page, 'code', 'web');
    await page.look(`walk-code-${suffix}`);
    await walk(world, page, 'token-forms', 'batch');
    await page.look(`walk-token-forms-${suffix}`);
    await walk(world, page, 'password', 'legacy');
    await page.look(`walk-password-form-${suffix}`);
    await page.goto(`${world.issuer}/device`);
    await page.look(`device-${suffix}`);
    await page.goto(`${world.issuer}/logout`);
    await page.look(`sign-out-${suffix}`);
    await page.goto(authorize(world, { redirect_uri: 'https://evil.example/' }));
    await page.look(`error-${suffix}`);
    forgive(world, 400);
  }
}

// Begins a walk from the front page, and answers what the authority asks meanwhile.
async function walk(world, page, flow, client) {
  await page.goto(world.issuer);
  const form = page.locator(`form:has(input[name=flow][value=${flow}])`);
  const choice = form.locator('select');
  if (await choice.count()) await choice.selectOption(client);
  await form.getByRole('button', { name: 'Try it' }).click();
  await page.waitForLoadState();
  if (new URL(page.url()).pathname === '/authorize') {
    if (await page.getByRole('heading', { name: 'Sign in' }).count()) await signIn(page, 'alice', 'wonderland');
    await page.getByRole('button', { name: 'Allow' }).click();
  }
  await page.waitForURL((url) => url.pathname === '/flows/walk');
}

// The titles of the steps in the picture, which are those of the steps below it.
async function told(page) {
  const drawn = await page.locator('.picture a').allTextContents();
  const titles = await page.locator('.steps h3').allTextContents();
  assert.deepEqual(drawn.map((text) => text.replace(/^(\d+) .*?: /, '$1 ').trim()), titles.map((text) => text.trim()));
  return titles.map((title) => title.replace(/^\d+ /, ''));
}

async function statuses(page) {
  const texts = await page.locator('.picture .outcome').allTextContents();
  return texts.map((text) => Number(text.slice(0, 3)));
}

// Nothing that could be used, in the page and in its address.
async function keepsSecrets(page) {
  const text = `${await page.content()} ${page.url()}`;
  for (const secret of ['wonderland', 'web-secret', 'batch-secret', 'worker-secret', 'api-secret', 'legacy-secret']) {
    assert(!text.includes(secret), `${secret} is shown`);
  }
  assert(!/[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}/.test(text), 'a whole token is shown');
}

async function walks(world) {
  const page = await world.open();
  await page.goto(world.issuer);
  await page.look('flows');
  const visit = ['Use the API with the token', 'Your public keys, please', 'Welcome'];
  const leave = ['Go to the Authorization Server', 'Sign in there, and agree'];

  await walk(world, page, 'code', 'web');
  const trade = [...leave, 'Back to the client, with a code', 'Trade the code for tokens'];
  assert.deepEqual(await told(page), [...trade, ...visit]);
  assert.deepEqual(await statuses(page), [303, 200, 200]);
  await page.getByText('The ID token, decoded').waitFor();
  await page.getByText('"user-alice"').first().waitFor();
  await keepsSecrets(page);
  await page.look('walk-code');

  await walk(world, page, 'refresh', 'web');
  const rotations = ['A new access token, please', 'And again', 'A thief comes with the first one', 'The family has ended'];
  assert.deepEqual(await told(page), [...trade, ...rotations]);
  assert.deepEqual(await statuses(page), [303, 200, 200, 200, 400, 400]);
  await keepsSecrets(page);
  await page.look('walk-refresh');

  await walk(world, page, 'client-credentials', 'worker');
  assert.deepEqual(await told(page), ['A token for myself, please', ...visit]);
  await keepsSecrets(page);
  await page.look('walk-client-credentials');

  await walk(world, page, 'token-forms', 'batch');
  const life = (form, asks) => [`${form}, please`, visit[0], asks, 'Welcome', 'Take the token back', visit[0], asks];
  const [question, keys] = ['What does this token mean?', visit[1]];
  assert.deepEqual(await told(page), [...life('An opaque token', question), 'Refused', ...life('A JWT', keys), 'Welcome']);
  await keepsSecrets(page);
  await page.look('walk-token-forms');

  await walk(world, page, 'implicit', 'legacy');
  assert.deepEqual(await told(page), [...leave, 'Back to the client, with the tokens', ...visit]);
  assert(!page.url().includes('#'), 'the tokens left the address line');
  await page.getByText('Discouraged.').waitFor();
  await keepsSecrets(page);
  await page.look('walk-implicit');

  await walk(world, page, 'hybrid', 'legacy');
  const back = 'Back to the client, by a form that posts itself';
  assert.deepEqual(await told(page), [...leave, back, 'Trade the code for tokens', ...visit]);
  await page.getByText('hash of the code beside it').waitFor();
  await keepsSecrets(page);
  await page.look('walk-hybrid');

  await walk(world, page, 'password', 'legacy');
  await page.getByLabel('Name').fill('alice');
  await page.getByLabel('Password').fill('wonderland');
  await page.getByRole('button', { name: 'Give it to the client' }).click();
  await page.getByText('To remember').waitFor();
  assert.deepEqual(await told(page), ['Name and password, typed into the client', 'A token for this password', ...visit]);
  await keepsSecrets(page);
  await page.look('walk-password');
  await walkOfDevice(world, page, visit);
}

async function walkOfDevice(world, page, visit) {
  await walk(world, page, 'device', 'tv');
  const begun = ['I have no browser; a code, please', 'The device shows a code', 'Is it done?'];
  assert.deepEqual(await told(page), begun);
  await page.getByText('authorization_pending').waitFor();
  const [other] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('link', { name: 'open the page for the code' }).click(),
  ]);
  await other.getByRole('button', { name: 'Continue' }).click();
  await other.getByRole('button', { name: 'Allow' }).click();
  await heading(other, 'The device is connected');
  await page.getByRole('button', { name: 'The device asks again' }).click();
  await page.getByText('To remember').waitFor();
  const done = [...begun, 'The person types the code, signs in, agrees', 'Is it done?', ...visit];
  assert.deepEqual(await told(page), done);
  await keepsSecrets(page);
  await page.look('walk-device');
}

// A no is a step as well, and nobody else sees a walk.
async function walkOfDenial(world) {
  const page = await world.open();
  await page.goto(world.issuer);
  await page.locator('form:has(input[value=code])').getByRole('button', { name: 'Try it' }).click();
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Deny' }).click();
  await page.getByRole('heading', { name: 'Back to the client, with a no' }).waitFor();
  const other = await world.open();
  await other.goto(page.url());
  await other.getByText('This browser has no such walk').waitFor();
  forgive(world, 400);
}

// `tollgate token` waits on loopback: its page hands over what stands behind the `#`, or in the query.
async function commandLine(world) {
  const page = await world.open();
  await page.goto(world.url);
  await heading(page, 'Sign in');
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.getByText('You can close this page and go back to the terminal.').waitFor();
  assert(page.url().startsWith(world.callback), page.url());
  assert(!/#|access_token|id_token/.test(page.url()), 'no token stays in the address');
  await page.look('command-line');
}

export const scenarios = {
  'sign-in': signInAndAgree,
  deny,
  accounts: chooseAccount,
  'form-post': formPost,
  'sign-out': signOut,
  device,
  errors,
  keyboard,
  small,
  walks,
  'walk-denied': walkOfDenial,
  'command-line': commandLine,
};
