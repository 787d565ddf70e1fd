// What a person does at the single-page application of config/examples/spa, and what its scripts could get hold of.

import assert from 'node:assert/strict';
import { dark, forgive, heading, phone, signIn } from './browser-scenarios.mjs';

// Whatever looks like a JWT.
const TOKEN = /ey[\w-]{10,}\.[\w-]{10,}\./;

// Everything that came to the browser from the application's origin; the way out to the login server, which the browser
// takes without the page, is left out.
function watch(world, page) {
  const came = [];
  page.on('response', (response) => {
    const { origin, pathname } = new URL(response.url());
    if (origin !== world.gateway || pathname === '/.tollgate/logout') return;
    came.push({ url: response.url(), read: read(response) });
  });
  return came;
}

async function read(response) {
  const body = response.status() >= 300 && response.status() < 400 ? '' : await response.text().catch(() => '');
  return `${response.url()} ${JSON.stringify(await response.allHeaders())} ${body}`;
}

// What could be read of it. A response that the browser gave up, as it went to another page, is told neither as whole nor
// as failed: who waits for it waits for ever.
async function texts(came) {
  const patience = new Promise((resolve) => setTimeout(resolve, 5000, null));
  const all = await Promise.all(came.map(({ read }) => Promise.race([read, patience])));
  const unread = came.filter((_, index) => all[index] === null).map(({ url }) => url);
  if (unread.length > 0) console.log('given up by the browser:', unread);
  return all.filter((text) => text !== null);
}

// What a script of the page can read, other than by asking.
async function readable(page) {
  return page.evaluate(async () => {
    return {
      cookie: document.cookie,
      local: { ...localStorage },
      session: { ...sessionStorage },
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
      page: document.documentElement.outerHTML + location.href + document.referrer,
    };
  });
}

async function hasNoToken(page) {
  const { page: text, ...stores } = await readable(page);
  assert.deepEqual(stores, { cookie: '', local: {}, session: {}, databases: [], caches: [] });
  assert.doesNotMatch(text, TOKEN);
}

async function logIn(page, path = '/') {
  await page.getByRole('link', { name: 'Log in' }).click();
  await signIn(page, 'alice', 'wonderland');
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.waitForURL((url) => url.pathname === path);
  await heading(page, 'Welcome, Alice Adams');
}

async function spa(world) {
  const page = await world.open();
  const came = watch(world, page);
  // A route of the application that no server sees.
  const here = `${world.gateway}/#/orders`;
  await page.goto(here);
  await heading(page, 'You are not logged in');
  forgive(world, 401);
  await page.look('spa-outside');
  await logIn(page);
  assert.equal(page.url(), here);
  await page.getByText('alice@app.example').waitFor();
  await hasNoToken(page);

  await page.getByRole('button', { name: 'Load orders' }).click();
  await page.getByText('2: looking glass').waitFor();
  await page.look('spa-inside');
  await hasNoToken(page);

  // Renewed once its token is not new any more; Rust looks at what goes up.
  await page.waitForTimeout(11_000);
  const renewed = page.waitForResponse((response) => response.request().method() === 'POST');
  await page.getByRole('button', { name: 'Renew' }).click();
  assert.equal((await renewed).status(), 200);
  const again = page.waitForResponse((response) => response.url().endsWith('/api/orders.json'));
  await page.getByRole('button', { name: 'Load orders' }).click();
  assert.equal((await again).status(), 200);
  await hasNoToken(page);

  // Another page of the browser cannot end the session, nor renew it: of another site, or of none.
  const stranger = await page.another();
  await stranger.setContent(`<form method="post" action="${world.gateway}/.tollgate/logout"><button>Win</button></form>`);
  const refused = stranger.waitForResponse((response) => response.url().endsWith('/.tollgate/logout'));
  await stranger.getByRole('button', { name: 'Win' }).click();
  assert.equal((await refused).status(), 403);
  await stranger.close();
  await page.reload();
  await heading(page, 'Welcome, Alice Adams');

  // Signed out elsewhere: the next thing that is done finds it.
  const other = await page.another();
  await other.goto(`${world.issuer}/logout`);
  await other.getByRole('button', { name: 'Sign out' }).click();
  await heading(other, 'You are signed out');
  await page.getByRole('button', { name: 'Load orders' }).click();
  await heading(page, 'You are not logged in');
  forgive(world, 401);
  await logIn(page);

  await page.getByRole('button', { name: 'Log out' }).click();
  await heading(page, 'Logged out');
  await page.getByRole('link', { name: 'To the front page' }).click();
  await heading(page, 'You are not logged in');
  forgive(world, 401);
  await hasNoToken(page);
  // The stranger's page was refused, and perhaps has no icon.
  world.faults.splice(0, world.faults.length, ...world.faults.filter((fault) => !/status of 40[34]/.test(fault)));
  const seen = await texts(came);
  for (const text of seen) assert.doesNotMatch(text, TOKEN);
  assert(seen.length > 10, `the responses were seen: ${seen.length} of ${came.length}`);

  for (const [suffix, options] of [['phone', phone], ['phone-dark', { ...phone, ...dark }]]) {
    const small = await world.open(options);
    await small.goto(`${world.gateway}/`);
    await heading(small, 'You are not logged in');
    forgive(world, 401);
    await small.look(`spa-outside-${suffix}`);
    await logIn(small);
    await small.getByRole('button', { name: 'Load orders' }).click();
    await small.getByText('2: looking glass').waitFor();
    await small.look(`spa-inside-${suffix}`);
  }
}

export const scenarios = { spa };
