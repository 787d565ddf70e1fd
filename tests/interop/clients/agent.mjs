// A browser without a screen: cookies, redirects, and a person who fills in plain HTML forms.
import http from 'node:http';
import https from 'node:https';
import { assert } from './check.mjs';

const ENTITIES = { quot: '"', apos: "'", lt: '<', gt: '>', amp: '&' };

function unescape(text) {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(quot|apos|lt|gt|amp));/gi, (_, hex, decimal, name) =>
    name ? ENTITIES[name.toLowerCase()] : String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal)));
}

function attributes(text) {
  const found = {};
  for (const [, name, double, single, bare] of text.matchAll(/([^\s=/"'<>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?/g)) {
    found[name.toLowerCase()] = unescape(double ?? single ?? bare ?? '');
  }
  return found;
}

// The forms of a page: where they go, their fields, their buttons.
export function forms(html, base) {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([, head, content]) => {
    const { action, method = 'get' } = attributes(head);
    const controls = [...content.matchAll(/<(input|button)\b([^>]*)>/gi)].map(([, tag, rest]) => {
      const control = attributes(rest);
      return { ...control, type: control.type ?? (tag.toLowerCase() === 'button' ? 'submit' : 'text') };
    });
    const buttons = controls.filter(({ type }) => type === 'submit');
    const fields = controls.filter((control) => control.name && !['submit', 'button'].includes(control.type));
    return { action: new URL(action || base, base), method: method.toLowerCase(), fields, buttons };
  });
}

// What is sent when `button` is pressed; `value` gives what the person wrote into a field.
export function submit(form, button, value = () => undefined) {
  const content = new URLSearchParams();
  for (const field of form.fields) {
    if (['checkbox', 'radio'].includes(field.type) && !('checked' in field)) continue;
    content.append(field.name, value(field) ?? field.value ?? '');
  }
  if (button?.name) content.append(button.name, button.value ?? '');
  if (form.method === 'post') return { to: form.action, method: 'POST', body: content.toString() };
  return { to: new URL(`${form.action.href.split('?')[0]}?${content}`) };
}

const words = (button) => `${button.name} ${button.value} ${button.id}`;
const NO = /cancel|deny|reject|abort|\bno\b/i;
export const yes = (form) => form.buttons.find((button) => !NO.test(words(button)));
export const no = (form) => form.buttons.find((button) => NO.test(words(button)));

// Not fetch(): it says `sec-fetch-mode: cors`, and relying parties send only navigations to log in.
function navigate(url, { method, body, headers }) {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? https : http).request(url, {
      agent: false,
      method,
      timeout: 20000,
      headers: { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', ...headers },
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ response, text: Buffer.concat(chunks).toString('utf8') }));
    });
    request.end(body);
  });
}

export class Agent {
  jar = new Map();

  constructor(user) {
    this.user = user;
  }

  #cookies(url) {
    const fits = (cookie) => cookie.host === url.hostname && url.pathname.startsWith(cookie.path);
    return [...this.jar.values()].filter(fits).map(({ name, value }) => `${name}=${value}`).join('; ');
  }

  #keep(url, lines = []) {
    for (const line of lines) {
      const [[name, value], ...rest] = line.split(';').map((part) => part.trim().split(/=(.*)/s));
      const said = Object.fromEntries(rest.map(([key, what = '']) => [key.toLowerCase(), what]));
      const cookie = { host: url.hostname, name, value, path: said.path ?? '/', httpOnly: 'httponly' in said, sameSite: said.samesite };
      const key = `${cookie.host} ${cookie.path} ${name}`;
      const over = said['max-age'] === '0' || (said.expires && Date.parse(said.expires) <= Date.now());
      if (over) this.jar.delete(key); else this.jar.set(key, cookie);
    }
  }

  // One request, no redirect followed.
  async request(to, { method = 'GET', body, headers = {} } = {}) {
    const url = new URL(to);
    const sent = { accept: 'text/html,*/*;q=0.8', ...headers };
    if (this.#cookies(url)) sent.cookie = this.#cookies(url);
    if (body !== undefined) {
      sent['content-type'] = 'application/x-www-form-urlencoded';
      sent['content-length'] = Buffer.byteLength(body);
    }
    const { response, text } = await navigate(url, { method, body, headers: sent });
    this.#keep(url, response.headers['set-cookie']);
    const location = response.headers.location && new URL(response.headers.location, url);
    return { url, status: response.statusCode, text, location, forms: forms(text, url) };
  }

  // Goes on, signing in and agreeing, until `stop` gives something for a step to take or a page that came.
  async walk(start, stop) {
    let step = { to: new URL(start) };
    let logins = 0;
    for (let count = 0; count < 30; count += 1) {
      const before = stop({ to: step.to, body: step.body });
      if (before) return before;
      const page = await this.request(step.to, step);
      if (page.location) {
        step = { to: page.location };
        continue;
      }
      const login = page.forms.find((form) => form.fields.some(({ type }) => type === 'password'));
      if (login) {
        assert(++logins === 1, `login refused at ${page.url.pathname}`);
        const typed = { password: this.user.password, text: this.user.name };
        step = submit(login, yes(login), ({ type }) => typed[type]);
        continue;
      }
      const end = stop({ page });
      if (end) return end;
      const form = page.forms.find(({ method }) => method === 'post');
      assert(page.status < 400 && form, `stuck at ${page.url}, status ${page.status}: ${plain(page.text)}`);
      step = submit(form, yes(form));
    }
    throw new Error('too many pages');
  }

  // From an authorization request to what comes back at `redirectUri`: its URL, and the form if it was posted.
  async signIn(url, redirectUri) {
    return this.walk(url, ({ to, body }) => {
      if (!to || `${to.origin}${to.pathname}` !== redirectUri) return undefined;
      return { url: to, form: body === undefined ? undefined : new URLSearchParams(body) };
    });
  }
}


const plain = (html) => html.replace(/<style[\s\S]*?<\/style>|<[^>]+>/g, ' ').replace(/\s+/g, ' ').slice(0, 300);
