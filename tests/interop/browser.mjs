// Headless Chromium for tests/browser.rs: `node browser.mjs SCENARIO`, with a JSON object in the environment variable
// TOLLGATE_BROWSER: `issuer`; `client`, an origin on loopback at which this script plays the application, or `gateway`,
// one at which a gateway has it behind it, or `command`, one at which a command waits; `chromium` (the program), and perhaps
// `screenshots` (a folder).
//
// Whatever the scenario, it fails when a page has an error in its console, breaks its Content-Security-Policy, asks
// another origin than those for anything, is wider than the window, or has text without contrast.

import { createServer } from 'node:http';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { scenarios as atTheAuthority } from './browser-scenarios.mjs';
import { scenarios as atTheGateway } from './login-scenarios.mjs';
import { scenarios as inThePage } from './spa-scenarios.mjs';
import { lookOver } from './browser-checks.mjs';

const settings = JSON.parse(process.env.TOLLGATE_BROWSER);
const scenarios = { ...atTheAuthority, ...atTheGateway, ...inThePage };
const origins = [settings.issuer, settings.client, settings.gateway, settings.command];

// The application: it remembers every request and answers each with an empty page.
async function application(origin) {
  const requests = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url, origin);
      const body = new URLSearchParams(Buffer.concat(chunks).toString());
      requests.push({ method: request.method, path: url.pathname, query: url.searchParams, body });
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end('<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Application</title><h1>Application</h1>');
    });
  });
  await new Promise((resolve) => server.listen(new URL(origin).port, '127.0.0.1', resolve));
  return { requests, close: () => server.close() };
}

// A page that is watched from its first request on.
async function open(browser, faults, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  context.setDefaultTimeout(20_000);
  context.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (!origins.includes(origin) && protocol !== 'data:') {
      faults.push(`a request to ${request.url()}`);
    }
  });
  context.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(`console: ${message.text()}`);
  });
  context.on('weberror', (error) => faults.push(`script: ${error.error()}`));
  const tab = async () => {
    const page = await context.newPage();
    // Looks a page over and, if asked, takes its picture.
    page.look = async (name) => {
      for (const fault of await lookOver(page)) faults.push(`${name}: ${fault}`);
      if (!settings.screenshots) return;
      mkdirSync(settings.screenshots, { recursive: true });
      await page.screenshot({ path: join(settings.screenshots, `${name}.png`), fullPage: true });
    };
    // Another tab of the same browser.
    page.another = tab;
    return page;
  };
  return tab();
}

const name = process.argv[2];
const scenario = scenarios[name];
assert(scenario, `there is no scenario ${name}: ${Object.keys(scenarios).join(', ')}`);
const faults = [];
const app = settings.client && (await application(settings.client));
const browser = await chromium.launch({
  executablePath: settings.chromium,
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
// What a page does not show is waited for 20 seconds; a browser that has stopped answering, no longer than this. That is told
// by a status of its own, EX_TEMPFAIL of sysexits.h.
setTimeout(() => {
  console.log(`${name} has not come to its end within 150 seconds: the browser does not answer`);
  process.exit(75);
}, 150_000);
try {
  await scenario({ ...settings, app, faults, open: (options) => open(browser, faults, options) });
} catch (error) {
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    console.log(`a page at ${page.url()}: ${await page.locator('body').innerText({ timeout: 1000 }).catch(String)}`);
  }
  throw error;
} finally {
  await Promise.race([browser.close(), new Promise((resolve) => setTimeout(resolve, 10_000))]);
  app?.close();
}
assert.deepEqual(faults, [], 'the pages are without fault');
process.exit(0);
